// Comparisons of `decimal.Decimal` with others and with ints, as `otel_tracepoints.expression.special` says
// them.
#pragma once

#include "expression/comparison.hpp"

namespace tracepoints {

// Knows the type from now on, where it is the one made in C. False with a Python error.
bool prepare_decimals();

// Of the exact type.
bool is_decimal(const Value& value) noexcept;

// One of the two is a Decimal.
Verdict compare_decimals(Relation relation, const Value& left, const Value& right) noexcept;

}  // namespace tracepoints
