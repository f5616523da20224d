#include "expression/attribute.hpp"

namespace tracepoints {

namespace {

// The C type of a namedtuple's fields; it has no name in the C API.
PyTypeObject* field_type = nullptr;

// Runs code of the interpreter only: a slot's getter hands out what is stored.
bool is_stored(PyTypeObject* descriptor, PyObject* owner) noexcept {
    return descriptor == &PyMemberDescr_Type || (descriptor == field_type && PyTuple_Check(owner));
}

bool give(PyObject* found, Value& out) noexcept {
    if (found == nullptr) {
        // An empty slot, or a planted name's own comparison.
        PyErr_Clear();
        return false;
    }
    out.steal(found);
    return true;
}

}  // namespace

bool prepare_attributes() {
    if (field_type == nullptr) {
        const Ref module = Ref::steal(PyImport_ImportModule("_collections"));
        const Ref type = Ref::steal(module ? PyObject_GetAttrString(module.get(), "_tuplegetter") : nullptr);
        if (!type || !PyType_Check(type.get())) {
            // To be looked at by Python then.
            PyErr_Clear();
            return true;
        }
        field_type = reinterpret_cast<PyTypeObject*>(Ref(type).release());
    }
    return true;
}

bool attribute(PyObject* owner, PyObject* name, Value& out) noexcept {
    PyTypeObject* const type = Py_TYPE(owner);
    if (type == &PyModule_Type) {
        PyObject* const fields = PyModule_GetDict(owner);
        return fields != nullptr && PyDict_CheckExact(fields) && give(dict_item(fields, name), out);
    }
    if (PyType_Check(owner) || PyModule_Check(owner)) {
        return false;
    }
    const Ref found = Ref::steal(class_attribute(type, name));
    if (found) {
        PyTypeObject* const descriptor = Py_TYPE(found.get());
        if (descriptor->tp_descr_get != nullptr) {
            return is_stored(descriptor, owner) &&
                   give(descriptor->tp_descr_get(found.get(), owner, reinterpret_cast<PyObject*>(type)), out);
        }
    }
    // No descriptor can get in the way: what the instance stores (its dict is not made for that), then the
    // class's plain value. Not by the type's own lookup, which may be the application's.
    return give(_PyObject_GenericGetAttrWithDict(owner, name, nullptr, 1), out);
}

}  // namespace tracepoints
