// A finished hit on its way into the queue: what `emission.Intake.submit` does with one that goes on no span.
#pragma once

#include "hit/parts.hpp"

namespace tracepoints {

class Handover {
public:
    enum class End { kTaken, kFull, kFailed };

    explicit Handover(const HitParts& parts);

    // `emitted`: the counter of such hits. Puts it into the queue, or has Python do what it does with it.
    // `kFailed`: with an error. Taken or failed, `hit_count` of the snapshot says whether it was counted as
    // emitted.
    End submit(PyObject* snapshot, PyObject* emitted) const;
    // Remembers how many seconds it took. False with an error.
    bool observe(double seconds) const;

private:
    PyObject* part(int which) const { return PyTuple_GET_ITEM(way_.get(), which); }
    bool takes_logs() const;
    End by_python(PyObject* snapshot, PyObject* emitted) const;

    const HitParts& parts_;
    // The way past Python; null where there is none at the moment.
    Ref way_;
};

}  // namespace tracepoints
