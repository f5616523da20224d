// The tracers that are on, and the threads that have one.
#pragma once

#include "ref.hpp"

namespace tracepoints {

// One that is on, or null.
Ref any_live_tracer();

// Switches it on, in every thread that no other trace function has. Without the GIL nobody may look at
// another thread's state: there `everywhere` says whether all of them get it, or only this one. Answers how
// many threads were left to others; -1 with an error, and then some threads may have it: switch it off.
Py_ssize_t set_in_all_threads(PyObject* tracer, bool everywhere);

// Switches it off, and takes it from every thread that has it, for another that is on if there is one.
// Without the GIL from this one: the others leave it at their next event.
bool clear_in_all_threads(PyObject* tracer);

// In a forked child: another thread of the parent may have been changing the list.
void renew_live_tracers() noexcept;

// It is about to be freed.
void forget_tracer(PyObject* tracer) noexcept;

}  // namespace tracepoints
