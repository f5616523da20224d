#include "hit/parts.hpp"

#include <new>

#include "hit/snapshot.hpp"
#include "parts.hpp"

namespace tracepoints {

bool HitParts::fill(PyObject* parts) {
    Ref* const wanted[] = {
        &snapshot, &governor, &emitter,   &span_parts,  &observe, &poke,          &function_name,
        &label,    &labels,   &get_ident, &thread_name, &threads, &plain_threads, &task_name,
    };
    constexpr Py_ssize_t count = sizeof(wanted) / sizeof(wanted[0]);
    if (!PyTuple_CheckExact(parts) || PyTuple_GET_SIZE(parts) != count) {
        PyErr_SetString(PyExc_TypeError, "the parts of a hit are a tuple of so many");
        return false;
    }
    for (Py_ssize_t at = 0; at < count; ++at) {
        *wanted[at] = Ref::borrow(PyTuple_GET_ITEM(parts, at));
    }
    if (!is_governor(governor.get())) {
        PyErr_SetString(PyExc_TypeError, "compiled gates need a compiled governor");
        return false;
    }
    if (!PyType_Check(snapshot.get()) || !PyDict_CheckExact(labels.get()) ||
        !PyDict_CheckExact(threads.get()) || !PyTuple_CheckExact(plain_threads.get()) ||
        !span.prepare(span_parts.get())) {
        PyErr_SetString(PyExc_TypeError, "parts of a hit that are none");
        return false;
    }
    auto* type = reinterpret_cast<PyTypeObject*>(snapshot.get());
    return snapshot_maker().is_of(type) || snapshot_maker().prepare(type);
}

int HitParts::traverse(visitproc visit, void* arg) const {
    for (const Ref* each :
         {&snapshot, &governor, &emitter, &span_parts, &observe, &poke, &function_name, &label, &labels,
          &get_ident, &thread_name, &threads, &plain_threads, &task_name}) {
        Py_VISIT(each->get());
    }
    return 0;
}

namespace {

struct PartsObject {
    PyObject_HEAD
    HitParts parts;
};

PyTypeObject* parts_type = nullptr;

PartsObject* as_parts(PyObject* self) {
    return reinterpret_cast<PartsObject*>(self);
}

PyObject* parts_new(PyTypeObject* type, PyObject* arguments, PyObject* keywords) {
    static const char* names[] = {"parts", nullptr};
    PyObject* parts = nullptr;
    if (PyArg_ParseTupleAndKeywords(arguments, keywords, "O", const_cast<char**>(names), &parts) == 0) {
        return nullptr;
    }
    Ref self = Ref::steal(type->tp_alloc(type, 0));
    if (self) {
        new (&as_parts(self.get())->parts) HitParts();
        if (!as_parts(self.get())->parts.fill(parts)) {
            return nullptr;
        }
    }
    return self.release();
}

int parts_traverse(PyObject* self, visitproc visit, void* arg) {
    if (kInstancesVisitTheirType) {
        Py_VISIT(Py_TYPE(self));
    }
    return as_parts(self)->parts.traverse(visit, arg);
}

// Nothing to clear: whoever is in a cycle with it, an emitter or a gate, can be cleared.
void parts_dealloc(PyObject* self) {
    PyTypeObject* type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    as_parts(self)->parts.~HitParts();
    type->tp_free(self);
    Py_DECREF(type);
}

char parts_doc[] = "What compiled gates need for the hits that they make themselves.";

PyType_Slot parts_slots[] = {
    {Py_tp_doc, parts_doc},
    {Py_tp_new, reinterpret_cast<void*>(parts_new)},
    {Py_tp_dealloc, reinterpret_cast<void*>(parts_dealloc)},
    {Py_tp_traverse, reinterpret_cast<void*>(parts_traverse)},
    {0, nullptr},
};

PyType_Spec parts_spec = {
    "otel_tracepoints.engine._native.HitParts", sizeof(PartsObject), 0,
    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,    parts_slots,
};

}  // namespace

bool is_hit_parts(PyObject* object) noexcept {
    return Py_TYPE(object) == parts_type;
}

const HitParts& hit_parts_of(PyObject* object) noexcept {
    return as_parts(object)->parts;
}

bool add_hit_parts(PyObject* module) {
    if (parts_type == nullptr) {
        parts_type = reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&parts_spec));
    }
    return parts_type != nullptr &&
           add_object_ref(module, "HitParts", reinterpret_cast<PyObject*>(parts_type)) == 0;
}

}  // namespace tracepoints
