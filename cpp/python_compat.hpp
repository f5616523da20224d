// What differs between CPython 3.8 and 3.14, and nothing else: the one file that asks for PY_VERSION_HEX.
//
// A `Frame` is the interpreter's own record of a running call. From 3.11 on it is no object: making
// one of it costs more than a condition does, so nothing here makes one unless it is asked to.
#pragma once

#define PY_SSIZE_T_CLEAN
#ifndef Py_BUILD_CORE_MODULE
#define Py_BUILD_CORE_MODULE 1  // the layout of frames is in the interpreter's internal headers
#endif
#include <Python.h>
#include <structmember.h>

#include <utility>
#include <initializer_list>

#if PY_VERSION_HEX >= 0x030B0000
// C's own atomics, which these headers use before 3.13, are not those of C++; the compiler's are for both.
#undef HAVE_STD_ATOMIC
#include <internal/pycore_code.h>
#include <internal/pycore_frame.h>
#ifndef Py_GIL_DISABLED
#include <internal/pycore_dict.h>
#include <internal/pycore_object.h>
#endif
#if PY_VERSION_HEX >= 0x030E0000
#include <internal/pycore_interpframe.h>
#include <internal/pycore_stackref.h>
#endif
#if PY_VERSION_HEX >= 0x030D0000
#include <internal/pycore_pystate.h>
#endif
#else
#include <frameobject.h>
#endif

