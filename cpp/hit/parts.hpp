// What hits that are made in C++ need of Python, the same for all gates: what `debugger.gating` gives.
#pragma once

#include "gate/governor.hpp"
#include "hit/span.hpp"
#include "ref.hpp"

namespace tracepoints {

struct HitParts {
    // Of the tuple that `gating._hit_parts` makes. False with a Python error.
    bool fill(PyObject* parts);
    // For the collector: some of them lead back to the gates.
    int traverse(visitproc visit, void* arg) const;

    Ref snapshot;       // the class
    Ref governor;       // a compiled one
    Ref emitter;
    Ref span_parts;     // what `span` was made of
    Ref observe;        // remembers the seconds that a hit took
    Ref poke;           // tells that a probe wants something done
    Ref function_name;  // of a code object
    Ref label;          // of the policy
    Ref labels;         // its memory: a dict
    Ref get_ident;      // where that is not the interpreter's own (gevent's), else None
    Ref thread_name;    // of an ident
    Ref threads;        // ident → thread: `threading._active`
    Ref plain_threads;  // the classes whose threads have their name in ``_name``
    Ref task_name;
    CurrentSpan span;
};

// The Python object around them; they live as long as it.
bool is_hit_parts(PyObject* object) noexcept;
const HitParts& hit_parts_of(PyObject* object) noexcept;

}  // namespace tracepoints
