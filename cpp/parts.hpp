// What each part of the module brings: types and functions, entered into the module when it is loaded.
// Each answers false with a Python error set.
#pragma once

#include <Python.h>

namespace tracepoints {

bool add_names(PyObject* module);  // first: the others need them
bool add_limits(PyObject* module);
bool add_counter(PyObject* module);
bool add_budget(PyObject* module);
bool add_governor(PyObject* module);
bool add_hit_parts(PyObject* module);
bool add_gate(PyObject* module);
bool add_hook(PyObject* module);
bool add_tracer(PyObject* module);
bool add_message(PyObject* module);
bool add_conditions(PyObject* module);
bool add_capture(PyObject* module);
bool add_search(PyObject* module);
bool add_codes_made(PyObject* module);

}  // namespace tracepoints
