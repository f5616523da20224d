// What a compiled gate holds.
#pragma once

#include <atomic>

#include "gate/plan.hpp"

namespace tracepoints {

struct GateObject {
    PyObject_HEAD
    vectorcallfunc call;
    // The `pipeline.Gate` that has the rest of the way. Its methods are called by name: bound ones would
    // be as large as the gate.
    PyObject* rest;
    // Counters, one an outcome.
    PyObject* reentrant;
    PyObject* condition_false;
    PyObject* rate_limited;
    PyObject* capture_error;
    PyObject* over_budget;
    PyObject* dropped;
    PyObject* emitted;
    // What its hits need: a `HitParts` object.
    PyObject* parts;
    std::atomic<Plan*> plan;
    // From the first hit dropped by the rate limit until that has been reported.
    std::atomic<bool> rate_limit_told;
    // Hits that are in here now, and plans that were replaced while some were: only without the GIL
    // can a plan be taken away under a hit that has not taken a reference yet.
    std::atomic<int> inside;
    std::atomic<Plan*> retired;
};

inline GateObject* as_gate(PyObject* self) {
    return reinterpret_cast<GateObject*>(self);
}

// Puts a plan, or null, in the place of the one there is, which goes when no hit is in it any more.
void replace_plan(GateObject* gate, Plan* next);

// A hit that is in a gate, and may look at its plan.
class Visit {
public:
    explicit Visit(GateObject* gate) noexcept : gate_(gate) { add(1); }
    ~Visit() { add(-1); }
    Visit(const Visit&) = delete;
    Visit& operator=(const Visit&) = delete;

private:
    void add(int change) noexcept {
        if (kFreeThreaded) {
            gate_->inside.fetch_add(change);
        } else {
            // The GIL is held: no other thread does the same at this moment.
            gate_->inside.store(gate_->inside.load(std::memory_order_relaxed) + change,
                                std::memory_order_relaxed);
        }
    }

    GateObject* gate_;
};

// Made with the type, which is of `gate_type.cpp`.
extern PyTypeObject* gate_type;

PyObject* gate_call(PyObject* self, PyObject* const* arguments, size_t count, PyObject* names);

}  // namespace tracepoints
