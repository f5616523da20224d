// A counter that many threads may raise at once: `limits.Count`, of which no number is made an object of.
#pragma once

#include <atomic>
#include <cstdint>

#include "ref.hpp"

namespace tracepoints {

struct CounterObject {
    PyObject_HEAD
    std::atomic<std::int64_t> number;
};

bool is_counter(PyObject* object) noexcept;

// Raises it by one, and answers what it was before.
inline std::int64_t count(PyObject* counter) noexcept {
    std::atomic<std::int64_t>& number = reinterpret_cast<CounterObject*>(counter)->number;
    if (kFreeThreaded) {
        return number.fetch_add(1, std::memory_order_relaxed);
    }
    // The GIL is held: no other thread does the same at this moment.
    const std::int64_t before = number.load(std::memory_order_relaxed);
    number.store(before + 1, std::memory_order_relaxed);
    return before;
}

}  // namespace tracepoints
