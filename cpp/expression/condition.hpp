// A condition that is decided without Python, as far as that can be.
//
// It is *partial*: it answers for values of builtin types and for plain attributes, and defers for
// everything else. Then the gate asks the one implementation of the whole language, which is in Python
// (`otel_tracepoints.expression`). So there is one semantics, and what is here can only agree with it.
#pragma once

#include <memory>

#include "ref.hpp"

namespace tracepoints {

class Value;

enum class Verdict { kFalse, kTrue, kDefer };

class Condition {
public:
    virtual ~Condition() = default;

    // From what `expression.lowering.lower` made of the checked tree; null where nothing of it can be
    // decided here (no error is set then), or with a Python error.
    static std::unique_ptr<Condition> make(PyObject* lowered);

    // Sets no error, leaves one alone that is set (and defers then, unless it can answer without a call);
    // raises nothing. From any thread. It runs no code of the application, except that up to 3.11 a list or
    // tuple that is made (of `x[a:b]`, of `args`) may be the one that starts a garbage collection.
    virtual Verdict test(Frame* frame) const noexcept = 0;
    // What a look at one slot tells of it; defers for all that takes more. Neither looks at an error nor sets
    // one.
    virtual Verdict glance(Frame* frame) const noexcept = 0;
    // The value; false where Python is to be asked. As harmless as `test`.
    virtual bool evaluate(Frame* frame, Value& out) const noexcept = 0;
};

}  // namespace tracepoints
