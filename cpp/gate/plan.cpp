#include "gate/plan.hpp"

namespace tracepoints {

std::unique_ptr<Plan> Plan::make(PyObject* object) {
    auto plan = std::make_unique<Plan>();
    plan->python = Ref::borrow(object);
    const Ref condition = Ref::steal(PyObject_GetAttrString(object, "condition"));
    plan->bucket_object = Ref::steal(PyObject_GetAttrString(object, "bucket"));
    Ref budget = Ref::steal(PyObject_GetAttrString(object, "budget"));
    if (!condition || !plan->bucket_object || !budget) {
        return nullptr;
    }
    if (!is_bucket(plan->bucket_object.get())) {
        PyErr_SetString(PyExc_TypeError, "a compiled gate needs a compiled token bucket");
        return nullptr;
    }
    plan->bucket = &bucket_of(plan->bucket_object.get());
    const Ref limited = Ref::steal(PyObject_GetAttrString(budget.get(), "limited"));
    if (!limited) {
        return nullptr;
    }
    if (PyObject_IsTrue(limited.get()) == 1) {
        if (!is_budget(budget.get())) {
            PyErr_SetString(PyExc_TypeError, "a compiled gate needs a compiled hit budget");
            return nullptr;
        }
        plan->budget = &budget_of(budget.get());
        plan->budget_object = std::move(budget);
    }
    plan->has_condition = condition.get() != Py_None;
    if (plan->has_condition) {
        const Ref lowered = Ref::steal(PyObject_GetAttrString(condition.get(), "lowered"));
        if (!lowered) {
            return nullptr;
        }
        if (lowered.get() != Py_None) {
            plan->condition = Condition::make(lowered.get());
            if (plan->condition == nullptr && PyErr_Occurred() != nullptr) {
                return nullptr;
            }
        }
    }
    plan->logpoint = Logpoint::make(object);
    if (plan->logpoint == nullptr && PyErr_Occurred() != nullptr) {
        return nullptr;
    }
    return plan;
}

}  // namespace tracepoints
