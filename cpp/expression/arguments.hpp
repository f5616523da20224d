// `args`, `args[i]` and `locals.x`: what the language finds by itself where no variable has these names.
#pragma once

#include "expression/variable.hpp"

namespace tracepoints {

// The positional parameters as they are now, then the items of `*rest`.
class Arguments final : public Node {
public:
    bool evaluate(Scene& scene, Value& out) const noexcept override;
};

// One of them, of which alone it is asked whether it is bound.
class Argument final : public Node {
public:
    // `args` is the variable of that name.
    Argument(std::unique_ptr<Variable> args, NodePtr index) noexcept
        : args_(std::move(args)), index_(std::move(index)) {}
    bool evaluate(Scene& scene, Value& out) const noexcept override;

private:
    std::unique_ptr<Variable> args_;
    NodePtr index_;
};

// `locals.x`: never a global.
class Local final : public Node {
public:
    Local(std::unique_ptr<Variable> locals, std::unique_ptr<Variable> variable) noexcept
        : locals_(std::move(locals)), variable_(std::move(variable)) {}
    bool evaluate(Scene& scene, Value& out) const noexcept override {
        return locals_->is_absent(scene) && variable_->evaluate(scene, out);
    }

private:
    std::unique_ptr<Variable> locals_;
    std::unique_ptr<Variable> variable_;
};

}  // namespace tracepoints
