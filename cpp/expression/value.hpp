// A value in a condition: an object (of the application, a constant, or made here), or an int that was
// counted here and is none yet.
#pragma once

#include "ref.hpp"

namespace tracepoints {

// Exact builtin types by name; of anything else it is `kOther`, subclasses of these included.
enum class Kind : unsigned char {
    kInt,
    kFloat,
    kBool,
    kNone,
    kText,
    kBytes,
    kList,
    kTuple,
    kDict,
    kSet,
    kFrozenSet,
    kOther,
};

Kind kind_of(PyObject* object) noexcept;

class Value {
public:
    Value() = default;
    ~Value() { drop(); }
    Value(const Value&) = delete;
    Value& operator=(const Value&) = delete;

    // An object that something else keeps for as long as the condition is tested: a constant, or what lies
    // in a slot of the frame while this thread holds the GIL.
    void borrow(PyObject* object) noexcept { set(object, false); }
    // Takes over a new reference.
    void steal(PyObject* object) noexcept { set(object, true); }
    void count(long long number) noexcept {
        drop();
        object_ = nullptr;
        number_ = number;
        kind_ = Kind::kInt;
    }
    void truth(bool value) noexcept { borrow(value ? Py_True : Py_False); }
    // A new reference, or null with an error: then none is set any more, and it is no value.
    bool made(PyObject* object) noexcept {
        if (object == nullptr) {
            PyErr_Clear();
            return false;
        }
        steal(object);
        return true;
    }
    bool real(double number) noexcept { return made(PyFloat_FromDouble(number)); }
    // What the other one is; that one is nothing any more.
    void take(Value& other) noexcept {
        drop();
        object_ = std::exchange(other.object_, nullptr);
        number_ = other.number_;
        owned_ = std::exchange(other.owned_, false);
        kind_ = other.kind_;
    }

    Kind kind() const noexcept { return kind_; }
    // Null for a number that was counted here.
    PyObject* object() const noexcept { return object_; }

    bool is_number() const noexcept { return kind_ <= Kind::kBool; }
    bool is_integer() const noexcept { return kind_ == Kind::kInt || kind_ == Kind::kBool; }
    // The value of an int or bool. False where it does not fit.
    bool integer(long long& number) const noexcept {
        if (object_ == nullptr) {
            number = number_;
            return true;
        }
        return integer_of(object_, number);
    }

private:
    void set(PyObject* object, bool owned) noexcept {
        drop();
        object_ = object;
        owned_ = owned;
        kind_ = kind_of(object);
    }
    void drop() noexcept {
        if (owned_) {
            owned_ = false;
            Py_DECREF(object_);
        }
    }

    PyObject* object_ = nullptr;
    long long number_ = 0;
    bool owned_ = false;
    Kind kind_ = Kind::kOther;
};

inline Kind kind_of(PyObject* object) noexcept {
    PyTypeObject* const type = Py_TYPE(object);
    if (type == &PyLong_Type) {
        return Kind::kInt;
    }
    if (type == &PyUnicode_Type) {
        return is_ready(object) ? Kind::kText : Kind::kOther;
    }
    if (type == &PyBool_Type) {
        return Kind::kBool;
    }
    if (object == Py_None) {
        return Kind::kNone;
    }
    if (type == &PyFloat_Type) {
        return Kind::kFloat;
    }
    if (type == &PyList_Type) {
        return Kind::kList;
    }
    if (type == &PyDict_Type) {
        return Kind::kDict;
    }
    if (type == &PyTuple_Type) {
        return Kind::kTuple;
    }
    if (type == &PySet_Type) {
        return Kind::kSet;
    }
    if (type == &PyFrozenSet_Type) {
        return Kind::kFrozenSet;
    }
    return type == &PyBytes_Type ? Kind::kBytes : Kind::kOther;
}

}  // namespace tracepoints
