// How many code objects the interpreter has made: while that stays the same, a file has no code but what
// there was at the last search. For where the collector cannot tell what is new.
#include <atomic>
#include <cstdint>

#include "ref.hpp"

#include "parts.hpp"

namespace tracepoints {

namespace {

std::atomic<std::uint64_t> made{0};

// In the thread that makes one, at any moment: nothing but a number is changed.
void note_code() noexcept {
    made.fetch_add(1, std::memory_order_relaxed);
}

// Which interpreter tells us: a watcher is of one. Or one of these.
constexpr int64_t kNobody = -1;
constexpr int64_t kNever = -2;
std::atomic<int64_t> teller{kNobody};

// Whether code that is made now is counted. What was counted before this is no account of anything, and so
// the number differs afterwards from whatever was told.
bool is_told() {
    if (!watch_code<note_code>()) {
        return false;
    }
    const std::uint64_t before = made.load();
    const Ref code = Ref::steal(Py_CompileString("0", "<otel-tracepoints>", Py_eval_input));
    return code && made.load() != before;
}

PyObject* codes_made(PyObject*, PyObject*) {
    const int64_t here = interpreter_id();
    int64_t told_by = kNobody;
    if (teller.compare_exchange_strong(told_by, here)) {
        told_by = here;
        if (!is_told()) {
            PyErr_Clear();
            teller.store(told_by = kNever);
        }
    }
    if (told_by != here) {
        Py_RETURN_NONE;
    }
    return PyLong_FromUnsignedLongLong(made.load());
}

PyMethodDef functions[] = {
    {"codes_made", codes_made, METH_NOARGS,
     "How many code objects were made since this was first asked; None where nobody can tell."},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace

bool add_codes_made(PyObject* module) {
    return PyModule_AddFunctions(module, functions) == 0;
}

}  // namespace tracepoints
