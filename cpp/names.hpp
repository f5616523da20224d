// The names that the compiled parts ask Python objects for: interned once, while the module is loaded.
//
// Not in a function at its first call, since the compiler puts a lock around that, which does not know the
// interpreter: without the GIL who waits for it would keep who has it, and stops for the collector, from
// going on.
#pragma once

#include <Python.h>

namespace tracepoints::names {

extern PyObject* add;
extern PyObject* admit;
extern PyObject* asyncio;
extern PyObject* discard;
extern PyObject* events_only;
extern PyObject* exhausted;
extern PyObject* expired;
extern PyObject* fail;
extern PyObject* get_running_loop;
extern PyObject* has_expired;
extern PyObject* hides_number;
extern PyObject* holds;
extern PyObject* is_sensitive;
extern PyObject* key;
extern PyObject* last_hit_ns;
extern PyObject* module_name;
extern PyObject* own_dict;
extern PyObject* path;
extern PyObject* read;
extern PyObject* redacted;
extern PyObject* room;
extern PyObject* settle;
extern PyObject* span_context;
extern PyObject* steps;
extern PyObject* tell_rate_limit;
extern PyObject* thread_name;
extern PyObject* truncated;
extern PyObject* way_in;

}  // namespace tracepoints::names
