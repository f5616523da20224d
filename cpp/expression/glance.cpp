#include "expression/glance.hpp"

#include <cstring>

#include "expression/constructs.hpp"

namespace tracepoints {

namespace {

// From here on the budget is charged for a text.
constexpr Py_ssize_t kPiece = 512;

bool is_order(Relation relation) noexcept {
    return relation <= Relation::kGreaterEqual;
}

bool is_equality(Relation relation) noexcept {
    return relation == Relation::kEqual || relation == Relation::kUnequal;
}

bool is_identity(Relation relation) noexcept {
    return relation == Relation::kIs || relation == Relation::kIsNot;
}

// Both have their final form.
bool same_text(PyObject* left, PyObject* right) noexcept {
    const Py_ssize_t size = PyUnicode_GET_LENGTH(left);
    if (size != PyUnicode_GET_LENGTH(right) || PyUnicode_KIND(left) != PyUnicode_KIND(right)) {
        return false;
    }
    return std::memcmp(PyUnicode_DATA(left), PyUnicode_DATA(right),
                       static_cast<std::size_t>(size * static_cast<Py_ssize_t>(PyUnicode_KIND(left)))) == 0;
}

}  // namespace

Glance::Glance(const Node& first, const std::vector<Link>& rest) noexcept {
    // Without the GIL another thread may write into the slot, by way of the frame's f_locals.
    if (kFreeThreaded || rest.size() != 1) {
        return;
    }
    const auto* const variable = dynamic_cast<const Variable*>(&first);
    const auto* const constant = dynamic_cast<const Constant*>(rest.front().operand.get());
    if (variable == nullptr || constant == nullptr) {
        return;
    }
    relation_ = rest.front().relation;
    constant_ = constant->object();
    switch (kind_of(constant_)) {
        case Kind::kInt:
            // One digit of an int is a float exactly.
            if (is_order(relation_) && small_integer(constant_, integer_)) {
                real_ = static_cast<double>(integer_);
                form_ = Form::kInteger;
            }
            break;
        case Kind::kFloat:
            if (is_order(relation_)) {
                real_ = PyFloat_AS_DOUBLE(constant_);
                form_ = Form::kReal;
            }
            break;
        case Kind::kText:
            if (is_equality(relation_) && PyUnicode_GET_LENGTH(constant_) <= kPiece) {
                form_ = Form::kText;
            }
            break;
        case Kind::kNone:
        case Kind::kBool:
            if (is_identity(relation_)) {
                form_ = Form::kSingleton;
            }
            break;
        default: break;
    }
    if (form_ != Form::kNone) {
        variable_ = variable;
    }
}

Verdict Glance::test(Frame* frame, PyCodeObject* code) const noexcept {
    if (variable_ == nullptr) {
        return Verdict::kDefer;
    }
    const int slot = variable_->guess(code);
    PyObject* const value = slot < 0 ? nullptr : raw_slot(frame, slot);
    if (value == nullptr) {
        return Verdict::kDefer;
    }
    PyTypeObject* const type = Py_TYPE(value);
    switch (form_) {
        case Form::kInteger: {
            long long number = 0;
            if (type == &PyLong_Type && small_integer(value, number)) {
                return compare(relation_, number, integer_);
            }
            [[fallthrough]];
        }
        case Form::kReal:
            return type == &PyFloat_Type ? compare(relation_, PyFloat_AS_DOUBLE(value), real_)
                                         : Verdict::kDefer;
        case Form::kText:
            if (value == constant_ || (type == &PyUnicode_Type && is_ready(value))) {
                const bool same = value == constant_ || same_text(value, constant_);
                return verdict_of(same == (relation_ == Relation::kEqual));
            }
            return Verdict::kDefer;
        case Form::kSingleton:
            // A cell stands in the slot for what it holds.
            return PyCell_Check(value) ? Verdict::kDefer
                                       : verdict_of((value == constant_) == (relation_ == Relation::kIs));
        default: return Verdict::kDefer;
    }
}

}  // namespace tracepoints
