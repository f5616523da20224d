// How many code objects the interpreter has made: while that stays the same, no file has code that a search
// has not met, wherever the collector cannot tell what is new.
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

PyObject* codes_made(PyObject*, PyObject*) {
    static const bool counts = watch_code<note_code>();
    if (!counts) {
        PyErr_Clear();
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
