#include "expression/comparison.hpp"

#include <algorithm>
#include <cstring>

#include "expression/attribute.hpp"
#include "expression/container.hpp"
#include "expression/decimals.hpp"

namespace tracepoints {

namespace {

// Up to here a float is exactly the int.
constexpr long long kExact = 1LL << 53;
// Longest text that is compared, and the length from which on Python is charged for it.
constexpr Py_ssize_t kLongText = 65'536;
constexpr Py_ssize_t kPiece = 512;
// Most elements and levels of two sequences that are compared.
constexpr Py_ssize_t kElements = 64;
constexpr int kDepth = 4;

bool is_number(Kind kind) noexcept {
    return kind <= Kind::kBool;
}

// A number as a float, where that is exact.
bool real(const Value& value, Kind kind, double& number) noexcept {
    if (kind == Kind::kFloat) {
        number = PyFloat_AS_DOUBLE(value.object());
        return true;
    }
    long long integer = 0;
    if (!value.integer(integer) || integer > kExact || integer < -kExact) {
        return false;
    }
    number = static_cast<double>(integer);
    return true;
}

// Of two numbers of these kinds.
Verdict compare_numbers(Relation relation, const Value& left, Kind kind, const Value& right,
                        Kind other) noexcept {
    if (kind != Kind::kFloat && other != Kind::kFloat) {
        long long one = 0;
        long long two = 0;
        return left.integer(one) && right.integer(two) ? compare(relation, one, two) : Verdict::kDefer;
    }
    double one = 0;
    double two = 0;
    return real(left, kind, one) && real(right, other, two) ? compare(relation, one, two) : Verdict::kDefer;
}

Verdict equal_texts(PyObject* left, PyObject* right, Scene& scene) noexcept {
    const Py_ssize_t size = PyUnicode_GET_LENGTH(left);
    if (size != PyUnicode_GET_LENGTH(right)) {
        return Verdict::kFalse;
    }
    if (left == right) {
        return Verdict::kTrue;
    }
    if (size > kPiece && (size > kLongText || !scene.spend(size >> 9))) {
        return Verdict::kDefer;
    }
    // Texts of different width differ: the width is that of the widest character.
    const auto width = PyUnicode_KIND(left);
    return verdict_of(width == PyUnicode_KIND(right) &&
                      std::memcmp(PyUnicode_DATA(left), PyUnicode_DATA(right),
                                  static_cast<std::size_t>(size) * static_cast<std::size_t>(width)) == 0);
}

Verdict compare_texts(Relation relation, PyObject* left, PyObject* right, Scene& scene) noexcept {
    const Py_ssize_t size = std::min(PyUnicode_GET_LENGTH(left), PyUnicode_GET_LENGTH(right));
    if (size > kLongText || !scene.spend(size >> 9)) {
        return Verdict::kDefer;
    }
    return compare(relation, PyUnicode_Compare(left, right), 0);
}

Verdict equal_bytes(PyObject* left, PyObject* right) noexcept {
    const Py_ssize_t size = PyBytes_GET_SIZE(left);
    if (size != PyBytes_GET_SIZE(right)) {
        return Verdict::kFalse;
    }
    if (size > kPiece) {
        return Verdict::kDefer;
    }
    return verdict_of(
        std::memcmp(PyBytes_AS_STRING(left), PyBytes_AS_STRING(right), static_cast<std::size_t>(size)) == 0);
}

// Charges what Python is charged before it compares the elements with those of another sequence; false where
// that is too much, or for Python to say.
bool weigh(const Value& sequence, Py_ssize_t size, Scene& scene) noexcept {
    Py_ssize_t length = 0;
    for (Py_ssize_t index = 0; index < size; ++index) {
        Value value;
        long long number = 0;
        if (!element(sequence, index, value) || (value.kind() == Kind::kInt && !value.integer(number))) {
            return false;
        }
        const bool is_text = value.kind() == Kind::kText || value.kind() == Kind::kBytes;
        length += is_text ? size_of(value) : 0;
    }
    return scene.spend(length >> 9);
}

// Two lists, or two tuples.
Verdict equal_sequences(const Value& left, const Value& right, Scene& scene, int depth) noexcept {
    const Py_ssize_t size = size_of(left);
    if (size != size_of(right)) {
        return Verdict::kFalse;
    }
    if (size > kElements || depth >= kDepth || !scene.spend(16 + 60 * size) || !weigh(left, size, scene) ||
        !weigh(right, size, scene)) {
        return Verdict::kDefer;
    }
    for (Py_ssize_t index = 0; index < size; ++index) {
        Value one;
        Value two;
        if (!element(left, index, one) || !element(right, index, two)) {
            return Verdict::kDefer;
        }
        if (one.object() == two.object()) {
            continue;
        }
        const Verdict verdict = equal(one, two, scene, depth + 1);
        if (verdict != Verdict::kTrue) {
            return verdict;
        }
    }
    return Verdict::kTrue;
}

// Whether `==` of this value is object's: it is equal to nothing but itself. (The slot is inherited, or made
// from what the classes say, so it is object's where none of them says anything.)
bool compares_by_identity(const Value& value) noexcept {
    return Py_TYPE(value.object())->tp_richcompare == PyBaseObject_Type.tp_richcompare;
}

bool is_set(const Value& value) noexcept {
    return value.kind() == Kind::kSet || value.kind() == Kind::kFrozenSet;
}

Verdict identical(const Value& left, const Value& right) noexcept {
    if (left.object() == nullptr || right.object() == nullptr) {
        // A number that was counted here is none of the singletons; which object it would be is open.
        const Value& other = left.object() == nullptr ? right : left;
        const bool single = other.kind() == Kind::kNone || other.kind() == Kind::kBool;
        return single ? Verdict::kFalse : Verdict::kDefer;
    }
    return verdict_of(left.object() == right.object());
}

}  // namespace

Kind compared_kind(const Value& value) noexcept {
    PyObject* const object = value.object();
    if (value.kind() != Kind::kOther ||
        !(PyUnicode_Check(object) || PyLong_Check(object) || PyFloat_Check(object))) {
        return value.kind();
    }
    PyObject* const classes = Py_TYPE(object)->tp_mro;
    for (Py_ssize_t at = 0; classes != nullptr && at < PyTuple_GET_SIZE(classes); ++at) {
        auto* const each = reinterpret_cast<PyTypeObject*>(PyTuple_GET_ITEM(classes, at));
        if (each == &PyUnicode_Type) {
            return is_ready(object) ? Kind::kText : Kind::kOther;
        }
        if (each == &PyLong_Type || each == &PyFloat_Type) {
            return each == &PyLong_Type ? Kind::kInt : Kind::kFloat;
        }
        // The class of an enum that has its members' type only after itself, or one made in C.
        if (is_enum(each) || !PyType_HasFeature(each, Py_TPFLAGS_HEAPTYPE)) {
            break;
        }
    }
    return Kind::kOther;
}

Verdict equal(const Value& left, const Value& right, Scene& scene, int depth) noexcept {
    const Kind kind = compared_kind(left);
    const Kind other = compared_kind(right);
    if (is_number(kind) && is_number(other)) {
        return compare_numbers(Relation::kEqual, left, kind, right, other);
    }
    if (kind == Kind::kText && other == Kind::kText) {
        return equal_texts(left.object(), right.object(), scene);
    }
    if (is_decimal(left) || is_decimal(right)) {
        return compare_decimals(Relation::kEqual, left, right);
    }
    if ((left.kind() == Kind::kOther && !compares_by_identity(left)) ||
        (right.kind() == Kind::kOther && !compares_by_identity(right))) {
        return Verdict::kDefer;
    }
    if (left.object() != nullptr && left.object() == right.object()) {
        return Verdict::kTrue;
    }
    if (is_set(left) && is_set(right)) {
        return size_of(left) != size_of(right) ? Verdict::kFalse : Verdict::kDefer;
    }
    if (left.kind() != right.kind()) {
        // An option of the interpreter has some comparisons of str and bytes fail: let Python see which.
        const bool mixed = (left.kind() == Kind::kText && right.kind() == Kind::kBytes) ||
                           (left.kind() == Kind::kBytes && right.kind() == Kind::kText);
        return mixed ? Verdict::kDefer : Verdict::kFalse;
    }
    switch (left.kind()) {
        case Kind::kBytes: return equal_bytes(left.object(), right.object());
        case Kind::kList:
        case Kind::kTuple: return equal_sequences(left, right, scene, depth);
        case Kind::kDict: return size_of(left) != size_of(right) ? Verdict::kFalse : Verdict::kDefer;
        default: return Verdict::kFalse;
    }
}

Verdict relate(Relation relation, const Value& left, const Value& right, Scene& scene) noexcept {
    switch (relation) {
        case Relation::kEqual: return equal(left, right, scene);
        case Relation::kUnequal: return opposite(equal(left, right, scene));
        case Relation::kIn: return contains(left, right, scene);
        case Relation::kNotIn: return opposite(contains(left, right, scene));
        case Relation::kIs: return identical(left, right);
        case Relation::kIsNot: return opposite(identical(left, right));
        default: break;
    }
    const Kind kind = compared_kind(left);
    const Kind other = compared_kind(right);
    if (is_number(kind) && is_number(other)) {
        return compare_numbers(relation, left, kind, right, other);
    }
    if (kind == Kind::kText && other == Kind::kText) {
        return compare_texts(relation, left.object(), right.object(), scene);
    }
    if (is_decimal(left) || is_decimal(right)) {
        return compare_decimals(relation, left, right);
    }
    return Verdict::kDefer;
}

}  // namespace tracepoints
