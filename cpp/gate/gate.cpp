#include "gate/gate.hpp"

#include <atomic>
#include <new>
#include <vector>

#include "gate/busy.hpp"
#include "gate/plan.hpp"
#include "parts.hpp"

namespace tracepoints {

thread_local int Busy::depth_ = 0;

namespace {

struct GateObject {
    PyObject_HEAD
    vectorcallfunc call;
    // Bound methods of the `pipeline.Gate` that has the rest of the way.
    PyObject* holds;
    PyObject* admit;
    PyObject* settle;
    PyObject* tell_rate_limit;
    // Iterators that count, one an outcome.
    PyObject* reentrant;
    PyObject* condition_false;
    PyObject* rate_limited;
    PyObject* capture_error;
    std::atomic<Plan*> plan;
    // From the first hit dropped by the rate limit until that has been reported.
    std::atomic<bool> rate_limit_told;
    // Hits that are in here now, and plans that were replaced while some were: only without the GIL
    // can a plan be taken away under a hit that has not taken a reference yet.
    std::atomic<int> inside;
    std::vector<Plan*>* retired;
};

PyTypeObject* gate_type = nullptr;

GateObject* as_gate(PyObject* self) {
    return reinterpret_cast<GateObject*>(self);
}

class Visit {
public:
    explicit Visit(GateObject* gate) noexcept : gate_(gate) { add(1); }
    ~Visit() { add(-1); }
    Visit(const Visit&) = delete;
    Visit& operator=(const Visit&) = delete;

private:
    void add(int change) noexcept {
        if (kFreeThreaded) {
            gate_->inside.fetch_add(change);
        } else {
            // The GIL is held: no other thread does the same at this moment.
            gate_->inside.store(gate_->inside.load(std::memory_order_relaxed) + change, std::memory_order_relaxed);
        }
    }

