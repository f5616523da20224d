#include "expression/arguments.hpp"

#include "expression/container.hpp"

namespace tracepoints {

namespace {

// `budget.MAX_ITEMS`.
constexpr Py_ssize_t kMostItems = 10'000;

// In its own slot. Up to 3.10 by its name, as that may stand among the cells too, and looking costs.
bool parameter(Scene& scene, Py_ssize_t index, Value& out) noexcept {
    if (!kCellsApart) {
        return read_slot(scene, static_cast<int>(index), out);
    }
    if (!scene.spend(slot_count(scene.code) >> 3)) {
        return false;
    }
    const int slot = find_slot(scene.code, slot_name(scene.code, index));
    return slot >= 0 && read_slot(scene, slot, out);
}

// What `*rest` holds, if there is one; false where that is for Python to look at.
bool rest(Scene& scene, Value& out, Py_ssize_t& size) noexcept {
    const PyCodeObject* const code = scene.code;
    size = 0;
    if ((code->co_flags & CO_VARARGS) == 0) {
        return true;
    }
    if (!parameter(scene, code->co_argcount + code->co_kwonlyargcount, out) ||
        (out.kind() != Kind::kTuple && out.kind() != Kind::kList)) {
        return false;
    }
    size = size_of(out);
    return true;
}

}  // namespace

bool Arguments::evaluate(Scene& scene, Value& out) const noexcept {
    const Py_ssize_t named = scene.code->co_argcount;
    Value more;
    Py_ssize_t count = 0;
    if (!rest(scene, more, count) || count > kMostItems || !scene.spend(10 * named + (count >> 3))) {
        return false;
    }
    Ref made = Ref::steal(PyTuple_New(named + count));
    if (!made) {
        PyErr_Clear();
        return false;
    }
    for (Py_ssize_t index = 0; index < named + count; ++index) {
        Value value;
        if (index < named ? !parameter(scene, index, value) : !element(more, index - named, value)) {
            return false;
        }
        PyTuple_SET_ITEM(made.get(), index, Ref::borrow(value.object()).release());
    }
    out.steal(made.release());
    return true;
}

bool Argument::evaluate(Scene& scene, Value& out) const noexcept {
    Value wanted;
    if (!index_->evaluate(scene, wanted)) {
        return false;
    }
    if (!args_->is_absent(scene)) {
        Value owner;
        return args_->evaluate(scene, owner) && item(owner, wanted, scene, out);
    }
    const Py_ssize_t named = scene.code->co_argcount;
    long long index = 0;
    if (!wanted.is_integer() || !wanted.integer(index)) {
        return false;
    }
    if (index >= 0 && index < named) {
        return parameter(scene, index, out);
    }
    Value more;
    Py_ssize_t count = 0;
    if (!rest(scene, more, count)) {
        return false;
    }
    index = index < 0 ? index + named + count : index;
    if (index < 0 || index >= named + count) {
        return false;
    }
    return index < named ? parameter(scene, index, out) : element(more, index - named, out);
}

}  // namespace tracepoints
