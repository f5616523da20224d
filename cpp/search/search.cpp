// The search of the heap for what runs the code of some files: `otel_tracepoints.probes.passes`.
#include "search/runnable.hpp"

#include <cstddef>
#include <new>
#include <unordered_map>
#include <utility>
#include <vector>

#include "parts.hpp"
#include "search/heap.hpp"
#include "search/modules.hpp"

namespace tracepoints {

namespace {

using Objects = std::vector<Ref>;

// A name is held with what has it: that may get other code while Python is asked.
struct Unsettled {
    Ref name;
    Objects objects;
};

// What was found, and under which name; names whose meaning is not known come with all that has them.
struct Found {
    explicit Found(FileNames& file_names) : names(file_names) {}

    FileNames& names;
    Objects wanted;
    std::unordered_map<PyObject*, Unsettled> unsettled;
    Py_ssize_t functions = 0;
    // Made when the last search began, and whether it was among what was shown; null if there is none.
    PyObject* mark = nullptr;
    bool has_mark = false;
    bool out_of_memory = false;

    // What was shown last waits until its code is in the processor's cache: most of the time is spent there.
    static constexpr std::size_t kWaiting = 8;
    PyObject* waiting[kWaiting] = {};
    std::size_t next = 0;
};

void enter(PyObject* object, Found& found) {
    PyCodeObject* code = code_to_run(object);
    found.functions += Py_TYPE(object) == &PyFunction_Type;
    const FileNames::Verdict verdict = found.names.judge(code->co_filename);
    if (verdict == FileNames::Verdict::kWanted) {
        found.wanted.push_back(Ref::borrow(object));
    } else if (verdict == FileNames::Verdict::kAsk) {
        Unsettled& group = found.unsettled[code->co_filename];
        if (!group.name) {
            group.name = Ref::borrow(code->co_filename);
        }
        group.objects.push_back(Ref::borrow(object));
    }
}

bool judge(PyObject* object, Found& found) noexcept {
    try {
        enter(object, found);
    } catch (const std::bad_alloc&) {
        found.out_of_memory = true;
    }
    return !found.out_of_memory;
}

bool note(PyObject* object, void* argument) noexcept {
    Found& found = *static_cast<Found*>(argument);
    if (object == nullptr) {
        for (PyObject*& each : found.waiting) {
            if (each != nullptr && !judge(std::exchange(each, nullptr), found)) {
                return false;
            }
        }
        return true;
    }
    PyCodeObject* code = code_to_run(object);
    if (code == nullptr) {
        found.has_mark |= object == found.mark;
        return true;
    }
    __builtin_prefetch(&code->co_filename);
    PyObject* before = std::exchange(found.waiting[found.next], object);
    found.next = (found.next + 1) % Found::kWaiting;
    return before == nullptr || judge(before, found);
}

// Asks Python about the names that were not known, and takes what has them over. False with an error set.
bool settle(Found& found, PyObject* is_wanted) {
    for (const auto& [_, group] : found.unsettled) {
        const Ref answer = Ref::steal(call_one(is_wanted, group.name.get()));
        if (!answer) {
            return false;
        }
        if (answer.get() == Py_True) {
            found.wanted.insert(found.wanted.end(), group.objects.begin(), group.objects.end());
        }
    }
    return true;
}

// Whether a dict (identity of a code object → weak reference to it) has this one.
bool has_code(PyObject* known, PyObject* key, PyObject* code) {
    PyObject* reference = PyDict_GetItemWithError(known, key);
    return reference != nullptr && PyWeakref_CheckRefExact(reference) && refers_to(reference, code);
}

// -1 with an error set.
int is_known(PyObject* object, PyObject* known) {
    PyObject* code = reinterpret_cast<PyObject*>(code_to_run(object));
    const Py_ssize_t count = PyTuple_GET_SIZE(known);
    if (code == nullptr || count == 0) {
        return 0;
    }
    const Ref key = Ref::steal(PyLong_FromVoidPtr(code));
    if (!key) {
        return -1;
    }
    for (Py_ssize_t index = 0; index < count; ++index) {
        if (has_code(PyTuple_GET_ITEM(known, index), key.get(), code)) {
            return 1;
        }
    }
    return 0;
}

PyObject* as_list(const Objects& objects, PyObject* known) {
    Ref list = Ref::steal(PyList_New(0));
    for (const Ref& object : objects) {
        const int skipped = list ? is_known(object.get(), known) : -1;
        if (skipped < 0 || (skipped == 0 && PyList_Append(list.get(), object.get()) < 0)) {
            return nullptr;
        }
    }
    return list.release();
}

bool are_dicts(PyObject* known) {
    for (Py_ssize_t index = 0; index < PyTuple_GET_SIZE(known); ++index) {
        if (!PyDict_CheckExact(PyTuple_GET_ITEM(known, index))) {
            return false;
        }
    }
    return true;
}

// None, or a list that was made when the last search began: the collector never lets go of one.
bool is_mark(PyObject* since) {
    return since == Py_None || PyList_CheckExact(since);
}

PyObject* runnable(PyObject*, PyObject* const* arguments, Py_ssize_t count) {
    if (count != 5 || !is_mark(arguments[0]) || !PyDict_CheckExact(arguments[1]) ||
        !PyAnySet_CheckExact(arguments[2]) || !PyTuple_CheckExact(arguments[4]) || !are_dicts(arguments[4])) {
        PyErr_SetString(PyExc_TypeError, "runnable(since, real, wanted, is_wanted, known)");
        return nullptr;
    }
    try {
        FileNames names(arguments[1], arguments[2]);
        Found found(names);
        found.mark = arguments[0] == Py_None ? nullptr : arguments[0];
        if (!go_through_heap(found.mark != nullptr, note, &found)) {
            return nullptr;
        }
        if (found.out_of_memory) {
            return PyErr_NoMemory();
        }
        if (!settle(found, arguments[3])) {
            return nullptr;
        }
        const Ref list = Ref::steal(as_list(found.wanted, arguments[4]));
        PyObject* is_complete = found.mark == nullptr || found.has_mark ? Py_True : Py_False;
        return list ? Py_BuildValue("OnO", list.get(), found.functions, is_complete) : nullptr;
    } catch (const std::bad_alloc&) {
        return PyErr_NoMemory();
    }
}

// Every name under which something can run, each once as an object, often more than once as a text.
struct Seen {
    std::unordered_map<PyObject*, Ref> names;
    PyObject* last = nullptr;
    // See Found.
    PyObject* mark = nullptr;
    bool has_mark = false;
    bool out_of_memory = false;
};

bool note_name(PyObject* object, void* argument) noexcept {
    if (object == nullptr) {
        return true;
    }
    PyCodeObject* code = code_to_run(object);
    Seen& seen = *static_cast<Seen*>(argument);
    seen.has_mark |= object == seen.mark;
    if (code == nullptr || code->co_filename == seen.last) {
        return true;
    }
    PyObject* name = code->co_filename;
    try {
        if (PyUnicode_CheckExact(name)) {
            seen.names.emplace(name, Ref::borrow(name));
            seen.last = name;
        }
    } catch (const std::bad_alloc&) {
        seen.out_of_memory = true;
    }
    return !seen.out_of_memory;
}

PyObject* file_names(PyObject*, PyObject* since) {
    if (!is_mark(since)) {
        PyErr_SetString(PyExc_TypeError, "file_names(since)");
        return nullptr;
    }
    try {
        Seen seen;
        seen.mark = since == Py_None ? nullptr : since;
        if (!go_through_heap(seen.mark != nullptr, note_name, &seen)) {
            return nullptr;
        }
        Ref list = seen.out_of_memory ? Ref::steal(PyErr_NoMemory()) : Ref::steal(PyList_New(0));
        for (const auto& each : seen.names) {
            if (!list || PyList_Append(list.get(), each.first) < 0) {
                return nullptr;
            }
        }
        PyObject* is_complete = seen.mark == nullptr || seen.has_mark ? Py_True : Py_False;
        return list ? Py_BuildValue("OO", list.get(), is_complete) : nullptr;
    } catch (const std::bad_alloc&) {
        return PyErr_NoMemory();
    }
}

template <typename Function>
PyCFunction fast(Function function) {
    return reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(function));
}

PyMethodDef functions[] = {
    {"runnable", fast(runnable), METH_FASTCALL,
     "runnable(since, real, wanted, is_wanted, known): functions and what is suspended, of wanted files."},
    {"file_names", file_names, METH_O, "file_names(since): the files of all that can run."},
    {"modules_among", fast(modules_among), METH_FASTCALL,
     "modules_among(modules, real, wanted): modules of these files, and of files that are not known."},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace

bool add_search(PyObject* module) {
    return prepare_heap() && PyModule_AddFunctions(module, functions) == 0;
}

}  // namespace tracepoints
