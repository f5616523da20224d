#include "hit/snapshot.hpp"

namespace tracepoints {

namespace {

constexpr const char* kNames[] = {
    "arguments", "condition", "failure",   "fields",   "file",      "function",    "hit_count",
    "level",     "line",      "message",   "omitted",  "probe_id",  "probe_type",  "sequence",
    "stack",     "tags",      "task_name", "template", "thread_id", "thread_name", "timestamp_ns",
    "trace",     "truncated", "variables", "watches",
};

}  // namespace

bool SnapshotMaker::prepare(PyTypeObject* type) {
    static_assert(sizeof(kNames) / sizeof(kNames[0]) == static_cast<std::size_t>(Slot::kCount));
    const Ref slots = Ref::steal(PyObject_GetAttrString(reinterpret_cast<PyObject*>(type), "__slots__"));
    const Py_ssize_t count = slots ? PySequence_Size(slots.get()) : -1;
    if (count != static_cast<Py_ssize_t>(Slot::kCount)) {
        PyErr_SetString(PyExc_TypeError, "a snapshot has other slots than these");
        return false;
    }
    for (std::size_t at = 0; at < offsets_.size(); ++at) {
        const Ref found = Ref::steal(PyObject_GetAttrString(reinterpret_cast<PyObject*>(type), kNames[at]));
        if (!found || Py_TYPE(found.get()) != &PyMemberDescr_Type) {
            PyErr_SetString(PyExc_TypeError, "a snapshot has other slots than these");
            return false;
        }
        offsets_[at] = reinterpret_cast<PyMemberDescrObject*>(found.get())->d_member->offset;
    }
    type_ = type;
    return true;
}

SnapshotMaker& snapshot_maker() {
    static SnapshotMaker made;
    return made;
}

Ref SnapshotMaker::make() const {
    Ref variables = Ref::steal(PyDict_New());
    Ref watches = Ref::steal(PyList_New(0));
    Ref stack = Ref::steal(PyList_New(0));
    Ref arguments = Ref::steal(PyTuple_New(0));
    Ref zero = Ref::steal(PyLong_FromLong(0));
    Ref made =
        Ref::steal(variables && watches && stack && arguments && zero ? type_->tp_alloc(type_, 0) : nullptr);
    if (!made) {
        return made;
    }
    PyObject* object = made.get();
    for (const Slot slot : {Slot::kFailure, Slot::kTrace, Slot::kTaskName}) {
        set(object, slot, Ref::borrow(Py_None).release());
    }
    for (const Slot slot : {Slot::kHitCount, Slot::kSequence, Slot::kOmitted}) {
        set(object, slot, Ref(zero).release());
    }
    set(object, Slot::kTruncated, Ref::borrow(Py_False).release());
    set(object, Slot::kVariables, variables.release());
    set(object, Slot::kWatches, watches.release());
    set(object, Slot::kStack, stack.release());
    set(object, Slot::kArguments, arguments.release());
    return made;
}

}  // namespace tracepoints
