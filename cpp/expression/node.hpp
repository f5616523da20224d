// The parts of a condition, and what they look at.
#pragma once

#include <memory>

#include "expression/condition.hpp"
#include "expression/value.hpp"

namespace tracepoints {

// One test of a condition.
class Scene {
public:
    Scene(Frame* frame, PyCodeObject* code, int work) noexcept : frame(frame), code(code), work_(work) {}

    // Charges units of work; false where there are not that many left. With what every part has been charged
    // beforehand it has to be at least what `otel_tracepoints.expression.budget` is charged for the same, so
    // that what is too much there is never answered here: each part sees to that for what it looks at.
    bool spend(Py_ssize_t units) noexcept {
        work_ = units > work_ ? -1 : work_ - units;
        return work_ >= 0;
    }

    Frame* const frame;
    PyCodeObject* const code;

private:
    Py_ssize_t work_;
};

class Node {
public:
    virtual ~Node() = default;

    // The value; false where only Python can tell. What the value borrows is there until the test is over.
    virtual bool evaluate(Scene& scene, Value& out) const noexcept = 0;
    // Its truth.
    virtual Verdict decide(Scene& scene) const noexcept;
    // The same, if a look tells it: nothing is called, charged or set for it.
    virtual Verdict glance(Frame*, PyCodeObject*) const noexcept { return Verdict::kDefer; }
};

using NodePtr = std::unique_ptr<Node>;

// A part that gives a bool.
class Predicate : public Node {
public:
    bool evaluate(Scene& scene, Value& out) const noexcept final {
        const Verdict verdict = decide(scene);
        out.truth(verdict == Verdict::kTrue);
        return verdict != Verdict::kDefer;
    }
    Verdict decide(Scene& scene) const noexcept override = 0;
};

inline Verdict verdict_of(bool holds) noexcept {
    return holds ? Verdict::kTrue : Verdict::kFalse;
}

inline Verdict opposite(Verdict verdict) noexcept {
    return verdict == Verdict::kDefer ? verdict : verdict_of(verdict == Verdict::kFalse);
}

// The truth of a value, as `values.truth` says it.
Verdict truth_of(const Value& value) noexcept;

}  // namespace tracepoints
