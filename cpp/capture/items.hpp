// What a container holds, taken at one moment: references of its own, on the walk's stack.
#pragma once

#include "capture/walk.hpp"

namespace tracepoints {

class Walk::Items {
public:
    explicit Items(Walk& walk) : held_(walk.held_), begin_(walk.held_.size()) {}
    ~Items() {
        while (held_.size() > begin_) {
            const Pair last = held_.back();
            held_.pop_back();  // first: letting go may run a finalizer
            Py_XDECREF(last.key);
            Py_DECREF(last.value);
        }
    }
    Items(const Items&) = delete;
    Items& operator=(const Items&) = delete;

    Py_ssize_t size() const { return static_cast<Py_ssize_t>(held_.size() - begin_); }
    // By value: reading one makes the stack grow.
    Pair operator[](Py_ssize_t at) const { return held_[begin_ + static_cast<std::size_t>(at)]; }
    void set_name(Py_ssize_t at, Name name) { held_[begin_ + static_cast<std::size_t>(at)].name = name; }

    void add(PyObject* key, PyObject* value) {
        held_.push_back(Pair{key, value, Name()});
        Py_XINCREF(key);
        Py_INCREF(value);
    }

    void take_sequence(PyObject* sequence, long long most);
    void take_dict(PyObject* dict, long long most);
    // False with an error set; a change by another thread ends it, as in `containers._take`.
    bool take_set(PyObject* set, long long most);
    void take_inline(const InstanceFields& fields, PyTypeObject* type, long long most);

private:
    std::vector<Pair>& held_;
    const std::size_t begin_;
};

// While it is there, the value stands on the path.
class Walk::Opened {
public:
    Opened(Walk& walk, PyObject* value) : walk_(walk) { walk.path_.push_back(value); }
    ~Opened();
    Opened(const Opened&) = delete;
    Opened& operator=(const Opened&) = delete;

private:
    Walk& walk_;
};

}  // namespace tracepoints
