// Ownership of Python objects, and of an error that is on its way.
#pragma once

#include <utility>

#include "python_compat.hpp"

namespace tracepoints {

// An owned reference, or null.
class Ref {
public:
    Ref() = default;
    Ref(Ref&& other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
    Ref(const Ref& other) : object_(other.object_) { Py_XINCREF(object_); }
    Ref& operator=(Ref other) noexcept {
        std::swap(object_, other.object_);
        return *this;
    }
    ~Ref() { Py_XDECREF(object_); }

    // Takes over a new reference.
    static Ref steal(PyObject* object) { return Ref(object); }
    // Takes a reference of its own.
    static Ref borrow(PyObject* object) {
        Py_XINCREF(object);
        return Ref(object);
    }

    PyObject* get() const { return object_; }
    // Gives the reference away.
    PyObject* release() { return std::exchange(object_, nullptr); }
    void reset() { *this = Ref(); }
    explicit operator bool() const { return object_ != nullptr; }

private:
    explicit Ref(PyObject* object) : object_(object) {}
    PyObject* object_ = nullptr;
};

// Puts the error that is on its way aside, and back at the end: what runs in between may use errors.
class PendingError {
public:
    PendingError() : error_(take_error()) {}
    ~PendingError() {
        if (error_ != nullptr) {
            restore_error(error_);
        }
    }
    PendingError(const PendingError&) = delete;
    PendingError& operator=(const PendingError&) = delete;

private:
    PyObject* error_;
};

}  // namespace tracepoints
