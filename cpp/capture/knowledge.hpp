// What is remembered from one hit to the next: of names, whether they are sensitive, of classes, how their
// instances are read, of code, what variables it has. One for each policy.
//
// All of it is asked of the Python code once. Nothing here keeps a class or a code object alive, and each
// memory is emptied when it is full, so that generated names and classes cannot fill it.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "capture/suspicion.hpp"
#include "ref.hpp"

namespace tracepoints {

// The Python objects that a walker works with; see `capture.native.parts`.
struct Parts {
    Ref policy;
    Ref limits;
    Ref reader;             // values.Reader
    Ref json_text;          // model.JsonText
    Ref shape_of;           // shapes.shape_of
    Ref described;          // what collector says of a code object's variables
    Ref is_for_application;
    Ref stack_frame;        // model.StackFrame
    Ref watch_value;        // model.WatchValue
};

// Of a key or the name of a field.
struct Name {
    bool known = false;      // false: an error is set
    bool sensitive = false;
    bool plain = false;      // it is shown as it is, and is none of our own
    bool identifier = false;
};

struct Shape {
    Ref reference;           // weak, to the class
    bool native = false;     // a plain object: slots and a dict of which Python knows nothing more
    Ref label;
    Py_ssize_t label_size = 0;
    std::string label_json;
    bool has_dict = false;
    Py_ssize_t dict_at = -1;
    std::vector<std::pair<Py_ssize_t, Ref>> slots;  // index in the MRO, name
};

struct LocalVariable {
    std::vector<Py_ssize_t> slots;  // the last of them counts
    Ref label;
    bool sensitive = false;
    bool of_comprehension = false;
};

struct CodePlan {
    Ref reference;           // weak, to the code
    bool native = false;
    Py_ssize_t omitted = 0;
    Ref arguments;
    std::vector<LocalVariable> variables;
};

// How a code object is named in a stack.
struct CodeLabels {
    Ref reference;
    Ref file, function, name;
    PyObject* asked = nullptr;  // who told the function's name; an address, and no more
    double until = 0;           // a name may be learned later, so it is asked for again
};

// A lock where there is no GIL: held for moments only, while nothing of Python is called. Who does not get
// it goes without the memory: after a fork the thread that held it may be in the parent only.
class MemoryLock {
public:
    explicit MemoryLock(std::atomic_flag& busy) noexcept : busy_(busy) {
        if constexpr (kFreeThreaded) {
            for (int turn = 0; turn < kPatience && !held_; ++turn) {
                held_ = !busy_.test_and_set(std::memory_order_acquire);
            }
        } else {
            held_ = true;
        }
    }
    ~MemoryLock() {
        if (kFreeThreaded && held_) {
            busy_.clear(std::memory_order_release);
        }
    }
    MemoryLock(const MemoryLock&) = delete;
    MemoryLock& operator=(const MemoryLock&) = delete;

    bool held() const { return held_; }

private:
    static constexpr int kPatience = 2'000;
    std::atomic_flag& busy_;
    bool held_ = false;
};

// By address, and only as long as the weak reference still leads there.
template <typename Value>
class Memory {
public:
    std::shared_ptr<const Value> find(PyObject* key) {
        std::shared_ptr<const Value> found;
        {
            const MemoryLock lock(busy_);
            if (!lock.held()) {
                return nullptr;
            }
            const auto place = known_.find(key);
            if (place != known_.end()) {
                found = place->second;
            }
        }
        return found != nullptr && refers_to(found->reference.get(), key) ? found : nullptr;
    }

    void put(PyObject* key, std::shared_ptr<const Value> value) {
        std::unordered_map<PyObject*, std::shared_ptr<const Value>> forgotten;  // only after the lock
        const MemoryLock lock(busy_);
        if (lock.held()) {
            if (known_.size() >= kMost) {
                forgotten.swap(known_);
            }
            known_[key].swap(value);
        }
    }

private:
    static constexpr std::size_t kMost = 2048;
    std::atomic_flag busy_ = ATOMIC_FLAG_INIT;
    std::unordered_map<PyObject*, std::shared_ptr<const Value>> known_;
};

// Once, when the module is loaded: what makes out the ``__dict__`` of a class statement, at a sample.
bool find_made_getter();

// Whether this is the ``__dict__`` that a class statement makes.
bool is_made_dict(PyObject* found) noexcept;

// The C getter that a class of the MRO has under a name; null where it has none. Looked up anew each time:
// the application may have changed its class since.
Ref descriptor(PyTypeObject* type, Py_ssize_t at, PyObject* name);
// Whether the class there got its dict from a class statement, so that its place is known.
bool has_made_dict(PyTypeObject* type, Py_ssize_t at);

class Knowledge {
public:
    // The one of this policy; null with an error set.
    static std::shared_ptr<Knowledge> of(PyObject* policy);

    explicit Knowledge(PyObject* policy);

    bool has_patterns() const { return has_patterns_; }
    PyObject* policy() const { return policy_.get(); }

    // Whether there is certainly nothing in a text to redact.
    bool is_harmless(PyObject* text, const HarmlessNames* names = nullptr) const noexcept {
        return !has_patterns_ && tracepoints::is_harmless(text, known_.get(), names);
    }

    // Of an exact str.
    Name name(PyObject* text);
    // `policy.is_sensitive`, of a str: 1, 0 or -1 with an error set.
    int is_sensitive(PyObject* text);
    // `policy.text` and `policy.label`: a new reference to an exact str, or null.
    PyObject* text(PyObject* text);
    PyObject* label(PyObject* text);

    // Null with an error set.
    std::shared_ptr<const Shape> shape(const Parts& parts, PyTypeObject* type);

    Memory<CodePlan> plans;
    Memory<CodeLabels> labels;

private:
    PyObject* ask_for_text(const char* method, PyObject* text);

    Ref policy_;
    Ref names_;  // a dict: exact str → int
    Ref known_;  // the policy's memory of names
    bool has_patterns_ = true;
    Memory<Shape> shapes_;
};

}  // namespace tracepoints
