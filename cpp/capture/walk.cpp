#include "capture/walk.hpp"

#include <cmath>

#include "capture/items.hpp"
#include "capture/suspicion.hpp"
#include "names.hpp"

namespace tracepoints {

namespace {

// See capture/values.py and plain.py.
constexpr long long kNode = 8;
constexpr Py_ssize_t kAtOnce = 8192;
constexpr long long kSmallestCard = 1'000'000'000'000;

// Card numbers begin with 2 to 6 and have 13 to 19 digits (`patterns._CARD`).
bool may_be_card(long long number) {
    if (number < kSmallestCard) {
        return false;
    }
    while (number >= 10) {
        number /= 10;
    }
    return number >= 2 && number <= 6;
}

}  // namespace

Walk::~Walk() = default;

bool Walk::read(PyObject* value, long long level) {
    if (value == Py_None) {
        out_.raw("null");
        return true;
    }
    if (value == Py_True) {
        out_.raw("true");
        return true;
    }
    if (value == Py_False) {
        out_.raw("false");
        return true;
    }
    room_ -= kNode;
    steps_ -= 1;
    const std::size_t begun = out_.size();
    PyTypeObject* type = Py_TYPE(value);
    // The value may get another class meanwhile, and this one be let go.
    const Ref kept = PyType_HasFeature(type, Py_TPFLAGS_HEAPTYPE)
                         ? Ref::borrow(reinterpret_cast<PyObject*>(type))
                         : Ref();
    return read_kind(value, type, level) || unreadable(type, begun);
}

bool Walk::read_kind(PyObject* value, PyTypeObject* type, long long level) {
    if (steps_ < 0 || room_ < 0) {
        bool out = false;
        if (!ran_out(out)) {
            return false;
        }
        if (out) {
            return closed(type, -1);
        }
    }
    if (type == &PyUnicode_Type) {
        return read_text(value);
    }
    if (type == &PyLong_Type) {
        return read_int(value, level);
    }
    if (type == &PyFloat_Type) {
        return read_float(value, level);
    }
    if (type == &PyDict_Type) {
        return read_dict(value, level);
    }
    if (type == &PyList_Type || type == &PyTuple_Type) {
        return read_sequence(value, level);
    }
    if (type == &PySet_Type || type == &PyFrozenSet_Type) {
        return read_set(value, level);
    }
    if (PyType_HasFeature(type, Py_TPFLAGS_HEAPTYPE)) {
        return read_object(value, type, level);
    }
    return defer(value, level);
}

bool Walk::read_text(PyObject* value) {
#if !defined(Py_LIMITED_API)
    if (PyUnicode_READY(value) < 0) {
        return false;
    }
#endif
    const Py_ssize_t size = PyUnicode_GET_LENGTH(value);
    if (size > setting_.longest || size > kAtOnce) {
        return defer(value, 0);
    }
    steps_ -= size >> 8;
    if (knowledge_.is_harmless(value)) {
        room_ -= size;
        return out_.string(value);
    }
    const Ref clean = Ref::steal(knowledge_.text(value));
    if (!clean) {
        return false;
    }
    room_ -= PyUnicode_GET_LENGTH(clean.get());
    return out_.string(clean.get());
}

bool Walk::hides_number(PyObject* number, bool& hides) {
    const Ref answer =
        Ref::steal(PyObject_CallMethodObjArgs(knowledge_.policy(), names::hides_number, number, nullptr));
    hides = answer.get() != Py_False;
    return static_cast<bool>(answer);
}

bool Walk::read_int(PyObject* value, long long level) {
    int overflow = 0;
    const long long number = PyLong_AsLongLongAndOverflow(value, &overflow);
    if (overflow != 0) {
        return defer(value, level);
    }
    bool hides = false;
    if ((knowledge_.has_patterns() || may_be_card(number)) && !hides_number(value, hides)) {
        return false;
    }
    if (hides) {
        out_.raw("\"[REDACTED]\"");
    } else {
        out_.integer(number);
    }
    return true;
}

bool Walk::read_float(PyObject* value, long long level) {
    const double number = PyFloat_AS_DOUBLE(value);
    if (!std::isfinite(number)) {
        return defer(value, level);
    }
    bool hides = false;  // the digits of a float are no card number: it has a point or an exponent
    if (knowledge_.has_patterns() && !hides_number(value, hides)) {
        return false;
    }
    if (hides) {
        out_.raw("\"[REDACTED]\"");
        return true;
    }
    return out_.real(number);
}

bool Walk::read_sequence(PyObject* value, long long level) {
    const Py_ssize_t size = PyTuple_CheckExact(value) ? PyTuple_GET_SIZE(value) : PyList_Size(value);
    if (size == 0) {
        out_.raw("[]");
        return true;
    }
    bool done = false;
    if (is_shut(value, Py_TYPE(value), level, size, done)) {
        return done;
    }
    Items items(*this);
    items.take_sequence(value, setting_.width);
    const Opened opened(*this, value);
    out_.raw('[');
    Py_ssize_t read_items = 0;
    std::size_t second_at = 0;
    for (; read_items < items.size() && !exhausted_; ++read_items) {
        if (read_items != 0) {
            out_.raw(", ");
            second_at = out_.size();
        }
        if (!read(items[read_items].value, level + 1)) {
            return false;
        }
    }
    if (items.size() == 2 && read_items == 2) {
        const int secret = names_secret(items[0].value);
        if (secret < 0) {
            return false;
        }
        if (secret == 1) {
            out_.cut(second_at);
            out_.raw("\"[REDACTED]\"");
        }
    }
    if (read_items < size) {
        if (read_items != 0) {
            out_.raw(", ");
        }
        out_.raw('{');
        mark(true, size);
        out_.raw('}');
    }
    out_.raw(']');
    return true;
}

bool Walk::read_set(PyObject* value, long long level) {
    const Py_ssize_t size = PySet_Size(value);
    const std::shared_ptr<const Shape> shape = knowledge_.shape(setting_.parts, Py_TYPE(value));
    if (shape == nullptr) {
        return false;
    }
    bool done = false;
    if (size != 0 && is_shut(value, Py_TYPE(value), level, size, done)) {
        return done;
    }
    Items items(*this);
    if (!items.take_set(value, setting_.width)) {
        return false;
    }
    out_.raw("{\"__tpd_type__\": ");
    out_.raw(shape->label_json);
    out_.raw(", \"__tpd_items__\": [");
    Py_ssize_t read_items = 0;
    {
        const Opened opened(*this, value);
        for (; read_items < items.size() && !exhausted_; ++read_items) {
            if (read_items != 0) {
                out_.raw(", ");
            }
            if (!read(items[read_items].value, level + 1)) {
                return false;
            }
        }
    }
    out_.raw(']');
    typed(*shape);
    if (read_items < size) {
        mark(false, size);
    }
    out_.raw('}');
    return true;
}

bool Walk::read_dict(PyObject* value, long long level) {
    const Py_ssize_t size = PyDict_Size(value);
    if (size == 0) {
        out_.raw("{}");
        return true;
    }
    bool done = false;
    if (is_shut(value, &PyDict_Type, level, size, done)) {
        return done;
    }
    Items pairs(*this);
    pairs.take_dict(value, setting_.width);
    const Keys keys = look_at_keys(pairs);
    if (keys == Keys::kOther) {
        return defer(value, level);
    }
    if (keys == Keys::kError) {
        return false;
    }
    const Opened opened(*this, value);
    out_.raw('{');
    return read_fields(pairs, keys, out_.size(), size, level);
}

}  // namespace tracepoints
