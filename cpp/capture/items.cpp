#include "capture/items.hpp"

#include "names.hpp"

namespace tracepoints {

void Walk::Items::take_sequence(PyObject* sequence, long long most) {
    if (PyTuple_CheckExact(sequence)) {
        for (Py_ssize_t at = 0; at < PyTuple_GET_SIZE(sequence) && at < most; ++at) {
            add(nullptr, PyTuple_GET_ITEM(sequence, at));
        }
        return;
    }
    TRACEPOINTS_BEGIN_CRITICAL_SECTION(sequence);
    for (Py_ssize_t at = 0; at < PyList_GET_SIZE(sequence) && at < most; ++at) {
        add(nullptr, PyList_GET_ITEM(sequence, at));
    }
    TRACEPOINTS_END_CRITICAL_SECTION();
}

void Walk::Items::take_dict(PyObject* dict, long long most) {
    PyObject *key, *value;
    Py_ssize_t at = 0;
    TRACEPOINTS_BEGIN_CRITICAL_SECTION(dict);
    for (long long taken = 0; taken < most && PyDict_Next(dict, &at, &key, &value) != 0; ++taken) {
        add(key, value);
    }
    TRACEPOINTS_END_CRITICAL_SECTION();
}

bool Walk::Items::take_set(PyObject* set, long long most) {
    for (int turn = 0; turn < 2; ++turn) {
        while (held_.size() > begin_) {
            const Ref last = Ref::steal(held_.back().value);
            held_.pop_back();
        }
        const Ref iterator = Ref::steal(PySet_Type.tp_iter(set));
        if (!iterator) {
            return false;
        }
        for (long long taken = 0; taken < most; ++taken) {
            const Ref item = Ref::steal(Py_TYPE(iterator.get())->tp_iternext(iterator.get()));
            if (!item) {
                break;
            }
            add(nullptr, item.get());
        }
        if (PyErr_Occurred() == nullptr) {
            return true;
        }
        if (!PyErr_ExceptionMatches(PyExc_RuntimeError)) {
            return false;
        }
        PyErr_Clear();
    }
    return true;
}

void Walk::Items::take_inline(const InstanceFields& fields, PyTypeObject* type, long long most) {
    for (Py_ssize_t at = 0; at < fields.count && at < most; ++at) {
        PyObject *name, *value;
        inline_value(fields, type, at, &name, &value);
        if (name != nullptr && value != nullptr) {
            add(name, value);
        }
    }
}

Walk::Opened::~Opened() {
    Walk& walk = walk_;
    if (walk.told_ == walk.path_.size()) {
        // The Python reader knows of it. An error may be on its way here.
        const PendingError pending;
        const Ref path = Ref::steal(PyObject_GetAttr(walk.reader_.get(), names::path));
        const Ref id = Ref::steal(PyLong_FromVoidPtr(walk.path_.back()));
        if (path && id) {
            Ref::steal(PyObject_CallMethodObjArgs(path.get(), names::discard, id.get(), nullptr));
        }
        PyErr_Clear();
        --walk.told_;
    }
    walk.path_.pop_back();
}

}  // namespace tracepoints
