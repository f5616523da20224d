// The functions and methods of `otel_tracepoints.expression.methods` that do more than compare.
#pragma once

#include <vector>

#include "expression/comparison.hpp"
#include "expression/node.hpp"

namespace tracepoints {

// `abs(x)` of an int, float or bool.
class Absolute final : public Node {
public:
    explicit Absolute(NodePtr part) noexcept : part_(std::move(part)) {}
    bool evaluate(Scene& scene, Value& out) const noexcept override;

private:
    NodePtr part_;
};

// `min` and `max`, of numbers or of texts: those that stand there, or those in one list or tuple.
class Extreme final : public Node {
public:
    // By which relation a value is better than the best before it.
    Extreme(Relation better, std::vector<NodePtr> parts) noexcept
        : better_(better), parts_(std::move(parts)) {}
    bool evaluate(Scene& scene, Value& out) const noexcept override;

private:
    Relation better_;
    std::vector<NodePtr> parts_;
};

// `any(x)` and `all(x)` of a list or tuple.
class Quantifier final : public Predicate {
public:
    Quantifier(Verdict stop, NodePtr part) noexcept : stop_(stop), part_(std::move(part)) {}
    Verdict decide(Scene& scene) const noexcept override;

private:
    Verdict stop_;
    NodePtr part_;
};

// `s.lower()`, `s.upper()`, `s.strip()` of a str.
class Conversion final : public Node {
public:
    // `method` is str's own.
    Conversion(NodePtr part, Ref method) noexcept : part_(std::move(part)), method_(std::move(method)) {}
    bool evaluate(Scene& scene, Value& out) const noexcept override;

private:
    NodePtr part_;
    Ref method_;
};

}  // namespace tracepoints
