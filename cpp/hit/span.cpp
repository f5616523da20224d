#include "hit/span.hpp"

#include "names.hpp"

namespace tracepoints {

bool CurrentSpan::prepare(PyObject* parts) {
    if (parts == Py_None) {
        return true;
    }
    if (!PyTuple_Check(parts) || PyTuple_GET_SIZE(parts) != 6) {
        return false;
    }
    for (const Py_ssize_t type : {1, 4, 5}) {
        if (!PyType_Check(PyTuple_GET_ITEM(parts, type))) {
            return false;
        }
    }
    context_ = reinterpret_cast<PyTypeObject*>(PyTuple_GET_ITEM(parts, 1));
    key_ = PyTuple_GET_ITEM(parts, 2);
    spans_ = PyTuple_GET_ITEM(parts, 3);
    span_context_ = reinterpret_cast<PyTypeObject*>(PyTuple_GET_ITEM(parts, 4));
    made_ = reinterpret_cast<PyTypeObject*>(PyTuple_GET_ITEM(parts, 5));
    variable_ = PyTuple_GET_ITEM(parts, 0);
    return PyContextVar_CheckExact(variable_) && PyUnicode_CheckExact(key_) && PyTuple_CheckExact(spans_) &&
           PyType_IsSubtype(context_, &PyDict_Type) && PyType_IsSubtype(span_context_, &PyTuple_Type) &&
           PyType_IsSubtype(made_, &PyTuple_Type);
}

Ref CurrentSpan::trace() const noexcept {
    PyObject* found = nullptr;
    if (variable_ == nullptr || PyContextVar_Get(variable_, nullptr, &found) < 0) {
        PyErr_Clear();
        return Ref();
    }
    const Ref context = Ref::steal(found);
    // Its keys are texts of OpenTelemetry, made with `create_key`.
    if (!context || Py_TYPE(context.get()) != context_) {
        return Ref();
    }
    const Ref span = Ref::steal(dict_item(context.get(), key_));
    if (!span || span.get() == Py_None) {
        PyErr_Clear();
        return Ref::borrow(Py_None);
    }
    for (Py_ssize_t at = 0; at < PyTuple_GET_SIZE(spans_); ++at) {
        if (reinterpret_cast<PyObject*>(Py_TYPE(span.get())) == PyTuple_GET_ITEM(spans_, at)) {
            return ids_of(span.get());
        }
    }
    return Ref();
}

Ref CurrentSpan::ids_of(PyObject* span) const noexcept {
    const Ref ids = Ref::steal(PyObject_GenericGetAttr(span, names::span_context));
    PyErr_Clear();
    if (!ids || Py_TYPE(ids.get()) != span_context_ || PyTuple_GET_SIZE(ids.get()) < 4) {
        return Ref();
    }
    PyObject* const trace = PyTuple_GET_ITEM(ids.get(), 0);
    PyObject* const own = PyTuple_GET_ITEM(ids.get(), 1);
    PyObject* const flags = PyTuple_GET_ITEM(ids.get(), 3);
    if (!PyLong_CheckExact(trace) || !PyLong_CheckExact(own) || !PyLong_Check(flags)) {
        return Ref();
    }
    if (PyObject_IsTrue(trace) == 0 || PyObject_IsTrue(own) == 0) {
        return Ref::borrow(Py_None);
    }
    const Ref plain = Ref::steal(PyLong_FromLong(PyLong_AsLong(flags)));
    const Ref all = Ref::steal(plain ? PyTuple_Pack(3, trace, own, plain.get()) : nullptr);
    const Ref arguments = Ref::steal(all ? PyTuple_Pack(1, all.get()) : nullptr);
    Ref made = Ref::steal(arguments ? PyTuple_Type.tp_new(made_, arguments.get(), nullptr) : nullptr);
    PyErr_Clear();
    return made;
}

}  // namespace tracepoints
