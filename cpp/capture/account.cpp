// What a walk may still do, and how it goes on in Python.
#include "capture/items.hpp"
#include "capture/walk.hpp"
#include "names.hpp"

namespace tracepoints {

namespace {

constexpr long long kSteps = 16;
constexpr long long kNode = 8;
constexpr long long kTyped = 24;

bool give(PyObject* object, PyObject* name, long long number) {
    const Ref value = Ref::steal(PyLong_FromLongLong(number));
    return value && PyObject_SetAttr(object, name, value.get()) == 0;
}

bool give(PyObject* object, PyObject* name, bool value) {
    return PyObject_SetAttr(object, name, value ? Py_True : Py_False) == 0;
}

bool take(PyObject* object, PyObject* name, long long& number) {
    const Ref value = Ref::steal(PyObject_GetAttr(object, name));
    number = value ? PyLong_AsLongLong(value.get()) : 0;
    return value && (number != -1 || PyErr_Occurred() == nullptr);
}

bool take(PyObject* object, PyObject* name, bool& value) {
    const Ref found = Ref::steal(PyObject_GetAttr(object, name));
    value = found.get() == Py_True;
    return static_cast<bool>(found);
}

}  // namespace

bool Walk::ran_out(bool& answer) {
    if (!exhausted_) {
        const Ref expired = Ref::steal(PyObject_CallMethodObjArgs(clock_.get(), names::expired, nullptr));
        if (!expired) {
            return false;
        }
        expired_ = expired.get() != Py_False;
        exhausted_ = expired_ || room_ < 0;
    }
    // Once time is up every value has to come here.
    steps_ = expired_ ? 0 : kSteps;
    truncated_ = truncated_ || exhausted_;
    answer = exhausted_;
    return true;
}

void Walk::typed(const Shape& shape) {
    room_ -= shape.label_size + kTyped;
}

void Walk::mark(bool first, Py_ssize_t size) {
    truncated_ = true;
    if (!first) {
        out_.raw(", ");
    }
    out_.raw("\"__tpd_truncated__\": true, \"__tpd_size__\": ");
    out_.integer(size);
}

bool Walk::closed(PyTypeObject* type, Py_ssize_t size) {
    const std::shared_ptr<const Shape> shape = knowledge_.shape(setting_.parts, type);
    if (shape == nullptr) {
        return false;
    }
    truncated_ = true;
    typed(*shape);
    room_ -= kTyped;
    out_.raw("{\"__tpd_type__\": ");
    out_.raw(shape->label_json);
    out_.raw(", \"__tpd_truncated__\": true");
    if (size >= 0) {
        out_.raw(", \"__tpd_size__\": ");
        out_.integer(size);
    }
    out_.raw('}');
    return true;
}

bool Walk::is_shut(PyObject* value, PyTypeObject* type, long long level, Py_ssize_t size, bool& done) {
    for (PyObject* each : path_) {
        if (each == value) {
            const std::shared_ptr<const Shape> shape = knowledge_.shape(setting_.parts, type);
            done = shape != nullptr;
            if (done) {
                typed(*shape);
                out_.raw("{\"__tpd_type__\": ");
                out_.raw(shape->label_json);
                out_.raw(", \"__tpd_circular__\": true}");
            }
            return true;
        }
    }
    if (level >= setting_.depth) {
        done = closed(type, size);
        return true;
    }
    return false;
}

bool Walk::unreadable(PyTypeObject* type, std::size_t begun) {
    Ref error = Ref::steal(take_error());
    const Ref passes =
        Ref::steal(error ? call_one(setting_.parts.is_for_application.get(), error.get()) : nullptr);
    if (!passes || passes.get() != Py_False) {
        if (passes) {
            restore_error(error.release());
        }
        return false;
    }
    // One bad value costs that value only.
    error.reset();
    const std::shared_ptr<const Shape> shape = knowledge_.shape(setting_.parts, type);
    if (shape == nullptr) {
        return false;
    }
    out_.cut(begun);
    out_.raw("{\"__tpd_type__\": ");
    out_.raw(shape->label_json);
    out_.raw(", \"__repr__\": \"<unreadable>\"}");
    return true;
}

bool Walk::hand_over() {
    if (!reader_) {
        const Ref room = Ref::steal(PyLong_FromLongLong(room_));
        const Parts& parts = setting_.parts;
        reader_ = Ref::steal(room ? PyObject_CallFunctionObjArgs(parts.reader.get(), parts.policy.get(),
                                                                 parts.limits.get(), clock_.get(), room.get(),
                                                                 nullptr)
                                  : nullptr);
    }
    PyObject* reader = reader_.get();
    if (reader == nullptr || !give(reader, names::room, room_) || !give(reader, names::steps, steps_) ||
        !give(reader, names::truncated, truncated_) || !give(reader, names::exhausted, exhausted_) ||
        !give(reader, names::has_expired, expired_)) {
        return false;
    }
    if (told_ < path_.size()) {
        const Ref path = Ref::steal(PyObject_GetAttr(reader, names::path));
        for (; path && told_ < path_.size(); ++told_) {
            const Ref id = Ref::steal(PyLong_FromVoidPtr(path_[told_]));
            const Ref done = Ref::steal(
                id ? PyObject_CallMethodObjArgs(path.get(), names::add, id.get(), nullptr) : nullptr);
            if (!done) {
                return false;
            }
        }
    }
    return told_ == path_.size();
}

bool Walk::take_back() {
    const PendingError pending;
    PyObject* reader = reader_.get();
    const bool taken = take(reader, names::room, room_) && take(reader, names::steps, steps_) &&
                       take(reader, names::truncated, truncated_) &&
                       take(reader, names::exhausted, exhausted_) &&
                       take(reader, names::has_expired, expired_);
    PyErr_Clear();
    return taken;
}

bool Walk::defer(PyObject* value, long long level) {
    // It counts the value itself.
    room_ += kNode;
    steps_ += 1;
    const Ref depth = Ref::steal(hand_over() ? PyLong_FromLongLong(level) : nullptr);
    if (!depth) {
        return false;
    }
    const Ref shown =
        Ref::steal(PyObject_CallMethodObjArgs(reader_.get(), names::read, value, depth.get(), nullptr));
    if (!take_back() && shown) {
        PyErr_SetString(PyExc_TypeError, "an account that is none");
        return false;
    }
    return shown && out_.plain(shown.get());
}

}  // namespace tracepoints
