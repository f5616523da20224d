// Whether this thread is inside a hit, or is one of the agent's own, which are never hit.
#pragma once

namespace tracepoints {

struct BusyState {
    // How many hits it is inside.
    int hits = 0;
    // How often it was said to be one of the agent's own.
    int guards = 0;
};

class Busy {
public:
    // Of this thread. Where it lies is a call in a shared library, so it is asked for once a hit.
    static BusyState& state() noexcept { return state_; }

    explicit Busy(BusyState& state) noexcept : own_(state) { ++own_.hits; }
    ~Busy() { --own_.hits; }
    Busy(const Busy&) = delete;
    Busy& operator=(const Busy&) = delete;

    // For as long as the thread lives, or until it is let go.
    static void guard(bool on) noexcept {
        // Let go in a child that has forgotten it: no less than none.
        state_.guards += on ? 1 : state_.guards > 0 ? -1 : 0;
    }
    // In a forked child, whose one thread is the application's, whoever forked.
    static void forget_guards() noexcept { state_.guards = 0; }

private:
    BusyState& own_;
    static thread_local BusyState state_;
};

}  // namespace tracepoints
