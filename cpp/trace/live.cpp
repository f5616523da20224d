#include "trace/live.hpp"

#include <algorithm>
#include <mutex>
#include <new>
#include <vector>

#include "trace/tracer.hpp"

namespace tracepoints {

namespace {

std::mutex changing;
// Borrowed: a tracer that is freed is taken out. Without the GIL none is ever freed.
std::vector<PyObject*>& live() {
    static auto* const tracers = new std::vector<PyObject*>();
    return *tracers;
}

// False with an error.
bool enter_live(PyObject* tracer) {
    try {
        const std::lock_guard<std::mutex> lock(changing);
        std::vector<PyObject*>& tracers = live();
        if (std::find(tracers.begin(), tracers.end(), tracer) == tracers.end()) {
            tracers.push_back(tracer);
        }
        return true;
    } catch (const std::bad_alloc&) {
        PyErr_NoMemory();
        return false;
    }
}

enum class Holder { kNobody, kThis, kLeft, kOther };

// Whose trace function a thread has.
Holder holder_of(PyThreadState* state, PyObject* tracer) {
    if (state->c_tracefunc == nullptr) {
        return Holder::kNobody;
    }
    // A tracer may have been set by `sys.settrace` too, and not have been called yet.
    if (state->c_traceobj == tracer) {
        return state->c_tracefunc == on_event ? Holder::kThis : Holder::kNobody;
    }
    if (state->c_traceobj != nullptr && is_tracer(state->c_traceobj) &&
        !as_tracer(state->c_traceobj)->on.load()) {
        return Holder::kLeft;
    }
    return Holder::kOther;
}

// What a visit to a thread comes to.
enum class Visit {
    kSeen,     // no code ran
    kChanged,  // any code may have run, an auditor's for one, and any thread have ended
    kFailed,
};

// Calls `visit` with the state of every thread, newest first. After a change the next is looked for among
// those that are there then.
template <typename Visitor>
bool each_thread(Visitor visit) {
    PyThreadState* state = newest_thread();
    while (state != nullptr) {
        const uint64_t last = state->id;
        switch (visit(state)) {
            case Visit::kSeen: state = PyThreadState_Next(state); break;
            case Visit::kFailed: return false;
            case Visit::kChanged:
                state = newest_thread();
                while (state != nullptr && state->id >= last) {
                    state = PyThreadState_Next(state);
                }
        }
    }
    return true;
}

// Where nobody may look at another thread's state.
Py_ssize_t set_without_looking(PyObject* tracer, bool everywhere) {
    const Holder here = holder_of(PyThreadState_Get(), tracer);
    if (here == Holder::kOther) {
        return 1;
    }
    if (everywhere) {
        return set_trace_everywhere(on_event, tracer) ? 0 : -1;
    }
    return here == Holder::kThis || set_trace_of(PyThreadState_Get(), on_event, tracer) ? 0 : -1;
}

}  // namespace

Ref any_live_tracer() {
    const std::lock_guard<std::mutex> lock(changing);
    return live().empty() ? Ref() : Ref::borrow(live().back());
}

Py_ssize_t set_in_all_threads(PyObject* tracer, bool everywhere) {
    // Before anything is changed; see `kAsksForEachThread`.
    if (PySys_Audit("sys.settrace", nullptr) < 0) {
        return -1;
    }
    as_tracer(tracer)->on.store(true);
    if (!enter_live(tracer)) {
        return -1;
    }
    if (kFreeThreaded) {
        return set_without_looking(tracer, everywhere);
    }
    Py_ssize_t others = 0;
    const bool good = each_thread([&](PyThreadState* state) {
        if (is_ending(state)) {
            return Visit::kSeen;
        }
        switch (holder_of(state, tracer)) {
            case Holder::kThis: return Visit::kSeen;
            case Holder::kOther: ++others; return Visit::kSeen;
            case Holder::kNobody:
            case Holder::kLeft: break;
        }
        const bool lets_go = state->c_traceobj != nullptr;
        if (!set_trace_of(state, on_event, tracer)) {
            return Visit::kFailed;
        }
        return kAsksForEachThread || lets_go ? Visit::kChanged : Visit::kSeen;
    });
    return good ? others : -1;
}

bool clear_in_all_threads(PyObject* tracer) {
    forget_tracer(tracer);
    as_tracer(tracer)->on.store(false);
    PyThreadState* own = PyThreadState_Get();
    if (kFreeThreaded) {
        return own->c_traceobj != tracer || enter_thread(tracer);
    }
    bool found = false;
    const bool good = each_thread([&](PyThreadState* state) {
        if (state->c_traceobj != tracer) {
            return Visit::kSeen;
        }
        found = true;
        // Not the last reference: the caller has one. Who watches still gets the thread.
        const Ref next = any_live_tracer();
        if (!set_trace_of(state, next ? on_event : nullptr, next.get())) {
            return Visit::kFailed;
        }
        return kAsksForEachThread ? Visit::kChanged : Visit::kSeen;
    });
    if (good && !found && kTracingIsInCode) {
        // Those that had it have ended, which nobody has told the code.
        const Ref kept = Ref::borrow(own->c_traceobj);
        return set_trace_of(own, own->c_tracefunc, kept.get());
    }
    return good;
}

void renew_live_tracers() noexcept {
    new (&changing) std::mutex();
}

void forget_tracer(PyObject* tracer) noexcept {
    const std::lock_guard<std::mutex> lock(changing);
    std::vector<PyObject*>& tracers = live();
    tracers.erase(std::remove(tracers.begin(), tracers.end(), tracer), tracers.end());
}

}  // namespace tracepoints
