#include "hit/parts.hpp"

#include "hit/snapshot.hpp"

namespace tracepoints {

std::unique_ptr<HitParts> HitParts::make(PyObject* parts) {
    auto made = std::make_unique<HitParts>();
    Ref* const wanted[] = {
        &made->snapshot, &made->allows,        &made->spend,     &made->submit, &made->emitted,
        &made->observe,  &made->function_name, &made->label,     &made->labels, &made->thread_name,
        &made->threads,  &made->plain_threads, &made->task_name, &made->failed,
    };
    constexpr Py_ssize_t count = sizeof(wanted) / sizeof(wanted[0]);
    if (!PyTuple_CheckExact(parts) || PyTuple_GET_SIZE(parts) != count) {
        PyErr_SetString(PyExc_TypeError, "the parts of a hit are a tuple of so many");
        return nullptr;
    }
    for (Py_ssize_t at = 0; at < count; ++at) {
        *wanted[at] = Ref::borrow(PyTuple_GET_ITEM(parts, at));
    }
    if (!PyType_Check(made->snapshot.get()) || !PyDict_CheckExact(made->labels.get()) ||
        !PyDict_CheckExact(made->threads.get()) || !PyTuple_CheckExact(made->plain_threads.get())) {
        PyErr_SetString(PyExc_TypeError, "parts of a hit that are none");
        return nullptr;
    }
    auto* type = reinterpret_cast<PyTypeObject*>(made->snapshot.get());
    if (!snapshot_maker().is_of(type) && !snapshot_maker().prepare(type)) {
        return nullptr;
    }
    return made;
}

int HitParts::traverse(visitproc visit, void* arg) const {
    for (const Ref* each : {&snapshot, &allows, &spend, &submit, &emitted, &observe, &function_name, &label,
                            &labels, &thread_name, &threads, &plain_threads, &task_name, &failed}) {
        Py_VISIT(each->get());
    }
    return 0;
}

}  // namespace tracepoints
