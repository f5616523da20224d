#include "expression/attribute.hpp"

#include "capture/knowledge.hpp"
#include "names.hpp"

namespace tracepoints {

namespace {

// The C type of a namedtuple's fields; it has no name in the C API.
PyTypeObject* field_type = nullptr;

// An enum's ``name`` and ``value``, and where a member keeps them.
struct Stored {
    PyObject* descriptor;
    PyObject* name;
};
Stored enum_name{}, enum_value{};
PyObject* enum_type = nullptr;

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

// What the instance's own dict has under the name, where there is no doubt which dict that is.
bool own_field(PyObject* owner, PyObject* name, Value& out) noexcept {
    PyTypeObject* const type = Py_TYPE(owner);
    const Ref getter = Ref::steal(class_attribute(type, names::own_dict));
    // A getter that was taken from another class reads what is not there.
    if (!getter || !is_made_dict(getter.get()) || PyType_IsSubtype(type, PyDescr_TYPE(getter.get())) == 0) {
        return false;
    }
    const InstanceFields fields = instance_fields(owner);
    const Ref dict = Ref::steal(fields.dict);
    if (dict) {
        return PyDict_CheckExact(dict.get()) && give(dict_item(dict.get(), name), out);
    }
    for (Py_ssize_t at = 0; fields.values != nullptr && at < fields.count; ++at) {
        PyObject *stored, *value;
        inline_value(fields, type, at, &stored, &value);
        if (stored == name && value != nullptr) {
            Py_INCREF(value);
            out.steal(value);
            return true;
        }
    }
    // The dict may not be had, where it is made first.
    PyErr_Clear();
    return false;
}

bool prepare_stored(PyObject* owner, const char* name, const char* stored, Stored& made) {
    made.descriptor = PyObject_GetItem(owner, Ref::steal(PyUnicode_FromString(name)).get());
    made.name = PyUnicode_InternFromString(stored);
    return made.descriptor != nullptr && made.name != nullptr;
}

bool prepare_enums() {
    const Ref module = Ref::steal(PyImport_ImportModule("enum"));
    const Ref type = Ref::steal(module ? PyObject_GetAttrString(module.get(), "Enum") : nullptr);
    const Ref names = Ref::steal(type ? PyObject_GetAttrString(type.get(), "__dict__") : nullptr);
    enum_type = Ref(type).release();
    return names && prepare_stored(names.get(), "name", "_name_", enum_name) &&
           prepare_stored(names.get(), "value", "_value_", enum_value);
}

// `again`: what an enum's descriptor led to. There it is for Python if that leads on: it may lead in a
// circle.
bool read(PyObject* owner, PyObject* name, Value& out, bool again) noexcept {
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
            if (is_stored(descriptor, owner)) {
                return give(descriptor->tp_descr_get(found.get(), owner, reinterpret_cast<PyObject*>(type)),
                            out);
            }
            for (const Stored& each : {enum_name, enum_value}) {
                if (found.get() == each.descriptor) {
                    return !again && read(owner, each.name, out, true);
                }
            }
            // Of a C getter only some may be asked. A descriptor of Python is not: a column of a database's
            // row, say, is in the instance's dict where it is loaded.
            return PyType_HasFeature(descriptor, Py_TPFLAGS_HEAPTYPE) && own_field(owner, name, out);
        }
    }
    // No descriptor can get in the way: what the instance stores (its dict is not made for that), then the
    // class's plain value. Not by the type's own lookup, which may be the application's.
    return give(_PyObject_GenericGetAttrWithDict(owner, name, nullptr, 1), out);
}

}  // namespace

bool prepare_attributes() {
    if (enum_name.name == nullptr && !prepare_enums()) {
        return false;
    }
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

bool is_enum(PyTypeObject* type) noexcept {
    return reinterpret_cast<PyObject*>(type) == enum_type;
}

bool attribute(PyObject* owner, PyObject* name, Value& out) noexcept {
    return read(owner, name, out, false);
}

}  // namespace tracepoints
