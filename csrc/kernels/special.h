#pragma once

#include "kernels/pointwise.h"

// Pointwise functions that are no one's hot loop. The floating ones compute every dtype in double
// and round once.
namespace ember::kernels {

// Unary.
extern Pointwise tan, asin, acos, atan, sinh, cosh, asinh, acosh, atanh, frac;
extern Pointwise erfc, erfcx, erfinv, ndtr, ndtri, log_ndtr;
extern Pointwise lgamma, digamma, polygamma;  // polygamma of order imm[0]
extern Pointwise i0, i0e, i1, i1e;            // modified Bessel functions, e: times e^-|x|
extern Pointwise bessel_j0, bessel_j1, bessel_y0, bessel_y1;
extern Pointwise sinc, entr;
extern Pointwise logit;       // bounds imm[0], imm[1]
extern Pointwise nan_to_num;  // for NaN imm[0], infinity imm[1], -infinity imm[2]
extern Pointwise frexp_mantissa, frexp_exponent;

// Predicates write bool.
extern Pointwise signbit, isposinf, isneginf;

// Binary.
extern Pointwise atan2, hypot, copysign, nextafter, fmax, fmin, zeta;
extern Pointwise xlogy, xlog1py, logaddexp, logaddexp2;

// Integers, computed in 64 bits: gcd; lcm in imm[0] bits; shifts by at most imm[0].
extern Pointwise gcd, lcm, shift_left, shift_right;

}  // namespace ember::kernels
