// A hit from the line to the verdict: the gates of `otel_tracepoints.pipeline`, cheapest first.
//
// What is nothing but "no" ends here, in some tens of nanoseconds, without a frame object and without
// an allocation. What passes is made here too where it is a plain logpoint's hit (`hit/`), else handed to the
// Python gate beside it, which has the rest. A condition that C++ cannot decide goes there as a whole.
#pragma once

#include "ref.hpp"

namespace tracepoints {

bool is_gate(PyObject* object) noexcept;

// One arrival. False with an error set: an exception that is for the application, or what `settle` is for.
bool arrive(PyObject* gate, Frame* frame) noexcept;

}  // namespace tracepoints
