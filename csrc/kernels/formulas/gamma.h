#pragma once

#include <cmath>

#include "kernels/formulas/traits.h"

// The gamma function's relatives in double.
namespace ember::formulas {

// Hurwitz's zeta(s, q) = sum of (q + k)^-s, k >= 0, for s > 1 and q > 0 by Euler and Maclaurin: the
// terms below q + k = 10, the integral of the rest, and Bernoulli's corrections (DLMF 25.11.5).
EMBER_FORMULA double zeta_positive(double s, double q) {
    if (std::isinf(q)) return 0;
    double sum = 0, a = q;
    for (; a < 10; a += 1) {
        double term = std::pow(a, -s);
        sum += term;
        if (term < sum * 0x1p-60) return sum;
    }
    double power = std::pow(a, -s);
    sum += power * (a / (s - 1) + 0.5);
    // B_2j / (2j)!
    constexpr double kBernoulli[] = {
        1.0 / 12,
        -1.0 / 720,
        1.0 / 30240,
        -1.0 / 1209600,
        1.0 / 47900160,
        -691.0 / 1307674368000,
        1.0 / 74724249600.0,
        -3617.0 / 10670622842880000,
        43867.0 / 5109094217170944000.0,
        -174611.0 / 802857662698291200000.0,
    };
    double factor = s * power / a;  // s (s + 1) ... (s + 2j - 2) a^-(s + 2j - 1)
    for (int j = 0; j < 10; j++) {
        double term = kBernoulli[j] * factor;
        sum += term;
        if (std::fabs(term) < std::fabs(sum) * 0x1p-56) break;
        factor *= (s + 2 * j + 1) / a * ((s + 2 * j + 2) / a);
    }
    return sum;
}

// Also for negative q and whole s, where the terms below 0 are a difference of two such sums.
EMBER_FORMULA double zeta(double s, double q) {
    if (s == 1) return INFINITY;
    if (!(s > 1)) return NAN;
    if (!(q <= 0)) return zeta_positive(s, q);
    if (q == std::floor(q)) return INFINITY;
    if (s != std::floor(s)) return NAN;
    double first = q - std::floor(q);
    double below = zeta_positive(s, 1 - first) - zeta_positive(s, 1 - q);
    return zeta_positive(s, first) + (std::fmod(s, 2) == 0 ? below : -below);
}

// The logarithmic derivative of gamma: reflection below 0, recurrence to 10, then the asymptotic
// series (DLMF 5.5.4, 5.5.2, 5.11.2).
EMBER_FORMULA double digamma(double x) {
    constexpr double pi = 3.14159265358979323846;
    if (x == 0) return std::copysign(INFINITY, -x);
    double reflected = 0;
    if (x < 0) {
        double rest = x - std::trunc(x);
        if (rest == 0) return NAN;
        reflected = -pi / std::tan(pi * rest);
        x = 1 - x;
    }
    double sum = 0;
    for (; x < 10; x += 1) sum -= 1 / x;
    double inverse = 1 / x, square = inverse * inverse;
    double series =
        square *
        (1.0 / 12 -
         square * (1.0 / 120 -
                   square * (1.0 / 252 -
                             square * (1.0 / 240 -
                                       square * (1.0 / 132 - square * (691.0 / 32760 -
                                                                       square * (1.0 / 12)))))));
    return sum + std::log(x) - 0.5 * inverse - series + reflected;
}

// The n-th derivative of digamma, n >= 1 (DLMF 5.15.1; reflection 5.15.6 for n = 1).
EMBER_FORMULA double polygamma(int64_t n, double x) {
    constexpr double pi = 3.14159265358979323846;
    if (n == 1 && x < 0) {
        double s = std::sin(pi * (x - std::trunc(x)));
        return pi / s * (pi / s) - zeta(2, 1 - x);
    }
    double factorial = 1;
    for (int64_t k = 2; k <= n && k <= 171; k++) factorial *= double(k);
    return (n % 2 ? 1 : -1) * factorial * zeta(double(n) + 1, x);
}

// log |gamma(x)|.
EMBER_FORMULA double log_gamma(double x) {
#ifdef __CUDA_ARCH__
    return ::lgamma(x);
#else
    int sign;  // lgamma itself would write to a global
    return ::lgamma_r(x, &sign);
#endif
}

}  // namespace ember::formulas
