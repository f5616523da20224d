#include "capture/suspicion.hpp"

#include <array>

namespace tracepoints {

namespace {

// No secret without a name is shorter (`RedactionPolicy.text`).
constexpr Py_ssize_t kShortest = 12;
constexpr int kShortestCard = 13;
constexpr Py_ssize_t kLongestName = 64;
constexpr Py_ssize_t kShortestHeader = 6;  // "cookie"

// Every character that a look must be taken at: one that ends or begins something in `patterns._TRIGGER`,
// or that stands between a name and its value.
constexpr std::array<bool, 128> make_noticed() {
    std::array<bool, 128> noticed{};
    for (const char each : {'J', 'B', 'b', 'A', '_', '-', 'x', 'G', 'S', '.', 'd', ':', '=', '%'}) {
        noticed[static_cast<std::size_t>(each)] = true;
    }
    for (char each = '0'; each <= '9'; ++each) {
        noticed[static_cast<std::size_t>(each)] = true;
    }
    return noticed;
}
constexpr std::array<bool, 128> kNoticed = make_noticed();

template <typename Char>
class Look {
public:
    Look(const Char* text, Py_ssize_t size, PyObject* known, const HarmlessNames* names)
        : text_(text), size_(size), known_(known), names_(names) {}

    bool harmless() {
        const bool is_long = size_ >= kShortest;
        for (Py_ssize_t at = 0; at < size_; ++at) {
            const Py_UCS4 each = text_[at];
            if (each >= 128 ? is_odd(each) : kNoticed[each] && is_hint(at, each, is_long)) {
                return false;
            }
        }
        return true;
    }

private:
    Py_UCS4 char_at(Py_ssize_t at) const { return at >= 0 && at < size_ ? text_[at] : 0; }

    bool before(Py_ssize_t at, const char* word) const {
        Py_ssize_t length = 0;
        while (word[length] != 0) {
            ++length;
        }
        for (Py_ssize_t i = 0; i < length; ++i) {
            if (char_at(at - length + i) != static_cast<Py_UCS4>(word[i])) {
                return false;
            }
        }
        return true;
    }

    bool after(Py_ssize_t at, const char* word) const {
        for (Py_ssize_t i = 0; word[i] != 0; ++i) {
            if (char_at(at + 1 + i) != static_cast<Py_UCS4>(word[i])) {
                return false;
            }
        }
        return true;
    }

    // Digits of other scripts, which patterns take for digits; what is an ASCII letter in another case; what
    // cannot be encoded.
    static bool is_odd(Py_UCS4 each) {
        return each == 0x17F || each == 0x212A || each == 0x130 || each == 0x131 ||
               (each >= 0xD800 && each < 0xE000) || (each >= 0x660 && Py_UNICODE_ISDECIMAL(each));
    }

    bool is_hint(Py_ssize_t at, Py_UCS4 each, bool is_long) {
        switch (each) {
            case ':': return char_at(at + 1) == '/' || ends_eight_digits(at) || names_something(at);
            case '=': return names_something(at);
            case '%': return char_at(at + 1) == '3';
            default: break;
        }
        if (!is_long) {
            return false;
        }
        switch (each) {
            case 'J': return char_at(at - 1) == 'y';
            case 'A':
                return after(at, "KI") || after(at, "SI") || after(at, "BI") || after(at, "CC") ||
                       after(at, "Iz") || after(at, "GE");
            case 'G': return after(at, "OC");
            case 'S': return after(at, "G.") || char_at(at + 1) == 'K';
            case 'x': return after(at, "ox") || after(at, "app");
            case 'd': return after(at, "api");
            case 'b':
            case 'B': return before(at, "-----") || begins_scheme(at);
            case '.':
                return before(at, "ya29") || before(at, "hooks") ||
                       (char_at(at - 2) == 'v' && char_at(at - 3) == 'h');
            case '-': return before(at, "sk") || before(at, "pypi") || after_gitlab(at);
            case '_': return ends_prefix(at);
            default: return is_many_digits(at);
        }
    }

    static bool is_digit(Py_UCS4 each) { return each >= '0' && each <= '9'; }
    // Whether a name that may be sensitive stands before the sign: for certain, only where one stands
    // directly before it and is known, or none can.
    bool names_something(Py_ssize_t at) const {
        Py_ssize_t start = at;
        while (start > 0 && at - start < kLongestName && is_of_name(char_at(start - 1))) {
            --start;
        }
        if (at - start >= kShortestHeader && holds_header(start, at)) {
            return true;
        }
        const Py_UCS4 before = char_at(start - 1);
        if (start == at) {
            // Between a name and its sign there may be blanks, quotes and brackets.
            return start > 0 && before != '(' && before != ')' && before != '>' && before != ',' &&
                   before != '/';
        }
        const bool may_go_on = before >= 128 || before == ' ';  // "api key", or letters of another script
        if (known_ == nullptr || at - start >= kLongestName || may_go_on_before(start, at, may_go_on)) {
            return true;
        }
        if (!is_letter_of_name(char_at(start)) || at - start < 2) {
            return !is_digit(char_at(start)) && at - start >= 2;  // no name begins so, and none is so short
        }
        if (sizeof(Char) == 1 && names_ != nullptr &&
            names_->has(reinterpret_cast<const unsigned char*>(text_ + start),
                        static_cast<std::size_t>(at - start))) {
            return false;
        }
        const Ref name = Ref::steal(PyUnicode_FromKindAndData(sizeof(Char), text_ + start, at - start));
        const Ref verdict = name ? Ref::steal(dict_item(known_, name.get())) : Ref();
        PyErr_Clear();
        return verdict.get() != Py_False;
    }

