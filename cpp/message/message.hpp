// A logpoint's message and its fields, where all of it is short and plain (`capture.message`).
//
// Partial, as everything here: fields of numbers, texts that hold nothing to redact, bools and None, without
// a format. Of anything else the whole message is for the Python code, which nothing has been done for yet.
#pragma once

#include "ref.hpp"

namespace tracepoints {

// Whether it is a ``_native.Message``.
bool is_message(PyObject* object) noexcept;

// (message, fields), or None where it is Python's; null with an error.
PyObject* render_message(PyObject* message, Frame* frame);

}  // namespace tracepoints
