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
extern Pointwise isnan, isinf, isfinite, logical_not, logical_and, logical_or, logical_xor;
extern Pointwise where;  // where(condition, a, b)

// Unary.
extern Pointwise neg, abs, sign, square, reciprocal, floor, ceil, round, trunc;
extern Pointwise exp, exp2, expm1, log, log2, log10, log1p, sqrt, rsqrt, sin, cos, erf, tanh,
    sigmoid;
extern Pointwise relu, silu, gelu, gelu_tanh, log_sigmoid;
extern Pointwise softplus;    // beta imm[0], threshold imm[1]
extern Pointwise leaky_relu;  // slope imm[0]
extern Pointwise clamp;  // bounds imm[0], imm[1] (infinities or the dtype's limits where absent)

// Fused backwards: (grad, saved) -> grad of input; the saved operand is named.
extern Pointwise tanh_backward, sigmoid_backward;  // result
extern Pointwise relu_backward;                    // result or input: grad where > 0
extern Pointwise silu_backward, gelu_backward, gelu_tanh_backward;  // input
extern Pointwise leaky_relu_backward;                               // input, slope imm[0]
extern Pointwise clamp_backward;                                    // input, bounds imm[0], imm[1]

// Losses by element; the caller reduces. bce clamps logarithms at -100 as PyTorch does, and raises
// unless its inputs are between 0 and 1.
extern Pointwise mse, bce, bce_with_logits;  // (input, target)
extern Pointwise mse_backward, bce_backward,
    bce_with_logits_backward;  // (grad, input, target), times imm[0]

}  // namespace ember::kernels
