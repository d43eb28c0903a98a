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

// What the float kernels hand integers to; `neg` and `abs` take halves as well.
struct IntegerKernels {
    using Kernel = void (*)(Context&, const Plan&);
    Kernel add, mul, floor_divide, trunc_divide, remainder, fmod, pow, maximum, minimum;
    Kernel eq, ne, lt, le, gt, ge;
    Kernel neg, abs, sign, square, identity, relu, clamp, addcmul;
};

// n dense items.
using ConvertItems = void (*)(void* out, const void* in, int64_t n);
struct HalfConversions {
    ConvertItems to_float, from_float;
};

// What pointwise kernels and copies share: each part is filled by the highest level that the
// machine offers and that has it, which is avx2 for `run` and the integers.
struct PointwiseShared {
    void (*run)(const Plan& plan, const LoopInfo& info);
    IntegerKernels integers;
    HalfConversions halves, bfloats;  // of Half and BFloat16
};
extern PointwiseShared pointwise_shared;

}  // namespace ember::cpu
