// The objects that the collector knows of, gone through without a Python object made for any of them.
#pragma once

#include "python_compat.hpp"

namespace tracepoints {

// Shows an object that is alive. It must run no Python, make and let go no Python object: nothing dies
// and nothing moves meanwhile. False ends it; a null comes last, while all that was shown is alive still.
// No exception: it would pass through frames of the interpreter, which has switched the collector off.
using Visit = bool (*)(PyObject* object, void* argument) noexcept;

// Everything, but before 3.14 not what `gc.freeze` has hidden; with `young`, what the collector has not moved
// among the old yet. False with an error set. The GIL is held from beginning to end. Not to be used where
// there is none: other threads go on.
bool go_through_heap(bool young, Visit visit, void* argument);

// Takes `gc.get_objects` for it, before the application has put anything in its place.
bool prepare_heap();

}  // namespace tracepoints
