#include "hit/logpoint.hpp"

#include <algorithm>
#include <ctime>

#include "gate/bucket.hpp"
#include "hit/snapshot.hpp"
#include "message/message.hpp"

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

// What `pipeline._thread_name` says, redacted. Null with an error.
Ref thread_label(const HitParts& parts, PyObject* ident) {
    static PyObject* const field = PyUnicode_InternFromString("_name");
    Ref name;
    const Ref thread = Ref::steal(dict_item(parts.threads.get(), ident));
    if (thread) {
        PyObject* const classes = parts.plain_threads.get();
        for (Py_ssize_t at = 0; at < PyTuple_GET_SIZE(classes) && !name; ++at) {
            if (reinterpret_cast<PyObject*>(Py_TYPE(thread.get())) == PyTuple_GET_ITEM(classes, at)) {
                name = Ref::steal(PyObject_GenericGetAttr(thread.get(), field));
            }
        }
    }
    PyErr_Clear();
    if (!name || !PyUnicode_CheckExact(name.get())) {
        name = Ref::steal(call_one(parts.thread_name.get(), ident));
        if (!name) {
            return name;
        }
    }
    Ref label = Ref::steal(dict_item(parts.labels.get(), name.get()));
    return label ? label : Ref::steal(call_one(parts.label.get(), name.get()));
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
    Ref ident = Ref::steal(PyLong_FromUnsignedLong(PyThread_get_thread_ident()));
    Ref thread = ident ? thread_label(parts, ident.get()) : Ref();
    Ref task = Ref::steal(call_none(parts.task_name.get()));
    Ref made = function && thread && task ? make.make() : Ref();
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

Logpoint::End Logpoint::hit(const HitParts& parts, PyObject* plan, Frame* frame,
                            PyFrameObject* object) const {
    const double begun = monotonic_seconds();
    const Ref allowed = Ref::steal(call_none(parts.allows.get()));
    if (allowed.get() == Py_False) {
        return End::kOverBudget;
    }
    const Ref rendered = Ref::steal(allowed ? render_message(message_.get(), frame) : nullptr);
    if (allowed && (!rendered || rendered.get() == Py_None)) {
        PyErr_Clear();
        return End::kPython;
    }
    Ref snapshot, taken;
    const Ref now = Ref::steal(nanoseconds_now());
    if (allowed && now) {
        snapshot = Ref::steal(this->snapshot(parts, frame, rendered.get(), now.get()));
        if (snapshot) {
            taken = Ref::steal(PyObject_CallFunctionObjArgs(parts.submit.get(), snapshot.get(),
                                                            parts.emitted.get(), nullptr));
        }
    }
    // Waiting for the GIL is not a hit's doing: so much is charged at most (`limits.PauseClock`).
    const double elapsed = std::min(monotonic_seconds() - begun, kMostCharged);
    bool good = static_cast<bool>(taken);
    if (good) {
        const Ref spent = Ref::steal(PyLong_FromLongLong(static_cast<long long>(elapsed * 1e9)));
        const Ref done = Ref::steal(spent ? call_one(parts.spend.get(), spent.get()) : nullptr);
        good = static_cast<bool>(done);
    }
    if (good && taken.get() != Py_True) {
        return End::kDropped;
    }
    if (good) {
        static PyObject* const last_hit = PyUnicode_InternFromString("last_hit_ns");
        const Ref seconds = Ref::steal(PyFloat_FromDouble(elapsed));
        const Ref done = Ref::steal(seconds && PyObject_SetAttr(entry_.get(), last_hit, now.get()) == 0
                                        ? call_one(parts.observe.get(), seconds.get())
                                        : nullptr);
        good = static_cast<bool>(done);
    }
    if (good) {
        return End::kTaken;
    }
    Ref error = Ref::steal(take_error());
    const Ref frame_object =
        Ref::borrow(reinterpret_cast<PyObject*>(object != nullptr ? object : current_frame_object()));
    const Ref passes = Ref::steal(PyObject_CallFunctionObjArgs(
        parts.failed.get(), plan, frame_object ? frame_object.get() : Py_None,
        snapshot ? snapshot.get() : Py_None, error ? error.get() : Py_None, nullptr));
    if (!passes && !PyErr_ExceptionMatches(PyExc_RecursionError) &&
        !PyErr_ExceptionMatches(PyExc_MemoryError)) {
        return End::kFailed;  // a signal's handler has struck just now
    }
    if (passes.get() == Py_True && error) {
        restore_error(error.release());
        return End::kFailed;
    }
    PyErr_Clear();
    return End::kTaken;
}

}  // namespace tracepoints
