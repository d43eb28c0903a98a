#pragma once

#include <tuple>

#include "kernels/formulas/polynomial_kind.h"
#include "ops/pointwise.h"

// Pointwise functions of one and two tensors beyond arithmetic: the rest of the elementary ones,
// and special functions. Integers and bool compute in the default dtype unless said otherwise.
namespace ember::ops {

// The end of a composition: what `out=` and in place get is a copy of the fresh result.
Tensor deliver(const char* name, const Tensor& result, const Dest& dest);

Tensor tan(const Tensor& x, const Dest& dest);
Tensor asin(const Tensor& x, const Dest& dest);
Tensor acos(const Tensor& x, const Dest& dest);
Tensor atan(const Tensor& x, const Dest& dest);
Tensor sinh(const Tensor& x, const Dest& dest = {});
Tensor cosh(const Tensor& x, const Dest& dest = {});
Tensor asinh(const Tensor& x, const Dest& dest);
Tensor acosh(const Tensor& x, const Dest& dest);
Tensor atanh(const Tensor& x, const Dest& dest);
Tensor frac(const Tensor& x, const Dest& dest);
Tensor deg2rad(const Tensor& x, const Dest& dest);
Tensor rad2deg(const Tensor& x, const Dest& dest);
Tensor erfc(const Tensor& x, const Dest& dest);
Tensor erfcx(const Tensor& x, const Dest& dest = {});
Tensor erfinv(const Tensor& x, const Dest& dest = {});
Tensor ndtr(const Tensor& x, const Dest& dest);
Tensor ndtri(const Tensor& x, const Dest& dest = {});
Tensor log_ndtr(const Tensor& x, const Dest& dest);
Tensor lgamma(const Tensor& x, const Dest& dest);
Tensor digamma(const Tensor& x, const Dest& dest = {});
Tensor polygamma(int64_t n, const Tensor& x, const Dest& dest = {});
Tensor mvlgamma(const Tensor& x, int64_t p, const Dest& dest);
Tensor i0(const Tensor& x, const Dest& dest = {});
Tensor i0e(const Tensor& x, const Dest& dest = {});
Tensor i1(const Tensor& x, const Dest& dest = {});
Tensor i1e(const Tensor& x, const Dest& dest = {});
Tensor bessel_j0(const Tensor& x, const Dest& dest);
Tensor bessel_j1(const Tensor& x, const Dest& dest);
Tensor bessel_y0(const Tensor& x, const Dest& dest);
Tensor bessel_y1(const Tensor& x, const Dest& dest);
Tensor k0(const Tensor& x, const Dest& dest);
Tensor k0e(const Tensor& x, const Dest& dest);
Tensor k1(const Tensor& x, const Dest& dest);
Tensor k1e(const Tensor& x, const Dest& dest);
Tensor airy_ai(const Tensor& x, const Dest& dest);
Tensor spherical_bessel_j0(const Tensor& x, const Dest& dest);
Tensor sinc(const Tensor& x, const Dest& dest);
Tensor entr(const Tensor& x, const Dest& dest);
Tensor logit(const Tensor& x, std::optional<double> eps, const Dest& dest);
Tensor nan_to_num(const Tensor& x, std::optional<double> nan, std::optional<double> posinf,
                  std::optional<double> neginf, const Dest& dest);
std::tuple<Tensor, Tensor> frexp(const Tensor& x);
Tensor round_decimals(const Tensor& x, int64_t decimals, const Dest& dest);

Tensor signbit(const Tensor& x, const Dest& dest);
Tensor isposinf(const Tensor& x, const Dest& dest);
Tensor isneginf(const Tensor& x, const Dest& dest);
Tensor isreal(const Tensor& x);

Tensor atan2(const Tensor& a, const Tensor& b, const Dest& dest);
Tensor hypot(const Tensor& a, const Tensor& b, const Dest& dest);
Tensor copysign(const Tensor& a, const Tensor& b, const Dest& dest);
Tensor nextafter(const Tensor& a, const Tensor& b, const Dest& dest);
Tensor fmax(const Tensor& a, const Tensor& b, const Dest& dest);
Tensor fmin(const Tensor& a, const Tensor& b, const Dest& dest);
Tensor xlogy(const Tensor& a, const Tensor& b, const Dest& dest = {});
Tensor xlog1py(const Tensor& a, const Tensor& b, const Dest& dest = {});
Tensor zeta(const Tensor& s, const Tensor& q, const Dest& dest = {});
// The polynomial of degree n at x; no gradient.
Tensor polynomial(formulas::Polynomial kind, const Tensor& x, const Tensor& n, const Dest& dest);
Tensor logaddexp(const Tensor& a, const Tensor& b, const Dest& dest);
Tensor logaddexp2(const Tensor& a, const Tensor& b, const Dest& dest);
Tensor heaviside(const Tensor& x, const Tensor& values, const Dest& dest);
Tensor ldexp(const Tensor& x, const Tensor& exponent, const Dest& dest);
Tensor float_power(const Tensor& a, const Tensor& b, const Dest& dest);

Tensor gcd(const Tensor& a, const Tensor& b, const Dest& dest);
Tensor lcm(const Tensor& a, const Tensor& b, const Dest& dest);
Tensor bitwise_left_shift(const Tensor& a, const Tensor& b, const Dest& dest = {});
Tensor bitwise_right_shift(const Tensor& a, const Tensor& b, const Dest& dest = {});

}  // namespace ember::ops
