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

void enter_live(PyObject* tracer) {
    const std::lock_guard<std::mutex> lock(changing);
    std::vector<PyObject*>& tracers = live();
    if (std::find(tracers.begin(), tracers.end(), tracer) == tracers.end()) {
        tracers.push_back(tracer);
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

// Calls `visit` with the state of every thread, newest first. A change may run an auditor's code, and any
// thread end meanwhile: so the next is looked for among those that are there then.
template <typename Visit>
bool each_thread(Visit visit) {
    uint64_t last = UINT64_MAX;
    for (;;) {
        PyThreadState* state = newest_thread();
        while (state != nullptr && state->id >= last) {
            state = PyThreadState_Next(state);
        }
        if (state == nullptr) {
            return true;
        }
        last = state->id;
        if (!visit(state)) {
            return false;
        }
    }
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
    as_tracer(tracer)->on.store(true);
    enter_live(tracer);
    if (kFreeThreaded) {
        return set_without_looking(tracer, everywhere);
    }
    Py_ssize_t others = 0;
    const bool good = each_thread([&](PyThreadState* state) {
        switch (holder_of(state, tracer)) {
            case Holder::kThis: return true;
            case Holder::kOther: ++others; return true;
            case Holder::kNobody:
            case Holder::kLeft: break;
        }
        return set_trace_of(state, on_event, tracer);
    });
    return good ? others : -1;
}

bool clear_in_all_threads(PyObject* tracer) {
    forget_tracer(tracer);
    as_tracer(tracer)->on.store(false);
    if (kFreeThreaded) {
        PyThreadState* own = PyThreadState_Get();
        return own->c_traceobj != tracer || enter_thread(tracer);
    }
    return each_thread([&](PyThreadState* state) {
        return state->c_traceobj != tracer || set_trace_of(state, nullptr, nullptr);
    });
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
