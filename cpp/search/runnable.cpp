#include "search/runnable.hpp"

namespace tracepoints {

FileNames::Verdict FileNames::look_up(PyObject* name) {
    const auto found = known_.find(name);
    if (found != known_.end()) {
        return found->second.second;
    }
    const Verdict verdict = read(name);
    known_.emplace(name, std::make_pair(Ref::borrow(name), verdict));
    return verdict;
}

FileNames::Verdict FileNames::read(PyObject* name) const {
    if (!PyUnicode_CheckExact(name) || !is_ready(name) || PyUnicode_GET_LENGTH(name) == 0) {
        return Verdict::kOther;
    }
    PyObject* path = PyDict_GetItemWithError(real_, name);
    if (path == nullptr) {
        return Verdict::kAsk;
    }
    return PySet_Contains(wanted_, path) == 1 ? Verdict::kWanted : Verdict::kOther;
}

PyCodeObject* code_to_run(PyObject* object) {
    PyTypeObject* type = Py_TYPE(object);
    if (type == &PyFunction_Type) {
        return reinterpret_cast<PyCodeObject*>(PyFunction_GET_CODE(object));
    }
    PyCodeObject* code = nullptr;
    if (type == &PyGen_Type || type == &PyCoro_Type || type == &PyAsyncGen_Type) {
        code = suspended_code(object);
    } else if (type == &PyFrame_Type) {  // a greenlet's, or one that somebody has asked for
        code = code_of(frame_of(reinterpret_cast<PyFrameObject*>(object)));
    }
    return code != nullptr && Py_TYPE(code) == &PyCode_Type ? code : nullptr;
}

}  // namespace tracepoints
