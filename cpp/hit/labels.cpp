#include "hit/labels.hpp"

#include "names.hpp"

namespace tracepoints {

Ref thread_ident(const HitParts& parts) {
    return Ref::steal(parts.get_ident.get() == Py_None ? PyLong_FromUnsignedLong(PyThread_get_thread_ident())
                                                       : call_none(parts.get_ident.get()));
}

Ref thread_label(const HitParts& parts, PyObject* ident) {
    Ref name;
    const Ref thread = Ref::steal(dict_item(parts.threads.get(), ident));
    if (thread) {
        PyObject* const classes = parts.plain_threads.get();
        for (Py_ssize_t at = 0; at < PyTuple_GET_SIZE(classes) && !name; ++at) {
            if (reinterpret_cast<PyObject*>(Py_TYPE(thread.get())) == PyTuple_GET_ITEM(classes, at)) {
                name = Ref::steal(PyObject_GenericGetAttr(thread.get(), names::thread_name));
            }
        }
    }
    PyErr_Clear();
    if (!name || !PyUnicode_CheckExact(name.get())) {
        name = Ref::steal(call_one(parts.thread_name.get(), ident));
        if (!name) {
            return name;
        }
    }
    Ref label = Ref::steal(dict_item(parts.labels.get(), name.get()));
    return label ? label : Ref::steal(call_one(parts.label.get(), name.get()));
}

Ref task_label(const HitParts& parts) {
    PyObject* const modules = PyImport_GetModuleDict();  // borrowed
    if (modules != nullptr && PyDict_CheckExact(modules)) {
        const Ref module = Ref::steal(dict_item(modules, names::asyncio));
        if (!module) {
            PyErr_Clear();
            return Ref::borrow(Py_None);
        }
        // Of a module whose attributes are those of any other.
        const Ref loop = PyModule_CheckExact(module.get())
                             ? Ref::steal(dict_item(PyModule_GetDict(module.get()), names::get_running_loop))
                             : Ref();
        if (loop && Py_TYPE(loop.get()) == &PyCFunction_Type) {
            const Ref now = Ref::steal(call_none(loop.get()));
            if (now.get() == Py_None) {
                return Ref::borrow(Py_None);
            }
        }
        PyErr_Clear();
    }
    return Ref::steal(call_none(parts.task_name.get()));
}

}  // namespace tracepoints
