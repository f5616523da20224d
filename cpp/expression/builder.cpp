#include "expression/builder.hpp"

#include <algorithm>
#include <iterator>

#include "expression/arguments.hpp"
#include "expression/constructs.hpp"
#include "expression/functions.hpp"
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

struct OperationName {
    const char* symbol;
    Arithmetic::Operation operation;
};

constexpr OperationName kOperations[] = {
    {"+", Arithmetic::Operation::kAdd},      {"-", Arithmetic::Operation::kSubtract},
    {"*", Arithmetic::Operation::kMultiply}, {"/", Arithmetic::Operation::kDivide},
    {"//", Arithmetic::Operation::kFloor},   {"%", Arithmetic::Operation::kModulo},
};

struct MethodName {
    const char* word;
    TextMethod::Name name;
};

constexpr MethodName kMethods[] = {
    {"startswith", TextMethod::Name::kStart},
    {"endswith", TextMethod::Name::kEnd},
    {"contains", TextMethod::Name::kContains},
};

// Words that one part follows; what else does is no part.
constexpr const char* kSingles[] = {
    "not",      "len",       "abs",     "any",        "all",   "negative", "positive",
    "argument", "attribute", "section", "isinstance", "lower", "upper",    "strip",
};

NodePtr unknown() {
    return std::make_unique<Unknown>();
}

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
    if (says(word, "local")) {
        return build_local(lowered);
    }
    if (says(word, "min")) {
        return build_extreme(first, Relation::kLess);
    }
    if (says(word, "max")) {
        return build_extreme(first, Relation::kGreater);
    }
    if (says(word, "python")) {
        return std::make_unique<Unknown>();
    }
    if (says(word, "arguments")) {
        return std::make_unique<Arguments>();
    }
    NodePtr single = build_single(word, lowered);
    if (single || PyErr_Occurred() != nullptr) {
        return single;
    }
    NodePtr one = build(first);
    NodePtr two = one ? build(part(lowered, 2)) : nullptr;
    if (!two) {
        return nullptr;
    }
    if (says(word, "if")) {
        NodePtr three = build(part(lowered, 3));
        return three ? std::make_unique<Conditional>(std::move(one), std::move(two), std::move(three))
                     : nullptr;
    }
    return build_binary(word, std::move(one), std::move(two));
}

NodePtr Builder::build_single(PyObject* word, PyObject* lowered) {
    const auto* const known = std::find_if(std::begin(kSingles), std::end(kSingles),
                                           [word](const char* each) { return says(word, each); });
    if (known == std::end(kSingles)) {
        return nullptr;
    }
    NodePtr one = build(part(lowered, 1));
    if (!one) {
        return nullptr;
    }
    if (says(word, "not")) {
        return std::make_unique<Negation>(std::move(one));
    }
    if (says(word, "len")) {
        return std::make_unique<Length>(std::move(one));
    }
    if (says(word, "abs")) {
        return std::make_unique<Absolute>(std::move(one));
    }
    if (says(word, "any")) {
        return std::make_unique<Quantifier>(Verdict::kTrue, std::move(one));
    }
    if (says(word, "all")) {
        return std::make_unique<Quantifier>(Verdict::kFalse, std::move(one));
    }
    if (says(word, "negative") || says(word, "positive")) {
        return std::make_unique<Sign>(says(word, "negative"), std::move(one));
    }
    if (says(word, "argument")) {
        Ref args = Ref::steal(PyUnicode_InternFromString("args"));
        return args ? std::make_unique<Argument>(std::make_unique<Variable>(std::move(args), unknown()),
                                                 std::move(one))
                    : nullptr;
    }
    PyObject* const second = part(lowered, 2);
    if (says(word, "attribute")) {
        Ref name = interned(second);
        return name ? std::make_unique<Attribute>(std::move(one), std::move(name)) : nullptr;
    }
    if (says(word, "section")) {
        return PySlice_Check(second) ? std::make_unique<Section>(std::move(one), Ref::borrow(second))
                                     : refuse();
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
    Ref method = Ref::steal(PyObject_GetAttr(reinterpret_cast<PyObject*>(&PyUnicode_Type), word));
    return method ? std::make_unique<Conversion>(std::move(one), std::move(method)) : nullptr;
}

NodePtr Builder::build_binary(PyObject* word, NodePtr one, NodePtr two) {
    if (says(word, "item")) {
        return std::make_unique<Item>(std::move(one), std::move(two));
    }
    for (const OperationName& each : kOperations) {
        if (says(word, each.symbol)) {
            return std::make_unique<Arithmetic>(each.operation, std::move(one), std::move(two));
        }
    }
    for (const MethodName& each : kMethods) {
        if (says(word, each.word)) {
            return std::make_unique<TextMethod>(each.name, std::move(one), std::move(two));
        }
    }
    return refuse();
}

NodePtr Builder::build_local(PyObject* lowered) {
    Ref name = interned(part(lowered, 1));
    Ref locals = Ref::steal(name ? PyUnicode_InternFromString("locals") : nullptr);
    return locals ? std::make_unique<Local>(std::make_unique<Variable>(std::move(locals), unknown()),
                                            std::make_unique<Variable>(std::move(name), unknown()))
                  : nullptr;
}

NodePtr Builder::build_extreme(PyObject* lowered, Relation better) {
    std::vector<NodePtr> parts;
    if (!build_parts(lowered, parts)) {
        return nullptr;
    }
    return parts.empty() ? refuse() : std::make_unique<Extreme>(better, std::move(parts));
}

bool Builder::build_parts(PyObject* lowered, std::vector<NodePtr>& parts) {
    if (!PyTuple_CheckExact(lowered)) {
        refuse();
        return false;
    }
    for (Py_ssize_t index = 0; index < PyTuple_GET_SIZE(lowered); ++index) {
        NodePtr each = build(PyTuple_GET_ITEM(lowered, index));
        if (!each) {
            return false;
        }
        parts.push_back(std::move(each));
    }
    return true;
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
    std::vector<NodePtr> parts;
    if (!build_parts(lowered, parts)) {
        return nullptr;
    }
    return parts.empty() ? refuse() : std::make_unique<Choice>(stop, std::move(parts));
}

}  // namespace tracepoints
