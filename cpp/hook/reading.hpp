// Says, where there is no GIL, that this thread reads what another may take away.
#pragma once

#include "ref.hpp"

namespace tracepoints {

class Reading {
public:
    Reading() noexcept {
        if (kFreeThreaded) {
            enter();
        }
    }
    ~Reading() {
        if (kFreeThreaded) {
            leave();
        }
    }
    Reading(const Reading&) = delete;
    Reading& operator=(const Reading&) = delete;

    // Returns when every thread that was reading has looked up. False where one did not within 50 ms.
    static bool wait_for_others() noexcept;
    // In a forked child: the other threads are in the parent only, and nobody waits for them here.
    static void forget_others() noexcept;

private:
    static void enter() noexcept;
    static void leave() noexcept;
};

}  // namespace tracepoints
