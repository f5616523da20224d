#include "capture/watches.hpp"

#include <algorithm>
#include <memory>

#include "expression/condition.hpp"
#include "expression/value.hpp"
#include "names.hpp"

namespace tracepoints {

namespace {

constexpr const char* kCapsule = "otel_tracepoints.watches";

struct Watch {
    std::unique_ptr<Condition> compiled;  // null: for Python to evaluate
    Ref label;
    Ref expression;
};
using Watches = std::vector<Watch>;

void forget(PyObject* capsule) {
    delete static_cast<Watches*>(PyCapsule_GetPointer(capsule, kCapsule));
}

// An object for the value, with a reference of its own: reading it may take a while.
Ref object_of(const Value& value) {
    long long number = 0;
    if (value.object() != nullptr) {
        return Ref::borrow(value.object());
    }
    return Ref::steal(value.integer(number) ? PyLong_FromLongLong(number) : nullptr);
}

// A `WatchValue`, which is a tuple of two: what tuple.__new__ does, without the call.
Ref watch_value(const Setting& setting, const Watch& watch, Ref value) {
    auto* type = reinterpret_cast<PyTypeObject*>(setting.parts.watch_value.get());
    PyObject* made = value ? type->tp_alloc(type, 2) : nullptr;
    if (made != nullptr) {
        PyTuple_SET_ITEM(made, 0, Ref(watch.label).release());
        PyTuple_SET_ITEM(made, 1, value.release());
        forget_hash(made);
    }
    return Ref::steal(made);
}

class Reading {
public:
    Reading(const Setting& setting, PyFrameObject* frame, const WatchCall& call)
        : setting_(setting), frame_(frame), call_(call), walk_(setting, call.clock, call.room) {}

    Walk& walk() { return walk_; }

    // What is shown of a watch; null with an error set.
    Ref shown(const Watch& watch) {
        const Ref expired = Ref::steal(PyObject_CallMethodObjArgs(call_.clock, names::expired, nullptr));
        if (!expired) {
            return Ref();
        }
        if (expired.get() != Py_False) {
            walk_.leave_out();
            return Ref::borrow(call_.no_time);
        }
        Value value;
        if (watch.compiled != nullptr && watch.compiled->evaluate(frame_of(frame_), value)) {
            const Ref object = object_of(value);
            return object ? read(object.get()) : Ref();
        }
        return asked(watch);
    }

private:
    Ref asked(const Watch& watch) {
        const Ref answer = Ref::steal(PyObject_CallFunctionObjArgs(
            call_.ask, reinterpret_cast<PyObject*>(frame_), watch.expression.get(), call_.snapshot, nullptr));
        if (!answer) {
            return Ref();
        }
        if (!PyTuple_Check(answer.get()) || PyTuple_GET_SIZE(answer.get()) != 2) {
            PyErr_SetString(PyExc_TypeError, "an answer that is none");
            return Ref();
        }
        PyObject* const value = PyTuple_GET_ITEM(answer.get(), 1);
        return PyTuple_GET_ITEM(answer.get(), 0) == Py_True ? Ref::borrow(value) : read(value);
    }

    Ref read(PyObject* value) {
        walk_.out().cut(0);
        if (!walk_.read(value, 0)) {
            return Ref();
        }
        const Ref text = Ref::steal(walk_.out().take());
        return text ? Ref::steal(call_one(setting_.parts.json_text.get(), text.get())) : Ref();
    }

    const Setting& setting_;
    PyFrameObject* const frame_;
    const WatchCall& call_;
    Walk walk_;
};

bool add_watch(Watches& watches, PyObject* described) {
    PyObject *lowered = nullptr, *label = nullptr, *expression = nullptr;
    if (!PyTuple_Check(described) ||
        PyArg_ParseTuple(described, "OO!O", &lowered, &PyUnicode_Type, &label, &expression) == 0) {
        return false;
    }
    Watch watch;
    watch.compiled = Condition::make(lowered);
    watch.label = Ref::borrow(label);
    watch.expression = Ref::borrow(expression);
    watches.push_back(std::move(watch));
    return PyErr_Occurred() == nullptr;
}

}  // namespace

PyObject* prepare_watches(PyObject* watches) {
    if (!PyTuple_CheckExact(watches)) {
        PyErr_SetString(PyExc_TypeError, "watches are a tuple");
        return nullptr;
    }
    auto made = std::make_unique<Watches>();
    for (Py_ssize_t at = 0; at < PyTuple_GET_SIZE(watches); ++at) {
        if (!add_watch(*made, PyTuple_GET_ITEM(watches, at))) {
            if (PyErr_Occurred() == nullptr) {
                PyErr_SetString(PyExc_TypeError, "a watch that is none");
            }
            return nullptr;
        }
    }
    PyObject* capsule = PyCapsule_New(made.get(), kCapsule, forget);
    if (capsule != nullptr) {
        made.release();
    }
    return capsule;
}

PyObject* read_watches(const Setting& setting, PyFrameObject* frame, const WatchCall& call) {
    const auto* const watches = static_cast<Watches*>(PyCapsule_GetPointer(call.prepared, kCapsule));
    const Ref found = Ref::steal(watches != nullptr ? PyList_New(0) : nullptr);
    if (!found) {
        return nullptr;
    }
    Reading reading(setting, frame, call);
    long long room = call.room;
    auto left = static_cast<long long>(watches->size());
    for (const Watch& watch : *watches) {
        const long long share = std::max(call.least, room / left);
        reading.walk().allot(share);
        const Ref value = watch_value(setting, watch, reading.shown(watch));
        if (!value || PyList_Append(found.get(), value.get()) < 0) {
            return nullptr;
        }
        room -= std::min(share, share - reading.walk().room());
        --left;
    }
    return PyTuple_Pack(2, found.get(), reading.walk().truncated() ? Py_True : Py_False);
}

}  // namespace tracepoints
