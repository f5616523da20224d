// From the data of `expression.lowering.lower` to the parts.
#pragma once

#include "expression/node.hpp"

namespace tracepoints {

class Builder {
public:
    // The part that the data describe, None included; null with a Python error where they are not as they
    // should be.
    NodePtr build(PyObject* lowered);

    // How many parts there are: with what each may be charged, the whole must stay within the budget.
    int parts() const noexcept { return parts_; }

private:
    NodePtr build_comparison(PyObject* lowered);
    NodePtr build_choice(PyObject* lowered, Verdict stop);
    NodePtr build_variable(PyObject* lowered);

    int parts_ = 0;
};

}  // namespace tracepoints
