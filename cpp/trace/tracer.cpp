#include "trace/tracer.hpp"

#include "hook/dispatch.hpp"
#include "trace/live.hpp"

namespace tracepoints {

bool enter_thread(PyObject* self) {
    const Ref kept = Ref::borrow(self);
    PyThreadState* own = PyThreadState_Get();
    if (as_tracer(self)->on.load()) {
        return set_trace_of(own, on_event, self);
    }
    // First off, then the look: whoever watches something does it the other way round, so that one of the two
    // sees what the other did.
    if (!set_trace_of(own, nullptr, nullptr)) {
        return false;
    }
    const Ref next = any_live_tracer();
    return !next || set_trace_of(own, on_event, next.get());
}

int on_event(PyObject* self, PyFrameObject* frame, int what, PyObject*) {
    // Without the GIL a thread may see the function a moment before its tracer.
    if (self == nullptr || !is_tracer(self)) {
        return 0;
    }
    const TracerObject* tracer = as_tracer(self);
    if (!tracer->on.load(std::memory_order_acquire)) {
        if ((what == PyTrace_CALL || what == PyTrace_LINE) && !enter_thread(self)) {
            PyErr_Clear();  // an auditor that refuses: at the next event again
        }
        return 0;
    }
    if (what != PyTrace_LINE || tracer->table == nullptr) {
        return 0;
    }
    Frame* record = frame_of(frame);
    PyCodeObject* code = code_of(record);
    const Table& table = table_of(tracer->table);
    if (!table.has(code)) {
        return 0;
    }
    // What a handler does may take the tracer away from this thread.
    const Ref kept = Ref::borrow(self);
    const Ref handlers = table.find(code, line_of(record));
    return !handlers || dispatch(handlers.get(), record) ? 0 : -1;
}

}  // namespace tracepoints
