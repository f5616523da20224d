#include "capture/json.hpp"

#include <charconv>

namespace tracepoints {

namespace {

constexpr char kHex[] = "0123456789abcdef";

bool needs_escape(Py_UCS4 each) {
    return each < 0x20 || each == '"' || each == '\\';
}

void escape(std::string& out, Py_UCS4 each) {
    out += '\\';
    switch (each) {
        case '"': out += '"'; break;
        case '\\': out += '\\'; break;
        case '\n': out += 'n'; break;
        case '\r': out += 'r'; break;
        case '\t': out += 't'; break;
        case '\f': out += 'f'; break;
        case '\b': out += 'b'; break;
        default:
            out += 'u';
            for (int shift = 12; shift >= 0; shift -= 4) {
                out += kHex[(each >> shift) & 15];
            }
    }
}

void encode(std::string& out, Py_UCS4 each) {
    if (each < 0x80) {
        out += static_cast<char>(each);
    } else if (each < 0x800) {
        out += static_cast<char>(0xC0 | (each >> 6));
        out += static_cast<char>(0x80 | (each & 0x3F));
    } else if (each >= 0xD800 && each < 0xE000) {
        escape(out, each);  // a lone surrogate stays as its escape
    } else if (each < 0x10000) {
        out += static_cast<char>(0xE0 | (each >> 12));
        out += static_cast<char>(0x80 | ((each >> 6) & 0x3F));
        out += static_cast<char>(0x80 | (each & 0x3F));
    } else {
        out += static_cast<char>(0xF0 | (each >> 18));
        out += static_cast<char>(0x80 | ((each >> 12) & 0x3F));
        out += static_cast<char>(0x80 | ((each >> 6) & 0x3F));
        out += static_cast<char>(0x80 | (each & 0x3F));
    }
}

void ascii(std::string& out, const char* data, Py_ssize_t size) {
    Py_ssize_t done = 0;
    for (Py_ssize_t at = 0; at < size; ++at) {
        const auto each = static_cast<unsigned char>(data[at]);
        if (needs_escape(each)) {
            out.append(data + done, static_cast<std::size_t>(at - done));
            escape(out, each);
            done = at + 1;
        }
    }
    out.append(data + done, static_cast<std::size_t>(size - done));
}

}  // namespace

void JsonOut::integer(long long number) {
    char digits[24];
    text_.append(digits, std::to_chars(digits, digits + sizeof digits, number).ptr);
}

bool JsonOut::real(double number) {
    char* text = PyOS_double_to_string(number, 'r', 0, Py_DTSF_ADD_DOT_0, nullptr);
    if (text == nullptr) {
        return false;
    }
    try {
        text_ += text;
    } catch (...) {
        PyMem_Free(text);
        throw;
    }
    PyMem_Free(text);
    return true;
}

bool JsonOut::string(PyObject* text) {
#if !defined(Py_LIMITED_API)
    if (PyUnicode_READY(text) < 0) {
        return false;
    }
#endif
    const Py_ssize_t size = PyUnicode_GET_LENGTH(text);
    text_ += '"';
    if (PyUnicode_IS_ASCII(text)) {
        ascii(text_, reinterpret_cast<const char*>(PyUnicode_1BYTE_DATA(text)), size);
    } else {
        const int kind = static_cast<int>(PyUnicode_KIND(text));
        const void* data = PyUnicode_DATA(text);
        for (Py_ssize_t at = 0; at < size; ++at) {
            const Py_UCS4 each = PyUnicode_READ(kind, data, at);
            if (needs_escape(each)) {
                escape(text_, each);
            } else {
                encode(text_, each);
            }
        }
    }
    text_ += '"';
    return true;
}

bool JsonOut::plain(PyObject* value) {
    if (value == Py_None) {
        raw("null");
    } else if (value == Py_True) {
        raw("true");
    } else if (value == Py_False) {
        raw("false");
    } else if (PyUnicode_Check(value)) {
        return string(value);
    } else if (PyLong_CheckExact(value)) {
        int overflow = 0;
        const long long number = PyLong_AsLongLongAndOverflow(value, &overflow);
        if (overflow == 0) {
            integer(number);
            return true;
        }
        const Ref digits = Ref::steal(PyLong_Type.tp_repr(value));
        const char* text = digits ? PyUnicode_AsUTF8(digits.get()) : nullptr;
        if (text == nullptr) {
            return false;
        }
        text_ += text;
    } else if (PyFloat_CheckExact(value)) {
        return real(PyFloat_AS_DOUBLE(value));
    } else if (PyDict_CheckExact(value)) {
        raw('{');
        PyObject *key, *item;
        Py_ssize_t at = 0;
        for (bool first = true; PyDict_Next(value, &at, &key, &item) != 0; first = false) {
            if (!first) {
                raw(", ");
            }
            if (!PyUnicode_Check(key)) {
                PyErr_SetString(PyExc_TypeError, "a key that is no text");
                return false;
            }
            if (!string(key)) {
                return false;
            }
            raw(": ");
            if (!plain(item)) {
                return false;
            }
        }
        raw('}');
    } else if (PyList_CheckExact(value)) {
        raw('[');
        for (Py_ssize_t at = 0; at < PyList_GET_SIZE(value); ++at) {
            if (at != 0) {
                raw(", ");
            }
            if (!plain(PyList_GET_ITEM(value, at))) {
                return false;
            }
        }
        raw(']');
    } else {
        PyErr_SetString(PyExc_TypeError, "no JSON");
        return false;
    }
    return true;
}

PyObject* JsonOut::take() const {
    return PyUnicode_DecodeUTF8(text_.data(), static_cast<Py_ssize_t>(text_.size()), nullptr);
}

}  // namespace tracepoints
