#include "expression/condition.hpp"

#include <new>

#include "expression/attribute.hpp"
#include "expression/builder.hpp"
#include "expression/decimals.hpp"
#include "parts.hpp"

namespace tracepoints {

namespace {

// The budget of `otel_tracepoints.expression.budget`, and the most that a part is charged there apart from
// what it looks at, which is charged when it is known. Long conditions are Python's.
constexpr int kWork = 12'000;
constexpr int kEach = 64;
constexpr int kMostParts = 100;

class Tree final : public Condition {
public:
    Tree(NodePtr root, int parts) noexcept : root_(std::move(root)), work_(kWork - kEach * parts) {}

    Verdict test(Frame* frame) const noexcept override {
        PyCodeObject* const code = code_of(frame);
        if (!has_slots(code)) {
            return Verdict::kDefer;
        }
        const Verdict seen = root_->glance(frame, code);
        if (seen != Verdict::kDefer) {
            return seen;
        }
        // What is looked up from here on may clear an error: not one that is on its way already.
        if (PyErr_Occurred() != nullptr) {
            return Verdict::kDefer;
        }
        Scene scene(frame, code, work_);
        const Verdict verdict = root_->decide(scene);
        return failed() ? Verdict::kDefer : verdict;
    }

    bool evaluate(Frame* frame, Value& out) const noexcept override {
        PyCodeObject* const code = code_of(frame);
        if (!has_slots(code) || PyErr_Occurred() != nullptr) {
            return false;
        }
        Scene scene(frame, code, work_);
        const bool found = root_->evaluate(scene, out);
        return !failed() && found;
    }

private:
    // In a class's body and in a module names are found in another way.
    static bool has_slots(PyCodeObject* code) noexcept { return (code->co_flags & CO_OPTIMIZED) != 0; }

    // A net: no part leaves an error behind.
    static bool failed() noexcept {
        if (PyErr_Occurred() == nullptr) {
            return false;
        }
        PyErr_Clear();
        return true;
    }

    const NodePtr root_;
    const int work_;
};

// For tests: the verdict in a frame, None where Python is asked.
PyObject* decide(PyObject*, PyObject* const* arguments, Py_ssize_t count) {
    if (count != 2 || !PyFrame_Check(arguments[1])) {
        PyErr_SetString(PyExc_TypeError, "decide(lowered, frame)");
        return nullptr;
    }
    const std::unique_ptr<Condition> condition = Condition::make(arguments[0]);
    if (!condition) {
        if (PyErr_Occurred() != nullptr) {
            return nullptr;
        }
        Py_RETURN_NONE;
    }
    const Verdict verdict = condition->test(frame_of(reinterpret_cast<PyFrameObject*>(arguments[1])));
    if (verdict == Verdict::kDefer) {
        Py_RETURN_NONE;
    }
    return PyBool_FromLong(verdict == Verdict::kTrue);
}

PyMethodDef functions[] = {
    {"decide", reinterpret_cast<PyCFunction>(reinterpret_cast<void*>(decide)), METH_FASTCALL,
     "decide(lowered, frame): the truth of a condition, or None where only Python can tell it."},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace

std::unique_ptr<Condition> Condition::make(PyObject* lowered) {
    if (lowered == Py_None) {
        return nullptr;
    }
    try {
        Builder builder;
        NodePtr root = builder.build(lowered);
        if (!root || builder.parts() > kMostParts) {
            return nullptr;
        }
        return std::make_unique<Tree>(std::move(root), builder.parts());
    } catch (const std::bad_alloc&) {
        PyErr_NoMemory();
        return nullptr;
    }
}

bool add_conditions(PyObject* module) {
    return prepare_attributes() && prepare_decimals() && PyModule_AddFunctions(module, functions) == 0;
}

}  // namespace tracepoints
