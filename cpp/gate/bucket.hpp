// The token bucket of `limits.TokenBucket`, with the same arithmetic, so that both agree on every input.
#pragma once

#include <atomic>
#include <cstdint>

#include "ref.hpp"

namespace tracepoints {

// Seconds of the monotonic clock, as `time.monotonic` has them.
double monotonic_seconds() noexcept;

class TokenBucket {
public:
    TokenBucket(double rate, std::int64_t burst, double now) noexcept;

    // One token at this moment, if there is one.
    bool take(double now) noexcept;
    // Whether there is certainly none at this moment, by a look at a clock that costs next to nothing.
    bool is_surely_dry() const noexcept;
    // Before this moment there is none: who is in a hurry need not ask.
    double dry_until() const noexcept { return dry_until_.load(std::memory_order_relaxed); }

private:
    const double rate_;
    const std::int64_t burst_;
    std::atomic_flag busy_ = ATOMIC_FLAG_INIT;
    // The bucket was full at this moment, and that many tokens have been taken since. Changed by one thread
    // at a time, but that nobody waits for long for one that has been stopped there: then a token may be
    // miscounted.
    std::atomic<double> since_;
    std::atomic<std::int64_t> used_{0};
    std::atomic<double> dry_until_;
};

// The Python object around one; its bucket lives as long as it.
bool is_bucket(PyObject* object) noexcept;
TokenBucket& bucket_of(PyObject* object) noexcept;

}  // namespace tracepoints