namespace tracepoints {

#if PY_VERSION_HEX >= 0x030B0000
using Frame = _PyInterpreterFrame;
#else
using Frame = PyFrameObject;
#endif

#if PY_VERSION_HEX >= 0x03090000
constexpr bool kInstancesVisitTheirType = true;
#else
constexpr bool kInstancesVisitTheirType = false;
#endif
#if PY_VERSION_HEX >= 0x030A0000 || !defined(_Py_TPFLAGS_HAVE_VECTORCALL)
constexpr unsigned long kHasVectorcall = Py_TPFLAGS_HAVE_VECTORCALL;
#else
constexpr unsigned long kHasVectorcall = _Py_TPFLAGS_HAVE_VECTORCALL;
#endif

#ifdef Py_GIL_DISABLED
constexpr bool kFreeThreaded = true;
#else
constexpr bool kFreeThreaded = false;
#endif

// The innermost Python frame of this thread, or null. C functions have none of their own.
inline Frame* current_frame() {
#if PY_VERSION_HEX >= 0x030D0000
    Frame* frame = _PyThreadState_GET()->current_frame;
#elif PY_VERSION_HEX >= 0x030B0000
    Frame* frame = PyThreadState_Get()->cframe->current_frame;
#else
    return PyEval_GetFrame();
#endif
#if PY_VERSION_HEX >= 0x030B0000
    while (frame != nullptr && _PyFrame_IsIncomplete(frame)) {
        frame = frame->previous;
    }
    return frame;
#endif
}

// The record of a frame object.
inline Frame* frame_of(PyFrameObject* object) {
#if PY_VERSION_HEX >= 0x030B0000
    return object->f_frame;
#else
    return object;
#endif
}

// The frame object of the innermost frame: a borrowed reference; null with an error set.
inline PyFrameObject* current_frame_object() {
    PyFrameObject* object = PyEval_GetFrame();
    if (object == nullptr && PyErr_Occurred() == nullptr) {
        PyErr_NoMemory();  // from 3.11 on the object is made here, and the error put away
    }
    return object;
}

// The code that a frame runs; borrowed.
inline PyCodeObject* code_of(Frame* frame) {
#if PY_VERSION_HEX >= 0x030E0000
    return reinterpret_cast<PyCodeObject*>(PyStackRef_AsPyObjectBorrow(frame->f_executable));
#elif PY_VERSION_HEX >= 0x030D0000
    return reinterpret_cast<PyCodeObject*>(frame->f_executable);
#else
    return frame->f_code;
#endif
}

// The names of a code object's slots, in their order: locals, cells, free variables. A new reference.
// Index i of it is slot i of `fast_local`.
inline PyObject* slot_names(PyCodeObject* code) {
#if PY_VERSION_HEX >= 0x030B0000
    return Py_NewRef(code->co_localsplusnames);
#else
    PyObject* locals_and_cells = PySequence_Concat(code->co_varnames, code->co_cellvars);
    if (locals_and_cells == nullptr) {
        return nullptr;
    }
    PyObject* all = PySequence_Concat(locals_and_cells, code->co_freevars);
    Py_DECREF(locals_and_cells);
    return all;
#endif
}

// How many slots there are.
inline Py_ssize_t slot_count(PyCodeObject* code) {
#if PY_VERSION_HEX >= 0x030B0000
    return code->co_nlocalsplus;
#else
    return PyTuple_GET_SIZE(code->co_varnames) + PyTuple_GET_SIZE(code->co_cellvars) +
           PyTuple_GET_SIZE(code->co_freevars);
#endif
}

// Whether the slot belongs to a cell or a free variable, whose value is in a cell object.
inline bool is_cell_slot(PyCodeObject* code, Py_ssize_t index) {
#if PY_VERSION_HEX >= 0x030B0000
    const char kind = PyBytes_AS_STRING(code->co_localspluskinds)[index];
    return (kind & (CO_FAST_CELL | CO_FAST_FREE)) != 0;
#else
    return index >= PyTuple_GET_SIZE(code->co_varnames);
#endif
}

// What a slot holds, as it lies there (a cell is not opened); borrowed, null where there is nothing.
inline PyObject* raw_slot(Frame* frame, Py_ssize_t index) {
#if PY_VERSION_HEX >= 0x030E0000
    const _PyStackRef held = frame->localsplus[index];
    return PyStackRef_IsNull(held) ? nullptr : PyStackRef_AsPyObjectBorrow(held);
#elif PY_VERSION_HEX >= 0x030B0000
    return frame->localsplus[index];
#else
    return frame->f_localsplus[index];
#endif
}

// Whether the free variables' cells have been put into their slots: not before the call has begun.
inline bool has_begun(Frame* frame) {
#if PY_VERSION_HEX >= 0x030D0000
    return frame->instr_ptr >= _PyCode_CODE(code_of(frame)) + code_of(frame)->_co_firsttraceable;
#elif PY_VERSION_HEX >= 0x030C0000
    return frame->prev_instr >= _PyCode_CODE(code_of(frame)) + code_of(frame)->_co_firsttraceable - 1;
#elif PY_VERSION_HEX >= 0x030B0000
    return frame->prev_instr >= _PyCode_CODE(code_of(frame)) + code_of(frame)->_co_firsttraceable - 1;
#else
    (void)frame;
    return true;
#endif
}

// The value of a variable by its slot: cells are opened. A new reference, since another thread may
// change what a cell holds; null (without an error) where the variable is unbound.
inline PyObject* slot_value(Frame* frame, PyCodeObject* code, Py_ssize_t index) {
    PyObject* value = raw_slot(frame, index);
    if (value != nullptr && is_cell_slot(code, index) && PyCell_Check(value)) {
        // PyCell_Get takes the cell's lock where there is no GIL, and a reference.
        return PyCell_Get(value);
    }
    Py_XINCREF(value);
    return value;
}

inline PyObject* call_one(PyObject* callable, PyObject* argument) {
#if PY_VERSION_HEX >= 0x03090000
    return PyObject_CallOneArg(callable, argument);
#else
    return PyObject_CallFunctionObjArgs(callable, argument, nullptr);
#endif
}

inline PyObject* call_none(PyObject* callable) {
#if PY_VERSION_HEX >= 0x03090000
    return PyObject_CallNoArgs(callable);
#else
    return PyObject_CallObject(callable, nullptr);
#endif
}

// The error that is set, normalised, with its traceback: a new reference or null. It is set no more.
inline PyObject* take_error() {
#if PY_VERSION_HEX >= 0x030C0000
    return PyErr_GetRaisedException();
#else
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    if (type == nullptr) {
        return nullptr;
    }
    PyErr_NormalizeException(&type, &value, &traceback);
    if (traceback != nullptr && value != nullptr) {
        PyException_SetTraceback(value, traceback);
    }
    Py_XDECREF(type);
    Py_XDECREF(traceback);
    return value;
#endif
}

// Raise it again; takes the reference.
inline void restore_error(PyObject* error) {
#if PY_VERSION_HEX >= 0x030C0000
    PyErr_SetRaisedException(error);
#else
    if (error == nullptr) {
        PyErr_Restore(nullptr, nullptr, nullptr);
        return;
    }
    PyObject* type = reinterpret_cast<PyObject*>(Py_TYPE(error));
    Py_INCREF(type);
    PyErr_Restore(type, error, PyException_GetTraceback(error));
#endif
}

#if PY_VERSION_HEX < 0x030A0000
inline int add_object_ref(PyObject* module, const char* name, PyObject* value) {
    Py_INCREF(value);
    if (PyModule_AddObject(module, name, value) < 0) {
        Py_DECREF(value);
        return -1;
    }
    return 0;
}
#else
inline int add_object_ref(PyObject* module, const char* name, PyObject* value) {
    return PyModule_AddObjectRef(module, name, value);
}
#endif

#if PY_VERSION_HEX >= 0x030D0000
#define TRACEPOINTS_BEGIN_CRITICAL_SECTION(object) Py_BEGIN_CRITICAL_SECTION(object)
#define TRACEPOINTS_END_CRITICAL_SECTION() Py_END_CRITICAL_SECTION()
#else
#define TRACEPOINTS_BEGIN_CRITICAL_SECTION(object) {
#define TRACEPOINTS_END_CRITICAL_SECTION() }
#endif

// `dict[key]` as a new reference, or null: with an error where comparing with a key of the dict raised one,
// which exact texts do not, and without where there is none.
inline PyObject* dict_item(PyObject* dict, PyObject* key) {
#if PY_VERSION_HEX >= 0x030D0000
    PyObject* found = nullptr;
    PyDict_GetItemRef(dict, key, &found);
    return found;
#else
    PyObject* found = PyDict_GetItemWithError(dict, key);
    Py_XINCREF(found);
    return found;
#endif
}

// A number that every change of a dict changes, and that no other dict ever has. From 3.12 on it is no more
// to be relied on, and not needed.
#if PY_VERSION_HEX < 0x030C0000
constexpr bool kDictsHaveVersions = true;
inline uint64_t dict_version(PyObject* dict) {
    return reinterpret_cast<PyDictObject*>(dict)->ma_version_tag;
}
#else
constexpr bool kDictsHaveVersions = false;
inline uint64_t dict_version(PyObject*) {
    return 0;
}
#endif

// Python 3.8, and 3.9 before 3.9.2: a RecursionError sets a flag in the thread's state that lifts the limit,
// and 50 calls above it the interpreter ends the process (`otel_tracepoints.recursion`). It is put down for
// the time of a hit; where the application handles such an error above the limit there is no room for one.
class Overflow {
public:
#if PY_VERSION_HEX < 0x03090200
    Overflow() : state_(PyThreadState_Get()), before_(state_->overflowed) {
        has_room_ = !before_ || state_->recursion_depth <= Py_GetRecursionLimit();
        if (has_room_) {
            state_->overflowed = 0;
        }
    }
    ~Overflow() { state_->overflowed = before_; }
    bool has_room() const { return has_room_; }

private:
    PyThreadState* state_;
    decltype(PyThreadState::overflowed) before_;
    bool has_room_;
#else
    Overflow() {}
    ~Overflow() {}
    bool has_room() const { return true; }
#endif

public:
    Overflow(const Overflow&) = delete;
    Overflow& operator=(const Overflow&) = delete;
};

// Up to 3.10 an argument that a closure uses has a slot among the locals, empty then, and one among the
// cells.
#if PY_VERSION_HEX >= 0x030B0000
constexpr bool kCellsApart = false;
#else
constexpr bool kCellsApart = true;
#endif

// How many of the slots are locals' (with those that are cells, from 3.11 on): they come first.
inline Py_ssize_t local_count(PyCodeObject* code) {
#if PY_VERSION_HEX >= 0x030B0000
    return code->co_nlocals;
#else
    return PyTuple_GET_SIZE(code->co_varnames);
#endif
}

// The name of one slot; borrowed from the code.
inline PyObject* slot_name(PyCodeObject* code, Py_ssize_t index) {
#if PY_VERSION_HEX >= 0x030B0000
    return PyTuple_GET_ITEM(code->co_localsplusnames, index);
#else
    for (PyObject* names : {code->co_varnames, code->co_cellvars}) {
        if (index < PyTuple_GET_SIZE(names)) {
            return PyTuple_GET_ITEM(names, index);
        }
        index -= PyTuple_GET_SIZE(names);
    }
    return PyTuple_GET_ITEM(code->co_freevars, index);
#endif
}

// The dict in which a function's locals() lie, if anybody has asked for them (to 3.12), or the names that
// somebody has put into its f_locals besides the variables (from 3.13 on). Borrowed, often null.
inline PyObject* namespace_beside(Frame* frame) {
#if PY_VERSION_HEX >= 0x030D0000
    PyFrameObject* object = frame->frame_obj;
    if (frame->owner == FRAME_OWNED_BY_FRAME_OBJECT) {
        // The call is over: the record lies in the frame object, and does not know it any more.
        object = reinterpret_cast<PyFrameObject*>(reinterpret_cast<char*>(frame) -
                                                  offsetof(PyFrameObject, _f_frame_data));
    }
    return object == nullptr ? nullptr : object->f_extra_locals;
#else
    return frame->f_locals;
#endif
}

// The value of an exact int (or bool) of one digit, which is a look at it.
inline bool small_integer(PyObject* object, long long& value) {
#if PY_VERSION_HEX >= 0x030C0000
    if (PyUnstable_Long_IsCompact(reinterpret_cast<PyLongObject*>(object))) {
        value = PyUnstable_Long_CompactValue(reinterpret_cast<PyLongObject*>(object));
        return true;
    }
#else
    const Py_ssize_t digits = Py_SIZE(object);
    if (digits >= -1 && digits <= 1) {
        value = digits * static_cast<long long>(reinterpret_cast<PyLongObject*>(object)->ob_digit[0]);
        return true;
    }
#endif
    return false;
}

// The value of an exact int (or bool), where it fits.
inline bool integer_of(PyObject* object, long long& value) {
    if (small_integer(object, value)) {
        return true;
    }
    int overflow = 0;
    value = PyLong_AsLongLongAndOverflow(object, &overflow);
    return overflow == 0;
}

// What stands under a name in the MRO, raw: a new reference, or null without an error.
inline PyObject* class_attribute(PyTypeObject* type, PyObject* name) {
#if PY_VERSION_HEX >= 0x030D0000
    return _PyType_LookupRef(type, name);
#else
    PyObject* found = _PyType_Lookup(type, name);
    Py_XINCREF(found);
    return found;
#endif
}

#if PY_VERSION_HEX >= 0x030B0000
// How a dict's table begins; the header that says it is not C++ where there is no GIL.
struct DictTable {
    Py_ssize_t references;
    unsigned char log2_size;
    unsigned char log2_index_bytes;
    unsigned char kind;  // 0: any keys
};
#endif

// Whether a dict's table is of the form for exact str keys only, so that a lookup compares nothing else.
// Up to 3.10 that cannot be seen. Where there is no GIL, the dict's lock is held.
inline bool has_text_table(PyObject* dict) {
#if PY_VERSION_HEX >= 0x030B0000
    return reinterpret_cast<DictTable*>(reinterpret_cast<PyDictObject*>(dict)->ma_keys)->kind != 0;
#else
    (void)dict;
    return false;
#endif
}

// A list's item as a new reference, or null without an error where there are fewer.
inline PyObject* list_item(PyObject* list, Py_ssize_t index) {
#ifdef Py_GIL_DISABLED
    PyObject* item = index < PyList_GET_SIZE(list) ? PyList_GetItemRef(list, index) : nullptr;
    if (item == nullptr) {
        PyErr_Clear();
    }
#else
    PyObject* item = index < PyList_GET_SIZE(list) ? PyList_GET_ITEM(list, index) : nullptr;
    Py_XINCREF(item);
#endif
    return item;
}

// Whether a str has its final form. Up to 3.11 an extension may have made one that has not yet.
inline bool is_ready(PyObject* text) {
#if PY_VERSION_HEX >= 0x030C0000
    (void)text;
    return true;
#else
    return PyUnicode_IS_READY(text);
#endif
}

// Whether a str is the one of its text that names are.
inline bool is_interned(PyObject* text) {
    return PyUnicode_CHECK_INTERNED(text) != 0;
}

// Whether a weak reference still leads to this object.
inline bool refers_to(PyObject* reference, PyObject* object) {
#if PY_VERSION_HEX >= 0x030D0000
    PyObject* found = nullptr;
    PyWeakref_GetRef(reference, &found);
    Py_XDECREF(found);
    return found == object;
#else
    return PyWeakref_GET_OBJECT(reference) == object;
#endif
}

// The namespace of a class. A new reference.
inline PyObject* class_namespace(PyTypeObject* type) {
#if PY_VERSION_HEX >= 0x030C0000
    return PyType_GetDict(type);
#else
    Py_XINCREF(type->tp_dict);
    return type->tp_dict;
#endif
}

// The attributes of an instance whose class was made by a class statement: the values that lie in the
// object itself, where its dict has not been made yet (making it slows the object down for life on 3.11
// and 3.12), else the dict. `values` is null where there are none; `dict` is a new reference or null.
struct InstanceFields {
    PyObject** values = nullptr;
    const uint8_t* order = nullptr;  // of the values, from the first that was set; backwards before 3.13
    Py_ssize_t count = 0;
    PyObject* dict = nullptr;
};

#if PY_VERSION_HEX >= 0x030B0000 && !defined(Py_GIL_DISABLED)
inline void set_inline_values(InstanceFields& fields, PyDictValues* values) {
    fields.values = values->values;
#if PY_VERSION_HEX >= 0x030D0000
    fields.order = get_insertion_order_array(values);
    fields.count = values->size;
#else
    fields.order = reinterpret_cast<uint8_t*>(values) - 3;
    fields.count = reinterpret_cast<uint8_t*>(values)[-2];
#endif
}

// The index-th attribute in the order in which they were set; borrowed.
inline void inline_value(const InstanceFields& fields, PyTypeObject* type, Py_ssize_t index, PyObject** name,
                         PyObject** value) {
#if PY_VERSION_HEX >= 0x030D0000
    const uint8_t at = fields.order[index];
#else
    const uint8_t at = fields.order[-index];
#endif
    PyDictKeysObject* keys = reinterpret_cast<PyHeapTypeObject*>(type)->ht_cached_keys;
    *name = DK_UNICODE_ENTRIES(keys)[at].me_key;
    *value = fields.values[at];
}
#else
inline void inline_value(const InstanceFields&, PyTypeObject*, Py_ssize_t, PyObject** name,
                         PyObject** value) {
    *name = *value = nullptr;
}
#endif

inline InstanceFields instance_fields(PyObject* object) {
    InstanceFields fields;
#if defined(Py_GIL_DISABLED)
    fields.dict = PyObject_GenericGetDict(object, nullptr);
#else
#if PY_VERSION_HEX >= 0x030B0000
    PyTypeObject* type = Py_TYPE(object);
    if (PyType_HasFeature(type, Py_TPFLAGS_MANAGED_DICT)) {
#if PY_VERSION_HEX >= 0x030D0000
        fields.dict = reinterpret_cast<PyObject*>(_PyObject_GetManagedDict(object));
        if (fields.dict == nullptr && PyType_HasFeature(type, Py_TPFLAGS_INLINE_VALUES) &&
            _PyObject_InlineValues(object)->valid) {
            set_inline_values(fields, _PyObject_InlineValues(object));
        }
#elif PY_VERSION_HEX >= 0x030C0000
        const PyDictOrValues held = *_PyObject_DictOrValuesPointer(object);
        if (!_PyDictOrValues_IsValues(held)) {
            fields.dict = _PyDictOrValues_GetDict(held);
        } else if (_PyDictOrValues_GetValues(held) != nullptr) {
            set_inline_values(fields, _PyDictOrValues_GetValues(held));
        }
#else
        fields.dict = *_PyObject_ManagedDictPointer(object);
        PyDictValues* values = *_PyObject_ValuesPointer(object);
        if (fields.dict == nullptr && values != nullptr) {
            set_inline_values(fields, values);
        }
#endif
        Py_XINCREF(fields.dict);
        return fields;
    }
#endif
    PyObject** held = _PyObject_GetDictPtr(object);
    fields.dict = held == nullptr ? nullptr : *held;
    Py_XINCREF(fields.dict);
#endif
    return fields;
}

// Whether the frame is on the stack of a thread, or a generator's that runs, so that it leads to its caller.
inline bool is_on_stack(Frame* frame) {
#if PY_VERSION_HEX >= 0x030B0000
    return frame->owner != FRAME_OWNED_BY_FRAME_OBJECT;
#else
    (void)frame;
    return true;
#endif
}

// The frame that called this one, or null.
inline Frame* caller_of(Frame* frame) {
#if PY_VERSION_HEX >= 0x030B0000
    Frame* caller = frame->previous;
    while (caller != nullptr && _PyFrame_IsIncomplete(caller)) {
        caller = caller->previous;
    }
    return caller;
#else
    return frame->f_back;
#endif
}

// Borrowed.
inline PyObject* globals_of(Frame* frame) {
    return frame->f_globals;
}

// ``f_lineno``; below 1 where the instruction belongs to no line.
inline int line_of(Frame* frame) {
#if PY_VERSION_HEX >= 0x030B0000
    // From 3.13 on it is -1 while it has not been asked for.
    if (frame->frame_obj != nullptr && frame->frame_obj->f_lineno > 0) {
        return frame->frame_obj->f_lineno;
    }
#if PY_VERSION_HEX >= 0x030C0000
    return PyUnstable_InterpreterFrame_GetLine(frame);
#else
    return PyCode_Addr2Line(frame->f_code,
                            _PyInterpreterFrame_LASTI(frame) * static_cast<int>(sizeof(_Py_CODEUNIT)));
#endif
#else
    return PyFrame_GetLineNumber(frame);
#endif
}

// Whether this thread's state is being cleared: it has let go of its trace function for the last time, and
// what it is given now stays for ever. Cannot be seen before 3.12.
inline bool is_ending(PyThreadState* state) {
#if PY_VERSION_HEX >= 0x030C0000
    return state->_status.finalizing != 0;
#else
    (void)state;
    return false;
#endif
}

// Tells the evaluation loop of a thread whether it is traced, where it keeps that apart.
inline void renew_use_tracing(PyThreadState* state) {
#if PY_VERSION_HEX < 0x030C0000
    const bool traced = state->c_tracefunc != nullptr || state->c_profilefunc != nullptr;
#if PY_VERSION_HEX >= 0x030B0000
    state->cframe->use_tracing = traced && state->tracing == 0 ? 255 : 0;
#elif PY_VERSION_HEX >= 0x030A0000
    state->cframe->use_tracing = traced;
#else
    state->use_tracing = traced;
#endif
#else
    (void)state;
#endif
}

// Whether giving a thread a trace function runs an auditor's code, and so may end any other thread. Where it
// does not, `set_trace_of` asks none: whoever starts to trace does, once.
#if PY_VERSION_HEX >= 0x030A0000 && PY_VERSION_HEX < 0x030C0000
constexpr bool kAsksForEachThread = false;
#else
constexpr bool kAsksForEachThread = true;
#endif

// Whether tracing is written into the code that runs, by how many threads are traced when one of them changes
// (not when one ends).
#if PY_VERSION_HEX >= 0x030C0000
constexpr bool kTracingIsInCode = true;
#else
constexpr bool kTracingIsInCode = false;
#endif

// `set_trace_of` for this thread. False with an error.
inline bool set_own_trace(Py_tracefunc function, PyObject* argument) {
    PyThreadState* own = PyThreadState_Get();
#if PY_VERSION_HEX >= 0x03090000 && PY_VERSION_HEX < 0x030D0000
    return _PyEval_SetTrace(own, function, argument) == 0;
#else
    PyEval_SetTrace(function, argument);
    // What an auditor raised has been printed. Without the GIL another thread may have changed the rest
    // since.
    const bool refused = own->c_tracefunc != function || (!kFreeThreaded && own->c_traceobj != argument);
    if (refused && PyErr_Occurred() == nullptr) {
        PyErr_SetString(PyExc_RuntimeError, "sys.settrace is refused here");
    }
    return PyErr_Occurred() == nullptr;
#endif
}

// Gives a thread of this interpreter a trace function, or (null) takes away the one that it has; only with
// the GIL may it be another thread than this one. False with an error if an auditor refuses.
inline bool set_trace_of(PyThreadState* state, Py_tracefunc function, PyObject* argument) {
#if PY_VERSION_HEX >= 0x030A0000 && PY_VERSION_HEX < 0x030C0000
    // The interpreter's own way asks an auditor, and until that has answered (it may run anything) every
    // other thread of the process is refused to set one, also one that `threading` is just starting.
    PyObject* before = std::exchange(state->c_traceobj, nullptr);
    Py_XINCREF(argument);
    state->c_traceobj = argument;
    state->c_tracefunc = function;
    renew_use_tracing(state);
    Py_XDECREF(before);
    return true;
#else
    PyThreadState* own = PyThreadState_Get();
    if (state == own) {
        return set_own_trace(function, argument);
    }
    // An auditor's code may run in there, other threads meanwhile, and the state be freed: so what the other
    // thread has is carried here, changed, and carried back to whoever is there then.
    const uint64_t id = state->id;
    const Py_tracefunc own_function = own->c_tracefunc;
    PyObject* own_argument = own->c_traceobj;
    own->c_tracefunc = std::exchange(state->c_tracefunc, nullptr);
    own->c_traceobj = std::exchange(state->c_traceobj, nullptr);
    const bool good = set_own_trace(function, argument);
    PyThreadState* each = PyInterpreterState_ThreadHead(own->interp);
    while (each != nullptr && (each != state || each->id != id)) {
        each = PyThreadState_Next(each);
    }
    if (each != nullptr && !is_ending(each) && each->c_tracefunc == nullptr) {
        each->c_tracefunc = own->c_tracefunc;
        each->c_traceobj = own->c_traceobj;
        renew_use_tracing(each);
    } else if (own->c_tracefunc != nullptr) {
        // It has ended, or been given another meanwhile. (If this is refused, one reference stays.)
        PyObject *type, *value, *traceback;
        PyErr_Fetch(&type, &value, &traceback);
        set_own_trace(nullptr, nullptr);
        PyErr_Restore(type, value, traceback);
    }
    own->c_tracefunc = own_function;
    own->c_traceobj = own_argument;
    renew_use_tracing(own);
    return good;
#endif
}

// The same for every thread, whoever has it now; without the GIL the only way. Up to 3.11 for this thread.
inline bool set_trace_everywhere(Py_tracefunc function, PyObject* argument) {
#if PY_VERSION_HEX >= 0x030C0000
    PyEval_SetTraceAllThreads(function, argument);
#endif
    return set_trace_of(PyThreadState_Get(), function, argument);
}

// Without the GIL: an object that this thread has just made is never freed, however often it is let go.
inline void keep_for_ever(PyObject* object) {
#ifdef Py_GIL_DISABLED
    Py_SET_REFCNT(object, PY_SSIZE_T_MAX);  // more than a count can hold
#else
    (void)object;
#endif
}

// The newest thread of this interpreter; `PyThreadState_Next` leads to older ones.
inline PyThreadState* newest_thread() {
#if PY_VERSION_HEX >= 0x03090000
    return PyInterpreterState_ThreadHead(PyInterpreterState_Get());
#else
    return PyInterpreterState_ThreadHead(PyThreadState_Get()->interp);
#endif
}

// The code of a generator, coroutine or asynchronous generator that can still run; borrowed, else null.
inline PyCodeObject* suspended_code(PyObject* object) {
    PyGenObject* generator = reinterpret_cast<PyGenObject*>(object);
#if PY_VERSION_HEX >= 0x030B0000
    if (generator->gi_frame_state >= FRAME_COMPLETED) {
        return nullptr;
    }
    return code_of(reinterpret_cast<Frame*>(&generator->gi_iframe));
#else
    return generator->gi_frame == nullptr ? nullptr : reinterpret_cast<PyCodeObject*>(generator->gi_code);
#endif
}

// Whether all that the collector knows of can be visited without a list of it.
#if PY_VERSION_HEX >= 0x030C0000
constexpr bool kVisitsObjects = true;
inline void visit_objects(int (*visit)(PyObject*, void*), void* argument) {
    PyUnstable_GC_VisitObjects(visit, argument);
}
#else
constexpr bool kVisitsObjects = false;
inline void visit_objects(int (*)(PyObject*, void*), void*) {}
#endif

// Has the interpreter tell of every code object that it makes, for as long as the process lives. False,
// perhaps with an error, where it does not.
#if PY_VERSION_HEX >= 0x030C0000
template <void (*told)() noexcept>
bool watch_code() {
    return PyCode_AddWatcher([](PyCodeEvent event, PyCodeObject*) -> int {
               if (event == PY_CODE_EVENT_CREATE) {
                   told();
               }
               return 0;
           }) >= 0;
}
inline int64_t interpreter_id() {
    return PyInterpreterState_GetID(PyInterpreterState_Get());
}
#else
template <void (*told)() noexcept>
bool watch_code() {
    return false;
}
inline int64_t interpreter_id() {
    return 0;
}
#endif

// A tuple that its type's own allocation has made, all zeros, has no hash yet (3.14 and later keep it).
inline void forget_hash(PyObject* tuple) {
#if PY_VERSION_HEX >= 0x030E0000
    reinterpret_cast<PyTupleObject*>(tuple)->ob_hash = -1;
#else
    (void)tuple;
#endif
}

}  // namespace tracepoints
