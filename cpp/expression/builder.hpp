// From the data of `expression.lowering.lower` to the parts.
#pragma once

#include <vector>

#include "expression/comparison.hpp"
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
    // A part that is one word of its own, or one other part after its word; null without an error where it
    // is neither.
    NodePtr build_single(PyObject* word, PyObject* lowered);
    NodePtr build_binary(PyObject* word, NodePtr one, NodePtr two);
    NodePtr build_local(PyObject* lowered);
    NodePtr build_extreme(PyObject* lowered, Relation better);
    bool build_parts(PyObject* lowered, std::vector<NodePtr>& parts);

    int parts_ = 0;
};

}  // namespace tracepoints
