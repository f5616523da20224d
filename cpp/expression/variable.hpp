// Names: a local, cell or free variable by its slot, else a global.
#pragma once

#include <atomic>

#include "expression/node.hpp"

namespace tracepoints {

class Variable final : public Node {
public:
    // `name` is interned. `otherwise` is taken where the code has no such local; null: the global.
    Variable(Ref name, NodePtr otherwise) noexcept
        : name_(std::move(name)), otherwise_(std::move(otherwise)) {}

    bool evaluate(Scene& scene, Value& out) const noexcept override;

private:
    static constexpr int kNone = -1;
    static constexpr int kUnclear = -2;

    int slot(PyCodeObject* code) const noexcept;
    int find(PyCodeObject* code) const noexcept;
    bool is_beside(Scene& scene) const noexcept;
    bool global(Scene& scene, Value& out) const noexcept;

    Ref name_;
    NodePtr otherwise_;
    // Where it was the last time. Only a guess: the code is asked again whether the slot has this name, which
    // is one comparison of pointers, so that neither another code nor another thread can make it wrong.
    mutable std::atomic<int> guess_{0};
};

}  // namespace tracepoints
