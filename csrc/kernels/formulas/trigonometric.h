#pragma once

#include "kernels/formulas/power.h"

// Trigonometric and hyperbolic functions with their inverses, and the hypotenuse, on vectors;
// minimax fits as in exponential.h.
namespace ember::formulas {

template <class V>
EMBER_FORMULA V tangent(V x) {
    using I = typename V::Int;
    Turn<V> t = turn(x);
    auto even = (t.quarters & I(1)) == I(0);
    V y = select(even, t.sine, -t.cosine) / select(even, t.cosine, t.sine);
    if (any(abs(x) > V(kTurnLimit)))
        y = except(
            y, x, [](double a) { return __builtin_fabs(a) > kTurnLimit; },
            [](double a) { return __builtin_tan(a); });
    return y;
}
template <class V>
EMBER_FORMULA V tan(V x) {
    return through_double(x, [](auto a) __attribute__((always_inline)) { return tangent(a); });
}

// Multiples of pi / 4 as sums of two numbers.
template <class V>
EMBER_FORMULA V quarter_pi() {
    return V(is_float<V> ? 0x1.921fb6p-1 : 0x1.921fb54442d18p-1);
}
template <class V>
EMBER_FORMULA V quarter_pi_tail() {
    return V(is_float<V> ? -0x1.777a5cp-26 : 0x1.1a62633145c07p-55);
}

// atan(t) - t for |t| <= tan(pi / 8): float 2^-30, double 2^-64.
template <class V>
EMBER_FORMULA V atan_tail(V t) {
    V z = t * t;
    if constexpr (is_float<V>)
        return t * z *
               horner(z, -0x1.55554ap-2, 0x1.9991aep-3, -0x1.23b6c4p-3, 0x1.b202cep-4,
                      -0x1.f25976p-5);
    else
        return t * z *
               horner(z, -0x1.5555555555554p-2, 0x1.999999999965ap-3, -0x1.2492492475d88p-3,
                      0x1.c71c71b77a62dp-4, -0x1.745d14c00baacp-4, 0x1.3b136eb464843p-4,
                      -0x1.110c7a2d3fdc6p-4, 0x1.e17289d51d54ap-5, -0x1.ab80d343feafcp-5,
                      0x1.70fa4cda8f40ap-5, -0x1.12550d438d038p-5, 0x1.f25c32edb082ap-7);
}

// The angle of the point (x, y) for x, y >= 0, not both above a quarter of the largest number: of
// y / x, of (y - x) / (y + x) by an eighth of a turn, or of -x / y by a quarter.
template <class V>
EMBER_FORMULA V first_quadrant(V y, V x) {
    V low = x * V(0.41421356237309503), high = x * V(2.414213562373095);
    auto past_low = y > low, past_high = y > high;
    V above = select(past_low, y - x, y), below = select(past_low, y + x, x);
    above = select(past_high, -x, above);
    below = select(past_high, y, below);
    V t = above / below;
    V eighths = select(past_high, V(2), select(past_low, V(1), V(0)));
    return eighths * quarter_pi<V>() + (t + fma(eighths, quarter_pi_tail<V>(), atan_tail(t)));
}

// 2 ULP.
template <class V>
EMBER_FORMULA V atan(V x) {
    V y = abs(x);
    // What exceeds 2^60 is as good as infinite, whose sum with 1 would not do.
    return copysign(first_quadrant(select(y > V(0x1p60), V(0x1p60), y), V(1)), x);
}

template <class V>
EMBER_FORMULA V atan2(V y, V x) {
    V across = abs(x), up = abs(y), infinity = V(ScalarOf<V>(__builtin_inf()));
    V large(is_float<V> ? 0x1p124 : 0x1p1020), scale(0x1p-8);
    auto scaled = max(across, up) > large;
    V a = select(scaled, across * scale, across), b = select(scaled, up * scale, up);
    auto both = (across == infinity) & (up == infinity);
    // Neither quotient of zeros nor of infinities.
    a = select(both | ((across == V(0)) & (up == V(0))), V(1), a);
    b = select(both, V(1), b);
    V angle = first_quadrant(select(b == infinity, V(1), b), select(b == infinity, V(0), a));
    V one = copysign(V(1), x);
    V flipped = V(4) * quarter_pi<V>() - (angle - V(4) * quarter_pi_tail<V>());
    angle = copysign(select(one < V(0), flipped, angle), y);
    return select((x == x) & (y == y), angle, x + y);
}

// asin(s) - s for 0 <= s <= 1/2 and z = s^2: float 2^-31, double 2^-59.
template <class V>
EMBER_FORMULA V asin_tail(V s, V z) {
    if constexpr (is_float<V>)
        return s * z *
               horner(z, 0x1.55554cp-3, 0x1.33388ep-4, 0x1.6cac4p-5, 0x1.04a63cp-5, 0x1.d7f3c8p-7,
                      0x1.33bb4ap-5);
    else
        return s * z *
               horner(z, 0x1.5555555555578p-3, 0x1.333333332df7fp-4, 0x1.6db6db7226030p-5,
                      0x1.f1c71a8dc569ap-6, 0x1.6e8bdfa647e30p-6, 0x1.1c49e2bd1fb98p-6,
                      0x1.ca20cdf5d5e0dp-7, 0x1.757b7a9c03a94p-7, 0x1.6173f0fe6f95fp-7,
                      0x1.e2bebafb7903fp-9, 0x1.64929e8670666p-6, -0x1.59546636c1979p-6,
                      0x1.0bb05892a86acp-5);
}
// asin(|x|) itself, or beyond 1/2 what it lacks to pi / 2, halved.
template <class V>
EMBER_FORMULA V half_arc(V x, typename V::Compare beyond) {
    V y = abs(x);
    V z = select(beyond, V(0.5) * (V(1) - y), y * y);
    V s = select(beyond, sqrt(z), y);
    return s + asin_tail(s, z);
}
template <class V>
EMBER_FORMULA V asin(V x) {
    auto beyond = abs(x) > V(0.5);
    V arc = half_arc(x, beyond), two = V(2);
    V far = two * quarter_pi<V>() - (two * arc - two * quarter_pi_tail<V>());
    return copysign(select(beyond, far, arc), x);
}
template <class V>
EMBER_FORMULA V acos(V x) {
    auto beyond = abs(x) > V(0.5);
    V arc = half_arc(x, beyond);
    V near = V(2) * quarter_pi<V>() - (copysign(arc, x) - V(2) * quarter_pi_tail<V>());
    V twice = V(2) * arc;
    V back = V(4) * quarter_pi<V>() - (twice - V(4) * quarter_pi_tail<V>());
    return select(beyond, select(x < V(0), back, twice), near);
}

// y, but e^(x / 2)^2 / 2 where e^x may overflow and its half does not.
template <class V>
EMBER_FORMULA V half_exp_beyond(V x, V y) {
    auto beyond = x > V(is_float<V> ? 88 : 709);
    if (!any(beyond)) return y;
    V root = exp(V(0.5) * x);
    return select(beyond, V(0.5) * root * root, y);
}
template <class V>
EMBER_FORMULA V sinh(V x) {
    V y = abs(x), e = expm1(y);
    return copysign(half_exp_beyond(y, V(0.5) * (e + e / (e + V(1)))), x);
}
template <class V>
EMBER_FORMULA V cosh(V x) {
    V y = abs(x), e = exp(y);
    return half_exp_beyond(y, fma(V(0.5), e, V(0.5) / e));
}

// Whether 1 drowns in the square.
template <class V>
EMBER_FORMULA typename V::Compare square_is_large(V x) {
    return x > V(is_float<V> ? 0x1p14 : 0x1p30);
}
template <class V>
EMBER_FORMULA V asinh(V x) {
    V y = abs(x), square = y * y;
    auto large = square_is_large(y);
    V rest = y + square / (V(1) + sqrt(V(1) + square));
    V result = log1p(select(large, y - V(1), rest));
    return copysign(result + select(large, V(0x1.62e42fefa39efp-1), V(0)), x);
}
template <class V>
EMBER_FORMULA V acosh(V x) {
    V t = x - V(1);
    auto large = square_is_large(x);
    V result = log1p(select(large, t, t + sqrt(t * (t + V(2)))));
    result = result + select(large, V(0x1.62e42fefa39efp-1), V(0));
    return select(x < V(1), V(ScalarOf<V>(__builtin_nan(""))), result);
}
template <class V>
EMBER_FORMULA V atanh(V x) {
    V y = abs(x);
    return copysign(V(0.5) * log1p((y + y) / (V(1) - y)), x);
}

// The root of the sum of squares, where these neither overflow nor vanish.
template <class V>
EMBER_FORMULA V hypot(V a, V b) {
    V infinity = V(ScalarOf<V>(__builtin_inf()));
    V result;
    if constexpr (is_float<V>) {
        result = through_double(a, b, [](auto x, auto y) __attribute__((always_inline)) {
            return sqrt(fma(x, x, y * y));
        });
    } else {
        V most = max(abs(a), abs(b));
        V scale =
            select(most > V(0x1p500), V(0x1p-600), select(most < V(0x1p-500), V(0x1p600), V(1)));
        V x = a * scale, y = b * scale;
        result = sqrt(fma(x, x, y * y)) / scale;
    }
    return select((abs(a) == infinity) | (abs(b) == infinity), infinity, result);
}

// The other where one is NaN; the first of equals.
template <class V>
EMBER_FORMULA V fmax(V a, V b) {
    return select((b > a) | (a != a), b, a);
}
template <class V>
EMBER_FORMULA V fmin(V a, V b) {
    return select((b < a) | (a != a), b, a);
}

}  // namespace ember::formulas
