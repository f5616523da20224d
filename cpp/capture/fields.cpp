// The fields of dicts and objects: their names, and what a name says of its value.
#include "capture/items.hpp"
#include "names.hpp"

namespace tracepoints {

namespace {

// See capture/values.py, containers.py and redaction.py.
constexpr long long kNode = 8;
constexpr Py_ssize_t kLongestName = 64;
constexpr long long kSmallestCard = 1'000'000'000'000;

}  // namespace

bool Walk::read_object(PyObject* value, PyTypeObject* type, long long level) {
    const std::shared_ptr<const Shape> shape = knowledge_.shape(setting_.parts, type);
    if (shape == nullptr) {
        return false;
    }
    if (!shape->native) {
        return defer(value, level);
    }
    bool done = false;
    if (is_shut(value, type, level, -1, done)) {
        return done;
    }
    Items pairs(*this);
    if (!take_slots(*shape, value, pairs)) {
        return PyErr_Occurred() == nullptr && defer(value, level);
    }
    Py_ssize_t size = pairs.size();
    if (shape->has_dict) {
        if (!has_made_dict(type, shape->dict_at)) {
            return defer(value, level);
        }
        const InstanceFields fields = instance_fields(value);
        const Ref dict = Ref::steal(fields.dict);
        if (dict && !PyDict_CheckExact(dict.get())) {
            return defer(value, level);
        }
        const Py_ssize_t own = dict ? PyDict_Size(dict.get()) : fields.values != nullptr ? fields.count : 0;
        if (size != 0 && own != 0) {
            return defer(value, level);  // a slot and a field may have one name
        }
        size += own;
        if (dict) {
            pairs.take_dict(dict.get(), setting_.width);
        } else if (fields.values != nullptr) {
            pairs.take_inline(fields, type, setting_.width);
        }
    }
    const Keys keys = look_at_keys(pairs);
    if (keys == Keys::kError) {
        return false;
    }
    if (keys != Keys::kNames) {
        return defer(value, level);
    }
    const Opened opened(*this, value);
    out_.raw("{\"__tpd_type__\": ");
    out_.raw(shape->label_json);
    typed(*shape);
    return read_fields(pairs, keys, 0, size, level);
}

bool Walk::take_slots(const Shape& shape, PyObject* value, Items& pairs) {
    for (const auto& [at, name] : shape.slots) {
        const Ref found = descriptor(Py_TYPE(value), at, name.get());
        if (!found || Py_TYPE(found.get()) != &PyMemberDescr_Type) {
            return false;
        }
        PyMemberDef* member = reinterpret_cast<PyMemberDescrObject*>(found.get())->d_member;
        if (member->type != T_OBJECT_EX) {
            return false;
        }
        const Ref held = Ref::steal(PyMember_GetOne(reinterpret_cast<char*>(value), member));
        if (held) {
            pairs.add(name.get(), held.get());
        } else if (PyErr_ExceptionMatches(PyExc_AttributeError)) {
            PyErr_Clear();  // not set
        } else {
            return false;
        }
    }
    // The fewest have more slots than are shown; then it is the Python code that counts them.
    return pairs.size() <= setting_.width;
}

Walk::Keys Walk::look_at_keys(Items& pairs) {
    Keys found = Keys::kNames;
    for (Py_ssize_t at = 0; at < pairs.size(); ++at) {
        PyObject* key = pairs[at].key;
        Keys kind = Keys::kOther;
        if (PyUnicode_CheckExact(key)) {
#if !defined(Py_LIMITED_API)
            if (PyUnicode_READY(key) < 0) {
                return Keys::kError;
            }
#endif
            const Name name = knowledge_.name(key);
            if (!name.known) {
                return Keys::kError;
            }
            if (name.plain) {
                kind = Keys::kNames;
                pairs.set_name(at, name);
            }
        } else if (PyLong_CheckExact(key) && !knowledge_.has_patterns()) {
            int overflow = 0;
            const long long number = PyLong_AsLongLongAndOverflow(key, &overflow);
            kind = overflow == 0 && number < kSmallestCard ? Keys::kNumbers : Keys::kOther;
        }
        // Keys of one kind read differently; a 1 beside a "1" does not.
        if (kind == Keys::kOther || (at != 0 && kind != found)) {
            return Keys::kOther;
        }
        found = kind;
    }
    return found;
}

// Ends the object; what comes before the first field ends at `begun`.
bool Walk::read_fields(Items& pairs, Keys keys, std::size_t begun, Py_ssize_t size, long long level) {
    Py_ssize_t read_pairs = 0;
    for (; read_pairs < pairs.size() && !exhausted_; ++read_pairs) {
        const Pair pair = pairs[read_pairs];
        if (out_.size() != begun) {
            out_.raw(", ");
        }
        bool sensitive = pair.name.sensitive;
        if (keys == Keys::kNumbers) {
            if (!write_number_key(pair.key, sensitive)) {
                return false;
            }
        } else {
            const Py_ssize_t length = PyUnicode_GET_LENGTH(pair.key);
            if (!pair.name.identifier) {
                steps_ -= length >> 8;
                bool out = false;
                if (steps_ < 0 && !ran_out(out)) {
                    return false;
                }
            }
            if (!out_.string(pair.key)) {
                return false;
            }
            room_ -= length;
        }
        out_.raw(": ");
        if (sensitive) {
            out_.raw("\"[REDACTED]\"");
        } else if (!read(pair.value, level + 1)) {
            return false;
        }
    }
    if (read_pairs < size) {
        mark(out_.size() == begun, size);
    }
    out_.raw('}');
    return true;
}

bool Walk::write_number_key(PyObject* key, bool& sensitive) {
    Ref text;
    if (steps_ < 1 || room_ < kNode) {
        // A limit may be reached in the key itself.
        if (!hand_over()) {
            return false;
        }
        const Ref answer = Ref::steal(PyObject_CallMethodObjArgs(reader_.get(), names::key, key, nullptr));
        if (!take_back() || !answer || !PyTuple_Check(answer.get())) {
            return false;
        }
        text = Ref::borrow(PyTuple_GET_ITEM(answer.get(), 0));
        sensitive = PyTuple_GET_ITEM(answer.get(), 1) != Py_False;
    } else {
        room_ -= kNode;
        steps_ -= 1;
        text = Ref::steal(PyLong_Type.tp_repr(key));
        const int answer = text ? knowledge_.is_sensitive(text.get()) : -1;
        if (answer < 0) {
            return false;
        }
        sensitive = answer == 1;
    }
    room_ -= PyUnicode_GET_LENGTH(text.get());
    return out_.string(text.get());
}

int Walk::names_secret(PyObject* name) {
    if (PyUnicode_CheckExact(name)) {
        if (PyUnicode_GET_LENGTH(name) > kLongestName) {
            return 0;
        }
        if (PyUnicode_CHECK_INTERNED(name)) {
            const Name found = knowledge_.name(name);
            return !found.known ? -1 : found.sensitive;
        }
        return knowledge_.is_sensitive(name);  // data, perhaps
    }
    if (PyBytes_CheckExact(name) && PyBytes_GET_SIZE(name) <= kLongestName) {
        const Ref text =
            Ref::steal(PyUnicode_DecodeLatin1(PyBytes_AS_STRING(name), PyBytes_GET_SIZE(name), nullptr));
        return text ? knowledge_.is_sensitive(text.get()) : -1;
    }
    return 0;
}

}  // namespace tracepoints
