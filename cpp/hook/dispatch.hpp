// What is done where a watched line is reached, whoever has seen it.
#pragma once

#include "ref.hpp"

namespace tracepoints {

// Calls the handlers (a tuple) of a line. False with an error that is for the application.
bool dispatch(PyObject* handlers, Frame* frame);

}  // namespace tracepoints
