#include "gate/bucket.hpp"

#include <ctime>
#include <limits>
#include <new>

#include "parts.hpp"

namespace tracepoints {

namespace {

// Turns of waiting for another thread, which needs a few nanoseconds. After a fork the other thread may be
// in the parent only, and is waited for no longer.
constexpr int kPatience = 100'000;

class Turn {
public:
    explicit Turn(std::atomic_flag& busy) noexcept : busy_(busy) {
        // With the GIL nobody else is here.
        for (int turn = 0; kFreeThreaded && busy_.test_and_set(std::memory_order_acquire) && turn < kPatience;
             ++turn) {
        }
    }
    ~Turn() {
        if (kFreeThreaded) {
            busy_.clear(std::memory_order_release);
        }
    }
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;

private:
    std::atomic_flag& busy_;
};

}  // namespace

double monotonic_seconds() noexcept {
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<double>(now.tv_sec * 1'000'000'000LL + now.tv_nsec) * 1e-9;
}

bool TokenBucket::is_surely_dry() const noexcept {
#ifdef CLOCK_MONOTONIC_COARSE
    // The time of the kernel's last tick: at most a hundredth of a second ago.
    constexpr double kTick = 0.011;
    timespec tick{};
    clock_gettime(CLOCK_MONOTONIC_COARSE, &tick);
    return static_cast<double>(tick.tv_sec) + static_cast<double>(tick.tv_nsec) * 1e-9 + kTick < dry_until();
#else
    return false;
#endif
}

TokenBucket::TokenBucket(double rate, std::int64_t burst, double now) noexcept
    : rate_(rate), burst_(burst), since_(now), dry_until_(-std::numeric_limits<double>::infinity()) {}

bool TokenBucket::take(double now) noexcept {
    const Turn turn(busy_);
    std::int64_t used = used_.load(std::memory_order_relaxed);
    double refill = (now - since_.load(std::memory_order_relaxed)) * rate_;
    if (refill >= static_cast<double>(used)) {
        // Full again: tokens saved up beyond the burst are lost.
        since_.store(now, std::memory_order_relaxed);
        used = 0;
        refill = 0.0;
    }
    const double missing = static_cast<double>(used + 1 - burst_) - refill;
    if (missing > 0) {
        used_.store(used, std::memory_order_relaxed);
        dry_until_.store(now + missing / rate_, std::memory_order_relaxed);
        return false;
    }
    used_.store(used + 1, std::memory_order_relaxed);
    return true;
}

namespace {

struct BucketObject {
    PyObject_HEAD
    PyObject* clock;
    TokenBucket bucket;
};

PyTypeObject* bucket_type = nullptr;

BucketObject* as_bucket(PyObject* self) {
    return reinterpret_cast<BucketObject*>(self);
}

bool ask(PyObject* clock, double& now) {
    if (clock == nullptr) {
        now = monotonic_seconds();
        return true;
    }
    const Ref answer = Ref::steal(call_none(clock));
    if (!answer) {
        return false;
    }
    now = PyFloat_AsDouble(answer.get());
    return now != -1.0 || PyErr_Occurred() == nullptr;
}

PyObject* bucket_new(PyTypeObject* type, PyObject* arguments, PyObject* keywords) {
    static const char* names[] = {"limit", "clock", nullptr};
    PyObject* limit = nullptr;
    PyObject* clock = nullptr;
    if (PyArg_ParseTupleAndKeywords(arguments, keywords, "O|O", const_cast<char**>(names), &limit, &clock) ==
        0) {
        return nullptr;
    }
    const Ref rate = Ref::steal(PyObject_GetAttrString(limit, "limit_per_second"));
    const Ref burst = Ref::steal(PyObject_GetAttrString(limit, "burst"));
    if (!rate || !burst) {
        return nullptr;
    }
    const double per_second = PyFloat_AsDouble(rate.get());
    const long long at_once = PyLong_AsLongLong(burst.get());
    double now = 0.0;
    if (PyErr_Occurred() != nullptr || !ask(clock, now)) {
        return nullptr;
    }
    PyObject* self = type->tp_alloc(type, 0);
    if (self != nullptr) {
        Py_XINCREF(clock);
        as_bucket(self)->clock = clock;
        new (&as_bucket(self)->bucket) TokenBucket(per_second, at_once, now);
    }
    return self;
}

void bucket_dealloc(PyObject* self) {
    PyTypeObject* type = Py_TYPE(self);
    Py_XDECREF(as_bucket(self)->clock);
    as_bucket(self)->bucket.~TokenBucket();
    type->tp_free(self);
    Py_DECREF(type);
}

PyObject* bucket_take(PyObject* self, PyObject*) {
    double now = 0.0;
    if (!ask(as_bucket(self)->clock, now)) {
        return nullptr;
    }
    return PyBool_FromLong(as_bucket(self)->bucket.take(now));
}

PyObject* bucket_dry_until(PyObject* self, void*) {
    return PyFloat_FromDouble(as_bucket(self)->bucket.dry_until());
}

PyMethodDef bucket_methods[] = {
    {"take", bucket_take, METH_NOARGS, "One token, if there is one."},
    {nullptr, nullptr, 0, nullptr},
};

PyGetSetDef bucket_attributes[] = {
    {"dry_until", bucket_dry_until, nullptr, "Before this moment of its clock there is no token.", nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};

char bucket_doc[] = "See `otel_tracepoints.limits.TokenBucket`: the same, for the compiled gate.";

PyType_Slot bucket_slots[] = {
    {Py_tp_doc, bucket_doc},
    {Py_tp_new, reinterpret_cast<void*>(bucket_new)},
    {Py_tp_dealloc, reinterpret_cast<void*>(bucket_dealloc)},
    {Py_tp_methods, bucket_methods},
    {Py_tp_getset, bucket_attributes},
    {0, nullptr},
};

PyType_Spec bucket_spec = {
    "otel_tracepoints.engine._native.TokenBucket", sizeof(BucketObject), 0, Py_TPFLAGS_DEFAULT, bucket_slots,
};

}  // namespace

bool is_bucket(PyObject* object) noexcept {
    return Py_TYPE(object) == bucket_type;
}

TokenBucket& bucket_of(PyObject* object) noexcept {
    return as_bucket(object)->bucket;
}

bool add_limits(PyObject* module) {
    // One for the life of the process: a type is for all the modules that are ever loaded.
    if (bucket_type == nullptr) {
        bucket_type = reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&bucket_spec));
    }
    return bucket_type != nullptr &&
           add_object_ref(module, "TokenBucket", reinterpret_cast<PyObject*>(bucket_type)) == 0;
}

}  // namespace tracepoints
