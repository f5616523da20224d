// Who ran into the probe: function, thread and task, by their names.
#pragma once

#include "hit/parts.hpp"

namespace tracepoints {

// Each is null with an error.
// What `thread_names.get_ident` says.
Ref thread_ident(const HitParts& parts);
// What `thread_names.thread_name` says of this thread, redacted.
Ref thread_label(const HitParts& parts, PyObject* ident);
// The asyncio task, redacted; None where there is none.
Ref task_label(const HitParts& parts);

}  // namespace tracepoints
