#include "hook/reading.hpp"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <thread>

namespace tracepoints {

namespace {

// Odd while its thread reads. Records are never freed: a thread that has ended gives its own to the next.
struct Record {
    std::atomic<std::uint64_t> turn{0};
    std::atomic<bool> taken{true};
    Record* next = nullptr;
};

std::atomic<Record*> records{nullptr};

Record* take_record() noexcept {
    for (Record* each = records.load(); each != nullptr; each = each->next) {
        bool free = false;
        if (each->taken.compare_exchange_strong(free, true)) {
            return each;
        }
    }
    auto* made = new Record();
    made->next = records.load();
    while (!records.compare_exchange_weak(made->next, made)) {
    }
    return made;
}

struct Own {
    Record* record = take_record();
    ~Own() { record->taken.store(false); }
};

std::atomic<std::uint64_t>& own_turn() noexcept {
    static thread_local Own own;
    return own.record->turn;
}

}  // namespace

void Reading::enter() noexcept {
    own_turn().fetch_add(1);
}

void Reading::leave() noexcept {
    own_turn().fetch_add(1);
}

void Reading::forget_others() noexcept {
    const std::atomic<std::uint64_t>* const own = &own_turn();
    for (Record* each = records.load(); each != nullptr; each = each->next) {
        if (&each->turn != own) {
            each->turn.store(0);
            each->taken.store(false);
        }
    }
}

bool Reading::wait_for_others() noexcept {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(50);
    for (Record* each = records.load(); each != nullptr; each = each->next) {
        const std::uint64_t turn = each->turn.load();
        while (turn % 2 == 1 && each->turn.load() == turn) {
            if (std::chrono::steady_clock::now() > deadline) {
                return false;
            }
            std::this_thread::yield();
        }
    }
    return true;
}

}  // namespace tracepoints
