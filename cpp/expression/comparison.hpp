// `==`, `<`, `in` and `is`, as `otel_tracepoints.expression.comparison` says it: for values of exact builtin
// types, for numbers and texts of classes derived from those, for Decimals, and for objects that are equal to
// nothing but themselves.
#pragma once

#include "expression/node.hpp"

namespace tracepoints {

enum class Relation : unsigned char {
    kEqual,
    kUnequal,
    kLess,
    kLessEqual,
    kGreater,
    kGreaterEqual,
    kIn,
    kNotIn,
    kIs,
    kIsNot,
};

template <typename Number>
Verdict compare(Relation relation, Number left, Number right) noexcept {
    switch (relation) {
        case Relation::kEqual: return verdict_of(left == right);
        case Relation::kUnequal: return verdict_of(left != right);
        case Relation::kLess: return verdict_of(left < right);
        case Relation::kLessEqual: return verdict_of(left <= right);
        case Relation::kGreater: return verdict_of(left > right);
        case Relation::kGreaterEqual: return verdict_of(left >= right);
        default: return Verdict::kDefer;
    }
}

// The kind of a value, or kText, kInt or kFloat where its class is derived from those: what it compares as,
// by their slots (`introspect.builtin_base`).
Kind compared_kind(const Value& value) noexcept;

Verdict equal(const Value& left, const Value& right, Scene& scene, int depth = 0) noexcept;

Verdict contains(const Value& wanted, const Value& container, Scene& scene) noexcept;

Verdict relate(Relation relation, const Value& left, const Value& right, Scene& scene) noexcept;

// `a < b < c`.
struct Link {
    Relation relation;
    NodePtr operand;
};

}  // namespace tracepoints
