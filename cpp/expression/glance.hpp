// A variable against a constant, told by a look at its slot: without a call, an error or a count of
// references.
#pragma once

#include <vector>

#include "expression/comparison.hpp"
#include "expression/variable.hpp"

namespace tracepoints {

// What `Comparison` tries first, since most conditions are `qty > 100` or `status == 'paid'`. It answers
// where the value is exactly an int of one digit, a float or a str, and the constant is one that it can be
// held against without a call; for `is`, whatever the value, but for a cell.
class Glance {
public:
    // Of a comparison; one that never answers where that has another form.
    Glance(const Node& first, const std::vector<Link>& rest) noexcept;

    Verdict test(Frame* frame, PyCodeObject* code) const noexcept;

private:
    enum class Form : unsigned char { kNone, kInteger, kReal, kText, kSingleton };

    // Null where it never answers. The comparison keeps it, and the constant.
    const Variable* variable_ = nullptr;
    PyObject* constant_ = nullptr;
    long long integer_ = 0;
    double real_ = 0;
    Relation relation_ = Relation::kEqual;
    Form form_ = Form::kNone;
};

}  // namespace tracepoints
