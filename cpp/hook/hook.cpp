// What the interpreter calls when a watched line is reached: by `sys.monitoring`, or by the call that is
// spliced in front of the line.
#include <atomic>
#include <iterator>
#include <new>

#include "gate/busy.hpp"
#include "gate/gate.hpp"
#include "hook/dispatch.hpp"
#include "hook/reading.hpp"
#include "hook/table_type.hpp"
#include "parts.hpp"
#include "trace/live.hpp"

namespace tracepoints {

namespace {

// Of `otel_tracepoints.interrupts`: whose an exception is that comes out of a handler.
PyObject* is_for_application = nullptr;
// Of `otel_tracepoints.engine.hook`: number of a line → handlers.
PyObject* sites = nullptr;

// What is not for the application ends here. True when it has ended.
bool settle() {
    if (PyErr_ExceptionMatches(PyExc_RecursionError)) {
        PyErr_Clear();  // at the edge of the stack, where there is no room for a call
        return true;
    }
    if (!PyErr_ExceptionMatches(PyExc_Exception)) {
        return false;
    }
    PyObject* error = take_error();
    bool passes = true;
    if (is_for_application != nullptr && error != nullptr) {
        const Ref answer = Ref::steal(call_one(is_for_application, error));
        passes = !answer || answer.get() == Py_True;  // no room to look, but there was for a signal's handler
        PyErr_Clear();
    }
    if (passes) {
        restore_error(error);
        return false;
    }
    Py_XDECREF(error);
    return true;
}

}  // namespace

bool dispatch(PyObject* handlers, Frame* frame) {
    const Overflow overflow;
    if (!overflow.has_room()) {
        return true;
    }
    const Py_ssize_t count = PyTuple_GET_SIZE(handlers);
    for (Py_ssize_t index = 0; index < count; ++index) {
        PyObject* handler = PyTuple_GET_ITEM(handlers, index);
        bool good = false;
        if (is_gate(handler)) {
            good = arrive(handler, frame);
        } else {
            const Ref object = Ref::borrow(reinterpret_cast<PyObject*>(current_frame_object()));
            good = object && Ref::steal(call_one(handler, object.get()));
        }
        if (!good) {
            return settle();
        }
    }
    return true;
}

namespace {

// What `sys.monitoring` calls. Both kinds answer DISABLE where nothing is watched; `callbacks` says why
// they then say that they decide, and look again, where there is no GIL.
struct CallbackObject {
    PyObject_HEAD
    vectorcallfunc call;
    PyObject* table;
    PyObject* disable;
    std::atomic<long> deciding;
};

PyTypeObject* callback_type = nullptr;

CallbackObject* as_callback(PyObject* self) {
    return reinterpret_cast<CallbackObject*>(self);
}

PyObject* disabled(CallbackObject* callback) {
    Py_INCREF(callback->disable);
    return callback->disable;
}

PyObject* on_line(PyObject* self, PyObject* const* arguments, size_t count, PyObject*) {
    CallbackObject* callback = as_callback(self);
    if (PyVectorcall_NARGS(count) < 2) {
        PyErr_SetString(PyExc_TypeError, "a line callback is called with a code object and a line");
        return nullptr;
    }
    const Table& table = table_of(callback->table);
    long long number = 0;
    if (!PyLong_Check(arguments[1]) || !small_integer(arguments[1], number)) {
        number = PyLong_AsLong(arguments[1]);
        if (number == -1 && PyErr_Occurred() != nullptr) {
            return nullptr;
        }
    }
    const auto line = static_cast<int>(number);
    Ref handlers = table.find(arguments[0], line);
    if (!handlers) {
        if (!kFreeThreaded) {
            return disabled(callback);
        }
        callback->deciding.fetch_add(1);
        handlers = table.find(arguments[0], line);
        // Given back before we return: what comes after that is in `let_callbacks_return`.
        callback->deciding.fetch_sub(1);
        if (!handlers) {
            return disabled(callback);
        }
    }
    Frame* frame = current_frame();
    if (frame != nullptr && !dispatch(handlers.get(), frame)) {
        return nullptr;
    }
    Py_RETURN_NONE;
}

PyObject* on_start(PyObject* self, PyObject* const* arguments, size_t count, PyObject*) {
    CallbackObject* callback = as_callback(self);
    if (PyVectorcall_NARGS(count) < 1) {
        PyErr_SetString(PyExc_TypeError, "a start callback is called with a code object");
        return nullptr;
    }
    const Table& table = table_of(callback->table);
    bool watched = table.has(arguments[0]);
    if (!watched && kFreeThreaded) {
        callback->deciding.fetch_add(1);
        watched = table.has(arguments[0]);
        callback->deciding.fetch_sub(1);
    }
    if (!watched) {
        return disabled(callback);
    }
    Py_RETURN_NONE;
}

int callback_is_deciding(PyObject* self) {
    return as_callback(self)->deciding.load() != 0 ? 1 : 0;
}

int callback_traverse(PyObject* self, visitproc visit, void* arg) {
    if (kInstancesVisitTheirType) {
        Py_VISIT(Py_TYPE(self));
    }
    Py_VISIT(as_callback(self)->table);
    return 0;
}

void callback_dealloc(PyObject* self) {
    PyTypeObject* type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    Py_XDECREF(as_callback(self)->table);
    Py_XDECREF(as_callback(self)->disable);
    type->tp_free(self);
    Py_DECREF(type);
}

PyMemberDef callback_members[] = {
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(CallbackObject, call), READONLY, nullptr},
    {nullptr, 0, 0, 0, nullptr},
};

char callback_doc[] = "What sys.monitoring calls. True while it decides that a location is watched no more.";

PyType_Slot callback_slots[] = {
    {Py_tp_doc, callback_doc},
    {Py_tp_dealloc, reinterpret_cast<void*>(callback_dealloc)},
    {Py_tp_traverse, reinterpret_cast<void*>(callback_traverse)},
    {Py_tp_members, callback_members},
    {Py_tp_call, reinterpret_cast<void*>(PyVectorcall_Call)},
    {Py_nb_bool, reinterpret_cast<void*>(callback_is_deciding)},
    {0, nullptr},
};

PyType_Spec callback_spec = {
    "otel_tracepoints.engine._native.Callback",
    sizeof(CallbackObject),
    0,
    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | kHasVectorcall,
    callback_slots,
};

PyObject* callback(PyObject* const* arguments, Py_ssize_t count, vectorcallfunc call) {
    if (count != 2 || !is_table(arguments[0])) {
        PyErr_SetString(PyExc_TypeError, "a callback is made of a compiled table and DISABLE");
        return nullptr;
    }
    PyObject* self = callback_type->tp_alloc(callback_type, 0);
    if (self != nullptr) {
        CallbackObject* made = as_callback(self);
        made->call = call;
        Py_INCREF(arguments[0]);
        made->table = arguments[0];
        Py_INCREF(arguments[1]);
        made->disable = arguments[1];
        new (&made->deciding) std::atomic<long>(0);
    }
    return self;
}

PyObject* line_callback(PyObject*, PyObject* const* arguments, Py_ssize_t count) {
    return callback(arguments, count, on_line);
}

PyObject* start_callback(PyObject*, PyObject* const* arguments, Py_ssize_t count) {
    return callback(arguments, count, on_start);
}

// What the table of sites had under a number when it had this version.
struct Found {
    uint64_t version = 0;
    long long number = 0;
    PyObject* handlers = nullptr;  // which the table keeps as long as it has this version
};
Found found[64];

// The handlers of a site, a tuple, or null. A lookup in a dict is a third of what a hit that comes to nothing
// costs, and the table changes only when probes do.
Ref handlers_of(PyObject* site) {
    if (sites == nullptr) {
        return Ref();
    }
    long long number = 0;
    const bool is_small = kDictsHaveVersions && PyLong_CheckExact(site) && small_integer(site, number);
    Found& known = found[static_cast<unsigned long long>(number) % std::size(found)];
    const uint64_t version = dict_version(sites);
    if (is_small && known.number == number && known.version == version) {
        return Ref::borrow(known.handlers);
    }
    Ref handlers = Ref::steal(dict_item(sites, site));
    if (handlers && !PyTuple_CheckExact(handlers.get())) {
        handlers.reset();
    }
    if (is_small && handlers) {
        known = {version, number, handlers.get()};
    }
    return handlers;
}

// Called by rewritten code, with the number of the line.
PyObject* arrived(PyObject*, PyObject* site) {
    const Ref handlers = handlers_of(site);
    if (handlers) {
        Frame* frame = current_frame();
        if (frame != nullptr && !dispatch(handlers.get(), frame)) {
            return nullptr;
        }
    }
    Py_RETURN_NONE;
}

PyObject* prepare(PyObject*, PyObject* const* arguments, Py_ssize_t count) {
    if (count != 2 || !PyDict_CheckExact(arguments[0])) {
        PyErr_SetString(PyExc_TypeError, "prepare(sites, is_for_application)");
        return nullptr;
    }
    Py_INCREF(arguments[0]);
    Py_XSETREF(sites, arguments[0]);
    Py_INCREF(arguments[1]);
    Py_XSETREF(is_for_application, arguments[1]);
    Py_RETURN_NONE;
}

PyObject* after_fork_in_child(PyObject*, PyObject*) {
    Busy::forget_guards();
    if (kFreeThreaded) {
        Reading::forget_others();
        Table::renew();
        renew_live_tracers();
    }
    Py_RETURN_NONE;
}

template <typename Function>
PyCFunction as_method(Function function) {
    return reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(function));
}

PyMethodDef hook_functions[] = {
    {"line_callback", as_method(line_callback), METH_FASTCALL, "For LINE: calls the handlers of a line."},
    {"start_callback", as_method(start_callback), METH_FASTCALL, "For PY_START: does nothing but be there."},
    {"after_fork_in_child", after_fork_in_child, METH_NOARGS, "Forget the threads of the parent."},
    {"arrived", arrived, METH_O, "Called by rewritten code when a watched line is reached."},
    {"prepare", as_method(prepare), METH_FASTCALL,
     "Tell the hook of the table of sites, and of who settles errors."},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace

bool add_hook(PyObject* module) {
    if (callback_type == nullptr) {
        callback_type = reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&callback_spec));
        if (callback_type == nullptr) {
            return false;
        }
        callback_type->tp_vectorcall_offset = offsetof(CallbackObject, call);  // 3.8 has no member for it
        callback_type->tp_new = nullptr;
    }
    return add_table(module) && PyModule_AddFunctions(module, hook_functions) == 0;
}

}  // namespace tracepoints
