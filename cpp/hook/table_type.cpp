#include "hook/table_type.hpp"

#include <new>

namespace tracepoints {

namespace {

struct WatchedObject {
    PyObject_HEAD
    Table table;
};

PyTypeObject* table_type = nullptr;

PyObject* table_new(PyTypeObject* type, PyObject*, PyObject*) {
    PyObject* self = type->tp_alloc(type, 0);
    if (self != nullptr) {
        new (&table_of(self)) Table();
    }
    return self;
}

int table_traverse(PyObject* self, visitproc visit, void* arg) {
    if (kInstancesVisitTheirType) {
        Py_VISIT(Py_TYPE(self));
    }
    return table_of(self).traverse(visit, arg);
}

int table_clear(PyObject* self) {
    table_of(self).clear();
    return 0;
}

void table_dealloc(PyObject* self) {
    PyTypeObject* type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    table_of(self).~Table();
    type->tp_free(self);
    Py_DECREF(type);
}

int table_set(PyObject* self, PyObject* key, PyObject* lines) {
    const void* code = PyLong_AsVoidPtr(key);
    if (code == nullptr && PyErr_Occurred() != nullptr) {
        return -1;
    }
    if (lines != nullptr && !PyDict_CheckExact(lines)) {
        PyErr_SetString(PyExc_TypeError, "the lines of a code object come as a dict");
        return -1;
    }
    try {
        return table_of(self).set(code, lines) ? 0 : -1;
    } catch (const std::bad_alloc&) {
        PyErr_NoMemory();
        return -1;
    }
}

PyObject* table_pop(PyObject* self, PyObject* const* arguments, Py_ssize_t count) {
    if (count < 1) {
        PyErr_SetString(PyExc_TypeError, "which?");
        return nullptr;
    }
    if (table_set(self, arguments[0], nullptr) < 0) {
        return nullptr;
    }
    Py_RETURN_NONE;
}

int table_contains(PyObject* self, PyObject* key) {
    const void* code = PyLong_AsVoidPtr(key);
    if (code == nullptr && PyErr_Occurred() != nullptr) {
        return -1;
    }
    return table_of(self).has(code) ? 1 : 0;
}

PyMethodDef table_methods[] = {
    {"pop", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(table_pop)), METH_FASTCALL,
     "Forget a code object, by its identity."},
    {nullptr, nullptr, 0, nullptr},
};

char table_doc[] =
    "Identity of a code object → line → handlers, as `engine.callbacks.Table`; to be written only.";

PyType_Slot table_slots[] = {
    {Py_tp_doc, table_doc},
    {Py_tp_new, reinterpret_cast<void*>(table_new)},
    {Py_tp_dealloc, reinterpret_cast<void*>(table_dealloc)},
    {Py_tp_traverse, reinterpret_cast<void*>(table_traverse)},
    {Py_tp_clear, reinterpret_cast<void*>(table_clear)},
    {Py_tp_methods, table_methods},
    {Py_mp_ass_subscript, reinterpret_cast<void*>(table_set)},
    {Py_sq_contains, reinterpret_cast<void*>(table_contains)},
    {0, nullptr},
};

PyType_Spec table_spec = {
    "otel_tracepoints.engine._native.Table", sizeof(WatchedObject), 0,
    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC, table_slots,
};

}  // namespace

bool is_table(PyObject* object) noexcept {
    return Py_TYPE(object) == table_type;
}

Table& table_of(PyObject* self) noexcept {
    return reinterpret_cast<WatchedObject*>(self)->table;
}

bool add_table(PyObject* module) {
    if (table_type == nullptr) {
        table_type = reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&table_spec));
    }
    return table_type != nullptr &&
           add_object_ref(module, "Table", reinterpret_cast<PyObject*>(table_type)) == 0;
}

}  // namespace tracepoints
