// What is in a str, list, tuple, dict or set of the exact type, and how much.
#pragma once

#include "expression/node.hpp"

namespace tracepoints {

// The length of one that has one; -1 for anything else.
Py_ssize_t size_of(const Value& container) noexcept;

// An element of a list or tuple. False where there is none.
bool element(const Value& sequence, Py_ssize_t index, Value& out) noexcept;

// `container[key]`, as `otel_tracepoints.expression.access.item` says it.
bool item(const Value& container, const Value& key, Scene& scene, Value& out) noexcept;

}  // namespace tracepoints
