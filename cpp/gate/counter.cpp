#include "gate/counter.hpp"

#include <new>

#include "parts.hpp"

namespace tracepoints {

namespace {

PyTypeObject* counter_type = nullptr;

PyObject* counter_new(PyTypeObject* type, PyObject* arguments, PyObject* keywords) {
    static const char* names[] = {"start", nullptr};
    long long start = 0;
    if (PyArg_ParseTupleAndKeywords(arguments, keywords, "|L", const_cast<char**>(names), &start) == 0) {
        return nullptr;
    }
    PyObject* self = type->tp_alloc(type, 0);
    if (self != nullptr) {
        new (&reinterpret_cast<CounterObject*>(self)->number) std::atomic<std::int64_t>(start);
    }
    return self;
}

void counter_dealloc(PyObject* self) {
    PyTypeObject* type = Py_TYPE(self);
    type->tp_free(self);
    Py_DECREF(type);
}

PyObject* counter_next(PyObject* self) {
    return PyLong_FromLongLong(count(self));
}

PyObject* counter_take(PyObject* self, PyObject*) {
    return counter_next(self);
}

PyObject* counter_value(PyObject* self, void*) {
    return PyLong_FromLongLong(reinterpret_cast<CounterObject*>(self)->number.load());
}

PyMethodDef counter_methods[] = {
    {"take", counter_take, METH_NOARGS, "Raises the counter by one; answers what it was before."},
    {nullptr, nullptr, 0, nullptr},
};

PyGetSetDef counter_attributes[] = {
    {"value", counter_value, nullptr, "How often it was raised.", nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};

char counter_doc[] = "See `otel_tracepoints.limits.Count`: the same, for compiled gates.";

PyType_Slot counter_slots[] = {
    {Py_tp_doc, counter_doc},
    {Py_tp_new, reinterpret_cast<void*>(counter_new)},
    {Py_tp_dealloc, reinterpret_cast<void*>(counter_dealloc)},
    {Py_tp_iter, reinterpret_cast<void*>(PyObject_SelfIter)},
    {Py_tp_iternext, reinterpret_cast<void*>(counter_next)},
    {Py_tp_methods, counter_methods},
    {Py_tp_getset, counter_attributes},
    {0, nullptr},
};

PyType_Spec counter_spec = {
    "otel_tracepoints.engine._native.Count", sizeof(CounterObject), 0, Py_TPFLAGS_DEFAULT, counter_slots,
};

}  // namespace

bool is_counter(PyObject* object) noexcept {
    return Py_TYPE(object) == counter_type;
}

bool add_counter(PyObject* module) {
    if (counter_type == nullptr) {
        counter_type = reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&counter_spec));
    }
    return counter_type != nullptr &&
           add_object_ref(module, "Count", reinterpret_cast<PyObject*>(counter_type)) == 0;
}

}  // namespace tracepoints
