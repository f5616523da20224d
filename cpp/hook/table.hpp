// Which lines of which code objects are watched, and by whom: read at every LINE event without a lock.
//
// A table is an array of buckets. A bucket is immutable; a change makes another one of it. With the GIL
// the old one can go at once. Without, a reader may be in it for some nanoseconds: readers say that they
// read, in a record of their own thread, and who changes the table waits for those that were at it.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <vector>

#include "ref.hpp"

namespace tracepoints {

class Table {
public:
    Table() = default;
    ~Table();
    Table(const Table&) = delete;
    Table& operator=(const Table&) = delete;

    // The handlers (a tuple) of a line; null where it has none. Any thread, sets no error.
    Ref find(const void* code, int line) const noexcept;
    // Whether any line of it is watched.
    bool has(const void* code) const noexcept;

    // `lines` is a dict of line → tuple of handlers, or null to forget the code object. False with an error.
    bool set(const void* code, PyObject* lines);
    // Every handler, for the collector.
    int traverse(visitproc visit, void* arg) const;
    void clear();

    // In a forked child, where a change that another thread had begun goes on no more: no table is being
    // changed.
    static void renew() noexcept;

private:
    struct Line {
        int number;
        Ref handlers;
    };
    struct Entry {
        const void* code;
        std::vector<Line> lines;
    };
    using Bucket = std::vector<Entry>;

    static constexpr std::size_t kBuckets = 1024;
    static std::size_t place(const void* code) noexcept {
        return (reinterpret_cast<std::size_t>(code) >> 5) % kBuckets;
    }

    std::atomic<const Bucket*> buckets_[kBuckets] = {};
};

}  // namespace tracepoints
