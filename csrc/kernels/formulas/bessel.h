#pragma once

#include <cmath>

#include "kernels/formulas/traits.h"

// Modified Bessel functions of the first kind in double, times e^-|x| where `scaled`: the power
// series, whose terms are all positive, up to 25 (DLMF 10.25.2), then the asymptotic one (10.40.1).
namespace ember::formulas {

EMBER_FORMULA double modified_bessel(int order, double x, bool scaled) {
    double y = std::fabs(x), sign = order == 1 && x < 0 ? -1 : 1;
    if (std::isnan(x)) return x;
    if (y <= 25) {
        double quarter = 0.25 * y * y, term = order == 1 ? 0.5 * y : 1, sum = term;
        for (int k = 1; term > sum * 0x1p-58; k++) {
            term *= quarter / (double(k) * (k + order));
            sum += term;
        }
        return sign * (scaled ? sum * std::exp(-y) : sum);
    }
    if (std::isinf(y)) return scaled ? sign * 0.0 : sign * y;
    double mu = 4.0 * order, term = 1, sum = 1;
    for (int k = 1; k < 40 && std::fabs(term) > 0x1p-58; k++) {
        double odd = 2 * k - 1;
        term *= (odd * odd - mu) / (8 * k * y);
        sum += term;
    }
    sum /= 2.50662827463100050242 * std::sqrt(y);
    if (scaled) return sign * sum;
    double root = std::exp(0.5 * y);  // e^y may overflow where the result does not
    return sign * (root * sum) * root;
}

// The step of a trapezoidal sum over t of exp(-x (cosh t - 1)) or what falls like it: for
// integrands that are analytic around the real line its error falls exponentially with the inverse
// step.
EMBER_FORMULA double trapezoid_step(double x) { return std::fmin(0.2, 0.6 / std::sqrt(x)); }

// e^x times the modified Bessel function of the second kind, x > 0 (DLMF 10.32.9).
EMBER_FORMULA double scaled_second_bessel(double order, double x) {
    double step = trapezoid_step(x), sum = 0.5, term = 1;
    for (int k = 1; k < 10000 && term > sum * 0x1p-58; k++) {
        double t = k * step, half = std::sinh(0.5 * t);
        term = std::exp(-2 * x * half * half) * std::cosh(order * t);
        sum += term;
    }
    return step * sum;
}

// Those of orders 0 and 1, times e^x where `scaled`.
EMBER_FORMULA double second_bessel(int order, double x, bool scaled) {
    if (!(x > 0)) return x == 0 ? INFINITY : NAN;
    if (std::isinf(x)) return 0;
    double least = 1e-300;  // 1 / x overflows for what is less
    if (order == 1 && x < least) return 1 / x;
    double value = scaled_second_bessel(order, std::fmax(x, least));
    return scaled ? value : std::exp(-x) * value;
}

// Airy's function Ai: the modified Bessel function of order 1/3 at z = 2/3 x^(3/2), on the right
// (DLMF 9.6.2); on the left at an imaginary argument (9.6.2 with 9.2.12), its integral taken along
// the path of steepest descent t = u + i v with cosh u cos v = 1.
EMBER_FORMULA double airy(double x) {
    constexpr double pi = 3.14159265358979323846, order = 1.0 / 3;
    if (std::isinf(x)) return NAN;
    double y = std::fabs(x), z = 2.0 / 3 * y * std::sqrt(y);
    if (y < 1e-20) return 0.35502805388781723926;
    double front = std::sqrt(y / 3) / pi;
    if (x > 0) return front * std::exp(-z) * scaled_second_bessel(order, z);
    double step = trapezoid_step(4 * z), real = 0.5, imaginary = 0.5, weight = 1;
    for (int k = 1; k < 10000 && weight > real * 0x1p-58; k++) {
        double u = k * step, secant = 1 / std::cosh(u), v = std::acos(secant);
        double fall = std::exp(-z * std::sinh(u) * std::tanh(u));
        double p = std::cosh(order * u) * std::cos(order * v);
        double q = std::sinh(order * u) * std::sin(order * v);
        real += fall * (p - secant * q);
        imaginary += fall * (q + secant * p);
        weight = fall * std::cosh(order * u);
    }
    return 2 * front * step * (std::sin(z) * real + std::cos(z) * imaginary);
}

// sin(x) / x.
EMBER_FORMULA double spherical_bessel(double x) {
    if (std::isinf(x)) return 0;
    return std::fabs(x) < 1e-9 ? 1 : std::sin(x) / x;
}

}  // namespace ember::formulas
