// The span that is current in this thread or task: what `emission.spans` finds, without a line of Python.
#pragma once

#include "ref.hpp"

namespace tracepoints {

class CurrentSpan {
public:
    // Of a `spans.SpanParts`, or None. False where it is neither.
    bool prepare(PyObject* parts);

    // Its ids: a `model.TraceContext`, or None where it has no valid ones, or there is none. Null, without
    // an error, where only Python can tell: a span of a class that is not OpenTelemetry's, say.
    Ref trace() const noexcept;

private:
    Ref ids_of(PyObject* span) const noexcept;

    // All borrowed from the parts, which `HitParts` holds. Null: Python has to be asked.
    PyObject* variable_ = nullptr;
    PyTypeObject* context_ = nullptr;
    PyObject* key_ = nullptr;
    PyObject* spans_ = nullptr;
    PyTypeObject* span_context_ = nullptr;
    PyTypeObject* made_ = nullptr;
};

}  // namespace tracepoints
