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
        const Verdict seen = Tree::glance(frame);
        if (seen != Verdict::kDefer) {
            return seen;
        }
        PyCodeObject* const code = code_of(frame);
        // What is looked up from here on may clear an error: not one that is on its way already.
        if (!has_slots(code) || PyErr_Occurred() != nullptr) {
            return Verdict::kDefer;
        }
        Scene scene(frame, code, work_);
        const Verdict verdict = root_->decide(scene);
        return failed() ? Verdict::kDefer : verdict;
    }

    Verdict glance(Frame* frame) const noexcept override {
        PyCodeObject* const code = code_of(frame);
        return has_slots(code) ? root_->glance(frame, code) : Verdict::kDefer;
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

// For tests: conditions without a gate. They are kept, since a condition remembers where it found its names.
constexpr const char* kCapsule = "otel_tracepoints.condition";

void forget(PyObject* capsule) {
    delete static_cast<Condition*>(PyCapsule_GetPointer(capsule, kCapsule));
}

PyObject* condition(PyObject*, PyObject* lowered) {
    std::unique_ptr<Condition> made = Condition::make(lowered);
    if (!made) {
        if (PyErr_Occurred() != nullptr) {
            return nullptr;
        }
        Py_RETURN_NONE;
    }
    PyObject* capsule = PyCapsule_New(made.get(), kCapsule, forget);
    if (capsule != nullptr) {
        static_cast<void>(made.release());
    }
    return capsule;
}

using Way = Verdict (Condition::*)(Frame*) const noexcept;

template <Way way>
PyObject* told(PyObject*, PyObject* const* arguments, Py_ssize_t count) {
    if (count != 2 || !PyFrame_Check(arguments[1])) {
        PyErr_SetString(PyExc_TypeError, "a condition and a frame");
        return nullptr;
    }
    const auto* const made = static_cast<const Condition*>(PyCapsule_GetPointer(arguments[0], kCapsule));
    if (made == nullptr) {
        return nullptr;
    }
    const Verdict verdict = (made->*way)(frame_of(reinterpret_cast<PyFrameObject*>(arguments[1])));
    if (verdict == Verdict::kDefer) {
        Py_RETURN_NONE;
    }
    return PyBool_FromLong(verdict == Verdict::kTrue);
}

template <Way way>
PyCFunction telling() {
    return reinterpret_cast<PyCFunction>(reinterpret_cast<void*>(told<way>));
}

PyMethodDef functions[] = {
    {"condition", condition, METH_O, "condition(lowered): None where nothing of it can be told here."},
    {"decide", telling<&Condition::test>(), METH_FASTCALL,
     "decide(condition, frame): the truth of a condition, or None where only Python can tell it."},
    {"glance", telling<&Condition::glance>(), METH_FASTCALL,
     "glance(condition, frame): as far as a look at one variable tells it."},
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
