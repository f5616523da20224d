#include "gate/budget.hpp"

#include <limits>
#include <new>

#include "parts.hpp"

namespace tracepoints {

namespace {

struct BudgetObject {
    PyObject_HEAD
    HitBudget budget;
};

PyTypeObject* budget_type = nullptr;

BudgetObject* as_budget(PyObject* self) {
    return reinterpret_cast<BudgetObject*>(self);
}

PyObject* budget_new(PyTypeObject* type, PyObject* arguments, PyObject* keywords) {
    static const char* names[] = {"limit", "used", nullptr};
    PyObject* limit = nullptr;
    long long used = 0;
    if (PyArg_ParseTupleAndKeywords(arguments, keywords, "O!|L", const_cast<char**>(names), &PyLong_Type,
                                    &limit, &used) == 0) {
        return nullptr;
    }
    // More than so many no process makes.
    int overflow = 0;
    const long long exact = PyLong_AsLongLongAndOverflow(limit, &overflow);
    const long long most = overflow > 0 ? std::numeric_limits<long long>::max() : exact;
    PyObject* self = type->tp_alloc(type, 0);
    if (self != nullptr) {
        new (&as_budget(self)->budget) HitBudget(most, used);
    }
    return self;
}

void budget_dealloc(PyObject* self) {
    PyTypeObject* type = Py_TYPE(self);
    type->tp_free(self);
    Py_DECREF(type);
}

bool is_list(PyObject* held) {
    if (PyList_CheckExact(held)) {
        return true;
    }
    PyErr_SetString(PyExc_TypeError, "a ticket is held in a list");
    return false;
}

// A ticket is whatever is in the list: here only that it is there counts.
PyObject* budget_take(PyObject* self, PyObject* held) {
    if (!is_list(held)) {
        return nullptr;
    }
    HitBudget& budget = as_budget(self)->budget;
    if (!budget.take()) {
        Py_RETURN_FALSE;
    }
    if (PyList_Append(held, Py_None) < 0) {
        budget.give_back();
        return nullptr;
    }
    Py_RETURN_TRUE;
}

PyObject* budget_give_back(PyObject* self, PyObject* held) {
    if (!is_list(held)) {
        return nullptr;
    }
    if (PyList_GET_SIZE(held) != 0) {
        if (PyList_SetSlice(held, 0, PyList_GET_SIZE(held), nullptr) < 0) {
            return nullptr;
        }
        as_budget(self)->budget.give_back();
    }
    Py_RETURN_NONE;
}

PyObject* budget_exhausted(PyObject* self, void*) {
    return PyBool_FromLong(as_budget(self)->budget.exhausted());
}

PyObject* budget_limited(PyObject*, void*) {
    Py_RETURN_TRUE;
}

PyMethodDef budget_methods[] = {
    {"take", budget_take, METH_O, "One ticket into the list; False if there is none."},
    {"give_back", budget_give_back, METH_O,
     "The hit was not emitted after all: another may have its ticket."},
    {nullptr, nullptr, 0, nullptr},
};

PyGetSetDef budget_attributes[] = {
    {"exhausted", budget_exhausted, nullptr, "Whether the last ticket is taken.", nullptr},
    {"limited", budget_limited, nullptr, "True: there is a limit.", nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};

char budget_doc[] = "See `otel_tracepoints.limits.HitBudget`: the same, with a limit, for compiled gates.";

PyType_Slot budget_slots[] = {
    {Py_tp_doc, budget_doc},
    {Py_tp_new, reinterpret_cast<void*>(budget_new)},
    {Py_tp_dealloc, reinterpret_cast<void*>(budget_dealloc)},
    {Py_tp_methods, budget_methods},
    {Py_tp_getset, budget_attributes},
    {0, nullptr},
};

PyType_Spec budget_spec = {
    "otel_tracepoints.engine._native.HitBudget", sizeof(BudgetObject), 0, Py_TPFLAGS_DEFAULT, budget_slots,
};

}  // namespace

bool is_budget(PyObject* object) noexcept {
    return Py_TYPE(object) == budget_type;
}

HitBudget& budget_of(PyObject* object) noexcept {
    return as_budget(object)->budget;
}

bool add_budget(PyObject* module) {
    if (budget_type == nullptr) {
        budget_type = reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&budget_spec));
    }
    return budget_type != nullptr &&
           add_object_ref(module, "HitBudget", reinterpret_cast<PyObject*>(budget_type)) == 0;
}

}  // namespace tracepoints
