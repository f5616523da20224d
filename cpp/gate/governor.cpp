#include "gate/governor.hpp"

#include <algorithm>
#include <ctime>
#include <new>

#include "parts.hpp"

namespace tracepoints {

void Governor::add(double nanoseconds) noexcept {
    double before = credit_.load(std::memory_order_relaxed);
    while (!credit_.compare_exchange_weak(before, std::min(kBurst, before + nanoseconds),
                                          std::memory_order_relaxed)) {
    }
}

bool Governor::allows(std::int64_t now) noexcept {
    if (is_rich()) {
        return true;
    }
    const std::int64_t elapsed = now - seen_.exchange(now);
    if (elapsed > 0) {
        add(static_cast<double>(elapsed) * share_);
    }
    return credit() > 0.0;
}

namespace {

struct GovernorObject {
    PyObject_HEAD
    PyObject* clock;
    Governor governor;
};

PyTypeObject* governor_type = nullptr;

GovernorObject* as_governor(PyObject* self) {
    return reinterpret_cast<GovernorObject*>(self);
}

bool ask(PyObject* clock, std::int64_t& now) {
    if (clock == nullptr) {
        timespec spent{};
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &spent);
        now = spent.tv_sec * 1'000'000'000LL + spent.tv_nsec;
        return true;
    }
    const Ref answer = Ref::steal(call_none(clock));
    now = answer ? PyLong_AsLongLong(answer.get()) : -1;
    return now != -1 || PyErr_Occurred() == nullptr;
}

PyObject* governor_new(PyTypeObject* type, PyObject* arguments, PyObject* keywords) {
    static const char* names[] = {"percent", "process_clock", nullptr};
    double percent = 0.0;
    PyObject* clock = nullptr;
    std::int64_t now = 0;
    if (PyArg_ParseTupleAndKeywords(arguments, keywords, "d|O", const_cast<char**>(names), &percent,
                                    &clock) == 0 ||
        !ask(clock, now)) {
        return nullptr;
    }
    PyObject* self = type->tp_alloc(type, 0);
    if (self != nullptr) {
        Py_XINCREF(clock);
        as_governor(self)->clock = clock;
        new (&as_governor(self)->governor) Governor(percent >= 100.0 ? -1.0 : percent / 100.0, now);
    }
    return self;
}

void governor_dealloc(PyObject* self) {
    PyTypeObject* type = Py_TYPE(self);
    Py_XDECREF(as_governor(self)->clock);
    as_governor(self)->governor.~Governor();
    type->tp_free(self);
    Py_DECREF(type);
}

PyObject* governor_ask(PyObject* self, PyObject*) {
    const bool allowed = governor_allows(self);
    return PyErr_Occurred() == nullptr ? PyBool_FromLong(allowed) : nullptr;
}

PyObject* governor_spend(PyObject* self, PyObject* spent) {
    const double nanoseconds = PyFloat_AsDouble(spent);
    if (nanoseconds == -1.0 && PyErr_Occurred() != nullptr) {
        return nullptr;
    }
    as_governor(self)->governor.spend(nanoseconds);
    Py_RETURN_NONE;
}

PyObject* governor_credit(PyObject* self, void*) {
    return PyFloat_FromDouble(as_governor(self)->governor.credit());
}

PyMethodDef governor_methods[] = {
    {"allows", governor_ask, METH_NOARGS, "Whether a hit may be captured now."},
    {"spend", governor_spend, METH_O, "A hit took so many nanoseconds."},
    {nullptr, nullptr, 0, nullptr},
};

PyGetSetDef governor_attributes[] = {
    {"credit", governor_credit, nullptr, "Nanoseconds that hits may take now.", nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};

char governor_doc[] = "See `otel_tracepoints.limits.Governor`: the same, for compiled gates.";

PyType_Slot governor_slots[] = {
    {Py_tp_doc, governor_doc},
    {Py_tp_new, reinterpret_cast<void*>(governor_new)},
    {Py_tp_dealloc, reinterpret_cast<void*>(governor_dealloc)},
    {Py_tp_methods, governor_methods},
    {Py_tp_getset, governor_attributes},
    {0, nullptr},
};

PyType_Spec governor_spec = {
    "otel_tracepoints.engine._native.Governor", sizeof(GovernorObject), 0, Py_TPFLAGS_DEFAULT, governor_slots,
};

}  // namespace

bool is_governor(PyObject* object) noexcept {
    return Py_TYPE(object) == governor_type;
}

bool governor_allows(PyObject* object) noexcept {
    GovernorObject* self = as_governor(object);
    std::int64_t now = 0;
    return self->governor.is_rich() || (ask(self->clock, now) && self->governor.allows(now));
}

Governor& governor_of(PyObject* object) noexcept {
    return as_governor(object)->governor;
}

bool add_governor(PyObject* module) {
    if (governor_type == nullptr) {
        governor_type = reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&governor_spec));
    }
    return governor_type != nullptr &&
           add_object_ref(module, "Governor", reinterpret_cast<PyObject*>(governor_type)) == 0;
}

}  // namespace tracepoints
