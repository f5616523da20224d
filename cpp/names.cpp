#include "names.hpp"

#include "parts.hpp"

namespace tracepoints {

namespace names {

PyObject* add = nullptr;
PyObject* admit = nullptr;
PyObject* asyncio = nullptr;
PyObject* discard = nullptr;
PyObject* events_only = nullptr;
PyObject* exhausted = nullptr;
PyObject* expired = nullptr;
PyObject* fail = nullptr;
PyObject* get_running_loop = nullptr;
PyObject* has_expired = nullptr;
PyObject* hides_number = nullptr;
PyObject* holds = nullptr;
PyObject* is_sensitive = nullptr;
PyObject* key = nullptr;
PyObject* last_hit_ns = nullptr;
PyObject* module_name = nullptr;
PyObject* own_dict = nullptr;
PyObject* path = nullptr;
PyObject* read = nullptr;
PyObject* redacted = nullptr;
PyObject* room = nullptr;
PyObject* settle = nullptr;
PyObject* span_context = nullptr;
PyObject* steps = nullptr;
PyObject* tell_rate_limit = nullptr;
PyObject* thread_name = nullptr;
PyObject* truncated = nullptr;
PyObject* way_in = nullptr;

}  // namespace names

namespace {

struct Spelling {
    PyObject*& name;
    const char* text;
};

const Spelling kSpellings[] = {
    {names::add, "add"},
    {names::admit, "admit"},
    {names::asyncio, "asyncio"},
    {names::discard, "discard"},
    {names::events_only, "events_only"},
    {names::exhausted, "exhausted"},
    {names::expired, "expired"},
    {names::fail, "fail"},
    {names::get_running_loop, "_get_running_loop"},
    {names::has_expired, "_expired"},
    {names::hides_number, "hides_number"},
    {names::holds, "holds"},
    {names::is_sensitive, "is_sensitive"},
    {names::key, "key"},
    {names::last_hit_ns, "last_hit_ns"},
    {names::module_name, "__name__"},
    {names::own_dict, "__dict__"},
    {names::path, "path"},
    {names::read, "read"},
    {names::redacted, "[REDACTED]"},
    {names::room, "room"},
    {names::settle, "settle"},
    {names::span_context, "_context"},
    {names::steps, "_steps"},
    {names::tell_rate_limit, "tell_rate_limit"},
    {names::thread_name, "_name"},
    {names::truncated, "truncated"},
    {names::way_in, "way_in"},
};

}  // namespace

bool add_names(PyObject*) {
    for (const Spelling& each : kSpellings) {
        if (each.name == nullptr) {
            each.name = PyUnicode_InternFromString(each.text);
        }
        if (each.name == nullptr) {
            return false;
        }
    }
    return true;
}

}  // namespace tracepoints
