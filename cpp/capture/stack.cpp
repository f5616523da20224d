#include <cstring>

#include "capture/frames.hpp"
#include "gate/bucket.hpp"
#include "names.hpp"

namespace tracepoints {

namespace {

// See capture/stack.py.
constexpr int kMostLeftOut = 200;
constexpr Py_ssize_t kSteps = 8;
// Seconds that the name of a function is taken for granted.
constexpr double kAgain = 1.0;

bool begins(const char* text, const char* with) {
    return std::strncmp(text, with, std::strlen(with)) == 0;
}

// Whether the frame is the agent's or OpenTelemetry's.
bool is_ours(Frame* frame) {
    PyObject* globals = globals_of(frame);
    if (globals == nullptr || !PyDict_Check(globals)) {
        return false;
    }
    const Ref name = Ref::steal(dict_item(globals, names::module_name));
    if (!name) {
        PyErr_Clear();
        return false;
    }
    if (!PyUnicode_CheckExact(name.get()) || !PyUnicode_IS_ASCII(name.get())) {
        return false;
    }
    const char* text = reinterpret_cast<const char*>(PyUnicode_1BYTE_DATA(name.get()));
    if (text[0] != 'o') {
        return false;
    }
    if (begins(text, "otel_tracepoints")) {
        // The demo is an application, though it comes with the agent.
        const char* rest = text + std::strlen("otel_tracepoints");
        return *rest == 0 || (*rest == '.' && std::strstr(text, ".demo") == nullptr);
    }
    return begins(text, "opentelemetry.");
}

// Null with an error set.
std::shared_ptr<const CodeLabels> labels_of(const Setting& setting, PyCodeObject* code,
                                            PyObject* function_name, double now) {
    Knowledge& knowledge = *setting.knowledge;
    PyObject* key = reinterpret_cast<PyObject*>(code);
    std::shared_ptr<const CodeLabels> found = knowledge.labels.find(key);
    if (found != nullptr && found->asked == function_name && now < found->until) {
        return found;
    }
    auto made = std::make_shared<CodeLabels>();
    made->asked = function_name;
    made->until = now + kAgain;
    made->reference = Ref::steal(PyWeakref_NewRef(key, nullptr));
    made->file = Ref::steal(made->reference ? knowledge.label(code->co_filename) : nullptr);
    const Ref function = Ref::steal(made->file ? call_one(function_name, key) : nullptr);
    made->function = Ref::steal(function ? knowledge.label(function.get()) : nullptr);
    made->name = Ref::steal(made->function ? knowledge.label(code->co_name) : nullptr);
    if (!made->name) {
        return nullptr;
    }
    knowledge.labels.put(key, made);
    return made;
}

// A `StackFrame`, which is a tuple of four: what tuple.__new__ does, without the call.
Ref stack_frame(const Setting& setting, const CodeLabels& labels, int line) {
    auto* type = reinterpret_cast<PyTypeObject*>(setting.parts.stack_frame.get());
    PyObject* number = PyLong_FromLong(line);
    PyObject* made = number != nullptr ? type->tp_alloc(type, 4) : nullptr;
    if (made == nullptr) {
        Py_XDECREF(number);
        return Ref();
    }
    PyTuple_SET_ITEM(made, 0, Ref(labels.file).release());
    PyTuple_SET_ITEM(made, 1, number);
    PyTuple_SET_ITEM(made, 2, Ref(labels.function).release());
    PyTuple_SET_ITEM(made, 3, Ref(labels.name).release());
    forget_hash(made);
    return Ref::steal(made);
}

}  // namespace

PyObject* read_stack(const Setting& setting, PyFrameObject* object, PyObject* stack, Py_ssize_t most,
                     PyObject* function_name, PyObject* clock) {
    const double now = monotonic_seconds();
    int left_out = 0;
    // Callers do not return meanwhile: it is their callee that is here.
    for (Frame* frame = caller_of(frame_of(object)); frame != nullptr; frame = caller_of(frame)) {
        if (PyList_GET_SIZE(stack) >= most || left_out >= kMostLeftOut) {
            Py_RETURN_TRUE;
        }
        if (is_ours(frame)) {
            ++left_out;
            continue;
        }
        PyCodeObject* code = code_of(frame);
        const std::shared_ptr<const CodeLabels> labels = labels_of(setting, code, function_name, now);
        if (labels == nullptr) {
            return nullptr;
        }
        const int line = line_of(frame);
        const Ref made = stack_frame(setting, *labels, line > 0 ? line : 0);
        if (!made || PyList_Append(stack, made.get()) < 0) {
            return nullptr;
        }
        if (PyList_GET_SIZE(stack) % kSteps == 0) {
            const Ref answer = Ref::steal(PyObject_CallMethodObjArgs(clock, names::expired, nullptr));
            if (!answer) {
                return nullptr;
            }
            if (answer.get() != Py_False) {
                most = PyList_GET_SIZE(stack);
            }
        }
    }
    Py_RETURN_FALSE;
}

}  // namespace tracepoints
