#pragma once

#include <cmath>

#include "kernels/formulas/traits.h"

// The error function's relatives in double.
namespace ember::formulas {

constexpr double kSqrtPi = 1.77245385090551602730, kSqrtHalf = 0.70710678118654752440,
                 kSqrt2 = 1.41421356237309504880;

// e^(x^2) with the square's rounding error, which the exponent would magnify.
EMBER_FORMULA double exp_square(double x) {
    double square = x * x, lost = std::fma(x, x, -square);
    double e = std::exp(square);
    return std::isinf(e) ? e : std::fma(e, lost, e);
}

// e^(x^2) erfc(x); asymptotic from 20 on (DLMF 7.12.1).
EMBER_FORMULA double erfcx(double x) {
    if (x < 20) return std::erfc(x) * exp_square(x);
    double t = 0.5 / (x * x);
    double series = 1 - t * (1 - 3 * t * (1 - 5 * t * (1 - 7 * t * (1 - 9 * t * (1 - 11 * t)))));
    return series / x / kSqrtPi;
}

// One step of Halley for erf(y) = x or erfc(y) = q, given the miss f(y) - target.
EMBER_FORMULA double halley(double y, double miss, double direction) {
    double u = direction * miss * (0.5 * kSqrtPi) * exp_square(y);
    return y - u / (1 + u * y);
}

// y with erfc(y) = q for 0 < q <= 1: a rational start (Abramowitz and Stegun 26.2.23, 4.5e-4), then
// Halley's steps, which cube the error, or Newton's on logarithms where erfc is tiny.
EMBER_FORMULA double erfc_inverse(double q) {
    double t = std::sqrt(-2 * std::log(0.5 * q));
    double start = t - ((0.010328 * t + 0.802853) * t + 2.515517) /
                           (((0.001308 * t + 0.189269) * t + 1.432788) * t + 1);
    double y = start * kSqrtHalf;
    if (q > 1e-6) {
        for (int step = 0; step < 2; step++) y = halley(y, std::erfc(y) - q, -1);
        return y;
    }
    for (int step = 0; step < 3; step++) {
        double e = erfcx(y), miss = std::log(e) - y * y - std::log(q);
        y += miss * (0.5 * kSqrtPi) * e;
    }
    return y;
}

// The inverse of erf: M. Giles's polynomials (Approximating the erfinv function, 2012; 4e-7), then
// one step of Halley; close to 1 the inverse of erfc.
EMBER_FORMULA double erfinv(double x) {
    double magnitude = std::fabs(x);
    if (!(magnitude < 1)) return magnitude == 1 ? std::copysign(INFINITY, x) : NAN;
    double q = 1 - magnitude;
    if (q < 1e-6) return std::copysign(erfc_inverse(q), x);
    double w = -std::log(q * (1 + magnitude)), p;
    if (w < 5) {
        w -= 2.5;
        p = 2.81022636e-08;
        p = 3.43273939e-07 + p * w;
        p = -3.5233877e-06 + p * w;
        p = -4.39150654e-06 + p * w;
        p = 0.00021858087 + p * w;
        p = -0.00125372503 + p * w;
        p = -0.00417768164 + p * w;
        p = 0.246640727 + p * w;
        p = 1.50140941 + p * w;
    } else {
        w = std::sqrt(w) - 3;
        p = -0.000200214257;
        p = 0.000100950558 + p * w;
        p = 0.00134934322 + p * w;
        p = -0.00367342844 + p * w;
        p = 0.00573950773 + p * w;
        p = -0.0076224613 + p * w;
        p = 0.00943887047 + p * w;
        p = 1.00167406 + p * w;
        p = 2.83297682 + p * w;
    }
    double y = p * magnitude;
    y = magnitude < 0.5 ? halley(y, std::erf(y) - magnitude, 1) : halley(y, std::erfc(y) - q, -1);
    return std::copysign(y, x);
}

// The normal distribution's quantile.
EMBER_FORMULA double ndtri(double p) {
    if (!(p > 0 && p < 1)) return p == 0 ? -INFINITY : p == 1 ? INFINITY : NAN;
    if (p < 0.25) return -kSqrt2 * erfc_inverse(2 * p);
    return kSqrt2 * erfinv(2 * p - 1);
}

// The logarithm of the normal distribution below x.
EMBER_FORMULA double log_ndtr(double x) {
    double t = x * kSqrtHalf;
    if (x < -1) return std::log(0.5 * erfcx(-t)) - t * t;
    return std::log1p(-0.5 * std::erfc(t));
}

}  // namespace ember::formulas
