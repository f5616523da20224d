#include "expression/container.hpp"

#include "expression/comparison.hpp"
#include "expression/decimals.hpp"

namespace tracepoints {

namespace {

constexpr Py_ssize_t kPiece = 512;
// Longest text that is searched, and most comparisons of characters for it.
constexpr Py_ssize_t kSearched = 4'096;
constexpr Py_ssize_t kSteps = 200'000;

// Of these CPython's own `==` and hash run no other code. (Bytes and a str are compared by nobody here: an
// option of the interpreter has it warn of that.)
bool is_simple(Kind kind) noexcept {
    return kind <= Kind::kText;
}

// A key that may be looked for: short, and an object.
bool is_key(const Value& key) noexcept {
    return key.object() != nullptr && is_simple(key.kind()) &&
           (key.kind() != Kind::kText || PyUnicode_GET_LENGTH(key.object()) <= kPiece);
}

// Whether a stored key is the one that is looked for, both being simple.
Verdict same_key(PyObject* stored, const Value& key, Scene& scene) noexcept {
    if (stored == key.object()) {
        return Verdict::kTrue;
    }
    Value other;
    other.borrow(stored);
    return is_simple(other.kind()) ? equal(other, key, scene) : Verdict::kDefer;
}

// With the dict's lock held. All keys are looked at, since the table asks any that has the hash of the one
// that is looked for; but for a table of texts, which asks texts.
Verdict look_up(PyObject* dict, const Value& key, Scene& scene, Ref& found) noexcept {
    if (has_text_table(dict)) {
        found = Ref::steal(dict_item(dict, key.object()));
        return verdict_of(static_cast<bool>(found));
    }
    Verdict verdict = Verdict::kFalse;
    PyObject* stored = nullptr;
    PyObject* value = nullptr;
    for (Py_ssize_t at = 0; PyDict_Next(dict, &at, &stored, &value) != 0;) {
        const Verdict same = same_key(stored, key, scene);
        if (same == Verdict::kDefer) {
            return same;
        }
        if (same == Verdict::kTrue) {
            verdict = same;
            found = Ref::borrow(value);
        }
    }
    return verdict;
}

Verdict find(PyObject* dict, const Value& key, Scene& scene, Ref& found) noexcept {
    Verdict verdict = Verdict::kDefer;
    if (is_key(key)) {
        TRACEPOINTS_BEGIN_CRITICAL_SECTION(dict);
        if (has_text_table(dict) ? scene.spend(64) : scene.spend(PyDict_GET_SIZE(dict) + 2)) {
            verdict = look_up(dict, key, scene, found);
        }
        TRACEPOINTS_END_CRITICAL_SECTION();
    }
    return verdict;
}

Verdict in_set(PyObject* set, const Value& wanted, Scene& scene) noexcept {
    if (!is_key(wanted)) {
        return Verdict::kDefer;
    }
    const Py_hash_t hash = PyObject_Hash(wanted.object());
    Verdict verdict = Verdict::kDefer;
    TRACEPOINTS_BEGIN_CRITICAL_SECTION(set);
    if (scene.spend(PySet_GET_SIZE(set) + 2)) {
        verdict = Verdict::kFalse;
        const auto* const table = reinterpret_cast<PySetObject*>(set);
        for (Py_ssize_t at = 0; at <= table->mask; ++at) {
            const setentry& entry = table->table[at];
            // No value has the hash -1: that is what a place has from which something was taken away.
            if (entry.key == nullptr || entry.hash == -1) {
                continue;
            }
            if (!is_simple(kind_of(entry.key)) && Py_TYPE(entry.key) != &PyBytes_Type) {
                verdict = Verdict::kDefer;
                break;
            }
            if (entry.hash == hash && verdict == Verdict::kFalse) {
                verdict = same_key(entry.key, wanted, scene);
                if (verdict == Verdict::kDefer) {
                    break;
                }
            }
        }
    }
    TRACEPOINTS_END_CRITICAL_SECTION();
    return verdict;
}

// Whether Python looks for a copy, which is found by its value alone: of a number or text of a derived class,
// and of whatever else looks as if it might be one.
bool is_copied(const Value& wanted) noexcept {
    if (wanted.kind() != Kind::kOther || is_decimal(wanted)) {
        return false;
    }
    const PyTypeObject* const type = Py_TYPE(wanted.object());
    return (type->tp_as_number != nullptr && type->tp_as_number->nb_add != nullptr) ||
           (type->tp_as_sequence != nullptr && type->tp_as_sequence->sq_concat != nullptr);
}

Verdict in_sequence(const Value& wanted, const Value& sequence, Scene& scene) noexcept {
    const Py_ssize_t size = size_of(sequence);
    if (compared_kind(wanted) == Kind::kText && PyUnicode_GET_LENGTH(wanted.object()) > kPiece) {
        return Verdict::kDefer;
    }
    const bool by_identity = !is_copied(wanted);
    if (!scene.spend(16 + 2 * size)) {
        return Verdict::kDefer;
    }
    // Python charges more for all elements of a piece where one of them is not simple.
    bool dear = !is_simple(wanted.kind());
    if (dear && !scene.spend(60 * size)) {
        return Verdict::kDefer;
    }
    Verdict verdict = Verdict::kFalse;
    for (Py_ssize_t index = 0; index < size; ++index) {
        Value value;
        if (!element(sequence, index, value)) {
            return Verdict::kDefer;
        }
        if (!dear && !is_simple(value.kind())) {
            dear = true;
            if (!scene.spend(60 * size)) {
                return Verdict::kDefer;
            }
        }
        if (verdict == Verdict::kFalse) {
            verdict = by_identity && value.object() == wanted.object() ? Verdict::kTrue
                                                                       : equal(value, wanted, scene);
        }
        if (verdict == Verdict::kDefer || (verdict == Verdict::kTrue && dear)) {
            return verdict;
        }
    }
    return verdict;
}

Verdict in_text(PyObject* wanted, PyObject* text, Scene& scene) noexcept {
    const Py_ssize_t needle = PyUnicode_GET_LENGTH(wanted);
    const Py_ssize_t size = PyUnicode_GET_LENGTH(text);
    if (needle > size) {
        return Verdict::kFalse;
    }
    if (size > kSearched) {
        return Verdict::kDefer;
    }
    const Py_ssize_t steps = needle * (size - needle + 1);
    if (steps > kSteps || !scene.spend((steps >> 8) + (size >> 4) + 1)) {
        return Verdict::kDefer;
    }
    const int found = PyUnicode_Contains(text, wanted);
    if (found < 0) {
        PyErr_Clear();
        return Verdict::kDefer;
    }
    return verdict_of(found != 0);
}

}  // namespace

Py_ssize_t size_of(const Value& container) noexcept {
    PyObject* const object = container.object();
    switch (container.kind()) {
        case Kind::kText: return PyUnicode_GET_LENGTH(object);
        case Kind::kBytes: return PyBytes_GET_SIZE(object);
        case Kind::kList: return PyList_GET_SIZE(object);
        case Kind::kTuple: return PyTuple_GET_SIZE(object);
        case Kind::kDict: return PyDict_Size(object);
        case Kind::kSet:
        case Kind::kFrozenSet: return PySet_GET_SIZE(object);
        default: return -1;
    }
}

bool element(const Value& sequence, Py_ssize_t index, Value& out) noexcept {
    if (sequence.kind() == Kind::kTuple) {
        if (index >= PyTuple_GET_SIZE(sequence.object())) {
            return false;
        }
        PyObject* const found = PyTuple_GET_ITEM(sequence.object(), index);
        Py_INCREF(found);
        out.steal(found);
        return true;
    }
    PyObject* const found = list_item(sequence.object(), index);
    if (found == nullptr) {
        return false;
    }
    out.steal(found);
    return true;
}

bool item(const Value& container, const Value& key, Scene& scene, Value& out) noexcept {
    if (container.kind() == Kind::kDict) {
        Ref found;
        if (find(container.object(), key, scene, found) != Verdict::kTrue) {
            return false;
        }
        out.steal(found.release());
        return true;
    }
    long long index = 0;
    if (!key.is_integer() || !key.integer(index)) {
        return false;
    }
    const Py_ssize_t size = size_of(container);
    index = index < 0 ? index + size : index;
    if (index < 0 || index >= size) {
        return false;
    }
    if (container.kind() == Kind::kList || container.kind() == Kind::kTuple) {
        return element(container, index, out);
    }
    if (container.kind() != Kind::kText) {
        return false;
    }
    PyObject* const character = PyUnicode_Substring(container.object(), index, index + 1);
    if (character == nullptr) {
        PyErr_Clear();
        return false;
    }
    out.steal(character);
    return true;
}

Verdict contains(const Value& wanted, const Value& container, Scene& scene) noexcept {
    switch (container.kind()) {
        case Kind::kText:
            return wanted.kind() == Kind::kText ? in_text(wanted.object(), container.object(), scene)
                                                : Verdict::kDefer;
        case Kind::kList:
        case Kind::kTuple: return in_sequence(wanted, container, scene);
        case Kind::kDict: {
            Ref found;
            return find(container.object(), wanted, scene, found);
        }
        case Kind::kSet:
        case Kind::kFrozenSet: return in_set(container.object(), wanted, scene);
        default: return Verdict::kDefer;
    }
}

}  // namespace tracepoints
