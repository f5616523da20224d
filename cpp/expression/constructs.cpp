#include "expression/constructs.hpp"

#include <limits>

#include "expression/attribute.hpp"
#include "expression/container.hpp"

namespace tracepoints {

namespace {

constexpr Py_ssize_t kAffix = 4'096;
constexpr Py_ssize_t kAffixes = 64;
// `budget.MAX_STRING` and `MAX_ITEMS`.
constexpr Py_ssize_t kLongest = 65'536;
constexpr Py_ssize_t kMostItems = 10'000;
// Up to here a float is exactly the int.
constexpr long long kExact = 1LL << 53;

// As the operators of floats take a number, which rounds an int.
bool as_real(const Value& value, double& number) noexcept {
    if (value.kind() == Kind::kFloat) {
        number = PyFloat_AS_DOUBLE(value.object());
        return true;
    }
    long long integer = 0;
    if (!value.integer(integer)) {
        return false;
    }
    number = static_cast<double>(integer);
    return true;
}

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
    const Verdict seen = glance_.test(scene.frame, scene.code);
    if (seen != Verdict::kDefer) {
        return seen;
    }
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

Verdict Choice::glance(Frame* frame, PyCodeObject* code) const noexcept {
    for (const NodePtr& part : parts_) {
        const Verdict verdict = part->glance(frame, code);
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

bool Section::evaluate(Scene& scene, Value& out) const noexcept {
    Value owner;
    if (!owner_->evaluate(scene, owner)) {
        return false;
    }
    const bool is_text = owner.kind() == Kind::kText || owner.kind() == Kind::kBytes;
    if (!is_text && owner.kind() != Kind::kList && owner.kind() != Kind::kTuple) {
        return false;
    }
    Py_ssize_t start = 0;
    Py_ssize_t stop = 0;
    Py_ssize_t step = 0;
    if (PySlice_Unpack(bounds_.get(), &start, &stop, &step) < 0) {
        PyErr_Clear();
        return false;
    }
    const Py_ssize_t size = PySlice_AdjustIndices(size_of(owner), &start, &stop, step);
    if (size > (is_text ? kLongest : kMostItems) || !scene.spend(10 + (size >> (is_text ? 7 : 3)))) {
        return false;
    }
    return out.made(Py_TYPE(owner.object())->tp_as_mapping->mp_subscript(owner.object(), bounds_.get()));
}

bool Arithmetic::evaluate(Scene& scene, Value& out) const noexcept {
    Value one;
    Value two;
    if (!left_->evaluate(scene, one) || !right_->evaluate(scene, two)) {
        return false;
    }
    if (one.is_number() && two.is_number()) {
        long long left = 0;
        long long right = 0;
        if (one.is_integer() && two.is_integer()) {
            return one.integer(left) && two.integer(right) && evaluate_integers(left, right, out);
        }
        double real = 0;
        double other = 0;
        return as_real(one, real) && as_real(two, other) && evaluate_reals(real, other, out);
    }
    if (operation_ != Operation::kAdd || one.kind() != Kind::kText || two.kind() != Kind::kText) {
        return false;
    }
    const Py_ssize_t size = PyUnicode_GET_LENGTH(one.object()) + PyUnicode_GET_LENGTH(two.object());
    return size <= kLongest && scene.spend(size >> 7) &&
           out.made(PyUnicode_Concat(one.object(), two.object()));
}

bool Arithmetic::evaluate_integers(long long left, long long right, Value& out) const noexcept {
    long long result = 0;
    long long rest = 0;
    switch (operation_) {
        case Operation::kAdd:
            if (__builtin_add_overflow(left, right, &result)) {
                return false;
            }
            break;
        case Operation::kSubtract:
            if (__builtin_sub_overflow(left, right, &result)) {
                return false;
            }
            break;
        case Operation::kMultiply:
            if (__builtin_mul_overflow(left, right, &result)) {
                return false;
            }
            break;
        case Operation::kDivide:
            // Rounded once only where both are floats exactly.
            return left <= kExact && left >= -kExact && right <= kExact && right >= -kExact &&
                   evaluate_reals(static_cast<double>(left), static_cast<double>(right), out);
        case Operation::kFloor:
            if (!divide(left, right, result, rest)) {
                return false;
            }
            break;
        case Operation::kModulo:
            if (!divide(left, right, rest, result)) {
                return false;
            }
            break;
    }
    out.count(result);
    return true;
}

bool Arithmetic::evaluate_reals(double left, double right, Value& out) const noexcept {
    switch (operation_) {
        case Operation::kAdd: return out.real(left + right);
        case Operation::kSubtract: return out.real(left - right);
        case Operation::kMultiply: return out.real(left * right);
        case Operation::kDivide: return right != 0 && out.real(left / right);
        default: return false;
    }
}

bool Sign::evaluate(Scene& scene, Value& out) const noexcept {
    Value value;
    if (!part_->evaluate(scene, value)) {
        return false;
    }
    if (value.kind() == Kind::kFloat) {
        if (negative_) {
            return out.real(-PyFloat_AS_DOUBLE(value.object()));
        }
        // The same object, as in Python.
        out.take(value);
        return true;
    }
    long long number = 0;
    if (!value.is_integer() || !value.integer(number) || number == std::numeric_limits<long long>::min()) {
        return false;
    }
    out.count(negative_ ? -number : number);
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
        text.kind() != Kind::kText) {
        return Verdict::kDefer;
    }
    if (wanted.kind() == Kind::kText) {
        return name_ == Name::kContains ? contains(wanted, text, scene)
                                        : has_affix(text.object(), wanted.object(), scene);
    }
    if (wanted.kind() != Kind::kTuple || name_ == Name::kContains || size_of(wanted) > kAffixes) {
        return Verdict::kDefer;
    }
    for (Py_ssize_t index = 0; index < size_of(wanted); ++index) {
        Value each;
        if (!element(wanted, index, each) || each.kind() != Kind::kText) {
            return Verdict::kDefer;
        }
        const Verdict verdict = has_affix(text.object(), each.object(), scene);
        if (verdict != Verdict::kFalse) {
            return verdict;
        }
    }
    return Verdict::kFalse;
}

Verdict TextMethod::has_affix(PyObject* text, PyObject* wanted, Scene& scene) const noexcept {
    const Py_ssize_t size = PyUnicode_GET_LENGTH(wanted);
    if (!scene.spend(10 + (size >> 9))) {
        return Verdict::kDefer;
    }
    if (size > PyUnicode_GET_LENGTH(text)) {
        return Verdict::kFalse;
    }
    if (size > kAffix) {
        return Verdict::kDefer;
    }
    const Py_ssize_t found =
        PyUnicode_Tailmatch(text, wanted, 0, PY_SSIZE_T_MAX, name_ == Name::kEnd ? 1 : -1);
    if (found < 0) {
        PyErr_Clear();
        return Verdict::kDefer;
    }
    return verdict_of(found != 0);
}

}  // namespace tracepoints
