// The compiled module. The only file that knows pybind11, which sets the module up; what is called on a
// hit are plain C functions and types, since a call through pybind11 costs more than one of Python.
#include <pybind11/pybind11.h>

#include "parts.hpp"

namespace {

constexpr bool (*kParts[])(PyObject*) = {
    tracepoints::add_names,   tracepoints::add_limits,     tracepoints::add_counter,
    tracepoints::add_budget,  tracepoints::add_governor,   tracepoints::add_hit_parts,
    tracepoints::add_gate,    tracepoints::add_hook,       tracepoints::add_tracer,
    tracepoints::add_message, tracepoints::add_conditions, tracepoints::add_capture,
    tracepoints::add_search,  tracepoints::add_codes_made,
};

}  // namespace

PYBIND11_MODULE(_native, module, pybind11::mod_gil_not_used()) {
    module.doc() = "The hit path in C++: hook, gates, expressions, capture.";
    for (auto add : kParts) {
        if (!add(module.ptr())) {
            throw pybind11::error_already_set();
        }
    }
}
