// Whether a text may hold a secret: the first, cheap look of `RedactionPolicy.text`.
//
// Partial: only "harmless" is an answer. It is given where `patterns.suspicious` and the search for names
// find nothing for certain; anything else is for the Python code to decide.
#pragma once

#include "ref.hpp"

namespace tracepoints {

// Of an exact str: the built-in rules leave it as it is. The patterns of the user are not asked.
bool is_harmless(PyObject* text) noexcept;

}  // namespace tracepoints
