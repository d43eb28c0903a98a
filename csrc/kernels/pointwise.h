#pragma once

#include "core/table.h"
#include "core/view.h"

// Every pointwise kernel has one signature; the plan carries operands and numbers. The mask of a
// slot lists the compute dtypes it serves; operands of any real dtype convert when they are read
// and written, so no operation casts its inputs beforehand. Halves compute in float32.
namespace ember::kernels {

using Pointwise = Slot<void(Context&, const Plan&)>;

// out = convert(in), any dtype to any dtype. Out and in must not overlap partially.
extern Pointwise copy;

// Arithmetic. `add` computes a + immediate[0] * b; Plan::compute is the promoted dtype.
extern Pointwise add, mul, div, floor_divide, trunc_divide, remainder, fmod, pow, maximum, minimum;
extern Pointwise bitwise_and, bitwise_or, bitwise_xor, bitwise_not;
extern Pointwise addcmul, addcdiv, lerp;  // x + imm[0]*a*b, x + imm[0]*a/b, a + w*(b - a)

// Comparisons and predicates write bool.
extern Pointwise eq, ne, lt, le, gt, ge;
extern Pointwise isnan, isinf, isfinite, isposinf, isneginf, signbit, logical_not, logical_and,
    logical_or, logical_xor;
extern Pointwise where;  // where(condition, a, b)

// Unary.
extern Pointwise neg, abs, sign, square, reciprocal, floor, ceil, round, trunc, sqrt, rsqrt, relu;
extern Pointwise clamp;  // bounds imm[0], imm[1] (infinities or the dtype's limits where absent)

// A loss by element that raises unless its inputs are between 0 and 1; it clamps logarithms at -100
// as PyTorch does.
extern Pointwise bce;  // (input, target)

#define EMBER_POINTWISE(inputs, name, ...) extern Pointwise name;
#include "kernels/formulas/math.inc"

}  // namespace ember::kernels
