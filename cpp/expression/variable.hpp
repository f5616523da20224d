// Names: a local, cell or free variable by its slot, else a global.
#pragma once

#include <atomic>

#include "expression/node.hpp"

namespace tracepoints {

// The slot of a name, or one of these.
constexpr int kNoSlot = -1;
constexpr int kUnclearSlot = -2;
int find_slot(PyCodeObject* code, PyObject* name) noexcept;

// What a slot holds; false where it is unbound.
bool read_slot(Scene& scene, int index, Value& out) noexcept;

class Variable final : public Node {
public:
    // `name` is interned. `otherwise` is taken where the code has no such local; null: the global.
    Variable(Ref name, NodePtr otherwise) noexcept
        : name_(std::move(name)), otherwise_(std::move(otherwise)) {}

    bool evaluate(Scene& scene, Value& out) const noexcept override;
    // Whether there is certainly no local of the name.
    bool is_absent(Scene& scene) const noexcept { return slot(scene.code) == kNoSlot && !is_beside(scene); }

    // The slot where it was the last time, if the name stands there and certainly nowhere else; else
    // `kNoSlot`. Where nothing comes after the locals, a name that stands among them stands nowhere else.
    int guess(PyCodeObject* code) const noexcept {
        const int guess = guess_.load(std::memory_order_relaxed);
        const auto count = slot_count(code);
        return guess < count && count == local_count(code) && slot_name(code, guess) == name_.get() ? guess
                                                                                                    : kNoSlot;
    }

private:
    int slot(PyCodeObject* code) const noexcept;
    bool is_beside(Scene& scene) const noexcept;
    bool global(Scene& scene, Value& out) const noexcept;

    Ref name_;
    NodePtr otherwise_;
    // Where it was the last time. Only a guess: the code is asked again whether the slot has this name, which
    // is one comparison of pointers, so that neither another code nor another thread can make it wrong.
    mutable std::atomic<int> guess_{0};
};

}  // namespace tracepoints
