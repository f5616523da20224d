// The modules of some files, out of a copy of `sys.modules`: asked for all of thousands of modules.
#include "search/modules.hpp"

#include "ref.hpp"

namespace tracepoints {

namespace {

enum class Fate : char { kFailed, kOther, kFound };

// Enters a module as (name, file, namespace), or as (name, None, module) where Python has to look.
Fate enter(PyObject* name, PyObject* module, PyObject* file_key, PyObject* real, PyObject* wanted,
           PyObject* found) {
    if (!PyUnicode_CheckExact(name)) {
        return Fate::kOther;
    }
    Ref row;
    if (Py_TYPE(module) != &PyModule_Type) {
        row = Ref::steal(PyTuple_Pack(3, name, Py_None, module));
    } else {
        PyObject* space = PyModule_GetDict(module);  // borrowed; null of one that was never set up
        if (space == nullptr || !PyDict_CheckExact(space)) {
            PyErr_Clear();
            return Fate::kOther;
        }
        const Ref file = Ref::steal(dict_item(space, file_key));
        if (!file) {
            PyErr_Clear();  // the application's, where a key that is no text is compared
            return Fate::kOther;
        }
        if (!PyUnicode_CheckExact(file.get()) || PyUnicode_GET_LENGTH(file.get()) == 0) {
            return Fate::kOther;
        }
        const Ref path = Ref::steal(dict_item(real, file.get()));
        if (path) {
            const int is_wanted = PySet_Contains(wanted, path.get());
            if (is_wanted <= 0) {
                return is_wanted < 0 ? Fate::kFailed : Fate::kOther;
            }
        }
        row = Ref::steal(PyTuple_Pack(3, name, file.get(), space));
    }
    return row && PyList_Append(found, row.get()) == 0 ? Fate::kFound : Fate::kFailed;
}

}  // namespace

PyObject* modules_among(PyObject*, PyObject* const* arguments, Py_ssize_t count) {
    if (count != 3 || !PyDict_CheckExact(arguments[0]) || !PyDict_CheckExact(arguments[1]) ||
        !PyAnySet_CheckExact(arguments[2])) {
        PyErr_SetString(PyExc_TypeError, "modules_among(modules, real, wanted)");
        return nullptr;
    }
    // A copy in one step: imports of other threads change it while we look.
    const Ref modules = Ref::steal(PyDict_Copy(arguments[0]));
    const Ref file_key = Ref::steal(PyUnicode_InternFromString("__file__"));
    Ref found = Ref::steal(PyList_New(0));
    if (!modules || !file_key || !found) {
        return nullptr;
    }
    Py_ssize_t position = 0;
    PyObject *name, *module;
    while (PyDict_Next(modules.get(), &position, &name, &module) != 0) {
        if (enter(name, module, file_key.get(), arguments[1], arguments[2], found.get()) == Fate::kFailed) {
            return nullptr;
        }
    }
    return found.release();
}

}  // namespace tracepoints
