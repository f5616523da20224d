// What a gate needs of a probe's definition: made on the control path, never changed.
#pragma once

#include <memory>

#include "expression/condition.hpp"
#include "gate/bucket.hpp"
#include "gate/budget.hpp"
#include "hit/logpoint.hpp"

namespace tracepoints {

struct Plan {
    // Null with a Python error.
    static std::unique_ptr<Plan> make(PyObject* plan);

    // The `pipeline.Plan` that it was made of.
    Ref python;
    bool has_condition = false;
    // Null where Python has to decide.
    std::unique_ptr<Condition> condition;
    Ref bucket_object;
    TokenBucket* bucket = nullptr;
    // Null where hits are not limited.
    Ref budget_object;
    HitBudget* budget = nullptr;
    // Null where a hit is Python's: of a tracepoint, of a message that is not plain.
    std::unique_ptr<Logpoint> logpoint;
    // Of those that a gate has replaced and could not let go of yet.
    Plan* next_retired = nullptr;
};

}  // namespace tracepoints