    GateObject* gate_;
};

// Raises a counter by one.
void count(PyObject* numbers) noexcept {
    PyObject* number = Py_TYPE(numbers)->tp_iternext(numbers);
    if (number == nullptr) {
        PyErr_Clear();  // no memory for a number
        return;
    }
    Py_DECREF(number);
}

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
    const Ref answer = Ref::steal(
        PyObject_CallFunctionObjArgs(gate->settle, plan.python.get(), frame, error.get(), nullptr));
    if (!answer) {
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
    if (called(call_one(gate->tell_rate_limit, kept.get()))) {
        return true;
    }
    return settle(gate, plan, object != nullptr ? reinterpret_cast<PyObject*>(object) : Py_None);
}

// Calls a method of the Python gate with the frame: its answer, or null where nothing more is to be done;
// `good` is false where what it raised is for the application.
Ref ask(GateObject* gate, PyObject* method, const Plan& plan, PyFrameObject* object, bool& good) noexcept {
    const Ref frame = Ref::borrow(reinterpret_cast<PyObject*>(object != nullptr ? object : current_frame_object()));
    // The plan may be replaced while Python runs.
    const Ref kept = plan.python;
    Ref answer;
    if (frame) {
        answer = Ref::steal(PyObject_CallFunctionObjArgs(method, kept.get(), frame.get(), nullptr));
    }
    good = answer || settle(gate, plan, frame ? frame.get() : Py_None);
    return answer;
}

// Whether its hits are used up; the last word on that has the Python gate.
bool is_exhausted(const Plan& plan) noexcept {
    const Ref over = Ref::steal(PyObject_GetAttrString(plan.budget.get(), "exhausted"));
    if (!over) {
        PyErr_Clear();
        return false;
    }
    return over.get() == Py_True;
}

// The frame's object is made where it is needed, if there is none yet.
bool judge(GateObject* gate, const Plan& plan, Frame* frame, PyFrameObject* object) noexcept {
    if (plan.budget && is_exhausted(plan)) {
        return true;
    }
    if (Busy::is()) {
        count(gate->reentrant);
        return true;
    }
    const Busy busy;
    if (plan.has_condition) {
        const Verdict verdict = plan.condition == nullptr ? Verdict::kDefer : plan.condition->test(frame);
        if (verdict == Verdict::kFalse) {
            count(gate->condition_false);
            return true;
        }
        if (verdict == Verdict::kDefer) {
            bool good = true;
            const Ref answer = ask(gate, gate->holds, plan, object, good);
            if (!answer || answer.get() != Py_True) {
                return good;
            }
        }
    }
    if (plan.bucket->is_surely_dry() || !plan.bucket->take(monotonic_seconds())) {
        return drop(gate, plan, object);
    }
    bool good = true;
    ask(gate, gate->admit, plan, object, good);
    return good;
}

void free_retired(GateObject* gate) {
    if (gate->retired != nullptr && gate->inside.load() == 0) {
        for (Plan* each : *gate->retired) {
            delete each;
        }
        gate->retired->clear();
    }
}

void replace(GateObject* gate, Plan* next) {
    Plan* before = gate->plan.exchange(next);
    if (before == nullptr) {
        return;
    }
    if (gate->inside.load() == 0) {
        // Whoever comes from here on sees the new one.
        delete before;
        free_retired(gate);
    } else {
        gate->retired->push_back(before);
    }
}

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

}  // namespace

bool is_gate(PyObject* object) noexcept {
    return Py_TYPE(object) == gate_type;
}

bool arrive(PyObject* self, Frame* frame) noexcept {
    GateObject* gate = as_gate(self);
    const Visit visit(gate);
    const Plan* plan = gate->plan.load();
    return plan == nullptr || judge(gate, *plan, frame, nullptr);
}

namespace {

PyObject* iterator_of(PyObject* counts, const char* outcome) {
    const Ref counter = Ref::steal(PyObject_GetAttrString(counts, outcome));
    if (!counter) {
        return nullptr;
    }
    Ref numbers = Ref::steal(PyObject_GetAttrString(counter.get(), "numbers"));
    if (numbers && Py_TYPE(numbers.get())->tp_iternext == nullptr) {
        PyErr_SetString(PyExc_TypeError, "a counter has an iterator");
        return nullptr;
    }
    return numbers.release();
}

PyObject* gate_new(PyTypeObject* type, PyObject* arguments, PyObject* keywords) {
    static const char* names[] = {"rest", "counts", nullptr};
    PyObject *rest = nullptr, *counts = nullptr;
    if (PyArg_ParseTupleAndKeywords(arguments, keywords, "OO", const_cast<char**>(names), &rest, &counts) == 0) {
        return nullptr;
    }
    Ref self = Ref::steal(type->tp_alloc(type, 0));
    if (!self) {
        return nullptr;
    }
    GateObject* gate = as_gate(self.get());
    gate->call = gate_call;
    new (&gate->plan) std::atomic<Plan*>(nullptr);
    new (&gate->rate_limit_told) std::atomic<bool>(false);
    new (&gate->inside) std::atomic<int>(0);
    gate->retired = new std::vector<Plan*>();
    gate->holds = PyObject_GetAttrString(rest, "holds");
    gate->admit = PyObject_GetAttrString(rest, "admit");
    gate->settle = PyObject_GetAttrString(rest, "settle");
    gate->tell_rate_limit = PyObject_GetAttrString(rest, "tell_rate_limit");
    gate->reentrant = iterator_of(counts, "reentrant");
    gate->condition_false = iterator_of(counts, "condition_false");
    gate->rate_limited = iterator_of(counts, "rate_limited");
    gate->capture_error = iterator_of(counts, "capture_error");
    if (PyErr_Occurred() != nullptr) {
        return nullptr;
    }
    return self.release();
}

int gate_traverse(PyObject* self, visitproc visit, void* arg) {
    GateObject* gate = as_gate(self);
    if (kInstancesVisitTheirType) {
        Py_VISIT(Py_TYPE(self));
    }
    Py_VISIT(gate->holds);
    Py_VISIT(gate->admit);
    Py_VISIT(gate->settle);
    Py_VISIT(gate->tell_rate_limit);
    const Plan* plan = gate->plan.load();
    if (plan != nullptr) {
        Py_VISIT(plan->python.get());
    }
    return 0;
}

int gate_clear(PyObject* self) {
    GateObject* gate = as_gate(self);
    Py_CLEAR(gate->holds);
    Py_CLEAR(gate->admit);
    Py_CLEAR(gate->settle);
    Py_CLEAR(gate->tell_rate_limit);
    Py_CLEAR(gate->reentrant);
    Py_CLEAR(gate->condition_false);
    Py_CLEAR(gate->rate_limited);
    Py_CLEAR(gate->capture_error);
    if (gate->retired != nullptr) {
        replace(gate, nullptr);
        free_retired(gate);
    }
    return 0;
}

void gate_dealloc(PyObject* self) {
    PyTypeObject* type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    gate_clear(self);
    delete as_gate(self)->retired;
    type->tp_free(self);
    Py_DECREF(type);
}

PyObject* gate_plan(PyObject* self, void*) {
    GateObject* gate = as_gate(self);
    const Visit visit(gate);
    const Plan* plan = gate->plan.load();
    PyObject* object = plan == nullptr ? Py_None : plan->python.get();
    Py_INCREF(object);
    return object;
}

int gate_set_plan(PyObject* self, PyObject* value, void*) {
    if (value == nullptr || value == Py_None) {
        replace(as_gate(self), nullptr);
        return 0;
    }
    std::unique_ptr<Plan> plan = Plan::make(value);
    if (plan == nullptr) {
        return -1;
    }
    replace(as_gate(self), plan.release());
    return 0;
}

PyObject* gate_told(PyObject* self, void*) {
    return PyBool_FromLong(as_gate(self)->rate_limit_told.load());
}

int gate_set_told(PyObject* self, PyObject* value, void*) {
    const int told = value == nullptr ? 0 : PyObject_IsTrue(value);
    if (told < 0) {
        return -1;
    }
    as_gate(self)->rate_limit_told.store(told == 1);
    return 0;
}

PyObject* guard_thread(PyObject*, PyObject* on) {
    const int guarded = PyObject_IsTrue(on);
    if (guarded < 0) {
        return nullptr;
    }
    Busy::guard(guarded == 1);
    Py_RETURN_NONE;
}

PyGetSetDef gate_attributes[] = {
    {"plan", gate_plan, gate_set_plan, "The `pipeline.Plan`; None while the probe is off.", nullptr},
    {"rate_limit_told", gate_told, gate_set_told, "See `pipeline.Gate`.", nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};

PyMemberDef gate_members[] = {
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(GateObject, call), READONLY, nullptr},
    {nullptr, 0, 0, 0, nullptr},
};

char gate_doc[] = "The handler that a compiled engine calls for one probe: the gates of `pipeline.Gate`, in C++.";

PyType_Slot gate_slots[] = {
    {Py_tp_doc, gate_doc},
    {Py_tp_new, reinterpret_cast<void*>(gate_new)},
    {Py_tp_dealloc, reinterpret_cast<void*>(gate_dealloc)},
    {Py_tp_traverse, reinterpret_cast<void*>(gate_traverse)},
    {Py_tp_clear, reinterpret_cast<void*>(gate_clear)},
    {Py_tp_getset, gate_attributes},
    {Py_tp_members, gate_members},
    {Py_tp_call, reinterpret_cast<void*>(PyVectorcall_Call)},
    {0, nullptr},
};

PyType_Spec gate_spec = {
    "otel_tracepoints.engine._native.Gate",
    sizeof(GateObject),
    0,
    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | kHasVectorcall,
    gate_slots,
};

PyMethodDef gate_functions[] = {
    {"guard_thread", guard_thread, METH_O, "Keep this thread out of the hit path (True), or let it in again."},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace

bool add_gate(PyObject* module) {
    if (gate_type == nullptr) {
        gate_type = reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&gate_spec));
        if (gate_type != nullptr) {
            gate_type->tp_vectorcall_offset = offsetof(GateObject, call);  // 3.8 has no member for it
        }
    }
    return gate_type != nullptr &&
           add_object_ref(module, "Gate", reinterpret_cast<PyObject*>(gate_type)) == 0 &&
           PyModule_AddFunctions(module, gate_functions) == 0;
}

}  // namespace tracepoints
