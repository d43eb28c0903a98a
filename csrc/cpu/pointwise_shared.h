#pragma once

#include "core/dtype.h"
#include "core/view.h"

// How a pointwise kernel runs. A formula is compiled once a level and compute type, as a loop over
// dense memory. Operands that are dense and of that type are used in place; others are gathered and
// converted by blocks through buffers in the first-level cache, by code that all formulas share.
namespace ember::cpu {

// data[0] is the output. n items of each operand are dense. A loop told to stream may write past
// the caches, if it can.
using Loop = void (*)(char* const* data, int64_t n, const Number* immediate, bool stream);

struct LoopInfo {
    Loop loop;
    DType out, in;  // what the loop's memory holds
    DType first;    // of the first input, where it differs from the other inputs
    // Python numbers beside halves enter in float precision instead of being rounded to the half:
    // where PyTorch does so.
    bool exact_numbers;
    int cost;  // of an item, relative to reading and writing it
};

// What the float kernels hand integers to.
struct IntegerKernels {
    using Kernel = void (*)(Context&, const Plan&);
    Kernel add, mul, floor_divide, trunc_divide, remainder, fmod, pow, maximum, minimum;
    Kernel eq, ne, lt, le, gt, ge;
    Kernel neg, abs, sign, square, identity, relu, clamp, addcmul;
};

// What the kernels of all levels call but only levels up to avx2 have: the highest of these that
// the machine offers fills it when it registers.
struct PointwiseShared {
    void (*run)(const Plan& plan, const LoopInfo& info);
    IntegerKernels integers;
};
extern PointwiseShared pointwise_shared;

}  // namespace ember::cpu
