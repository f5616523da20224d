#include "capture/knowledge.hpp"

#include "capture/json.hpp"
#include "capture/suspicion.hpp"
#include "names.hpp"

namespace tracepoints {

namespace {

constexpr Py_ssize_t kMostNames = 4096;
// A longer one is not remembered: it may be data (`RedactionPolicy`).
constexpr Py_ssize_t kLongestName = 64;
constexpr Py_ssize_t kLongestKey = 256;
// What is ours begins so: a field of that name would be taken for ours, or be written over by it.
constexpr char kOurs[] = "__tpd_";

// An entry of the memory of names.
constexpr long kSensitive = 1, kPlain = 2, kIdentifier = 4;

// Those of the policies that are in use. An entry that is alive keeps its policy alive, so that no other
// policy can have its address.
std::vector<std::weak_ptr<Knowledge>>& all() {
    static std::vector<std::weak_ptr<Knowledge>> known;
    return known;
}
std::atomic_flag all_busy = ATOMIC_FLAG_INIT;

bool is_ours(PyObject* text) {
    for (Py_ssize_t at = 0; kOurs[at] != 0; ++at) {
        if (at >= PyUnicode_GET_LENGTH(text) ||
            PyUnicode_READ_CHAR(text, at) != static_cast<Py_UCS4>(kOurs[at])) {
            return false;
        }
    }
    return true;
}

}  // namespace

Knowledge::Knowledge(PyObject* policy) : policy_(Ref::borrow(policy)), names_(Ref::steal(PyDict_New())) {}

std::shared_ptr<Knowledge> Knowledge::of(PyObject* policy) {
    {
        std::vector<std::shared_ptr<Knowledge>> others;  // let go after the lock
        const MemoryLock lock(all_busy);
        if (lock.held()) {
            for (const auto& each : all()) {
                std::shared_ptr<Knowledge> known = each.lock();
                if (known != nullptr && known->policy() == policy) {
                    return known;
                }
                others.push_back(std::move(known));
            }
        }
    }
    auto made = std::make_shared<Knowledge>(policy);
    const Ref given = Ref::steal(PyObject_GetAttrString(policy, "has_patterns"));
    made->known_ = Ref::steal(PyObject_GetAttrString(policy, "known"));
    if (!given || !made->names_ || !made->known_) {
        return nullptr;
    }
    made->has_patterns_ = given.get() != Py_False;
    const MemoryLock lock(all_busy);
    if (!lock.held()) {
        return made;
    }
    auto& known = all();
    for (auto place = known.begin(); place != known.end();) {
        place = place->expired() ? known.erase(place) : place + 1;
    }
    known.push_back(made);
    return made;
}

int Knowledge::is_sensitive(PyObject* text) {
    const Ref answer = Ref::steal(PyObject_CallMethodObjArgs(policy(), names::is_sensitive, text, nullptr));
    return answer ? answer.get() != Py_False : -1;
}

PyObject* Knowledge::ask_for_text(const char* method, PyObject* text) {
    const Ref name = Ref::steal(PyUnicode_InternFromString(method));
    Ref answer = Ref::steal(name ? PyObject_CallMethodObjArgs(policy(), name.get(), text, nullptr) : nullptr);
    if (answer && !PyUnicode_CheckExact(answer.get())) {
        PyErr_SetString(PyExc_TypeError, "no text");
        return nullptr;
    }
    return answer.release();
}

PyObject* Knowledge::text(PyObject* text) {
    return ask_for_text("text", text);
}

PyObject* Knowledge::label(PyObject* text) {
    return ask_for_text("label", text);
}

Name Knowledge::name(PyObject* text) {
    Name name;
    const Py_ssize_t size = PyUnicode_GET_LENGTH(text);
    const Ref found = Ref::steal(size <= kLongestName ? dict_item(names_.get(), text) : nullptr);
    if (found) {
        const long bits = PyLong_AsLong(found.get());
        name.known = true;
        name.sensitive = (bits & kSensitive) != 0;
        name.plain = (bits & kPlain) != 0;
        name.identifier = (bits & kIdentifier) != 0;
        return name;
    }
    if (size > kLongestKey) {
        name.known = true;  // not as it is
        return name;
    }
    name.identifier = size <= kLongestName && PyUnicode_IsIdentifier(text) == 1;
    name.plain = !is_ours(text);
    if (!is_harmless(text)) {
        const Ref shown = Ref::steal(this->text(text));
        if (!shown) {
            return name;
        }
        const int differs = PyUnicode_Compare(shown.get(), text);
        name.plain = name.plain && differs == 0;
    }
    const int sensitive = is_sensitive(text);
    if (sensitive < 0) {
        return name;
    }
    name.sensitive = sensitive == 1;
    if (size <= kLongestName) {
        const Ref bits =
            Ref::steal(PyLong_FromLong((name.sensitive ? kSensitive : 0) | (name.plain ? kPlain : 0) |
                                       (name.identifier ? kIdentifier : 0)));
        if (!bits) {
            return name;
        }
        if (PyDict_Size(names_.get()) >= kMostNames) {
            PyDict_Clear(names_.get());
        }
        if (PyDict_SetItem(names_.get(), text, bits.get()) < 0) {
            return name;
        }
    }
    name.known = true;
    return name;
}

namespace {

// `subtype_dict`: the getter of ``__dict__`` that a class statement makes.
getter made_getter = nullptr;

bool read_slots(PyObject* slots, Shape& shape) {
    if (slots == nullptr || !PyTuple_CheckExact(slots)) {
        return false;
    }
    const Ref seen = Ref::steal(PySet_New(nullptr));
    if (!seen) {
        return false;
    }
    for (Py_ssize_t at = 0; at < PyTuple_GET_SIZE(slots); ++at) {
        PyObject* pair = PyTuple_GET_ITEM(slots, at);
        PyObject* name = PyTuple_GET_ITEM(pair, 1);
        // The same name in two classes of the MRO is a case for the Python code.
        if (!PyUnicode_CheckExact(name) || PySet_Contains(seen.get(), name) != 0 ||
            PySet_Add(seen.get(), name) < 0) {
            return false;
        }
        shape.slots.emplace_back(PyLong_AsSsize_t(PyTuple_GET_ITEM(pair, 0)), Ref::borrow(name));
    }
    return true;
}

}  // namespace

bool find_made_getter() {
    const Ref sample =
        Ref::steal(PyObject_CallFunction(reinterpret_cast<PyObject*>(&PyType_Type), "s(){}", "Sample"));
    if (!sample) {
        return false;
    }
    const Ref names = Ref::steal(class_namespace(reinterpret_cast<PyTypeObject*>(sample.get())));
    PyObject* made = names ? PyDict_GetItemString(names.get(), "__dict__") : nullptr;
    if (made != nullptr && Py_TYPE(made) == &PyGetSetDescr_Type) {
        made_getter = reinterpret_cast<PyGetSetDescrObject*>(made)->d_getset->get;
    }
    return true;
}

Ref descriptor(PyTypeObject* type, Py_ssize_t at, PyObject* name) {
    PyObject* mro = type->tp_mro;
    if (mro == nullptr || at >= PyTuple_GET_SIZE(mro)) {
        return Ref();
    }
    PyObject* owner = PyTuple_GET_ITEM(mro, at);
    const Ref names = Ref::steal(class_namespace(reinterpret_cast<PyTypeObject*>(owner)));
    Ref found = Ref::steal(names ? dict_item(names.get(), name) : nullptr);
    const bool made_by_c =
        found && (Py_TYPE(found.get()) == &PyGetSetDescr_Type || Py_TYPE(found.get()) == &PyMemberDescr_Type);
    // One that was taken from another class is a case for the Python code.
    if (!made_by_c || PyDescr_TYPE(found.get()) != reinterpret_cast<PyTypeObject*>(owner)) {
        return Ref();
    }
    return found;
}

bool is_made_dict(PyObject* found) noexcept {
    return made_getter != nullptr && Py_TYPE(found) == &PyGetSetDescr_Type &&
           reinterpret_cast<PyGetSetDescrObject*>(found)->d_getset->get == made_getter;
}

bool has_made_dict(PyTypeObject* type, Py_ssize_t at) {
    const Ref found = descriptor(type, at, names::own_dict);
    return found && is_made_dict(found.get());
}

std::shared_ptr<const Shape> Knowledge::shape(const Parts& parts, PyTypeObject* type) {
    PyObject* cls = reinterpret_cast<PyObject*>(type);
    if (std::shared_ptr<const Shape> found = shapes_.find(cls)) {
        return found;
    }
    const Ref told = Ref::steal(call_one(parts.shape_of.get(), cls));
    if (!told) {
        return nullptr;
    }
    const Ref kind = Ref::steal(PyObject_GetAttrString(told.get(), "kind"));
    const Ref name = Ref::steal(PyObject_GetAttrString(told.get(), "name"));
    const Ref slots = Ref::steal(PyObject_GetAttrString(told.get(), "slots"));
    const Ref dict_at = Ref::steal(PyObject_GetAttrString(told.get(), "dict_at"));
    auto made = std::make_shared<Shape>();
    made->reference = Ref::steal(PyWeakref_NewRef(cls, nullptr));
    if (!kind || !name || !slots || !dict_at || !made->reference) {
        return nullptr;
    }
    made->label = Ref::steal(label(name.get()));
    if (!made->label) {
        return nullptr;
    }
    made->label_size = PyUnicode_GET_LENGTH(made->label.get());
    JsonOut text;
    if (!text.string(made->label.get())) {
        return nullptr;
    }
    made->label_json = text.text();
    made->dict_at = PyLong_AsSsize_t(dict_at.get());
    made->has_dict = made->dict_at >= 0;
    made->native = PyLong_AsLong(kind.get()) == 0 && PyType_HasFeature(type, Py_TPFLAGS_HEAPTYPE) &&
                   made_getter != nullptr && read_slots(slots.get(), *made) &&
                   (!made->has_dict || has_made_dict(type, made->dict_at));
    if (PyErr_Occurred() != nullptr) {
        return nullptr;
    }
    shapes_.put(cls, made);
    return made;
}

}  // namespace tracepoints
