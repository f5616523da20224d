#include "hook/table.hpp"

#include <mutex>
#include <new>

#include "hook/reading.hpp"

namespace tracepoints {

namespace {

// Of all tables: there are few, and they change when somebody sets a probe. Who holds it calls nothing of
// Python.
std::mutex changing;

}  // namespace

Table::~Table() {
    clear();
}

Ref Table::find(const void* code, int line) const noexcept {
    const Reading reading;
    const Bucket* bucket = buckets_[place(code)].load();
    if (bucket != nullptr) {
        for (const Entry& entry : *bucket) {
            if (entry.code == code) {
                for (const Line& each : entry.lines) {
                    if (each.number == line) {
                        return each.handlers;
                    }
                }
                break;
            }
        }
    }
    return Ref();
}

bool Table::has(const void* code) const noexcept {
    if (buckets_[place(code)].load() == nullptr) {
        return false;  // the usual answer, for which there is nothing to be kept from going
    }
    const Reading reading;
    const Bucket* bucket = buckets_[place(code)].load();
    if (bucket != nullptr) {
        for (const Entry& entry : *bucket) {
            if (entry.code == code) {
                return true;
            }
        }
    }
    return false;
}

bool Table::set(const void* code, PyObject* lines) {
    Entry made{code, {}};
    if (lines != nullptr) {
        PyObject *number = nullptr, *handlers = nullptr;
        Py_ssize_t at = 0;
        while (PyDict_Next(lines, &at, &number, &handlers) != 0) {
            const long line = PyLong_AsLong(number);
            if (line == -1 && PyErr_Occurred() != nullptr) {
                return false;
            }
            if (!PyTuple_CheckExact(handlers)) {
                PyErr_SetString(PyExc_TypeError, "handlers come as a tuple");
                return false;
            }
            made.lines.push_back({static_cast<int>(line), Ref::borrow(handlers)});
        }
    }
    std::unique_ptr<const Bucket> before;
    {
        const std::lock_guard<std::mutex> lock(changing);
        std::atomic<const Bucket*>& held = buckets_[place(code)];
        auto next = std::make_unique<Bucket>();
        if (held.load() != nullptr) {
            for (const Entry& each : *held.load()) {
                if (each.code != code) {
                    next->push_back(each);
                }
            }
        }
        if (lines != nullptr) {
            next->push_back(std::move(made));
        }
        before.reset(held.exchange(next->empty() ? nullptr : next.release()));
    }
    if (before != nullptr && kFreeThreaded && !Reading::wait_for_others()) {
        // Somebody's thread has been stopped in there: these few bytes are not given back.
        static_cast<void>(before.release());
    }
    return true;
}

int Table::traverse(visitproc visit, void* arg) const {
    for (const auto& held : buckets_) {
        const Bucket* bucket = held.load();
        if (bucket != nullptr) {
            for (const Entry& entry : *bucket) {
                for (const Line& each : entry.lines) {
                    Py_VISIT(each.handlers.get());
                }
            }
        }
    }
    return 0;
}

void Table::renew() noexcept {
    new (&changing) std::mutex();
}

void Table::clear() {
    for (auto& held : buckets_) {
        const std::unique_ptr<const Bucket> bucket(held.exchange(nullptr));
        if (bucket != nullptr && kFreeThreaded && !Reading::wait_for_others()) {
            continue;
        }
    }
}

}  // namespace tracepoints
