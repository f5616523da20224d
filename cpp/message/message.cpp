#include "message/message.hpp"

#include <memory>
#include <new>
#include <vector>

#include "capture/knowledge.hpp"
#include "expression/condition.hpp"
#include "expression/value.hpp"
#include "message/text.hpp"
#include "parts.hpp"

namespace tracepoints {

namespace {

// `fields.FIELD_LIMIT`, of one field and of the message.
constexpr Py_ssize_t kLongestText = 8192;
// `fields._LARGE`: numbers below it are neither infinite nor long, nor card numbers.
constexpr long long kLarge = 1'000'000'000'000;

struct Piece {
    // One of the two.
    Ref literal;
    std::unique_ptr<Condition> field;
};

class Message {
public:
    bool read(PyObject* parts, PyObject* policy) {
        knowledge_ = Knowledge::of(policy);
        null_ = Ref::steal(PyUnicode_InternFromString("null"));
        none_ = Ref::steal(PyUnicode_InternFromString("None"));
        true_ = Ref::steal(PyUnicode_InternFromString("True"));
        false_ = Ref::steal(PyUnicode_InternFromString("False"));
        if (knowledge_ == nullptr || !null_ || !none_ || !true_ || !false_) {
            return false;
        }
        if (knowledge_->has_patterns()) {
            return false;  // they may match anything, the digits of a number too
        }
        for (Py_ssize_t at = 0; at < PyTuple_GET_SIZE(parts); ++at) {
            PyObject* part = PyTuple_GET_ITEM(parts, at);
            Piece piece;
            if (PyUnicode_CheckExact(part)) {
                piece.literal = Ref::borrow(part);
                if (!names_.learn(part, *knowledge_)) {
                    return false;
                }
            } else {
                piece.field = Condition::make(part);
                ++fields_;
                if (piece.field == nullptr) {
                    return false;  // with or without an error
                }
            }
            pieces_.push_back(std::move(piece));
        }
        return true;
    }

    // (message, fields), or None; null with an error that is none of the application's.
    PyObject* render(Frame* frame) const {
        // Never with an item missing: before 3.12 any allocation may let the application look at it.
        const Ref fields = Ref::steal(PyList_New(0));
        if (!fields) {
            return nullptr;
        }
        Text text;
        for (const Piece& piece : pieces_) {
            if (piece.field == nullptr) {
                if (!text.add(piece.literal.get())) {
                    return nullptr;
                }
                continue;
            }
            Ref value;
            if (!print(*piece.field, frame, text, value)) {
                return defer();
            }
            if (PyList_Append(fields.get(), value.get()) < 0) {
                return nullptr;
            }
        }
        if (text.length() > kLongestText) {
            return defer();
        }
        const Ref message = Ref::steal(text.finish());
        if (!message) {
            return nullptr;
        }
        // Once more as a whole: a secret may be put together from parts.
        if ((pieces_.size() != 1 || fields_ == 0) && !knowledge_->is_harmless(message.get(), &names_)) {
            return defer();
        }
        return PyTuple_Pack(2, message.get(), fields.get());
    }

private:
    static PyObject* defer() {
        PyErr_Clear();
        Py_RETURN_NONE;
    }

    bool print(const Condition& field, Frame* frame, Text& text, Ref& value) const {
        Value found;
        if (!field.evaluate(frame, found)) {
            return false;
        }
        PyObject* object = found.object();
        long long number = 0;
        switch (found.kind()) {
            case Kind::kInt:
                if (!found.integer(number) || number <= -kLarge || number >= kLarge) {
                    return false;
                }
                value = object == nullptr ? Ref::steal(PyLong_FromLongLong(number)) : Ref::borrow(object);
                return value && text.add(number);
            case Kind::kFloat: {
                const double real = PyFloat_AS_DOUBLE(object);
                value = Ref::borrow(object);
                return real > -static_cast<double>(kLarge) && real < static_cast<double>(kLarge) &&
                       text.add(real);
            }
            case Kind::kText:
                value = Ref::borrow(object);
                return PyUnicode_GET_LENGTH(object) <= kLongestText && knowledge_->is_harmless(object) &&
                       text.add(object);
            case Kind::kBool:
                value = Ref::borrow(object);
                return text.add(object == Py_True ? true_.get() : false_.get());
            case Kind::kNone: value = null_; return text.add(none_.get());
            default: return false;
        }
    }

    std::vector<Piece> pieces_;
    std::shared_ptr<Knowledge> knowledge_;
    HarmlessNames names_;
    Ref null_, none_, true_, false_;
    Py_ssize_t fields_ = 0;
};

struct MessageObject {
    PyObject_HEAD
    Message* message;
};

PyTypeObject* message_type = nullptr;

PyObject* message_new(PyTypeObject* type, PyObject* arguments, PyObject*) {
    PyObject *parts = nullptr, *policy = nullptr;
    if (PyArg_ParseTuple(arguments, "O!O", &PyTuple_Type, &parts, &policy) == 0) {
        return nullptr;
    }
    try {
        auto message = std::make_unique<Message>();
        if (!message->read(parts, policy)) {
            if (PyErr_Occurred() == nullptr) {
                PyErr_SetString(PyExc_ValueError, "a field of it is for Python to evaluate");
            }
            return nullptr;
        }
        PyObject* self = type->tp_alloc(type, 0);
        if (self != nullptr) {
            reinterpret_cast<MessageObject*>(self)->message = message.release();
        }
        return self;
    } catch (const std::bad_alloc&) {
        return PyErr_NoMemory();
    }
}

void message_dealloc(PyObject* self) {
    PyTypeObject* type = Py_TYPE(self);
    delete reinterpret_cast<MessageObject*>(self)->message;
    type->tp_free(self);
    Py_DECREF(type);
}

PyObject* message_render(PyObject* self, PyObject* frame) {
    if (!PyFrame_Check(frame)) {
        PyErr_SetString(PyExc_TypeError, "a message is rendered from a frame");
        return nullptr;
    }
    return reinterpret_cast<MessageObject*>(self)->message->render(
        frame_of(reinterpret_cast<PyFrameObject*>(frame)));
}

PyMethodDef message_methods[] = {
    {"render", message_render, METH_O, "(message, fields), or None where Python is to do it."},
    {nullptr, nullptr, 0, nullptr},
};

char message_doc[] =
    "Message(parts, policy): literals and lowered expressions. ValueError where one has to be Python's.";

PyType_Slot message_slots[] = {
    {Py_tp_doc, message_doc},
    {Py_tp_new, reinterpret_cast<void*>(message_new)},
    {Py_tp_dealloc, reinterpret_cast<void*>(message_dealloc)},
    {Py_tp_methods, message_methods},
    {0, nullptr},
};

PyType_Spec message_spec = {
    "otel_tracepoints.engine._native.Message", sizeof(MessageObject), 0, Py_TPFLAGS_DEFAULT, message_slots,
};

}  // namespace

bool is_message(PyObject* object) noexcept {
    return Py_TYPE(object) == message_type;
}

PyObject* render_message(PyObject* message, Frame* frame) {
    return reinterpret_cast<MessageObject*>(message)->message->render(frame);
}

bool add_message(PyObject* module) {
    if (message_type == nullptr) {
        message_type = reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&message_spec));
    }
    return message_type != nullptr &&
           add_object_ref(module, "Message", reinterpret_cast<PyObject*>(message_type)) == 0;
}

}  // namespace tracepoints
