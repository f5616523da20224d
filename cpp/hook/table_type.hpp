// The table as Python sees it: to be written only, as the dict that `engine.callbacks.Table` is.
#pragma once

#include "hook/table.hpp"

namespace tracepoints {

bool is_table(PyObject* object) noexcept;
Table& table_of(PyObject* self) noexcept;

// Enters the type into the module. False with an error.
bool add_table(PyObject* module);

}  // namespace tracepoints
