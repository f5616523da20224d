// The tracer as Python sees it: made of a table, callable as what `sys.settrace` and `threading.settrace`
// take.
#include "trace/tracer.hpp"

#include <new>

#include "parts.hpp"
#include "trace/live.hpp"

namespace tracepoints {

namespace {

PyTypeObject* tracer_type = nullptr;

PyObject* tracer_new(PyTypeObject* type, PyObject* arguments, PyObject*) {
    PyObject* table = nullptr;
    if (!PyArg_ParseTuple(arguments, "O:Tracer", &table)) {
        return nullptr;
    }
    if (!is_table(table)) {
        PyErr_SetString(PyExc_TypeError, "a tracer is made of a compiled table");
        return nullptr;
    }
    PyObject* self = type->tp_alloc(type, 0);
    if (self != nullptr) {
        Py_INCREF(table);
        as_tracer(self)->table = table;
        new (&as_tracer(self)->on) std::atomic<bool>(false);
        // Without the GIL a thread may be about to call it when it is taken from that thread, and two threads
        // that change who traces a third let go of it twice.
        keep_for_ever(self);
    }
    return self;
}

int tracer_traverse(PyObject* self, visitproc visit, void* arg) {
    if (kInstancesVisitTheirType) {
        Py_VISIT(Py_TYPE(self));
    }
    Py_VISIT(as_tracer(self)->table);
    return 0;
}

int tracer_clear(PyObject* self) {
    Py_CLEAR(as_tracer(self)->table);
    return 0;
}

void tracer_dealloc(PyObject* self) {
    PyTypeObject* type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    forget_tracer(self);
    tracer_clear(self);
    type->tp_free(self);
    Py_DECREF(type);
}

// As a trace function of Python: in a thread that starts, and in one whose tracing the application has put
// aside and back. It makes way for the one of C; but where a trace function of somebody else calls it, as the
// one that was there before, the thread stays with that one.
PyObject* tracer_call(PyObject* self, PyObject*, PyObject*) {
    if (PyThreadState_Get()->c_traceobj == self && !enter_thread(self)) {
        return nullptr;
    }
    Py_RETURN_NONE;
}

PyObject* tracer_set_all(PyObject* self, PyObject* everywhere) {
    const Py_ssize_t others = set_in_all_threads(self, everywhere == Py_True);
    return others < 0 ? nullptr : PyLong_FromSsize_t(others);
}

PyObject* tracer_clear_all(PyObject* self, PyObject*) {
    if (!clear_in_all_threads(self)) {
        return nullptr;
    }
    Ref next = any_live_tracer();
    if (next) {
        return next.release();
    }
    Py_RETURN_NONE;
}

PyMethodDef tracer_methods[] = {
    {"set_all", tracer_set_all, METH_O,
     "Trace every thread that nobody else does; answers how many are left to others. Without the GIL, who"
     " has another thread cannot be seen: the argument says whether to trace them."},
    {"clear_all", tracer_clear_all, METH_NOARGS,
     "Trace no thread any more; answers another that is on, or None."},
    {nullptr, nullptr, 0, nullptr},
};

char tracer_doc[] =
    "A trace function that looks up lines in a table; callable as what sys.settrace and threading.settrace "
    "take.";

PyType_Slot tracer_slots[] = {
    {Py_tp_doc, tracer_doc},
    {Py_tp_new, reinterpret_cast<void*>(tracer_new)},
    {Py_tp_dealloc, reinterpret_cast<void*>(tracer_dealloc)},
    {Py_tp_traverse, reinterpret_cast<void*>(tracer_traverse)},
    {Py_tp_clear, reinterpret_cast<void*>(tracer_clear)},
    {Py_tp_call, reinterpret_cast<void*>(tracer_call)},
    {Py_tp_methods, tracer_methods},
    {0, nullptr},
};

PyType_Spec tracer_spec = {
    "otel_tracepoints.engine._native.Tracer", sizeof(TracerObject), 0,
    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,  tracer_slots,
};

}  // namespace

bool is_tracer(PyObject* object) noexcept {
    return Py_TYPE(object) == tracer_type;
}

bool add_tracer(PyObject* module) {
    if (tracer_type == nullptr) {
        tracer_type = reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&tracer_spec));
    }
    return tracer_type != nullptr &&
           add_object_ref(module, "Tracer", reinterpret_cast<PyObject*>(tracer_type)) == 0;
}

}  // namespace tracepoints
