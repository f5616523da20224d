#include "expression/constructs.hpp"

#include <limits>

#include "expression/attribute.hpp"
#include "expression/container.hpp"

namespace tracepoints {

namespace {

constexpr Py_ssize_t kAffix = 4'096;

// `//` and `%` round down, as Python's do.
bool divide(long long left, long long right, long long& quotient, long long& rest) noexcept {
    if (right == 0 || (right == -1 && left == std::numeric_limits<long long>::min())) {
        return false;
    }
    quotient = left / right;
    rest = left % right;
    if (rest != 0 && (rest < 0) != (right < 0)) {
        quotient -= 1;
        rest += right;
    }
    return true;
}

}  // namespace

bool Attribute::evaluate(Scene& scene, Value& out) const noexcept {
    Value owner;
    return owner_->evaluate(scene, owner) && owner.object() != nullptr &&
           attribute(owner.object(), name_.get(), out);
}

bool Item::evaluate(Scene& scene, Value& out) const noexcept {
    Value owner;
    Value key;
    return owner_->evaluate(scene, owner) && key_->evaluate(scene, key) && item(owner, key, scene, out);
}

Verdict Comparison::decide(Scene& scene) const noexcept {
    Value values[2];
    if (!first_->evaluate(scene, values[0])) {
        return Verdict::kDefer;
    }
    int left = 0;
    for (const Link& link : rest_) {
        Value& right = values[1 - left];
        if (!link.operand->evaluate(scene, right)) {
            return Verdict::kDefer;
        }
        const Verdict verdict = relate(link.relation, values[left], right, scene);
        if (verdict != Verdict::kTrue) {
            return verdict;
        }
        left = 1 - left;
    }
    return Verdict::kTrue;
}

bool Choice::evaluate(Scene& scene, Value& out) const noexcept {
    for (std::size_t index = 0; index < parts_.size(); ++index) {
        if (!parts_[index]->evaluate(scene, out)) {
            return false;
        }
        // The truth of the last is not asked.
        if (index + 1 < parts_.size()) {
            const Verdict verdict = truth_of(out);
            if (verdict == Verdict::kDefer) {
                return false;
            }
            if (verdict == stop_) {
                return true;
            }
        }
    }
    return true;
}

Verdict Choice::decide(Scene& scene) const noexcept {
    for (const NodePtr& part : parts_) {
        const Verdict verdict = part->decide(scene);
        if (verdict == stop_ || verdict == Verdict::kDefer) {
            return verdict;
        }
    }
    return opposite(stop_);
}

bool Conditional::evaluate(Scene& scene, Value& out) const noexcept {
    const Verdict verdict = test_->decide(scene);
    return verdict != Verdict::kDefer &&
           (verdict == Verdict::kTrue ? body_ : otherwise_)->evaluate(scene, out);
}

bool Length::evaluate(Scene& scene, Value& out) const noexcept {
    Value container;
    const Py_ssize_t size = part_->evaluate(scene, container) ? size_of(container) : -1;
    out.count(size);
    return size >= 0;
}

bool Arithmetic::evaluate(Scene& scene, Value& out) const noexcept {
    Value one;
    Value two;
    long long left = 0;
    long long right = 0;
    if (!left_->evaluate(scene, one) || !right_->evaluate(scene, two) || !one.is_integer() ||
        !two.is_integer() || !one.integer(left) || !two.integer(right)) {
        return false;
    }
    long long result = 0;
    long long rest = 0;
    switch (symbol_) {
        case '+':
            if (__builtin_add_overflow(left, right, &result)) {
                return false;
            }
            break;
        case '-':
            if (__builtin_sub_overflow(left, right, &result)) {
                return false;
            }
            break;
        case '*':
            if (__builtin_mul_overflow(left, right, &result)) {
                return false;
            }
            break;
        default:
            if (!divide(left, right, result, rest)) {
                return false;
            }
            result = symbol_ == '%' ? rest : result;
    }
    out.count(result);
    return true;
}

Verdict Instance::decide(Scene& scene) const noexcept {
    Value value;
    if (!part_->evaluate(scene, value)) {
        return Verdict::kDefer;
    }
    PyTypeObject* const type = value.object() == nullptr ? &PyLong_Type : Py_TYPE(value.object());
    for (Py_ssize_t index = 0; index < PyTuple_GET_SIZE(types_.get()); ++index) {
        if (PyType_IsSubtype(type, reinterpret_cast<PyTypeObject*>(PyTuple_GET_ITEM(types_.get(), index)))) {
            return Verdict::kTrue;
        }
    }
    return all_ ? Verdict::kFalse : Verdict::kDefer;
}

Verdict TextMethod::decide(Scene& scene) const noexcept {
    Value text;
    Value wanted;
    if (!receiver_->evaluate(scene, text) || !argument_->evaluate(scene, wanted) ||
        text.kind() != Kind::kText || wanted.kind() != Kind::kText) {
        return Verdict::kDefer;
    }
    if (name_ == Name::kContains) {
        return contains(wanted, text, scene);
    }
    const Py_ssize_t size = PyUnicode_GET_LENGTH(wanted.object());
    if (size > PyUnicode_GET_LENGTH(text.object())) {
        return Verdict::kFalse;
    }
    if (size > kAffix) {
        return Verdict::kDefer;
    }
    const Py_ssize_t found =
        PyUnicode_Tailmatch(text.object(), wanted.object(), 0, PY_SSIZE_T_MAX, name_ == Name::kEnd ? 1 : -1);
    return found < 0 ? Verdict::kDefer : verdict_of(found != 0);
}

}  // namespace tracepoints
