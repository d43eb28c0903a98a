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

#if !defined(__CUDACC__) && !defined(EMBER_SCALAR_FORMULAS)
// log |gamma(x)| by Stirling's series from 8 on (2^-51), below by the product of what lies between
// x and 3/2 to 5/2 and there (y - 1) (y - 2) times a polynomial (2^-59), and reflection below 1/2
// (DLMF 5.11.1, 5.5.1, 5.5.3), where it is exact to the last place of 1.
template <class V>
EMBER_FORMULA V log_gamma_double(V x) {
    V pi(3.14159265358979323846), infinity(__builtin_inf());
    auto reflected = x < V(0.5);
    V y = select(reflected, V(1) - x, x), low = y, product(1);
    for (int k = 0; k < 6; k++) {
        auto above = low > V(2.5);
        low = select(above, low - V(1), low);
        product = select(above, product * low, product);
    }
    auto below = y < V(1.5), far = y >= V(8);
    V logarithm = log(select(far | below, y, product));
    V s = select(below, y - V(1), low - V(2));  // exact, which y + 1 is not

    V near = s * (s + V(1)) *
             horner(s, 0x1.b0ee6072093cep-2, -0x1.9ae6509ea10ap-4, 0x1.0e0c9df293537p-5,
                    -0x1.95ce223a9c312p-7, 0x1.47974853a890cp-8, -0x1.145121fa35790p-9,
                    0x1.dfebcf90f3addp-11, -0x1.a96a3f796be12p-12, 0x1.7ed732aeb656dp-13,
                    -0x1.5c86df03a32f7p-14, 0x1.402f4b2108583p-15, -0x1.2849edde168efp-16,
                    0x1.13dbe46f80185p-17, -0x1.02cb6bce94875p-18, 0x1.e6c57dff2dbc2p-20,
                    -0x1.b8af18fa33478p-21, 0x1.9ed266823cde9p-22, -0x1.0f3bc08fc8d46p-22,
                    0x1.06593c4301b0bp-23);
    V result = select(below, near - logarithm, near + logarithm);
    if (any(far)) {
        V inverse = V(1) / y;
        V series = inverse * horner(inverse * inverse, 0x1.5555555555553p-4, -0x1.6c16c16bb8393p-9,
                                    0x1.a019fd43eb62ep-11, -0x1.380ec8690f0c1p-11,
                                    0x1.b6fd6308cc233p-11, -0x1.b15fa615fe54bp-10);
        V upper = (y - V(0.5)) * logarithm - y + V(0.91893853320467274178) + series;
        result = select(far, upper, result);
    }
    if (any(reflected)) {
        V sine = abs(sin(pi * (x - round(x)))) * V(0.31830988618379067154);
        result = select(reflected, -log(sine) - result, result);
    }
    return select(abs(x) == infinity, infinity, result);
}
template <class V>
EMBER_FORMULA V log_gamma(V x) {
    return through_double(
        x, [](auto a) __attribute__((always_inline)) { return log_gamma_double(a); });
}
#else
template <class T>
EMBER_FORMULA T log_gamma(T x) {
    return T(::lgamma(double(x)));
}
#endif

}  // namespace ember::formulas
