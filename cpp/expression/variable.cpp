#include "expression/variable.hpp"

namespace tracepoints {

namespace {

// Names of slots and the names looked for are interned, so identity tells. A name that is not (an extension
// may make a code of any strings) is for Python to compare.
bool may_be(PyObject* stored, PyObject* name) noexcept {
    return stored == name || !is_interned(stored);
}

}  // namespace

// Names stand once, but for two cases. To 3.10 an argument that is a cell stands among both, and the cell
// counts. From 3.12 on a comprehension's variable may have the name of a free variable of the function it is
// inlined into: which of them is meant, f_locals says, and this does not.
int find_slot(PyCodeObject* code, PyObject* name) noexcept {
    const auto count = static_cast<int>(slot_count(code));
    int found = kNoSlot;
    for (int index = 0; index < count; ++index) {
        PyObject* const stored = slot_name(code, index);
        if (may_be(stored, name)) {
            if (stored != name || (found != kNoSlot && !kCellsApart)) {
                return kUnclearSlot;
            }
            found = index;
        }
    }
    return found;
}

// An unbound variable may be a global's after all, and a cell is not one before the call has begun.
bool read_slot(Scene& scene, int index, Value& out) noexcept {
    if (is_cell_slot(scene.code, index)) {
        PyObject* const value = has_begun(scene.frame) ? slot_value(scene.frame, scene.code, index) : nullptr;
        if (value != nullptr) {
            out.steal(value);
        }
        return value != nullptr;
    }
    PyObject* const value = raw_slot(scene.frame, index);
    if (value == nullptr) {
        return false;
    }
    // With a reference of its own: what is looked up next may compare with a planted key, whose code may
    // write into the slot by way of the frame's f_locals (as another thread may, without the GIL).
    Py_INCREF(value);
    out.steal(value);
    return true;
}

int Variable::slot(PyCodeObject* code) const noexcept {
    const int guessed = guess(code);
    if (guessed != kNoSlot) {
        return guessed;
    }
    const int found = find_slot(code, name_.get());
    if (found >= 0) {
        guess_.store(found, std::memory_order_relaxed);
    }
    return found;
}

bool Variable::evaluate(Scene& scene, Value& out) const noexcept {
    const int index = slot(scene.code);
    if (index < 0) {
        return index == kNoSlot && !is_beside(scene) &&
               (otherwise_ ? otherwise_->evaluate(scene, out) : global(scene, out));
    }
    return read_slot(scene, index, out);
}

// Whether somebody has written the name into locals(), which comes before a global, or may have.
bool Variable::is_beside(Scene& scene) const noexcept {
    PyObject* const names = namespace_beside(scene.frame);
    if (names == nullptr) {
        return false;
    }
    if (!PyDict_CheckExact(names)) {
        return true;
    }
    const Ref found = Ref::steal(dict_item(names, name_.get()));
    if (!found && PyErr_Occurred() != nullptr) {
        // A planted key's own comparison has failed: whose value it is, Python may find out.
        PyErr_Clear();
        return true;
    }
    return static_cast<bool>(found);
}

bool Variable::global(Scene& scene, Value& out) const noexcept {
    PyObject* const globals = scene.frame->f_globals;
    PyObject* const value =
        globals != nullptr && PyDict_CheckExact(globals) ? dict_item(globals, name_.get()) : nullptr;
    if (value == nullptr) {
        // A planted key's own comparison may have failed.
        PyErr_Clear();
        return false;
    }
    out.steal(value);
    return true;
}

}  // namespace tracepoints
