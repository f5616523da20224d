// Whether a text may hold a secret: the first, cheap look of `RedactionPolicy.text`.
//
// Partial: only "harmless" is an answer. It is given where `patterns.suspicious` and the search for names
// find nothing for certain; anything else is for the Python code to decide.
#pragma once

#include "capture/harmless_names.hpp"
#include "ref.hpp"

namespace tracepoints {

// Of an exact str: the built-in rules leave it as it is. The patterns of the user are not asked.
//
// `known` is the policy's memory of names (a dict of str → whether it is sensitive), or null. Of a name that
// is in it, and not sensitive, a value may stand behind the name; without it no text with a name is harmless.
// The same goes for a name that is among `names`.
bool is_harmless(PyObject* text, PyObject* known, const HarmlessNames* names = nullptr) noexcept;

// Of a name, as `patterns.NAME` has it; other scripts' letters are for Python.
inline bool is_letter_of_name(Py_UCS4 each) {
    return (each >= 'a' && each <= 'z') || (each >= 'A' && each <= 'Z') || each == '_';
}
inline bool is_of_name(Py_UCS4 each) {
    return is_letter_of_name(each) || (each >= '0' && each <= '9') || each == '.' || each == '-';
}

}  // namespace tracepoints
