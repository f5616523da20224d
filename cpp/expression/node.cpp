#include "expression/node.hpp"

#include "expression/container.hpp"

namespace tracepoints {

namespace {

// Whether its class leaves truth to the interpreter: neither __bool__ nor __len__.
bool is_plainly_true(PyObject* object) noexcept {
    const PyTypeObject* const type = Py_TYPE(object);
    return (type->tp_as_number == nullptr || type->tp_as_number->nb_bool == nullptr) &&
           (type->tp_as_mapping == nullptr || type->tp_as_mapping->mp_length == nullptr) &&
           (type->tp_as_sequence == nullptr || type->tp_as_sequence->sq_length == nullptr);
}

}  // namespace

Verdict truth_of(const Value& value) noexcept {
    switch (value.kind()) {
        case Kind::kBool: return verdict_of(value.object() == Py_True);
        case Kind::kNone: return Verdict::kFalse;
        case Kind::kInt: {
            long long number = 0;
            // One that does not fit is not 0.
            return verdict_of(!value.integer(number) || number != 0);
        }
        case Kind::kFloat: return verdict_of(PyFloat_AS_DOUBLE(value.object()) != 0.0);
        case Kind::kOther: return is_plainly_true(value.object()) ? Verdict::kTrue : Verdict::kDefer;
        default: return verdict_of(size_of(value) != 0);
    }
}

Verdict Node::decide(Scene& scene) const noexcept {
    Value value;
    return evaluate(scene, value) ? truth_of(value) : Verdict::kDefer;
}

}  // namespace tracepoints
