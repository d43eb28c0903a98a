#pragma once

#include <Python.h>

#include <cstdint>
#include <string_view>

#include "core/tensor.h"

// Which functions autocast changes. It acts where Python calls a function, so that neither the
// operations nor their derivatives know of it.
namespace ember::python {

enum class Cast : uint8_t {
    None,
    Lower,    // to autocast's dtype
    Float32,  // to float32, for functions that lose too much below it
    Widest,   // to the widest of the arguments' dtypes, where they must agree
};
struct CastRule {
    Cast on[2] = {};  // CPU, CUDA
    bool any() const { return on[0] != Cast::None || on[1] != Cast::None; }
};

CastRule cast_rule(std::string_view function);
// One tensor by the rule.
Tensor autocast(const CastRule& rule, const Tensor& x);
// Replaces tensors, and lists with tensors, in the slots by what the rule makes of them. `made`
// owns what was made for the slots: the new value is returned.
PyObject* autocast_slots(const CastRule& rule, PyObject** slots, int count, PyObject* made);

}  // namespace ember::python