    // What `patterns.has_header` looks for, or nearly.
    bool holds_header(Py_ssize_t start, Py_ssize_t at) const {
        for (Py_ssize_t i = start; i + 3 < at; ++i) {
            const Py_UCS4 one = char_at(i) | 0x20, two = char_at(i + 1) | 0x20, three = char_at(i + 2) | 0x20;
            if ((one == 'o' && two == 'o' && three == 'k') || (one == 'u' && two == 't' && three == 'h')) {
                return true;
            }
        }
        return false;
    }

    bool ends_eight_digits(Py_ssize_t at) const {
        for (Py_ssize_t i = 1; i <= 8; ++i) {
            if (!is_digit(char_at(at - i))) {
                return false;
            }
        }
        return true;
    }

    bool may_go_on_before(Py_ssize_t start, Py_ssize_t at, bool may_go_on) const {
        const bool is_key = at - start == 3 && (char_at(start) | 0x20) == 'k' && char_at(start + 1) == 'e' &&
                            char_at(start + 2) == 'y';
        return char_at(start - 1) >= 128 || (may_go_on && is_key);
    }

    // "bearer " or "basic ", in any case; letters of other scripts that fold to these were odd already.
    bool begins_scheme(Py_ssize_t at) const {
        const Py_UCS4 first = char_at(at + 1) | 0x20, second = char_at(at + 2) | 0x20;
        return (first == 'e' && second == 'a') || (first == 'a' && second == 's');
    }

    // "gl" and two to five letters before the dash.
    bool after_gitlab(Py_ssize_t at) const {
        for (Py_ssize_t letters = 2; letters <= 5; ++letters) {
            if (char_at(at - letters - 1) == 'l' && char_at(at - letters - 2) == 'g') {
                return true;
            }
        }
        return false;
    }

    bool ends_prefix(Py_ssize_t at) const {
        const Py_UCS4 one = char_at(at - 1), two = char_at(at - 2), three = char_at(at - 3);
        switch (one) {
            case 'k': return two == 's' || two == 'r' || two == 'p';
            case 'p':
            case 'o':
            case 'r':
                return (two == 'h' && three == 'g') || (two == 'o' && three == 'd') || before(at, "tfp");
            case 'u': return two == 'h' && three == 'g';
            case 's': return (two == 'h' && three == 'g') || before(at, "shpss");
            case 'b': return before(at, "github");
            case 'c': return before(at, "whsec");
            case 'm': return before(at, "npm");
            case 'l': return before(at, "pul");
            case 'i': return before(at, "api");
            case 'f': return two == 'h';
            case '8': return two == 'r';
            case 't': return before(at, "shpat");
            case 'a': return before(at, "shpca") || before(at, "shppa");
            default: return false;
        }
    }

    // Thirteen digits with at most one blank or dash between two of them.
    bool is_many_digits(Py_ssize_t at) {
        const bool goes_on =
            at - 1 == last_digit_ ||
            (at - 2 == last_digit_ && (char_at(at - 1) == ' ' || char_at(at - 1) == '-') && at >= 2);
        digits_ = goes_on ? digits_ + 1 : 1;
        last_digit_ = at;
        return digits_ >= kShortestCard;
    }

    const Char* text_;
    const Py_ssize_t size_;
    PyObject* const known_;
    const HarmlessNames* const names_;
    Py_ssize_t last_digit_ = -8;
    int digits_ = 0;
};

}  // namespace

bool is_harmless(PyObject* text, PyObject* known, const HarmlessNames* names) noexcept {
    const Py_ssize_t size = PyUnicode_GET_LENGTH(text);
    switch (PyUnicode_KIND(text)) {
        case PyUnicode_1BYTE_KIND:
            return Look<Py_UCS1>(PyUnicode_1BYTE_DATA(text), size, known, names).harmless();
        case PyUnicode_2BYTE_KIND:
            return Look<Py_UCS2>(PyUnicode_2BYTE_DATA(text), size, known, names).harmless();
        case PyUnicode_4BYTE_KIND:
            return Look<Py_UCS4>(PyUnicode_4BYTE_DATA(text), size, known, names).harmless();
        default: return false;
    }
}

}  // namespace tracepoints
