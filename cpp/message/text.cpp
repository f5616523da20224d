#include "message/text.hpp"

#include <charconv>
#include <cmath>
#include <cstring>

namespace tracepoints {

namespace {

// Decimals that are tried before the interpreter's own way.
constexpr int kDecimals = 6;
constexpr std::size_t kLongest = 32;

PyObject* text_of(const char* characters, std::size_t size) {
    PyObject* text = PyUnicode_New(static_cast<Py_ssize_t>(size), 127);
    if (text != nullptr && size != 0) {
        std::memcpy(PyUnicode_1BYTE_DATA(text), characters, size);
    }
    return text;
}

// The shortest decimal that is this number, as `repr` has it, where that is short: else 0. If an integer
// below 2^53 divided by a power of ten is the number, that is its decimal, for the division of two numbers
// that are exact is what reading the decimal comes to; and no two decimals of up to 15 digits are read as one
// number. The product is that integer but for far less than a half, so rounding finds it, the shortest first.
std::size_t short_decimal(double number, char* out) {
    const double size = std::fabs(number);
    if (!(size < 1e9) || (size < 1e-4 && size != 0.0) || std::signbit(number)) {
        return 0;
    }
    double power = 1.0;
    for (int decimals = 0; decimals <= kDecimals; ++decimals, power *= 10.0) {
        const auto digits = static_cast<long long>(size * power + 0.5);
        if (static_cast<double>(digits) / power != size) {
            continue;
        }
        const auto whole = digits / static_cast<long long>(power);
        auto rest = digits % static_cast<long long>(power);
        char* end = std::to_chars(out, out + kLongest, whole).ptr;
        *end++ = '.';
        const int places = decimals == 0 ? 1 : decimals;
        for (int at = places - 1; at >= 0; --at, rest /= 10) {
            end[at] = static_cast<char>('0' + rest % 10);
        }
        return static_cast<std::size_t>(end + places - out);
    }
    return 0;
}

}  // namespace

bool Text::add(const char* characters, std::size_t size) {
    if (size > line_.size() - size_ && !flush()) {
        return false;
    }
    length_ += static_cast<Py_ssize_t>(size);
    if (size > line_.size()) {
        const Ref text = Ref::steal(text_of(characters, size));
        return text && PyList_Append(before_.get(), text.get()) == 0;
    }
    std::memcpy(line_.data() + size_, characters, size);
    size_ += size;
    return true;
}

bool Text::add(PyObject* text) {
    if (PyUnicode_IS_ASCII(text)) {
        return add(reinterpret_cast<const char*>(PyUnicode_1BYTE_DATA(text)),
                   static_cast<std::size_t>(PyUnicode_GET_LENGTH(text)));
    }
    length_ += PyUnicode_GET_LENGTH(text);
    return flush() && PyList_Append(before_.get(), text) == 0;
}

bool Text::add(long long number) {
    char digits[kLongest];
    const char* end = std::to_chars(digits, digits + kLongest, number).ptr;
    return add(digits, static_cast<std::size_t>(end - digits));
}

bool Text::add(double number) {
    char digits[2 * kLongest];
    const std::size_t size = short_decimal(number, digits);
    if (size != 0) {
        return add(digits, size);
    }
    char* made = PyOS_double_to_string(number, 'r', 0, Py_DTSF_ADD_DOT_0, nullptr);
    const bool good = made != nullptr && add(made, std::strlen(made));
    PyMem_Free(made);
    return good;
}

bool Text::flush() {
    if (!before_) {
        before_ = Ref::steal(PyList_New(0));
    }
    const Ref text = Ref::steal(before_ ? text_of(line_.data(), size_) : nullptr);
    size_ = 0;
    return text && PyList_Append(before_.get(), text.get()) == 0;
}

PyObject* Text::finish() {
    if (!before_) {
        return text_of(line_.data(), size_);
    }
    const Ref nothing = Ref::steal(PyUnicode_New(0, 0));
    return nothing && flush() ? PyUnicode_Join(nothing.get(), before_.get()) : nullptr;
}

}  // namespace tracepoints
