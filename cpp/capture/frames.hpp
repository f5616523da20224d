// What a hit shows of a frame: its variables, and who called it.
#pragma once

#include "capture/walk.hpp"

namespace tracepoints {

// `Collector.variables` of a function: fills the dict `found`, and answers (arguments, omitted, truncated).
// None where it is for the Python code; null with an error set.
PyObject* read_variables(const Setting& setting, PyFrameObject* object, PyObject* found, PyObject* clock,
                         long long room, long long least);

// `collect_stack`, from the frame's caller on: adds to the list `stack`, and answers whether it was cut.
PyObject* read_stack(const Setting& setting, PyFrameObject* object, PyObject* stack, Py_ssize_t most,
                     PyObject* function_name, PyObject* clock);

}  // namespace tracepoints
