#include "expression/builder.hpp"

#include "expression/constructs.hpp"
#include "expression/variable.hpp"

namespace tracepoints {

namespace {

struct RelationName {
    const char* symbol;
    Relation relation;
};

constexpr RelationName kRelations[] = {
    {"==", Relation::kEqual},     {"!=", Relation::kUnequal},   {"<", Relation::kLess},
    {"<=", Relation::kLessEqual}, {">", Relation::kGreater},    {">=", Relation::kGreaterEqual},
    {"in", Relation::kIn},        {"not in", Relation::kNotIn}, {"is", Relation::kIs},
    {"is not", Relation::kIsNot},
};

bool says(PyObject* word, const char* text) {
    return PyUnicode_CheckExact(word) && PyUnicode_CompareWithASCIIString(word, text) == 0;
}

NodePtr refuse() {
    PyErr_SetString(PyExc_ValueError, "this is not a lowered expression");
    return nullptr;
}

// One of what follows the word; None where it is missing.
PyObject* part(PyObject* lowered, Py_ssize_t index) {
    return index < PyTuple_GET_SIZE(lowered) ? PyTuple_GET_ITEM(lowered, index) : Py_None;
}

// A name as the names of variables and attributes are; null with an error.
Ref interned(PyObject* name) {
    if (!PyUnicode_CheckExact(name)) {
        refuse();
        return Ref();
    }
    Py_INCREF(name);
    PyUnicode_InternInPlace(&name);
    return Ref::steal(name);
}

}  // namespace

NodePtr Builder::build(PyObject* lowered) {
    ++parts_;
    if (lowered == Py_None) {
        return std::make_unique<Unknown>();
    }
    if (!PyTuple_CheckExact(lowered) || PyTuple_GET_SIZE(lowered) == 0) {
        return refuse();
    }
    PyObject* const word = PyTuple_GET_ITEM(lowered, 0);
    PyObject* const first = part(lowered, 1);
    if (says(word, "constant")) {
        return std::make_unique<Constant>(Ref::borrow(first));
    }
    if (says(word, "name")) {
        return build_variable(lowered);
    }
    if (says(word, "compare")) {
        return build_comparison(lowered);
    }
    if (says(word, "and")) {
        return build_choice(first, Verdict::kFalse);
    }
    if (says(word, "or")) {
        return build_choice(first, Verdict::kTrue);
    }
    if (says(word, "python")) {
        return std::make_unique<Unknown>();
    }
    NodePtr one = build(first);
    if (!one) {
        return nullptr;
    }
    if (says(word, "not")) {
        return std::make_unique<Negation>(std::move(one));
    }
    if (says(word, "len")) {
        return std::make_unique<Length>(std::move(one));
    }
    PyObject* const second = part(lowered, 2);
    if (says(word, "attribute")) {
        Ref name = interned(second);
        return name ? std::make_unique<Attribute>(std::move(one), std::move(name)) : nullptr;
    }
    if (says(word, "isinstance")) {
        for (Py_ssize_t index = 0; PyTuple_CheckExact(second) && index < PyTuple_GET_SIZE(second); ++index) {
            if (!PyType_Check(PyTuple_GET_ITEM(second, index))) {
                return refuse();
            }
        }
        return PyTuple_CheckExact(second) ? std::make_unique<Instance>(std::move(one), Ref::borrow(second),
                                                                       part(lowered, 3) == Py_True)
                                          : refuse();
    }
    NodePtr two = build(second);
    if (!two) {
        return nullptr;
    }
    if (says(word, "item")) {
        return std::make_unique<Item>(std::move(one), std::move(two));
    }
    if (says(word, "if")) {
        NodePtr three = build(part(lowered, 3));
        return three ? std::make_unique<Conditional>(std::move(one), std::move(two), std::move(three))
                     : nullptr;
    }
    for (const char* symbol : {"+", "-", "*", "//", "%"}) {
        if (says(word, symbol)) {
            return std::make_unique<Arithmetic>(symbol[0], std::move(one), std::move(two));
        }
    }
    if (says(word, "startswith")) {
        return std::make_unique<TextMethod>(TextMethod::Name::kStart, std::move(one), std::move(two));
    }
    if (says(word, "endswith")) {
        return std::make_unique<TextMethod>(TextMethod::Name::kEnd, std::move(one), std::move(two));
    }
    if (says(word, "contains")) {
        return std::make_unique<TextMethod>(TextMethod::Name::kContains, std::move(one), std::move(two));
    }
    return refuse();
}

NodePtr Builder::build_variable(PyObject* lowered) {
    Ref name = interned(part(lowered, 1));
    NodePtr otherwise;
    if (name && part(lowered, 2) != Py_None) {
        otherwise = build(part(lowered, 2));
        if (!otherwise) {
            return nullptr;
        }
    }
    return name ? std::make_unique<Variable>(std::move(name), std::move(otherwise)) : nullptr;
}

NodePtr Builder::build_comparison(PyObject* lowered) {
    NodePtr first = build(part(lowered, 1));
    PyObject* const rest = part(lowered, 2);
    if (!first) {
        return nullptr;
    }
    if (!PyTuple_CheckExact(rest)) {
        return refuse();
    }
    std::vector<Link> links;
    for (Py_ssize_t index = 0; index < PyTuple_GET_SIZE(rest); ++index) {
        PyObject* const pair = PyTuple_GET_ITEM(rest, index);
        if (!PyTuple_CheckExact(pair) || PyTuple_GET_SIZE(pair) != 2) {
            return refuse();
        }
        NodePtr operand = build(PyTuple_GET_ITEM(pair, 1));
        if (!operand) {
            return nullptr;
        }
        for (const RelationName& each : kRelations) {
            if (says(PyTuple_GET_ITEM(pair, 0), each.symbol)) {
                links.push_back(Link{each.relation, std::move(operand)});
                break;
            }
        }
        if (operand) {
            return refuse();
        }
    }
    return std::make_unique<Comparison>(std::move(first), std::move(links));
}

NodePtr Builder::build_choice(PyObject* lowered, Verdict stop) {
    if (!PyTuple_CheckExact(lowered)) {
        return refuse();
    }
    std::vector<NodePtr> parts;
    for (Py_ssize_t index = 0; index < PyTuple_GET_SIZE(lowered); ++index) {
        NodePtr each = build(PyTuple_GET_ITEM(lowered, index));
        if (!each) {
            return nullptr;
        }
        parts.push_back(std::move(each));
    }
    return std::make_unique<Choice>(stop, std::move(parts));
}

}  // namespace tracepoints
