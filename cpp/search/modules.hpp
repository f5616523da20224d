#pragma once

#include "python_compat.hpp"

namespace tracepoints {

// modules_among(modules, real, wanted): those of wanted files, or of files that `real` does not know.
PyObject* modules_among(PyObject*, PyObject* const* arguments, Py_ssize_t count);

}  // namespace tracepoints
