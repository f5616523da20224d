// The hit budget of `limits.HitBudget`: so many hits, exact across threads.
#pragma once

#include <atomic>
#include <cstdint>

#include "ref.hpp"

namespace tracepoints {

class HitBudget {
public:
    HitBudget(std::int64_t limit, std::int64_t used) noexcept : limit_(limit), taken_(used) {}

    // One hit of it, if one is left.
    bool take() noexcept {
        std::int64_t taken = taken_.load();
        while (taken < limit_) {
            if (taken_.compare_exchange_weak(taken, taken + 1)) {
                return true;
            }
        }
        return false;
    }
    // Nothing came of one after all: another may have it.
    void give_back() noexcept { taken_.fetch_sub(1); }
    bool exhausted() const noexcept { return taken_.load(std::memory_order_relaxed) >= limit_; }

private:
    const std::int64_t limit_;
    std::atomic<std::int64_t> taken_;
};

// The Python object around one; its budget lives as long as it.
bool is_budget(PyObject* object) noexcept;
HitBudget& budget_of(PyObject* object) noexcept;

}  // namespace tracepoints
