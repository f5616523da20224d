// The walk of `capture.values.Reader`, in one pass from objects to JSON text.
//
// Partial: what is common is read here, with the same accounting in the same order, so that a limit cuts at
// the same place. Any other value is handed to a Python `Reader` that takes over the account and gives it
// back. So the Python code alone says how things look.
#pragma once

#include <vector>

#include "capture/json.hpp"
#include "capture/knowledge.hpp"

namespace tracepoints {

// What all walks of one collector share.
struct Setting {
    Parts parts;
    std::shared_ptr<Knowledge> knowledge;
    long long depth = 0, width = 0, longest = 0;
};

// For one hit in one thread.
class Walk {
public:
    Walk(const Setting& setting, PyObject* clock, long long room)
        : setting_(setting), knowledge_(*setting.knowledge), clock_(Ref::borrow(clock)), room_(room) {}
    ~Walk();
    Walk(const Walk&) = delete;
    Walk& operator=(const Walk&) = delete;

    // Begin a new value with this much room of its own.
    void allot(long long room) {
        room_ = room;
        exhausted_ = expired_;
    }
    long long room() const { return room_; }
    bool truncated() const { return truncated_; }
    // Something was not read at all.
    void leave_out() { truncated_ = true; }
    JsonOut& out() { return out_; }

    // Writes the value. False only with an error set that is the application's.
    bool read(PyObject* value, long long level);

private:
    struct Pair {
        PyObject* key;
        PyObject* value;
        Name name;
    };
    enum class Keys { kNames, kNumbers, kOther, kError };
    class Items;
    class Opened;

    bool read_kind(PyObject* value, PyTypeObject* type, long long level);
    bool read_text(PyObject* value);
    bool read_int(PyObject* value, long long level);
    bool read_float(PyObject* value, long long level);
    bool read_sequence(PyObject* value, long long level);
    bool read_set(PyObject* value, long long level);
    bool read_dict(PyObject* value, long long level);
    bool read_object(PyObject* value, PyTypeObject* type, long long level);
    bool read_fields(Items& pairs, Keys keys, std::size_t begun, Py_ssize_t size, long long level);
    bool write_number_key(PyObject* key, bool& sensitive);
    bool unreadable(PyTypeObject* type, std::size_t begun);

    // Whether the value stands on the path or too deep, and what was written for it then.
    bool is_shut(PyObject* value, PyTypeObject* type, long long level, Py_ssize_t size, bool& done);
    bool closed(PyTypeObject* type, Py_ssize_t size);
    void typed(const Shape& shape);
    void mark(bool first, Py_ssize_t size);
    bool ran_out(bool& answer);
    bool hides_number(PyObject* number, bool& hides);
    int names_secret(PyObject* name);
    Keys look_at_keys(Items& pairs);
    bool take_slots(const Shape& shape, PyObject* value, Items& pairs);

    // The Python reader, with the account as it is here; afterwards the account is taken back.
    bool defer(PyObject* value, long long level);
    bool hand_over();
    bool take_back();

    const Setting& setting_;
    Knowledge& knowledge_;
    Ref clock_;
    Ref reader_;
    JsonOut out_;
    long long room_;
    long long steps_ = 16;
    bool truncated_ = false, exhausted_ = false, expired_ = false;
    std::vector<PyObject*> path_;  // what is open; held by `held_`, or by who called
    std::size_t told_ = 0;         // of the path, what the Python reader knows
    std::vector<Pair> held_;       // a stack of what containers hold, owned
};

}  // namespace tracepoints
