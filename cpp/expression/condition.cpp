#include "expression/condition.hpp"

namespace tracepoints {

std::unique_ptr<Condition> Condition::make(PyObject*) {
    return nullptr;
}

}  // namespace tracepoints
