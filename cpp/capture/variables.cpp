#include <algorithm>

#include "capture/frames.hpp"
#include "names.hpp"

namespace tracepoints {

namespace {

bool add_variable(CodePlan& plan, Knowledge& knowledge, PyObject* name, PyObject* slots, PyObject* hidden) {
    if (!PyUnicode_CheckExact(name)) {
        return false;
    }
    const Name known = knowledge.name(name);
    if (!known.known || !known.identifier) {
        return false;
    }
    LocalVariable variable;
    variable.sensitive = known.sensitive;
    variable.label = Ref::steal(knowledge.label(name));
    for (Py_ssize_t at = 0; at < PyTuple_GET_SIZE(slots); ++at) {
        if (PyUnicode_Compare(PyTuple_GET_ITEM(slots, at), name) == 0) {
            variable.slots.push_back(at);
        }
    }
    const int in_comprehension = PySet_Contains(hidden, name);
    variable.of_comprehension = in_comprehension == 1;
    if (!variable.label || variable.slots.empty() || in_comprehension < 0) {
        return false;
    }
    plan.variables.push_back(std::move(variable));
    return true;
}

// Null with an error set.
std::shared_ptr<const CodePlan> plan_of(const Setting& setting, PyCodeObject* code) {
    PyObject* key = reinterpret_cast<PyObject*>(code);
    Knowledge& knowledge = *setting.knowledge;
    if (std::shared_ptr<const CodePlan> found = knowledge.plans.find(key)) {
        return found;
    }
    auto plan = std::make_shared<CodePlan>();
    plan->reference = Ref::steal(PyWeakref_NewRef(key, nullptr));
    // Python is not called with an error set.
    const Ref told = Ref::steal(plan->reference ? call_one(setting.parts.described.get(), key) : nullptr);
    PyObject *arguments, *names, *hidden;
    const Ref slots = Ref::steal(told ? slot_names(code) : nullptr);
    if (!slots || PyArg_ParseTuple(told.get(), "O!O!nO!", &PyTuple_Type, &arguments, &PyList_Type, &names,
                                   &plan->omitted, &PySet_Type, &hidden) == 0) {
        return nullptr;
    }
    plan->arguments = Ref::borrow(arguments);
    plan->native = true;
    for (Py_ssize_t at = 0; at < PyList_GET_SIZE(names) && plan->native; ++at) {
        plan->native = add_variable(*plan, knowledge, PyList_GET_ITEM(names, at), slots.get(), hidden);
    }
    if (PyErr_Occurred() != nullptr) {
        return nullptr;
    }
    knowledge.plans.put(key, plan);
    return plan;
}

struct Found {
    const LocalVariable* variable;
    Ref value;  // null where it is unbound
};

std::vector<Found> look_up(Frame* frame, PyCodeObject* code, const CodePlan& plan) {
    std::vector<Found> found;
    found.reserve(plan.variables.size());
    for (const LocalVariable& variable : plan.variables) {
        // An argument that is also a cell has two slots before 3.11; the cell is what counts.
        Ref value = Ref::steal(slot_value(frame, code, variable.slots.back()));
        if (value || !variable.of_comprehension) {
            found.push_back(Found{&variable, std::move(value)});
        }
    }
    return found;
}

// What stands for a variable in the snapshot.
Ref shown(const Setting& setting, Walk& walk, const Found& each) {
    if (!each.value) {
        return Ref::steal(Py_BuildValue("{sO}", "__tpd_unbound__", Py_True));
    }
    if (each.variable->sensitive) {
        return Ref::borrow(names::redacted);
    }
    walk.out().cut(0);
    if (!walk.read(each.value.get(), 0)) {
        return Ref();
    }
    const Ref text = Ref::steal(walk.out().take());
    return text ? Ref::steal(call_one(setting.parts.json_text.get(), text.get())) : Ref();
}

}  // namespace

PyObject* read_variables(const Setting& setting, PyFrameObject* object, PyObject* found, PyObject* clock,
                         long long room, long long least) {
    Frame* frame = frame_of(object);
    PyCodeObject* code = code_of(frame);
    if ((code->co_flags & CO_OPTIMIZED) == 0 || !has_begun(frame)) {
        Py_RETURN_NONE;
    }
    const std::shared_ptr<const CodePlan> plan = plan_of(setting, code);
    if (plan == nullptr) {
        return nullptr;
    }
    if (!plan->native) {
        Py_RETURN_NONE;
    }
    const std::vector<Found> variables = look_up(frame, code, *plan);
    Walk walk(setting, clock, room);
    auto left = static_cast<long long>(variables.size());
    for (const Found& each : variables) {
        // A fair share, so that one huge variable does not hide those after it.
        const long long share = std::max(least, room / left);
        walk.allot(share);
        const Ref value = shown(setting, walk, each);
        if (!value || PyDict_SetItem(found, each.variable->label.get(), value.get()) < 0) {
            return nullptr;
        }
        room -= std::min(share, share - walk.room());
        --left;
    }
    const bool truncated = walk.truncated() || plan->omitted > 0;
    return Py_BuildValue("OnO", plan->arguments.get(), plan->omitted, truncated ? Py_True : Py_False);
}

}  // namespace tracepoints
