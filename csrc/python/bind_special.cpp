#include "ops/special.h"
#include "python/tables.h"

namespace ember::python {

namespace {

constexpr int all = kFunction | kMethod | kInPlace, both = kFunction | kMethod;
constexpr int unary = all | kInPlaceFunction;

Tensor polygamma_method(const Tensor& x, int64_t n, const Dest& dest) {
    return ops::polygamma(n, x, dest);
}

using formulas::Polynomial;

template <Polynomial kind>
Tensor polynomial(const Tensor& x, const Tensor& n, const Dest& dest) {
    return ops::polynomial(kind, x, n, dest);
}

void bind_functions(BindTable& t) {
    bind_dest<&ops::tan>(t, unary, "tan(input, *, out=None)", "The tangent of radians.");
    bind_dest<&ops::asin>(t, unary, "asin(input, *, out=None)",
                          "The inverse sine, in [-pi/2, pi/2]; NaN beyond [-1, 1].");
    t.alias("arcsin", "asin");
    bind_dest<&ops::acos>(t, unary, "acos(input, *, out=None)",
                          "The inverse cosine, in [0, pi]; NaN beyond [-1, 1].");
    t.alias("arccos", "acos");
    bind_dest<&ops::atan>(t, unary, "atan(input, *, out=None)",
                          "The inverse tangent, in [-pi/2, pi/2].");
    t.alias("arctan", "atan");
    bind_dest<&ops::sinh>(t, unary, "sinh(input, *, out=None)", "The hyperbolic sine.");
    bind_dest<&ops::cosh>(t, unary, "cosh(input, *, out=None)", "The hyperbolic cosine.");
    bind_dest<&ops::asinh>(t, unary, "asinh(input, *, out=None)", "The inverse hyperbolic sine.");
    t.alias("arcsinh", "asinh");
    bind_dest<&ops::acosh>(t, unary, "acosh(input, *, out=None)",
                           "The inverse hyperbolic cosine; NaN below 1.");
    t.alias("arccosh", "acosh");
    bind_dest<&ops::atanh>(t, unary, "atanh(input, *, out=None)",
                           "The inverse hyperbolic tangent; NaN beyond [-1, 1].");
    t.alias("arctanh", "atanh");
    bind_dest<&ops::frac>(t, unary, "frac(input, *, out=None)",
                          "input - trunc(input). Floating point only.");
    bind_dest<&ops::deg2rad>(t, unary, "deg2rad(input, *, out=None)", "Degrees to radians.");
    bind_dest<&ops::rad2deg>(t, unary, "rad2deg(input, *, out=None)", "Radians to degrees.");
    bind_dest<&ops::erfc>(t, unary, "erfc(input, *, out=None)",
                          "1 - erf(input), exact where erf is close to 1.");
    bind_dest<&ops::erfinv>(t, all, "erfinv(input, *, out=None)",
                            "The inverse of erf on [-1, 1] (Giles, 2012).");
    bind_dest<&ops::lgamma>(t, all, "lgamma(input, *, out=None)", "log(|gamma(input)|).");
    bind_dest<&ops::digamma>(t, all, "digamma(input, *, out=None)",
                             "The derivative of lgamma: recurrence and asymptotic series.");
    bind_dest<&ops::i0>(t, unary, "i0(input, *, out=None)",
                        "The modified Bessel function of the first kind and order 0.");
    bind_dest<&ops::sinc>(t, unary, "sinc(input, *, out=None)",
                          "sin(pi input) / (pi input), 1 at 0.");
    bind_dest<&ops::atan2>(t, all, "atan2(input, other, *, out=None)",
                           "The angle of the point (other, input), in [-pi, pi].");
    t.alias("arctan2", "atan2");
    bind_dest<&ops::hypot>(
        t, all, "hypot(input, other, *, out=None)",
        "sqrt(input^2 + other^2) without overflow on the way. Floating point only.");
    bind_dest<&ops::copysign>(t, all, "copysign(input, other: Tensor | Number, *, out=None)",
                              "The magnitude of input with the sign of other.");
    bind_dest<&ops::nextafter>(
        t, all, "nextafter(input, other, *, out=None)",
        "The next number of the dtype from input towards other. Floating point only.");
    bind_dest<&ops::fmax>(t, both, "fmax(input, other, *, out=None)",
                          "The larger of both; the other where one is NaN.");
    bind_dest<&ops::fmin>(t, both, "fmin(input, other, *, out=None)",
                          "The smaller of both; the other where one is NaN.");
    bind_dest<&ops::logaddexp>(t, both, "logaddexp(input, other, *, out=None)",
                               "log(exp(input) + exp(other)). Floating point only.");
    bind_dest<&ops::logaddexp2>(t, both, "logaddexp2(input, other, *, out=None)",
                                "log2(2^input + 2^other). Floating point only.");
    bind_dest<&ops::heaviside>(t, all, "heaviside(input, values, *, out=None)",
                               "0 below 0, 1 above, values at 0. One dtype (RuntimeError).");
    bind_dest<&ops::ldexp>(t, all, "ldexp(input, other, *, out=None)", "input * 2^other.");
    bind_dest<&ops::gcd>(t, all, "gcd(input, other, *, out=None)",
                         "The greatest common divisor of integers.");
    bind_dest<&ops::lcm>(t, all, "lcm(input, other, *, out=None)",
                         "The least common multiple of integers.");
    bind_dest<&ops::bitwise_left_shift>(
        t, all, "bitwise_left_shift(input: Tensor | Number, other: Tensor | Number, *, out=None)",
        "input * 2^other of integers, bits falling off at the top.");
    bind_dest<&ops::bitwise_right_shift>(
        t, all, "bitwise_right_shift(input: Tensor | Number, other: Tensor | Number, *, out=None)",
        "input / 2^other of integers, rounded down.");
    bind_dest<&ops::xlogy>(t, unary,
                           "xlogy(input: Tensor | Number, other: Tensor | Number, *, out=None)",
                           "input * log(other), 0 where input is 0.");
    bind_dest<&ops::float_power>(
        t, all, "float_power(input: Tensor | Number, exponent: Tensor | Number, *, out=None)",
        "input ** exponent in float64.");
    bind_dest<&ops::logit>(t, unary, "logit(input, eps=None, *, out=None)",
                           "log(p / (1 - p)); with eps p is first limited to [eps, 1 - eps].");
    bind_dest<&ops::nan_to_num>(
        t, unary, "nan_to_num(input, nan=None, posinf=None, neginf=None, *, out=None)",
        "NaN as nan (0), infinities as posinf and neginf (the dtype's ends).");
    bind<&ops::polygamma>(t, kFunction, "polygamma(n, input, *, out=None)",
                          "The n-th derivative of digamma, by Hurwitz's zeta function.");
    bind_dest<&polygamma_method>(t, kMethod | kInPlace, "polygamma(input, n, *, out=None)",
                                 "The n-th derivative of digamma.");
    bind_dest<&ops::mvlgamma>(t, all, "mvlgamma(input, p, *, out=None)",
                              "The logarithm of the multivariate gamma function of dimension p.");
    bind<&ops::frexp>(t, both, "frexp(input, *, out=None) -> (mantissa, exponent)",
                      "mantissa * 2^exponent with a mantissa in [0.5, 1); exponent is int32.");
}

void bind_predicates(BindTable& t) {
    bind_dest<&ops::signbit>(t, both, "signbit(input, *, out=None)",
                             "Whether the sign is minus, also of zeros and NaNs: bool.");
    bind_dest<&ops::isposinf>(t, both, "isposinf(input, *, out=None)", "Whether it is inf: bool.");
    bind_dest<&ops::isneginf>(t, both, "isneginf(input, *, out=None)", "Whether it is -inf: bool.");
    bind<&ops::isreal>(t, both, "isreal(input)", "Whether the imaginary part is zero: bool.");
}

// What ember.special has beyond names that stand in the module itself.
void bind_namespace(BindTable& t) {
    bind_dest<&ops::erfcx>(t, kFunction, "special_erfcx(input, *, out=None)",
                           "exp(input^2) * erfc(input).");
    bind_dest<&ops::ndtr>(t, kFunction, "special_ndtr(input, *, out=None)",
                          "The share of the standard normal distribution below input.");
    bind_dest<&ops::ndtri>(t, kFunction, "special_ndtri(input, *, out=None)",
                           "The inverse of ndtr (Abramowitz and Stegun 26.2.23, refined).");
    bind_dest<&ops::log_ndtr>(t, kFunction, "special_log_ndtr(input, *, out=None)",
                              "log(ndtr(input)), exact in the lower tail.");
    bind_dest<&ops::i0e>(t, kFunction, "special_i0e(input, *, out=None)",
                         "i0(input) * exp(-abs(input)).");
    bind_dest<&ops::i1>(t, kFunction, "special_i1(input, *, out=None)",
                        "The modified Bessel function of the first kind and order 1.");
    bind_dest<&ops::i1e>(t, kFunction, "special_i1e(input, *, out=None)",
                         "i1(input) * exp(-abs(input)).");
    bind_dest<&ops::bessel_j0>(t, kFunction, "special_bessel_j0(input, *, out=None)",
                               "The Bessel function of the first kind and order 0. No gradient.");
    bind_dest<&ops::bessel_j1>(t, kFunction, "special_bessel_j1(input, *, out=None)",
                               "The Bessel function of the first kind and order 1. No gradient.");
    bind_dest<&ops::bessel_y0>(t, kFunction, "special_bessel_y0(input, *, out=None)",
                               "The Bessel function of the second kind and order 0. No gradient.");
    bind_dest<&ops::bessel_y1>(t, kFunction, "special_bessel_y1(input, *, out=None)",
                               "The Bessel function of the second kind and order 1. No gradient.");
    bind_dest<&ops::k0>(
        t, kFunction, "special_modified_bessel_k0(input, *, out=None)",
        "The modified Bessel function of the second kind and order 0. No gradient.");
    bind_dest<&ops::k1>(
        t, kFunction, "special_modified_bessel_k1(input, *, out=None)",
        "The modified Bessel function of the second kind and order 1. No gradient.");
    bind_dest<&ops::k0e>(t, kFunction, "special_scaled_modified_bessel_k0(input, *, out=None)",
                         "modified_bessel_k0(input) * exp(input). No gradient.");
    bind_dest<&ops::k1e>(t, kFunction, "special_scaled_modified_bessel_k1(input, *, out=None)",
                         "modified_bessel_k1(input) * exp(input). No gradient.");
    bind_dest<&ops::airy_ai>(t, kFunction, "special_airy_ai(input, *, out=None)",
                             "Airy's function Ai (DLMF 9.6.2). No gradient.");
    bind_dest<&ops::spherical_bessel_j0>(
        t, kFunction, "special_spherical_bessel_j0(input, *, out=None)",
        "sin(input) / input, 1 at 0: the spherical Bessel function of order 0. No gradient.");
    bind_dest<&ops::entr>(t, kFunction, "special_entr(input, *, out=None)",
                          "-input * log(input), 0 at 0, -inf below.");
    bind_dest<&ops::xlog1py>(
        t, kFunction,
        "special_xlog1py(input: Tensor | Number, other: Tensor | Number, *, out=None)",
        "input * log1p(other), 0 where input is 0.");
    bind_dest<&ops::zeta>(
        t, kFunction, "special_zeta(input: Tensor | Number, other: Tensor | Number, *, out=None)",
        "Hurwitz's zeta function: the sum of (other + k)^-input over k >= 0.");
}

void bind_polynomials(BindTable& t) {
    bind_dest<&polynomial<Polynomial::ChebyshevT>>(
        t, kFunction,
        "special_chebyshev_polynomial_t(input: Tensor | Number, n: Tensor | Number, *, out=None)",
        "Chebyshev's polynomial of the first kind of degree n. No gradient.");
    bind_dest<&polynomial<Polynomial::ChebyshevU>>(
        t, kFunction,
        "special_chebyshev_polynomial_u(input: Tensor | Number, n: Tensor | Number, *, out=None)",
        "Chebyshev's polynomial of the second kind of degree n. No gradient.");
    bind_dest<&polynomial<Polynomial::ChebyshevV>>(
        t, kFunction,
        "special_chebyshev_polynomial_v(input: Tensor | Number, n: Tensor | Number, *, out=None)",
        "Chebyshev's polynomial of the third kind of degree n. No gradient.");
    bind_dest<&polynomial<Polynomial::ChebyshevW>>(
        t, kFunction,
        "special_chebyshev_polynomial_w(input: Tensor | Number, n: Tensor | Number, *, out=None)",
        "Chebyshev's polynomial of the fourth kind of degree n. No gradient.");
    bind_dest<&polynomial<Polynomial::H>>(
        t, kFunction,
        "special_hermite_polynomial_h(input: Tensor | Number, n: Tensor | Number, *, out=None)",
        "The physicist's polynomial of Hermite of degree n. No gradient.");
    bind_dest<&polynomial<Polynomial::He>>(
        t, kFunction,
        "special_hermite_polynomial_he(input: Tensor | Number, n: Tensor | Number, *, out=None)",
        "The probabilist's polynomial of Hermite of degree n. No gradient.");
    bind_dest<&polynomial<Polynomial::L>>(
        t, kFunction,
        "special_laguerre_polynomial_l(input: Tensor | Number, n: Tensor | Number, *, out=None)",
        "Laguerre's polynomial of degree n. No gradient.");
    bind_dest<&polynomial<Polynomial::P>>(
        t, kFunction,
        "special_legendre_polynomial_p(input: Tensor | Number, n: Tensor | Number, *, out=None)",
        "Legendre's polynomial of degree n. No gradient.");
    bind_dest<&polynomial<Polynomial::ShiftedT>>(
        t, kFunction,
        "special_shifted_chebyshev_polynomial_t(input: Tensor | Number, n: Tensor | Number, *, "
        "out=None)",
        "Chebyshev's polynomial of the first kind at 2 * input - 1. No gradient.");
    bind_dest<&polynomial<Polynomial::ShiftedU>>(
        t, kFunction,
        "special_shifted_chebyshev_polynomial_u(input: Tensor | Number, n: Tensor | Number, *, "
        "out=None)",
        "Chebyshev's polynomial of the second kind at 2 * input - 1. No gradient.");
    bind_dest<&polynomial<Polynomial::ShiftedV>>(
        t, kFunction,
        "special_shifted_chebyshev_polynomial_v(input: Tensor | Number, n: Tensor | Number, *, "
        "out=None)",
        "Chebyshev's polynomial of the third kind at 2 * input - 1. No gradient.");
    bind_dest<&polynomial<Polynomial::ShiftedW>>(
        t, kFunction,
        "special_shifted_chebyshev_polynomial_w(input: Tensor | Number, n: Tensor | Number, *, "
        "out=None)",
        "Chebyshev's polynomial of the fourth kind at 2 * input - 1. No gradient.");
}

}  // namespace

void bind_special(BindTable& t) {
    bind_functions(t);
    bind_predicates(t);
    bind_namespace(t);
    bind_polynomials(t);
}

}  // namespace ember::python
