#pragma once

#include "kernels/cumulative.h"
#include "kernels/pointwise.h"
#include "kernels/reduce.h"

// Kernels of complex numbers. An operation names the kernel of real dtypes and gets these for
// complex ones (Slot::of). In memory a complex number is its real part and then its imaginary part.
namespace ember::kernels {

namespace of_complex {

// As those of the same name for real dtypes; `add` and `addcmul` may have complex numbers beside
// the operands.
extern Pointwise add, mul, div, pow, eq, ne, where, addcmul, addcdiv;
extern Pointwise isnan, isinf, isfinite;
extern Pointwise neg, square, reciprocal, abs, sign;  // abs writes real numbers
extern Pointwise exp, exp2, expm1, log, log2, log10, log1p, sqrt, rsqrt, sin, cos, tanh, sigmoid;
extern Pointwise tan, asin, acos, atan, sinh, cosh, asinh, acosh, atanh;
extern Reduce prod;
extern CumulativeSlot cumprod;

}  // namespace of_complex

extern Pointwise conj;
extern Pointwise angle;    // writes real numbers
extern Pointwise complex;  // complex(real, imaginary)

}  // namespace ember::kernels
