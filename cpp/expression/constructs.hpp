// The parts of a condition but for names: what `expression.lowering` has a word for.
#pragma once

#include <vector>

#include "expression/comparison.hpp"
#include "expression/glance.hpp"
#include "expression/node.hpp"

namespace tracepoints {

class Constant final : public Node {
public:
    explicit Constant(Ref value) noexcept : value_(std::move(value)) {}
    bool evaluate(Scene&, Value& out) const noexcept override {
        out.borrow(value_.get());
        return true;
    }
    PyObject* object() const noexcept { return value_.get(); }

private:
    Ref value_;
};

// What only Python can tell.
class Unknown final : public Node {
public:
    bool evaluate(Scene&, Value&) const noexcept override { return false; }
};

class Attribute final : public Node {
public:
    Attribute(NodePtr owner, Ref name) noexcept : owner_(std::move(owner)), name_(std::move(name)) {}
    bool evaluate(Scene& scene, Value& out) const noexcept override;

private:
    NodePtr owner_;
    Ref name_;
};

class Item final : public Node {
public:
    Item(NodePtr owner, NodePtr key) noexcept : owner_(std::move(owner)), key_(std::move(key)) {}
    bool evaluate(Scene& scene, Value& out) const noexcept override;

private:
    NodePtr owner_;
    NodePtr key_;
};

// `a < b < c`: every operand once, and none after the first relation that does not hold.
class Comparison final : public Predicate {
public:
    Comparison(NodePtr first, std::vector<Link> rest) noexcept
        : first_(std::move(first)), rest_(std::move(rest)), glance_(*first_, rest_) {}
    Verdict decide(Scene& scene) const noexcept override;
    Verdict glance(Frame* frame, PyCodeObject* code) const noexcept override {
        return glance_.test(frame, code);
    }

private:
    NodePtr first_;
    std::vector<Link> rest_;
    Glance glance_;
};

// `a and b`, `a or b`: the value of the part that decides.
class Choice final : public Node {
public:
    Choice(Verdict stop, std::vector<NodePtr> parts) noexcept : stop_(stop), parts_(std::move(parts)) {}
    bool evaluate(Scene& scene, Value& out) const noexcept override;
    Verdict decide(Scene& scene) const noexcept override;
    Verdict glance(Frame* frame, PyCodeObject* code) const noexcept override;

private:
    Verdict stop_;
    std::vector<NodePtr> parts_;
};

class Negation final : public Predicate {
public:
    explicit Negation(NodePtr part) noexcept : part_(std::move(part)) {}
    Verdict decide(Scene& scene) const noexcept override { return opposite(part_->decide(scene)); }
    Verdict glance(Frame* frame, PyCodeObject* code) const noexcept override {
        return opposite(part_->glance(frame, code));
    }

private:
    NodePtr part_;
};

class Conditional final : public Node {
public:
    Conditional(NodePtr test, NodePtr body, NodePtr otherwise) noexcept
        : test_(std::move(test)), body_(std::move(body)), otherwise_(std::move(otherwise)) {}
    bool evaluate(Scene& scene, Value& out) const noexcept override;

private:
    NodePtr test_;
    NodePtr body_;
    NodePtr otherwise_;
};

class Length final : public Node {
public:
    explicit Length(NodePtr part) noexcept : part_(std::move(part)) {}
    bool evaluate(Scene& scene, Value& out) const noexcept override;

private:
    NodePtr part_;
};

// `x[a:b:c]` of a str, bytes, list or tuple.
class Section final : public Node {
public:
    // `bounds` is a slice of constants.
    Section(NodePtr owner, Ref bounds) noexcept : owner_(std::move(owner)), bounds_(std::move(bounds)) {}
    bool evaluate(Scene& scene, Value& out) const noexcept override;

private:
    NodePtr owner_;
    Ref bounds_;
};

// Of ints whose result fits, and of floats; `+` also of two str.
class Arithmetic final : public Node {
public:
    enum class Operation { kAdd, kSubtract, kMultiply, kDivide, kFloor, kModulo };
    Arithmetic(Operation operation, NodePtr left, NodePtr right) noexcept
        : operation_(operation), left_(std::move(left)), right_(std::move(right)) {}
    bool evaluate(Scene& scene, Value& out) const noexcept override;

private:
    bool evaluate_integers(long long left, long long right, Value& out) const noexcept;
    bool evaluate_reals(double left, double right, Value& out) const noexcept;

    Operation operation_;
    NodePtr left_;
    NodePtr right_;
};

// `-x` and `+x`.
class Sign final : public Node {
public:
    Sign(bool negative, NodePtr part) noexcept : negative_(negative), part_(std::move(part)) {}
    bool evaluate(Scene& scene, Value& out) const noexcept override;

private:
    bool negative_;
    NodePtr part_;
};

// `isinstance(x, (int, str))` by the real type.
class Instance final : public Predicate {
public:
    Instance(NodePtr part, Ref types, bool all) noexcept
        : part_(std::move(part)), types_(std::move(types)), all_(all) {}
    Verdict decide(Scene& scene) const noexcept override;

private:
    NodePtr part_;
    Ref types_;
    bool all_;
};

// `s.startswith(x)`, `s.endswith(x)`, `s.contains(x)` of two str, or of a str and a tuple of them.
class TextMethod final : public Predicate {
public:
    enum class Name { kStart, kEnd, kContains };
    TextMethod(Name name, NodePtr receiver, NodePtr argument) noexcept
        : name_(name), receiver_(std::move(receiver)), argument_(std::move(argument)) {}
    Verdict decide(Scene& scene) const noexcept override;

private:
    Verdict has_affix(PyObject* text, PyObject* wanted, Scene& scene) const noexcept;

    Name name_;
    NodePtr receiver_;
    NodePtr argument_;
};

}  // namespace tracepoints
