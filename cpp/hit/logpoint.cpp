#include "hit/logpoint.hpp"

#include <algorithm>
#include <ctime>

#include "gate/bucket.hpp"
#include "gate/counter.hpp"
#include "hit/labels.hpp"
#include "hit/snapshot.hpp"
#include "message/message.hpp"
#include "names.hpp"

namespace tracepoints {

namespace {

constexpr double kMostCharged = 400e-6;

Ref attribute(PyObject* object, const char* name) {
    return Ref::steal(PyObject_GetAttrString(object, name));
}

PyObject* nanoseconds_now() {
    timespec now{};
    clock_gettime(CLOCK_REALTIME, &now);
    return PyLong_FromLongLong(now.tv_sec * 1'000'000'000LL + now.tv_nsec);
}

}  // namespace

std::unique_ptr<Logpoint> Logpoint::make(PyObject* plan) {
    auto made = std::make_unique<Logpoint>();
    const Ref renderer = attribute(plan, "renderer");
    const Ref message = renderer ? attribute(renderer.get(), "compiled") : Ref();
    if (!message || !is_message(message.get())) {
        PyErr_Clear();
        return nullptr;
    }
    made->message_ = message;
    made->entry_ = attribute(plan, "entry");
    const Ref probe = made->entry_ ? attribute(made->entry_.get(), "probe") : Ref();
    if (!probe) {
        return nullptr;
    }
    made->id_ = attribute(probe.get(), "id");
    made->type_ = attribute(probe.get(), "type");
    made->level_ = attribute(probe.get(), "level");
    made->file_ = attribute(plan, "file");
    made->line_ = attribute(plan, "line");
    made->tags_ = attribute(plan, "shown_tags");
    made->condition_ = attribute(plan, "shown_condition");
    made->template_ = attribute(plan, "shown_template");
    return PyErr_Occurred() == nullptr ? std::move(made) : nullptr;
}

PyObject* Logpoint::snapshot(const HitParts& parts, Frame* frame, PyObject* rendered, PyObject* now) const {
    const SnapshotMaker& make = snapshot_maker();
    Ref function =
        Ref::steal(call_one(parts.function_name.get(), reinterpret_cast<PyObject*>(code_of(frame))));
    // No further with an error: what follows clears its own, and this one may be for the application.
    Ref ident = function ? thread_ident(parts) : Ref();
    Ref thread = ident ? thread_label(parts, ident.get()) : Ref();
    Ref task = thread ? task_label(parts) : Ref();
    Ref made = task ? make.make() : Ref();
    if (!made) {
        return nullptr;
    }
    PyObject* const object = made.get();
    make.set(object, Slot::kProbeId, Ref(id_).release());
    make.set(object, Slot::kProbeType, Ref(type_).release());
    make.set(object, Slot::kFile, Ref(file_).release());
    make.set(object, Slot::kLine, Ref(line_).release());
    make.set(object, Slot::kFunction, function.release());
    make.set(object, Slot::kTimestamp, Ref::borrow(now).release());
    make.set(object, Slot::kTags, Ref(tags_).release());
    make.set(object, Slot::kCondition, Ref(condition_).release());
    make.set(object, Slot::kThreadId, ident.release());
    make.set(object, Slot::kThreadName, thread.release());
    make.set(object, Slot::kLevel, Ref(level_).release());
    make.set(object, Slot::kTemplate, Ref(template_).release());
    make.set(object, Slot::kMessage, Ref::borrow(PyTuple_GET_ITEM(rendered, 0)).release());
    make.set(object, Slot::kFields, Ref::borrow(PyTuple_GET_ITEM(rendered, 1)).release());
    if (task.get() != Py_None) {
        Py_DECREF(Py_None);
        make.set(object, Slot::kTaskName, task.release());
    }
    return made.release();
}

Logpoint::End Logpoint::hit(const Way& way, PyObject* plan, Frame* frame, PyFrameObject* object) const {
    const HitParts& parts = way.parts;
    const double begun = monotonic_seconds();
    if (!governor_allows(parts.governor.get())) {
        // A clock that fails is none of this process's; Python has the last word on that.
        const bool failed = PyErr_Occurred() != nullptr;
        PyErr_Clear();
        return failed ? End::kPython : End::kOverBudget;
    }
    const Ref rendered = Ref::steal(render_message(message_.get(), frame));
    if (!rendered || rendered.get() == Py_None) {
        PyErr_Clear();
        return End::kPython;
    }
    if (way.budget != nullptr && !way.budget->take()) {
        return End::kLate;
    }
    Ref snapshot;
    Handover::End end = Handover::End::kFailed;
    const Ref now = Ref::steal(nanoseconds_now());
    if (now) {
        snapshot = Ref::steal(this->snapshot(parts, frame, rendered.get(), now.get()));
    }
    // Not before: what runs in a snapshot's making may fork.
    const Handover handover(parts);
    if (snapshot) {
        end = handover.submit(snapshot.get(), way.emitted);
    }
    // Waiting for the GIL is not a hit's doing: so much is charged at most (`limits.PauseClock`).
    const double elapsed = std::min(monotonic_seconds() - begun, kMostCharged);
    governor_of(parts.governor.get()).spend(elapsed * 1e9);
    const bool is_emitted = snapshot && snapshot_maker().is_emitted(snapshot.get());
    if (way.budget != nullptr && !is_emitted) {
        way.budget->give_back();
    }
    if (end == Handover::End::kFull) {
        return End::kDropped;
    }
    if (end == Handover::End::kTaken) {
        if (PyObject_SetAttr(entry_.get(), names::last_hit_ns, now.get()) == 0 && handover.observe(elapsed) &&
            (way.budget == nullptr || !way.budget->exhausted() ||
             Ref::steal(call_one(parts.poke.get(), id_.get())))) {
            return End::kTaken;
        }
    }
    const Ref error = Ref::steal(take_error());
    const Ref frame_object =
        Ref::borrow(reinterpret_cast<PyObject*>(object != nullptr ? object : current_frame_object()));
    PyErr_Clear();  // of the frame's object
    const Ref passes = Ref::steal(PyObject_CallMethodObjArgs(
        way.rest, names::fail, plan, frame_object ? frame_object.get() : Py_None,
        snapshot ? snapshot.get() : Py_None, error ? error.get() : Py_None, nullptr));
    if (!passes && !PyErr_ExceptionMatches(PyExc_RecursionError) &&
        !PyErr_ExceptionMatches(PyExc_MemoryError)) {
        return End::kFailed;  // a signal's handler has struck just now
    }
    if (!passes && !is_emitted) {
        count(way.capture_error);  // there was no room to be told
    }
    if (passes.get() == Py_True && error) {
        restore_error(Ref(error).release());
        return End::kFailed;
    }
    PyErr_Clear();
    return End::kTaken;
}

}  // namespace tracepoints
