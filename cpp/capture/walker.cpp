// What Python sees of the walk: one object for each collector.
#include <new>

#include "capture/frames.hpp"
#include "capture/watches.hpp"
#include "parts.hpp"

namespace tracepoints {

namespace {

struct WalkerObject {
    PyObject_HEAD
    Setting* setting;
};

PyTypeObject* walker_type = nullptr;

const Setting& setting_of(PyObject* self) {
    return *reinterpret_cast<WalkerObject*>(self)->setting;
}

// Where memory ends in C++ it has ended for Python, too.
template <typename Call>
PyObject* guarded(Call call) {
    try {
        return call();
    } catch (const std::bad_alloc&) {
        return PyErr_NoMemory();
    }
}

bool take_limit(PyObject* limits, const char* name, long long& limit) {
    const Ref value = Ref::steal(PyObject_GetAttrString(limits, name));
    limit = value ? PyLong_AsLongLong(value.get()) : -1;
    return limit != -1 || PyErr_Occurred() == nullptr;
}

bool set_up(Setting& setting, PyObject* policy, PyObject* limits, PyObject* parts) {
    PyObject *reader, *json_text, *shape_of, *described, *is_for_application, *stack_frame, *watch_value;
    if (PyArg_ParseTuple(parts, "OOOOOO!O!", &reader, &json_text, &shape_of, &described, &is_for_application,
                         &PyType_Type, &stack_frame, &PyType_Type, &watch_value) == 0) {
        return false;
    }
    if (!PyType_IsSubtype(reinterpret_cast<PyTypeObject*>(stack_frame), &PyTuple_Type) ||
        !PyType_IsSubtype(reinterpret_cast<PyTypeObject*>(watch_value), &PyTuple_Type)) {
        PyErr_SetString(PyExc_TypeError, "a frame of a stack and the value of a watch are tuples");
        return false;
    }
    Parts& kept = setting.parts;
    kept.policy = Ref::borrow(policy);
    kept.limits = Ref::borrow(limits);
    kept.reader = Ref::borrow(reader);
    kept.json_text = Ref::borrow(json_text);
    kept.shape_of = Ref::borrow(shape_of);
    kept.described = Ref::borrow(described);
    kept.is_for_application = Ref::borrow(is_for_application);
    kept.stack_frame = Ref::borrow(stack_frame);
    kept.watch_value = Ref::borrow(watch_value);
    setting.knowledge = Knowledge::of(policy);
    return setting.knowledge != nullptr && take_limit(limits, "max_depth", setting.depth) &&
           take_limit(limits, "max_properties", setting.width) &&
           take_limit(limits, "max_string_length", setting.longest);
}

PyObject* walker_new(PyTypeObject* type, PyObject* arguments, PyObject*) {
    PyObject *policy, *limits, *parts;
    if (PyArg_ParseTuple(arguments, "OOO!", &policy, &limits, &PyTuple_Type, &parts) == 0) {
        return nullptr;
    }
    return guarded([&]() -> PyObject* {
        auto setting = std::make_unique<Setting>();
        if (!set_up(*setting, policy, limits, parts)) {
            return nullptr;
        }
        PyObject* self = type->tp_alloc(type, 0);
        if (self != nullptr) {
            reinterpret_cast<WalkerObject*>(self)->setting = setting.release();
        }
        return self;
    });
}

void walker_dealloc(PyObject* self) {
    PyTypeObject* type = Py_TYPE(self);
    delete reinterpret_cast<WalkerObject*>(self)->setting;
    type->tp_free(self);
    Py_DECREF(type);
}

PyObject* walker_read(PyObject* self, PyObject* arguments) {
    PyObject *value, *clock;
    long long room = 0;
    if (PyArg_ParseTuple(arguments, "OOL", &value, &clock, &room) == 0) {
        return nullptr;
    }
    return guarded([&]() -> PyObject* {
        Walk walk(setting_of(self), clock, room);
        if (!walk.read(value, 0)) {
            return nullptr;
        }
        const Ref text = Ref::steal(walk.out().take());
        return text ? Py_BuildValue("OOL", text.get(), walk.truncated() ? Py_True : Py_False, walk.room())
                    : nullptr;
    });
}

bool is_frame(PyObject* object) {
    if (!PyFrame_Check(object)) {
        PyErr_SetString(PyExc_TypeError, "no frame");
        return false;
    }
    return true;
}

PyObject* walker_variables(PyObject* self, PyObject* const* arguments, Py_ssize_t count) {
    if (count != 5 || !is_frame(arguments[0]) || !PyDict_CheckExact(arguments[1])) {
        PyErr_SetString(PyExc_TypeError, "variables(frame, found, clock, room, least)");
        return nullptr;
    }
    const long long room = PyLong_AsLongLong(arguments[3]);
    const long long least = PyLong_AsLongLong(arguments[4]);
    if (PyErr_Occurred() != nullptr) {
        return nullptr;
    }
    return guarded([&] {
        return read_variables(setting_of(self), reinterpret_cast<PyFrameObject*>(arguments[0]), arguments[1],
                              arguments[2], room, least);
    });
}

PyObject* walker_stack(PyObject* self, PyObject* const* arguments, Py_ssize_t count) {
    if (count != 5 || !is_frame(arguments[0]) || !PyList_CheckExact(arguments[1])) {
        PyErr_SetString(PyExc_TypeError, "stack(frame, stack, most, function_name, clock)");
        return nullptr;
    }
    const Py_ssize_t most = PyLong_AsSsize_t(arguments[2]);
    if (most == -1 && PyErr_Occurred() != nullptr) {
        return nullptr;
    }
    auto* frame = reinterpret_cast<PyFrameObject*>(arguments[0]);
    if (!is_on_stack(frame_of(frame))) {
        Py_RETURN_NONE;
    }
    return guarded(
        [&] { return read_stack(setting_of(self), frame, arguments[1], most, arguments[3], arguments[4]); });
}

PyObject* walker_prepare(PyObject*, PyObject* watches) {
    return guarded([&] { return prepare_watches(watches); });
}

PyObject* walker_watches(PyObject* self, PyObject* const* arguments, Py_ssize_t count) {
    if (count != 8 || !is_frame(arguments[0])) {
        PyErr_SetString(PyExc_TypeError,
                        "watches(frame, prepared, clock, room, least, ask, snapshot, no_time)");
        return nullptr;
    }
    WatchCall call{arguments[1], arguments[2], 0, 0, arguments[5], arguments[6], arguments[7]};
    call.room = PyLong_AsLongLong(arguments[3]);
    call.least = PyLong_AsLongLong(arguments[4]);
    if (PyErr_Occurred() != nullptr) {
        return nullptr;
    }
    auto* frame = reinterpret_cast<PyFrameObject*>(arguments[0]);
    return guarded([&] { return read_watches(setting_of(self), frame, call); });
}

PyMethodDef walker_methods[] = {
    {"read", walker_read, METH_VARARGS, "read(value, clock, room): JSON text, truncated, room that is left."},
    {"variables", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(walker_variables)),
     METH_FASTCALL,
     "Fills a dict: variable → JSON text; answers (arguments, omitted, truncated), or None: ask Python."},
    {"stack", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(walker_stack)), METH_FASTCALL,
     "Adds the callers of a frame to a list; answers whether it was cut, or None: ask Python."},
    {"prepare", walker_prepare, METH_O,
     "(lowered or None, label, expression) of each: watches for `watches`."},
    {"watches", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(walker_watches)), METH_FASTCALL,
     "Evaluates and reads watches: (list of `WatchValue`, whether anything was cut)."},
    {nullptr, nullptr, 0, nullptr},
};

char walker_doc[] = "See `otel_tracepoints.capture.collector`: the same, compiled.";

PyType_Slot walker_slots[] = {
    {Py_tp_doc, walker_doc},
    {Py_tp_new, reinterpret_cast<void*>(walker_new)},
    {Py_tp_dealloc, reinterpret_cast<void*>(walker_dealloc)},
    {Py_tp_methods, walker_methods},
    {0, nullptr},
};

PyType_Spec walker_spec = {
    "otel_tracepoints.engine._native.Walker", sizeof(WalkerObject), 0, Py_TPFLAGS_DEFAULT, walker_slots,
};

}  // namespace

bool add_capture(PyObject* module) {
    if (walker_type == nullptr) {
        walker_type = reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&walker_spec));
    }
    return walker_type != nullptr && find_made_getter() &&
           add_object_ref(module, "Walker", reinterpret_cast<PyObject*>(walker_type)) == 0;
}

}  // namespace tracepoints
