// The watches of a probe: each is evaluated and read where that can be done here, and else by Python, within
// one account (`Collector.watches`).
#pragma once

#include "capture/walk.hpp"

namespace tracepoints {

// What the hits of a probe need of its watches, from (lowered or None, label, expression) of each: a new
// reference, or null with an error.
PyObject* prepare_watches(PyObject* watches);

// What a hit's watches are read with.
struct WatchCall {
    PyObject* prepared;  // what `prepare_watches` gave
    PyObject* clock;
    long long room;
    long long least;
    // (frame, expression, snapshot) → (whether a text stands for it, that text or the value).
    PyObject* ask;
    PyObject* snapshot;
    PyObject* no_time;  // stands for a watch that there was no time for
};

// (list of `WatchValue`, whether anything was cut); null with an error set.
PyObject* read_watches(const Setting& setting, PyFrameObject* frame, const WatchCall& call);

}  // namespace tracepoints
