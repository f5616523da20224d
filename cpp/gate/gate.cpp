#include "gate/gate.hpp"

#include "gate/busy.hpp"
#include "gate/counter.hpp"
#include "gate/gate_object.hpp"
#include "names.hpp"

namespace tracepoints {

thread_local BusyState Busy::state_;

namespace {

bool called(PyObject* answer) noexcept {
    if (answer == nullptr) {
        return false;
    }
    Py_DECREF(answer);
    return true;
}

// What came out of a call is for the application (false, and set again), or ends here.
bool settle(GateObject* gate, const Plan& plan, PyObject* frame) noexcept {
    const Ref error = Ref::steal(take_error());
    const Ref answer = Ref::steal(PyObject_CallMethodObjArgs(gate->rest, names::settle, plan.python.get(),
                                                             frame, error.get(), nullptr));
    if (!answer) {
        if (!PyErr_ExceptionMatches(PyExc_RecursionError) && !PyErr_ExceptionMatches(PyExc_MemoryError)) {
            return false;  // a signal's handler has struck just now
        }
        // The edge of the stack, where there is no room for a call.
        PyErr_Clear();
        count(gate->capture_error);
        return true;
    }
    if (answer.get() == Py_True) {
        restore_error(Ref(error).release());
        return false;
    }
    return true;
}

bool drop(GateObject* gate, const Plan& plan, PyFrameObject* object) noexcept {
    count(gate->rate_limited);
    if (gate->rate_limit_told.load(std::memory_order_relaxed) || gate->rate_limit_told.exchange(true)) {
        return true;
    }
    const Ref kept = plan.python;
    if (called(PyObject_CallMethodObjArgs(gate->rest, names::tell_rate_limit, kept.get(), nullptr))) {
        return true;
    }
    return settle(gate, plan, object != nullptr ? reinterpret_cast<PyObject*>(object) : Py_None);
}

// Calls a method of the Python gate with the frame: its answer, or null where nothing more is to be done;
// `good` is false where what it raised is for the application.
Ref ask(GateObject* gate, PyObject* name, const Plan& plan, PyFrameObject* object, bool& good) noexcept {
    const Ref frame =
        Ref::borrow(reinterpret_cast<PyObject*>(object != nullptr ? object : current_frame_object()));
    // The plan may be replaced while Python runs.
    const Ref kept = plan.python;
    Ref answer;
    if (frame) {
        answer = Ref::steal(PyObject_CallMethodObjArgs(gate->rest, name, kept.get(), frame.get(), nullptr));
    }
    good = answer || settle(gate, plan, frame ? frame.get() : Py_None);
    return answer;
}

// The frame's object is made where it is needed, if there is none yet.
bool judge(GateObject* gate, const Plan& plan, Frame* frame, PyFrameObject* object) noexcept {
    if (plan.budget != nullptr && plan.budget->exhausted()) {
        return true;
    }
    BusyState& state = Busy::state();
    if (state.hits != 0 || state.guards != 0) {
        count(gate->reentrant);
        return true;
    }
    const Busy busy(state);
    if (plan.has_condition) {
        const Verdict verdict = plan.condition == nullptr ? Verdict::kDefer : plan.condition->test(frame);
        if (verdict == Verdict::kFalse) {
            count(gate->condition_false);
            return true;
        }
        if (verdict == Verdict::kDefer) {
            bool good = true;
            const Ref answer = ask(gate, names::holds, plan, object, good);
            if (!answer || answer.get() != Py_True) {
                return good;
            }
        }
    }
    if (plan.bucket->is_surely_dry() || !plan.bucket->take(monotonic_seconds())) {
        return drop(gate, plan, object);
    }
    if (plan.logpoint != nullptr) {
        const Ref kept = plan.python;
        const Logpoint::Way way{hit_parts_of(gate->parts), gate->emitted, gate->capture_error, gate->rest,
                                plan.budget};
        switch (plan.logpoint->hit(way, kept.get(), frame, object)) {
            case Logpoint::End::kTaken:
            case Logpoint::End::kLate: return true;
            case Logpoint::End::kFailed: return false;
            case Logpoint::End::kDropped: count(gate->dropped); return true;
            case Logpoint::End::kOverBudget: count(gate->over_budget); return true;
            case Logpoint::End::kPython: break;
        }
    }
    bool good = true;
    ask(gate, names::admit, plan, object, good);
    return good;
}

}  // namespace

PyObject* gate_call(PyObject* self, PyObject* const* arguments, size_t count, PyObject* names) {
    if (PyVectorcall_NARGS(count) != 1 || names != nullptr || !PyFrame_Check(arguments[0])) {
        PyErr_SetString(PyExc_TypeError, "a gate is called with a frame");
        return nullptr;
    }
    auto* frame = reinterpret_cast<PyFrameObject*>(arguments[0]);
    GateObject* gate = as_gate(self);
    const Visit visit(gate);
    const Plan* plan = gate->plan.load();
    if (plan != nullptr && !judge(gate, *plan, frame_of(frame), frame)) {
        return nullptr;
    }
    Py_RETURN_NONE;
}

bool is_gate(PyObject* object) noexcept {
    return Py_TYPE(object) == gate_type;
}

bool arrive(PyObject* self, Frame* frame) noexcept {
    GateObject* gate = as_gate(self);
    const Visit visit(gate);
    const Plan* plan = gate->plan.load();
    return plan == nullptr || judge(gate, *plan, frame, nullptr);
}

}  // namespace tracepoints
