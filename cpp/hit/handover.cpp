#include "hit/handover.hpp"

#include "gate/counter.hpp"
#include "hit/snapshot.hpp"
#include "names.hpp"

namespace tracepoints {

namespace {

// Where they are in `emission.intake.WayIn`.
enum { kTakePlace, kGivePlaceBack, kArrived, kMark, kQueued, kDelivery, kObserve, kWays };

}  // namespace

Handover::Handover(const HitParts& parts) : parts_(parts) {
    const PendingError error;
    way_ = Ref::steal(PyObject_GetAttr(parts.emitter.get(), names::way_in));
    if (!way_ || !PyTuple_Check(way_.get()) || PyTuple_GET_SIZE(way_.get()) != kWays) {
        PyErr_Clear();
        way_.reset();
    }
}

// Whether log records leave as such: else a hit within a span may have to become an event of it.
bool Handover::takes_logs() const {
    const Ref only_events = Ref::steal(PyObject_GetAttr(part(kDelivery), names::events_only));
    PyErr_Clear();
    return only_events.get() == Py_False;
}

Handover::End Handover::by_python(PyObject* snapshot, PyObject* emitted) const {
    const Ref take = Ref::steal(PyObject_GetAttrString(emitted, "take"));
    const Ref submit = Ref::steal(PyObject_GetAttrString(parts_.emitter.get(), "submit"));
    const Ref taken = Ref::steal(
        submit && take ? PyObject_CallFunctionObjArgs(submit.get(), snapshot, take.get(), nullptr) : nullptr);
    if (!taken) {
        return End::kFailed;
    }
    return taken.get() == Py_True ? End::kTaken : End::kFull;
}

Handover::End Handover::submit(PyObject* snapshot, PyObject* emitted) const {
    Ref trace = way_ ? parts_.span.trace() : Ref();
    if (!trace || (trace.get() != Py_None && !takes_logs())) {
        return by_python(snapshot, emitted);
    }
    const Ref record = Ref::steal(PyTuple_Pack(2, snapshot, part(kQueued)));
    const Ref place = Ref::steal(record ? call_none(part(kTakePlace)) : nullptr);
    if (!place) {
        if (record && PyErr_ExceptionMatches(PyExc_IndexError)) {
            PyErr_Clear();
            return End::kFull;
        }
        return End::kFailed;
    }
    Ref number = Ref::steal(PyLong_FromLongLong(count(emitted) + 1));
    if (!number) {  // no memory for it
        const PendingError error;
        const Ref given = Ref::steal(call_one(part(kGivePlaceBack), Py_None));
        return End::kFailed;
    }
    const SnapshotMaker& make = snapshot_maker();
    make.replace(snapshot, Slot::kTrace, std::move(trace));
    make.replace(snapshot, Slot::kHitCount, std::move(number));
    Ref added = Ref::steal(call_one(part(kArrived), record.get()));
    if (!added) {  // once more, as Python does; it is counted already
        const PendingError error;
        added = Ref::steal(call_one(part(kArrived), record.get()));
        PyErr_Clear();
        const Ref given =
            Ref::steal(added ? call_one(part(kMark), Py_None) : call_one(part(kGivePlaceBack), Py_None));
        PyErr_Clear();
        return End::kFailed;
    }
    const Ref marked = Ref::steal(call_one(part(kMark), Py_None));
    return marked ? End::kTaken : End::kFailed;
}

bool Handover::observe(double seconds) const {
    const Ref value = Ref::steal(PyFloat_FromDouble(seconds));
    PyObject* const observe = way_ ? part(kObserve) : parts_.observe.get();
    const Ref done = Ref::steal(value ? call_one(observe, value.get()) : nullptr);
    return static_cast<bool>(done);
}

}  // namespace tracepoints
