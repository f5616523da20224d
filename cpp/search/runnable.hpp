// What can run the code of some files: functions, and what is suspended.
#pragma once

#include <unordered_map>
#include <utility>

#include "ref.hpp"

namespace tracepoints {

// Which file names are meant. Thousands of functions have the same one, so each is judged once.
//
// What the names are known to mean says so at once; of others the functions are kept until Python has
// been asked. Looking a name up makes no object and runs no code: they are exact str, and so are the keys.
class FileNames {
public:
    // Where nothing was seen yet. `real`: name → path, a dict of exact str; `wanted`: a set of those paths.
    FileNames(PyObject* real, PyObject* wanted) : real_(real), wanted_(wanted) {}

    enum class Verdict : char { kOther, kWanted, kAsk };
    Verdict judge(PyObject* name) {
        if (name != last_) {
            verdict_ = look_up(name);
            last_ = name;
        }
        return verdict_;
    }

private:
    Verdict look_up(PyObject* name);
    Verdict read(PyObject* name) const;

    PyObject* real_;
    PyObject* wanted_;
    // Held: between two generations a collection may run, and another name be made where one was.
    std::unordered_map<PyObject*, std::pair<Ref, Verdict>> known_;
    // Neighbours on the heap are of one file, most of the time.
    PyObject* last_ = nullptr;
    Verdict verdict_ = Verdict::kOther;
};

// The code of a function, or of something suspended that can still run; borrowed, null of anything else.
PyCodeObject* code_to_run(PyObject* object);

}  // namespace tracepoints
