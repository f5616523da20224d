// A trace function at the level of C, for interpreters in which nothing better than `sys.settrace` is to be
// had.
//
// It looks up every line that its threads reach in a table. Unlike one of Python it needs nothing in the
// frames, so those that run already are seen at once, and it stays where an exception passes through it.
#pragma once

#include <atomic>

#include "hook/table_type.hpp"

namespace tracepoints {

struct TracerObject {
    PyObject_HEAD
    // The compiled table of lines; null when the collector has taken it.
    PyObject* table;
    // Whether anything is watched. Threads that have the function when it is not leave it by themselves.
    std::atomic<bool> on;
};

bool is_tracer(PyObject* object) noexcept;

inline TracerObject* as_tracer(PyObject* self) {
    return reinterpret_cast<TracerObject*>(self);
}

// What the interpreter calls (`Py_tracefunc`), with the tracer.
int on_event(PyObject* self, PyFrameObject* frame, int what, PyObject* argument);

// Makes it the trace function of this thread, whatever it had; or, if the tracer is off, takes it away and
// makes way for a tracer that is on. False with an error.
bool enter_thread(PyObject* self);

}  // namespace tracepoints
