// Whether a text may hold a secret: the first, cheap look of `RedactionPolicy.text`.
//
// Partial: only "harmless" is an answer. It is given where `patterns.suspicious` and the search for names
// find nothing for certain; anything else is for the Python code to decide.
#pragma once

#include "ref.hpp"

namespace tracepoints {

// Of an exact str: the built-in rules leave it as it is. The patterns of the user are not asked.
//
// `known` is the policy's memory of names (a dict of str → whether it is sensitive), or null. Of a name that
// is in it, and not sensitive, a value may stand behind the name; without it no text with a name is harmless.
bool is_harmless(PyObject* text, PyObject* known) noexcept;

}  // namespace tracepoints
