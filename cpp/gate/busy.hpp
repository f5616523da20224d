// Whether this thread is inside a hit, or is one of the agent's own, which are never hit.
#pragma once

namespace tracepoints {

class Busy {
public:
    static bool is() noexcept { return depth_ != 0; }

    Busy() noexcept { ++depth_; }
    ~Busy() { --depth_; }
    Busy(const Busy&) = delete;
    Busy& operator=(const Busy&) = delete;

    // For as long as the thread lives, or until it is let go.
    static void guard(bool on) noexcept { depth_ += on ? 1 : -1; }

private:
    static thread_local int depth_;
};

}  // namespace tracepoints
