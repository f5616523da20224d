// JSON text as `emission.fit` writes it: nothing but ASCII is escaped that need not be, ", " and ": ".
#pragma once

#include <string>

#include "ref.hpp"

namespace tracepoints {

class JsonOut {
public:
    // What a value may take before memory is asked for again.
    JsonOut() { text_.reserve(512); }

    std::size_t size() const { return text_.size(); }
    // Back to where it was.
    void cut(std::size_t size) { text_.resize(size); }

    // As it stands, ASCII.
    void raw(char each) { text_ += each; }
    template <std::size_t N>
    void raw(const char (&text)[N]) {
        text_.append(text, N - 1);
    }
    void raw(const std::string& text) { text_ += text; }

    void integer(long long number);
    // Finite. False with an error set, as all that answer.
    bool real(double number);
    // A str, in quotes.
    bool string(PyObject* text);
    // What Python's reader made: dicts, lists, str, numbers.
    bool plain(PyObject* value);

    const std::string& text() const { return text_; }
    // All of it as a str.
    PyObject* take() const;

private:
    std::string text_;
};

}  // namespace tracepoints
