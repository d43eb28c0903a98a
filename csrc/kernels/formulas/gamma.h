#pragma once

#include <cmath>

#include "kernels/formulas/math.h"

// The gamma function's relatives.
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
EMBER_FORMULA double zeta_of_item(double s, double q) {
    if (s == 1) return INFINITY;
    if (!(s > 1)) return NAN;
    if (!(q <= 0)) return zeta_positive(s, q);
    if (q == std::floor(q)) return INFINITY;
    if (s != std::floor(s)) return NAN;
    double first = q - std::floor(q);
    double below = zeta_positive(s, 1 - first) - zeta_positive(s, 1 - q);
    return zeta_positive(s, first) + (std::fmod(s, 2) == 0 ? below : -below);
}

template <class V>
EMBER_FORMULA V zeta(V s, V q) {
    return itemwise([](double s, double q) { return zeta_of_item(s, q); }, s, q);
}

// digamma and trigamma at y > 0 are their values at y + k >= 10 and what the recurrence adds for
// each step (DLMF 5.5.2, 5.15.5): fractions, summed with one denominator.
template <class V>
struct Raised {
    V y, above, below;
};
template <class V>
EMBER_FORMULA Raised<V> raise_to_ten(V y, int power) {
    V above = V(0), below = V(1);
    for (int k = 0; k < 10; k++) {
        auto low = y < V(10);
        V step = power == 1 ? y : y * y;
        above = select(low, fma(above, step, below), above);
        below = select(low, below * step, below);
        y = select(low, y + V(1), y);
    }
    return {y, above, below};
}

// In double: reflection below 0, then the asymptotic series (DLMF 5.5.4, 5.11.2).
template <class V>
EMBER_FORMULA V digamma_double(V x) {
    V pi(3.14159265358979323846), infinity(__builtin_inf());
    Raised<V> at = raise_to_ten(select(x < V(0), V(1) - x, x), 1);
    V inverse = V(1) / at.y, square = inverse * inverse;
    V series = square * horner(square, 1.0 / 12, -1.0 / 120, 1.0 / 252, -1.0 / 240, 1.0 / 132,
                               -691.0 / 32760, 1.0 / 12);
    V y = log(at.y) - V(0.5) * inverse - series - at.above / at.below;
    if (any(x <= V(0))) {
        V rest = x - trunc(x);
        V reflected = y - pi / tan(pi * rest);
        y = select(x < V(0), reflected, y);
        y = select((x < V(0)) & (rest == V(0)), V(__builtin_nan("")), y);
        y = select(x == V(0), copysign(infinity, -x), y);
    }
    return y;
}
template <class V>
EMBER_FORMULA V digamma(V x) {
    return through_double(x,
                          [](auto a) __attribute__((always_inline)) { return digamma_double(a); });
}

// digamma's derivative (DLMF 5.15.6, 5.15.8).
template <class V>
EMBER_FORMULA V trigamma_double(V x) {
    V pi(3.14159265358979323846);
    Raised<V> at = raise_to_ten(select(x < V(0), V(1) - x, x), 2);
    V inverse = V(1) / at.y, square = inverse * inverse;
    V series =
        horner(square, 1.0 / 6, -1.0 / 30, 1.0 / 42, -1.0 / 30, 5.0 / 66, -691.0 / 2730, 7.0 / 6);
    V y = fma(inverse * square, series, fma(V(0.5), square, inverse)) + at.above / at.below;
    if (any(x < V(0))) {
        V s = pi / sin(pi * (x - trunc(x)));
        y = select(x < V(0), fma(s, s, -y), y);
    }
    return y;
}
template <class V>
EMBER_FORMULA V trigamma(V x) {
    return through_double(x,
                          [](auto a) __attribute__((always_inline)) { return trigamma_double(a); });
}

// log |gamma(x)| by Stirling's series from 8 on, the product of what lies between x and there, and
// reflection below 1/2 (DLMF 5.11.1, 5.5.1, 5.5.3). Absolute error 1e-14: enough for float.
template <class V>
EMBER_FORMULA V log_gamma_double(V x) {
    V pi(3.14159265358979323846), infinity(__builtin_inf());
    auto reflected = x < V(0.5);
    V y = select(reflected, V(1) - x, x), product = V(1);
    auto low = y < V(8);
    for (int k = 0; k < 8; k++) product = product * (y + V(k));
    product = select(low, product, V(1));
    y = select(low, y + V(8), y);
    V inverse = V(1) / y;
    V series = inverse * horner(inverse * inverse, 1.0 / 12, -1.0 / 360, 1.0 / 1260, -1.0 / 1680,
                                1.0 / 1188, -691.0 / 360360);
    V upper = (y - V(0.5)) * log(y) - y + V(0.91893853320467274178) + series;
    if (any(reflected))
        product = select(reflected, product * pi / abs(sin(pi * (x - round(x)))), product);
    V lower = log(product);
    V result = select(reflected, lower - upper, upper - lower);
    result = select((x == V(1)) | (x == V(2)), V(0), result);  // whose logarithms cancel but nearly
    return select(abs(x) == infinity, infinity, result);
}
#if !defined(__CUDACC__) && !defined(EMBER_SCALAR_FORMULAS)
template <class V>
EMBER_FORMULA V log_gamma(V x) {
    if constexpr (is_float<V>) {
        return through_double(
            x, [](auto a) __attribute__((always_inline)) { return log_gamma_double(a); });
    } else {       // to the last places near 1 and 2
        int sign;  // lgamma itself would write to a global
        return except(
            x, x, [](double) { return true; }, [&sign](double a) { return ::lgamma_r(a, &sign); });
    }
}
#else
template <class T>
EMBER_FORMULA T log_gamma(T x) {
    return T(::lgamma(double(x)));
}
#endif

}  // namespace ember::formulas
