// Names that stand in a text of the probe itself, and are not sensitive: found on the control path, so that
// no hit has to look them up.
#pragma once

#include <string>
#include <vector>

#include "ref.hpp"

namespace tracepoints {

class Knowledge;

class HarmlessNames {
public:
    // Asks the policy about each name of the text that a value may stand behind. False with an error.
    bool learn(PyObject* text, Knowledge& knowledge);

    bool has(const unsigned char* name, std::size_t size) const noexcept;

private:
    std::vector<std::string> names_;
};

}  // namespace tracepoints
