#include "capture/harmless_names.hpp"

#include <cstring>

#include "capture/knowledge.hpp"
#include "capture/suspicion.hpp"

namespace tracepoints {

bool HarmlessNames::learn(PyObject* text, Knowledge& knowledge) {
    if (!PyUnicode_IS_ASCII(text)) {
        return true;
    }
    const auto* const all = reinterpret_cast<const char*>(PyUnicode_1BYTE_DATA(text));
    for (Py_ssize_t end = 0; end < PyUnicode_GET_LENGTH(text); ++end) {
        Py_ssize_t start = end;
        while ((all[end] == '=' || all[end] == ':') && start > 0 &&
               is_of_name(static_cast<unsigned char>(all[start - 1]))) {
            --start;
        }
        if (start == end) {
            continue;
        }
        const std::string name(all + start, static_cast<std::size_t>(end - start));
        const Ref object = Ref::steal(PyUnicode_FromStringAndSize(name.data(), end - start));
        const int sensitive = object ? knowledge.is_sensitive(object.get()) : -1;
        if (sensitive < 0) {
            return false;
        }
        if (sensitive == 0) {
            names_.push_back(name);
        }
    }
    return true;
}

bool HarmlessNames::has(const unsigned char* name, std::size_t size) const noexcept {
    for (const std::string& each : names_) {
        if (each.size() == size && std::memcmp(each.data(), name, size) == 0) {
            return true;
        }
    }
    return false;
}

}  // namespace tracepoints
