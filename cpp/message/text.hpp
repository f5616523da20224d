// A message on its way: characters of ASCII are put together here, and become one object at the end.
#pragma once

#include <array>
#include <cstddef>

#include "ref.hpp"

namespace tracepoints {

class Text {
public:
    // Each is false with an error.
    bool add(PyObject* text);
    bool add(long long number);
    // As `repr` writes it. For numbers whose absolute value is below 1e15.
    bool add(double number);

    Py_ssize_t length() const { return length_; }
    // All of it; null with an error.
    PyObject* finish();

private:
    bool add(const char* characters, std::size_t size);
    bool flush();

    std::array<char, 512> line_;
    std::size_t size_ = 0;
    Py_ssize_t length_ = 0;
    // What did not fit, or is not ASCII: a list of texts, the line so far among them.
    Ref before_;
};

}  // namespace tracepoints
