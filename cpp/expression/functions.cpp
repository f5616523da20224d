#include "expression/functions.hpp"

#include <cmath>
#include <limits>

#include "expression/container.hpp"

namespace tracepoints {

namespace {

// `budget.MAX_ITEMS`, and the longest text that is converted here.
constexpr Py_ssize_t kMostItems = 10'000;
constexpr Py_ssize_t kConverted = 4'096;
// More than `less` is charged for two numbers or texts, but for the length of these.
constexpr Py_ssize_t kCompared = 40;
// More than `truth` is charged for a value that is none of the commonest kinds.
constexpr Py_ssize_t kDearTruth = 60;

bool is_sequence(const Value& value) noexcept {
    return value.kind() == Kind::kList || value.kind() == Kind::kTuple;
}

// The best of the values that are offered, in their order.
class Contest {
public:
    Contest(Relation better, Py_ssize_t count, Scene& scene, Value& best) noexcept
        : better_(better), count_(count), scene_(scene), best_(best) {}

    // False where Python is to be asked. Takes a value that is better.
    bool offer(Value& value) noexcept {
        if (!is_light(value)) {
            return false;
        }
        if (!begun_) {
            begun_ = true;
            kind_ = value.kind();
            best_.take(value);
            return true;
        }
        // Those of one kind are compared in one go there; others one by one.
        const bool fits = value.kind() == kind_ && kind_ != Kind::kBool;
        if (!fits && !dear_) {
            dear_ = true;
            if (!scene_.spend(kCompared * count_)) {
                return false;
            }
        }
        const Verdict verdict = relate(better_, value, best_, scene_);
        if (verdict == Verdict::kTrue) {
            best_.take(value);
        }
        return verdict != Verdict::kDefer;
    }

private:
    // Each text is charged by its length, and a large int too: that is for Python.
    bool is_light(const Value& value) noexcept {
        long long number = 0;
        if (value.kind() == Kind::kText) {
            return scene_.spend((PyUnicode_GET_LENGTH(value.object()) >> 9) + 1);
        }
        return value.kind() == Kind::kFloat || (value.is_integer() && value.integer(number));
    }

    const Relation better_;
    const Py_ssize_t count_;
    Scene& scene_;
    Value& best_;
    bool begun_ = false;
    bool dear_ = false;
    Kind kind_ = Kind::kOther;
};

bool is_common(Kind kind) noexcept {
    switch (kind) {
        case Kind::kBytes:
        case Kind::kSet:
        case Kind::kFrozenSet:
        case Kind::kOther: return false;
        default: return true;
    }
}

}  // namespace

bool Absolute::evaluate(Scene& scene, Value& out) const noexcept {
    Value value;
    if (!part_->evaluate(scene, value)) {
        return false;
    }
    if (value.kind() == Kind::kFloat) {
        return out.real(std::fabs(PyFloat_AS_DOUBLE(value.object())));
    }
    long long number = 0;
    if (!value.is_integer() || !value.integer(number) || number == std::numeric_limits<long long>::min()) {
        return false;
    }
    out.count(number < 0 ? -number : number);
    return true;
}

bool Extreme::evaluate(Scene& scene, Value& out) const noexcept {
    if (parts_.size() != 1) {
        Contest contest(better_, static_cast<Py_ssize_t>(parts_.size()), scene, out);
        for (const NodePtr& part : parts_) {
            Value value;
            if (!part->evaluate(scene, value) || !contest.offer(value)) {
                return false;
            }
        }
        return true;
    }
    Value items;
    if (!parts_[0]->evaluate(scene, items) || !is_sequence(items)) {
        return false;
    }
    const Py_ssize_t size = size_of(items);
    if (size == 0 || size > kMostItems || !scene.spend(16 + 2 * size)) {
        return false;
    }
    Contest contest(better_, size, scene, out);
    for (Py_ssize_t index = 0; index < size; ++index) {
        Value value;
        if (!element(items, index, value) || !contest.offer(value)) {
            return false;
        }
    }
    return true;
}

Verdict Quantifier::decide(Scene& scene) const noexcept {
    Value items;
    if (!part_->evaluate(scene, items) || !is_sequence(items)) {
        return Verdict::kDefer;
    }
    const Py_ssize_t size = size_of(items);
    if (size > kMostItems || !scene.spend(16 + 2 * size)) {
        return Verdict::kDefer;
    }
    for (Py_ssize_t index = 0; index < size; ++index) {
        Value value;
        if (!element(items, index, value) || !scene.spend(is_common(value.kind()) ? 5 : kDearTruth)) {
            return Verdict::kDefer;
        }
        const Verdict verdict = truth_of(value);
        if (verdict == stop_ || verdict == Verdict::kDefer) {
            return verdict;
        }
    }
    return opposite(stop_);
}

bool Conversion::evaluate(Scene& scene, Value& out) const noexcept {
    Value text;
    if (!part_->evaluate(scene, text) || text.kind() != Kind::kText) {
        return false;
    }
    const Py_ssize_t size = PyUnicode_GET_LENGTH(text.object());
    if (size > kConverted || !scene.spend(10 + size / 8)) {
        return false;
    }
    return out.made(call_one(method_.get(), text.object()));
}

}  // namespace tracepoints
