// The governor of `limits.Governor`: all hits together may take a share of the process's time at most.
#pragma once

#include <atomic>
#include <cstdint>

#include "ref.hpp"

namespace tracepoints {

class Governor {
public:
    // A negative share: there is no limit.
    Governor(double share, std::int64_t now) noexcept : share_(share), credit_(kBurst), seen_(now) {}

    // Whether nobody need look at the clock: the credit is more than half full, or there is no limit.
    bool is_rich() const noexcept {
        return share_ < 0.0 || credit_.load(std::memory_order_relaxed) > kBurst / 2;
    }
    // Whether a hit may be captured at this moment of the process's clock, in nanoseconds.
    bool allows(std::int64_t now) noexcept;
    // A hit took so long, in nanoseconds.
    void spend(double nanoseconds) noexcept { add(-nanoseconds); }

    double credit() const noexcept { return credit_.load(std::memory_order_relaxed); }

    // Nanoseconds that may be saved up.
    static constexpr double kBurst = 500e6;

private:
    void add(double nanoseconds) noexcept;

    const double share_;
    std::atomic<double> credit_;
    std::atomic<std::int64_t> seen_;
};

// The Python object around one; its governor lives as long as it.
bool is_governor(PyObject* object) noexcept;
// Asks with the object's own clock. False, with an error where the clock has failed.
bool governor_allows(PyObject* object) noexcept;
Governor& governor_of(PyObject* object) noexcept;

}  // namespace tracepoints
