// `owner.name`, as `otel_tracepoints.introspect.read_attribute` finds it.
#pragma once

#include "expression/node.hpp"

namespace tracepoints {

// Knows the type of a namedtuple's fields from now on. False with a Python error.
bool prepare_attributes();

// Whether this is `enum.Enum` itself.
bool is_enum(PyTypeObject* type) noexcept;

// `name` is interned. False where the value would have to be computed, or there is none.
bool attribute(PyObject* owner, PyObject* name, Value& out) noexcept;

}  // namespace tracepoints
