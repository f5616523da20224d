// What the hits of one gate need of Python: what `pipeline.Gate.hit_parts` gives.
#pragma once

#include <memory>

#include "ref.hpp"

namespace tracepoints {

struct HitParts {
    // Null with a Python error.
    static std::unique_ptr<HitParts> make(PyObject* parts);
    // For the collector: some of them lead back to the gate.
    int traverse(visitproc visit, void* arg) const;

    Ref snapshot;       // the class
    Ref allows, spend;  // of the governor
    Ref submit;         // of the emitter
    Ref emitted;        // counts a hit, and answers how many there were
    Ref observe;        // of the self metrics
    Ref function_name;  // of a code object
    Ref label;          // of the policy
    Ref labels;         // its memory: a dict
    Ref thread_name;    // of an ident
    Ref threads;        // ident → thread: `threading._active`
    Ref plain_threads;  // the classes whose threads have their name in ``_name``
    Ref task_name;
    Ref failed;  // what is to be done when a hit has failed
};

}  // namespace tracepoints
