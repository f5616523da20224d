#include "expression/decimals.hpp"

namespace tracepoints {

namespace {

// `values._DECIMAL_BYTES`.
constexpr long kMostBytes = 2'048;

// Never let go of.
PyTypeObject* decimal_type = nullptr;
PyObject* is_nan = nullptr;
PyObject* size_of_memory = nullptr;

enum class Number { kOne, kNone, kUnknown };

// Whether it is a number at all; unknown where it is large, or none of the kinds that are compared here.
// (A comparison with NaN would raise a flag in the application's context.)
Number look_at(const Value& value) noexcept {
    if (!is_decimal(value)) {
        long long number = 0;
        return value.is_integer() && value.integer(number) ? Number::kOne : Number::kUnknown;
    }
    const Ref size = Ref::steal(call_one(size_of_memory, value.object()));
    const Ref none = Ref::steal(size ? call_one(is_nan, value.object()) : nullptr);
    if (!none || PyLong_AsLong(size.get()) > kMostBytes) {
        PyErr_Clear();
        return Number::kUnknown;
    }
    return none.get() == Py_True ? Number::kNone : Number::kOne;
}

Ref object_of(const Value& value) noexcept {
    long long number = 0;
    if (value.object() != nullptr) {
        return Ref::borrow(value.object());
    }
    return Ref::steal(value.integer(number) ? PyLong_FromLongLong(number) : nullptr);
}

int operator_of(Relation relation) noexcept {
    switch (relation) {
        case Relation::kEqual: return Py_EQ;
        case Relation::kUnequal: return Py_NE;
        case Relation::kLess: return Py_LT;
        case Relation::kLessEqual: return Py_LE;
        case Relation::kGreater: return Py_GT;
        default: return Py_GE;
    }
}

}  // namespace

bool prepare_decimals() {
    if (decimal_type != nullptr) {
        return true;
    }
    const Ref module = Ref::steal(PyImport_ImportModule("_decimal"));
    Ref type = Ref::steal(module ? PyObject_GetAttrString(module.get(), "Decimal") : nullptr);
    if (!type || !PyType_Check(type.get())) {
        // Written in Python here, and for Python to compare.
        PyErr_Clear();
        return true;
    }
    is_nan = PyObject_GetAttrString(type.get(), "is_nan");
    size_of_memory = PyObject_GetAttrString(type.get(), "__sizeof__");
    if (is_nan == nullptr || size_of_memory == nullptr) {
        return false;
    }
    decimal_type = reinterpret_cast<PyTypeObject*>(type.release());
    return true;
}

bool is_decimal(const Value& value) noexcept {
    return value.kind() == Kind::kOther && Py_TYPE(value.object()) == decimal_type;
}

Verdict compare_decimals(Relation relation, const Value& left, const Value& right) noexcept {
    const Number one = look_at(left);
    const Number two = look_at(right);
    if (one == Number::kUnknown || two == Number::kUnknown) {
        return Verdict::kDefer;
    }
    if (one == Number::kNone || two == Number::kNone) {
        return relation == Relation::kEqual ? Verdict::kFalse : Verdict::kDefer;
    }
    const Ref first = object_of(left);
    const Ref second = object_of(right);
    // An int does not know a Decimal, which is asked the other way round then.
    const Ref answer = Ref::steal(
        first && second ? PyObject_RichCompare(first.get(), second.get(), operator_of(relation)) : nullptr);
    if (!answer) {
        PyErr_Clear();
        return Verdict::kDefer;
    }
    return verdict_of(answer.get() == Py_True);
}

}  // namespace tracepoints
