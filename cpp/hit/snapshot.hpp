// Makes a `model.Snapshot`: an object of that class, written slot by slot instead of by its constructor.
#pragma once

#include <array>

#include "ref.hpp"

namespace tracepoints {

enum class Slot {
    kArguments,
    kCondition,
    kFailure,
    kFields,
    kFile,
    kFunction,
    kHitCount,
    kLevel,
    kLine,
    kMessage,
    kOmitted,
    kProbeId,
    kProbeType,
    kSequence,
    kStack,
    kTags,
    kTaskName,
    kTemplate,
    kThreadId,
    kThreadName,
    kTimestamp,
    kTrace,
    kTruncated,
    kVariables,
    kWatches,
    kCount,
};

class SnapshotMaker {
public:
    // Looks the slots up in the class. False with an error where it has others.
    bool prepare(PyTypeObject* type);
    bool is_of(PyTypeObject* type) const { return type_ == type; }

    // A new one with every slot set as the constructor leaves it, but for those that `set` is for.
    Ref make() const;
    // Takes over the reference.
    void set(PyObject* snapshot, Slot slot, PyObject* value) const {
        *reinterpret_cast<PyObject**>(reinterpret_cast<char*>(snapshot) +
                                      offsets_[static_cast<std::size_t>(slot)]) = value;
    }
    // Whether it has its ordinal among the emitted ones: an int, not 0.
    bool is_emitted(PyObject* snapshot) const {
        PyObject* const count = *reinterpret_cast<PyObject**>(
            reinterpret_cast<char*>(snapshot) + offsets_[static_cast<std::size_t>(Slot::kHitCount)]);
        return PyObject_IsTrue(count) == 1;
    }
    // The same where there is something already.
    void replace(PyObject* snapshot, Slot slot, Ref value) const {
        auto** const at = reinterpret_cast<PyObject**>(reinterpret_cast<char*>(snapshot) +
                                                       offsets_[static_cast<std::size_t>(slot)]);
        const Ref before = Ref::steal(std::exchange(*at, value.release()));
    }

private:
    PyTypeObject* type_ = nullptr;
    std::array<Py_ssize_t, static_cast<std::size_t>(Slot::kCount)> offsets_{};
};

// Of the one class there is. Prepared when the first gate is made, on the control path, whose calls take
// turns.
SnapshotMaker& snapshot_maker();

}  // namespace tracepoints
