// A logpoint's hit from the verdict to the queue: what `pipeline.Gate.admit` does, for plain messages.
#pragma once

#include <memory>

#include "gate/budget.hpp"
#include "hit/handover.hpp"

namespace tracepoints {

class Logpoint {
public:
    // `kLate`: another thread had the last of the hits, so this arrival came after it.
    enum class End { kTaken, kLate, kDropped, kOverBudget, kPython, kFailed };

    // What a gate brings: the counters of hits that were emitted or failed, and the `pipeline.Gate` that is
    // told of what came out of one. A hit that is not emitted leaves the budget as it was.
    struct Way {
        const HitParts& parts;
        PyObject* emitted;
        PyObject* capture_error;
        PyObject* rest;
        // Null where hits are not limited.
        HitBudget* budget;
    };

    // Of a `pipeline.Plan`: null where hits of it are Python's, or with an error.
    static std::unique_ptr<Logpoint> make(PyObject* plan);

    // `kPython`: nothing has been done yet. `kFailed`: what came is for the application, and set; all else
    // that may fail has been counted by `Gate.fail`, and ends as `kTaken`. The frame's object is made where
    // it is needed, if there is none yet.
    End hit(const Way& way, PyObject* plan, Frame* frame, PyFrameObject* object) const;

private:
    PyObject* snapshot(const HitParts& parts, Frame* frame, PyObject* rendered, PyObject* now) const;

    Ref entry_;
    Ref message_;
    Ref id_, type_, file_, line_, tags_, condition_, level_, template_;
};

}  // namespace tracepoints
