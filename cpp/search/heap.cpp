#include "search/heap.hpp"

#include "ref.hpp"

namespace tracepoints {

namespace {

PyObject* get_objects = nullptr;

struct Visitor {
    Visit visit;
    void* argument;
};

int visit_one(PyObject* object, void* argument) noexcept {
    const Visitor* visitor = static_cast<Visitor*>(argument);
    return visitor->visit(object, visitor->argument) ? 1 : 0;
}

// A list of them exists in here only: to whoever asks for all objects it would be one that leads to all.
void go_through_list(PyObject* objects, Visitor& visitor) {
    const Py_ssize_t count = PyList_GET_SIZE(objects);
    for (Py_ssize_t index = 0; index < count; ++index) {
        if (visit_one(PyList_GET_ITEM(objects, index), &visitor) == 0) {
            break;
        }
    }
    visitor.visit(nullptr, visitor.argument);
}

bool go_through_generation(PyObject* generation, Visitor& visitor) {
    const Ref objects = Ref::steal(call_one(get_objects, generation));
    if (!objects || !PyList_CheckExact(objects.get())) {
        if (objects) {
            PyErr_SetString(PyExc_TypeError, "gc.get_objects() is not that of the interpreter");
        }
        return false;
    }
    go_through_list(objects.get(), visitor);
    return true;
}

}  // namespace

bool go_through_heap(bool young, Visit visit, void* argument) {
    Visitor visitor{visit, argument};
    if (!young) {
        if (kVisitsObjects) {
            visit_objects(visit_one, &visitor);
            visit(nullptr, argument);
            return true;
        }
        return go_through_generation(Py_None, visitor);
    }
    // The youngest first: a collection in between moves what it held to the next.
    for (const long generation : {0L, 1L}) {
        const Ref number = Ref::steal(PyLong_FromLong(generation));
        if (!number || !go_through_generation(number.get(), visitor)) {
            return false;
        }
    }
    return true;
}

bool prepare_heap() {
    if (get_objects != nullptr) {
        return true;
    }
    const Ref collector = Ref::steal(PyImport_ImportModule("gc"));
    if (collector) {
        get_objects = PyObject_GetAttrString(collector.get(), "get_objects");
    }
    return get_objects != nullptr;
}

}  // namespace tracepoints
