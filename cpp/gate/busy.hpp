// Whether this thread is inside a hit, or is one of the agent's own, which are never hit.
#pragma once

namespace tracepoints {

class Busy {
public:
    // Of this thread: how many hits it is inside. Where it lies is a call in a shared library, so it is asked
    // for once a hit.
    static int& depth() noexcept { return depth_; }

    explicit Busy(int& depth) noexcept : own_(depth) { ++own_; }
    ~Busy() { --own_; }
    Busy(const Busy&) = delete;
    Busy& operator=(const Busy&) = delete;

    // For as long as the thread lives, or until it is let go.
    static void guard(bool on) noexcept { depth_ += on ? 1 : -1; }

private:
    int& own_;
    static thread_local int depth_;
};

}  // namespace tracepoints
