// The gate as Python sees it.
#include <new>

#include "gate/busy.hpp"
#include "gate/counter.hpp"
#include "gate/gate_object.hpp"
#include "parts.hpp"

namespace tracepoints {

PyTypeObject* gate_type = nullptr;

namespace {

void retire(GateObject* gate, Plan* plan) {
    plan->next_retired = gate->retired.load();
    while (!gate->retired.compare_exchange_weak(plan->next_retired, plan)) {
    }
}

}  // namespace

void replace_plan(GateObject* gate, Plan* next) {
    Plan* before = gate->plan.exchange(next);
    if (before != nullptr) {
        retire(gate, before);
    }
    // Whoever comes from here on sees the new one: if nobody is in here, nobody has one of these.
    Plan* each = gate->retired.exchange(nullptr);
    const bool over = gate->inside.load() == 0;
    while (each != nullptr) {
        Plan* const plan = each;
        each = plan->next_retired;
        if (over) {
            delete plan;
        } else {
            retire(gate, plan);
        }
    }
}

namespace {

PyObject* counter_of(PyObject* counts, const char* outcome) {
    Ref counter = Ref::steal(PyObject_GetAttrString(counts, outcome));
    if (counter && !is_counter(counter.get())) {
        PyErr_SetString(PyExc_TypeError, "a compiled gate needs compiled counters");
        return nullptr;
    }
    return counter.release();
}

PyObject* gate_new(PyTypeObject* type, PyObject* arguments, PyObject* keywords) {
    static const char* names[] = {"rest", "counts", "parts", nullptr};
    PyObject *rest = nullptr, *counts = nullptr, *parts = nullptr;
    if (PyArg_ParseTupleAndKeywords(arguments, keywords, "OOO", const_cast<char**>(names), &rest, &counts,
                                    &parts) == 0) {
        return nullptr;
    }
    if (!is_hit_parts(parts)) {
        PyErr_SetString(PyExc_TypeError, "a gate needs the parts of its hits");
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
    new (&gate->retired) std::atomic<Plan*>(nullptr);
    gate->rest = rest;
    Py_INCREF(rest);
    gate->reentrant = counter_of(counts, "reentrant");
    gate->condition_false = counter_of(counts, "condition_false");
    gate->rate_limited = counter_of(counts, "rate_limited");
    gate->capture_error = counter_of(counts, "capture_error");
    gate->over_budget = counter_of(counts, "over_budget");
    gate->dropped = counter_of(counts, "dropped");
    gate->emitted = counter_of(counts, "emitted");
    gate->parts = Ref::borrow(parts).release();
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
    Py_VISIT(gate->rest);
    Py_VISIT(gate->parts);
    const Plan* plan = gate->plan.load();
    if (plan != nullptr) {
        Py_VISIT(plan->python.get());
    }
    return 0;
}

int gate_clear(PyObject* self) {
    GateObject* gate = as_gate(self);
    replace_plan(gate, nullptr);  // first: without one nobody asks for the rest
    Py_CLEAR(gate->rest);
    Py_CLEAR(gate->reentrant);
    Py_CLEAR(gate->condition_false);
    Py_CLEAR(gate->rate_limited);
    Py_CLEAR(gate->capture_error);
    Py_CLEAR(gate->over_budget);
    Py_CLEAR(gate->dropped);
    Py_CLEAR(gate->emitted);
    Py_CLEAR(gate->parts);
    return 0;
}

void gate_dealloc(PyObject* self) {
    PyTypeObject* type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    gate_clear(self);
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
        replace_plan(as_gate(self), nullptr);
        return 0;
    }
    std::unique_ptr<Plan> plan = Plan::make(value);
    if (plan == nullptr) {
        return -1;
    }
    replace_plan(as_gate(self), plan.release());
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

char gate_doc[] =
    "The handler that a compiled engine calls for one probe: the gates of `pipeline.Gate`, in C++.";

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
    {"guard_thread", guard_thread, METH_O,
     "Keep this thread out of the hit path (True), or let it in again."},
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
