#pragma once

#include "kernels/formulas/exponential.h"

// pow, sin, cos and fmod on vectors; float goes through double.
namespace ember::formulas {

template <class V, class F>
EMBER_FORMULA V through_double(V x, F f) {
    if constexpr (is_float<V>)
        return narrow(f(widen_lower(x)), f(widen_upper(x)));
    else
        return f(x);
}
template <class V, class F>
EMBER_FORMULA V through_double(V x, V y, F f) {
    return narrow(f(widen_lower(x), widen_lower(y)), f(widen_upper(x), widen_upper(y)));
}

// The natural logarithm of positive finite x as a sum of two doubles, to about 2^-66.
template <class V>
EMBER_FORMULA V log_with_tail(V x, V& tail) {
    V e, f = split_power(x, e) - V(1);
    // s = f / (2 + f), then 2 atanh(s) = 2 s (1 + w), each with its tail.
    V d = V(2) + f, d_tail = f - (d - V(2));
    V s = f / d, back = s * d;
    V s_tail = ((f - back) - product_error(s, d, back) - s * d_tail) / d;
    V z = s * s, z_tail = product_error(s, s, z) + V(2) * s * s_tail;
    V third(0x1.5555555555555p-2), third_tail(0x1.5555555555555p-56);
    V a = z * third;
    V a_tail =
        product_error(z, third, a) + (z * third_tail + z_tail * third) + z * z * atanh_tail(z);
    V w = a + a_tail, w_tail = (a - w) + a_tail;
    V s2 = s + s, s2_tail = s_tail + s_tail;
    V q = s2 * w, q_tail = product_error(s2, w, q) + (s2 * w_tail + s2_tail * w);
    V h = s2 + q, h_tail = ((s2 - h) + q) + (q_tail + s2_tail);
    V power = e * V(0x1.62e42fefa38p-1), power_tail = e * V(0x1.ef35793c7673p-45);
    V sum = power + h;
    tail = ((power - sum) + h) + (h_tail + power_tail);
    return sum;
}

// |x|^y to x^y: signs, and the cases in which |x|^y alone is not right.
template <class V>
EMBER_FORMULA V complete_pow(V x, V y, V r) {
    V infinity(__builtin_inf());
    V magnitude = abs(x);
    r = select(magnitude == V(0), select(y < V(0), infinity, V(0)), r);
    r = select(magnitude == infinity, select(y < V(0), V(0), infinity), r);
    r = select(magnitude == V(1), V(1), r);
    auto whole = floor(y) == y;
    V half = V(0.5) * y;
    auto odd = whole & (floor(half) != half);
    // copysign rather than x < 0: -0.0 has odd powers too.
    r = select(odd, copysign(r, x), r);
    r = select((x < V(0)) & (magnitude < infinity) & !whole, V(__builtin_nan("")), r);
    r = select((x == x) & (y == y), r, x + y);
    return select((y == V(0)) | (x == V(1)), V(1), r);
}

template <class V>
EMBER_FORMULA V pow(V x, V y) {
    if constexpr (is_float<V>) {
        return through_double(x, y, [](auto a, auto b) __attribute__((always_inline)) {
            return complete_pow(a, b, exp(b * log(abs(a))));
        });
    } else {
        V tail, l = log_with_tail(abs(x), tail);
        V p = y * l;
        V p_tail = product_error(y, l, p) + y * tail;
        p_tail = select(abs(p) < V(800), p_tail, V(0));
        return complete_pow(x, y, exp_with_tail(p, p_tail));
    }
}

// x = n pi / 2 + r with |r| <= pi / 4: sine and cosine of r, and n. |x| below `kTurnLimit`.
constexpr double kTurnLimit = 0x1p20;
template <class V>
struct Turn {
    V sine, cosine;
    typename V::Int quarters;
};
template <class V>
EMBER_FORMULA Turn<V> turn(V x) {
    V shift = whole_shift(x);
    V n = fma(x, V(0x1.45f306dc9c883p-1), shift) - shift;
    // pi / 2 in four parts, of which n times the first three is exact.
    V r = fma(n, V(-0x1.921fb544p+0), x);
    r = fma(n, V(-0x1.0b4611a6p-34), r);
    r = fma(n, V(-0x1.3198a2ep-69), r);
    r = fma(n, V(-0x1.b839a252049c1p-104), r);
    V z = r * r;
    // (sin(r) - r) / r^3: 2^-57; (cos(r) - 1 + r^2 / 2) / r^4: 2^-63.
    V s = fma(r * z,
              horner(z, -0x1.5555555555548p-3, 0x1.111111110f730p-7, -0x1.a01a019be9300p-13,
                     0x1.71de35553af6bp-19, -0x1.ae5e4b91dfcc8p-26, 0x1.5d8b5a0652018p-33),
              r);
    V half = V(0.5) * z, w = V(1) - half;
    V c = w + fma(z * z,
                  horner(z, 0x1.555555555554cp-5, -0x1.6c16c16c1521dp-10, 0x1.a01a019cbf1d1p-16,
                         -0x1.27e4f812745e1p-22, 0x1.1ee9f11cf130dp-29, -0x1.8fb1116906890p-37),
                  (V(1) - w) - half);
    return {s, c, small_int(n)};
}

// y, and where `condition` holds for an item of x the standard library's f of it.
template <class V, class C, class F>
EMBER_FORMULA V except(V y, V x, C condition, F f) {
    for (int i = 0; i < V::size; i++)
        if (condition(x.v[i])) y.v[i] = f(x.v[i]);
    return y;
}

// sin(x + quarters pi / 2). Beyond the limit the standard library reduces.
template <class V>
EMBER_FORMULA V sine(V x, int quarters) {
    using I = typename V::Int;
    Turn<V> t = turn(x);
    I quadrant = t.quarters + I(quarters);
    V y = select((quadrant & I(1)) == I(0), t.sine, t.cosine);
    y = select((quadrant & I(2)) == I(0), y, -y);
    if (any(abs(x) > V(kTurnLimit)))
        y = except(
            y, x, [](double a) { return __builtin_fabs(a) > kTurnLimit; },
            [quarters](double a) { return quarters ? __builtin_cos(a) : __builtin_sin(a); });
    return y;
}
template <class V>
EMBER_FORMULA V sin(V x) {
    return through_double(x, [](auto a) __attribute__((always_inline)) { return sine(a, 0); });
}
template <class V>
EMBER_FORMULA V cos(V x) {
    return through_double(x, [](auto a) __attribute__((always_inline)) { return sine(a, 1); });
}

#if defined(__FMA__)
// Exact. A quotient below 2^53 truncates rightly or to one too many, and either way what is left
// fits a double: it is a multiple of y's last bit and smaller than y. What is too little is made
// up.
template <class V>
EMBER_FORMULA V fmod_double(V x, V y) {
    const V quotient = trunc(x / y);
    V r = fma(-quotient, y, x);
    r = select(r * copysign(V(1), x) < V(0), r + copysign(y, x), r);
    r = select(quotient == V(0), x, copysign(r, x));  // an infinite y too
    if (!all(abs(quotient) < V(0x1p53))) {
        for (int i = 0; i < V::size; i++)
            if (!(__builtin_fabs(quotient.v[i]) < 0x1p53)) r.v[i] = __builtin_fmod(x.v[i], y.v[i]);
    }
    return r;
}
#endif

// Exact. In double a quotient of floats below 2^29 truncates rightly and its product is exact.
template <class V>
EMBER_FORMULA V fmod(V x, V y) {
    if constexpr (is_float<V>) {
        return through_double(x, y, [](auto a, auto b) __attribute__((always_inline)) {
            auto quotient = trunc(a / b);
            auto r = copysign(abs(a - quotient * b), a);
            r = select(quotient == decltype(r)(0), a, r);  // an infinite b too
            if (!all(abs(quotient) < decltype(r)(0x1p29))) {
                for (int i = 0; i < decltype(r)::size; i++)
                    if (!(__builtin_fabs(quotient.v[i]) < 0x1p29))
                        r.v[i] = __builtin_fmod(a.v[i], b.v[i]);
            }
            return r;
        });
    } else {
#if defined(__FMA__)
        return fmod_double(x, y);
#else
        V r;
        for (int i = 0; i < V::size; i++) r.v[i] = __builtin_fmod(x.v[i], y.v[i]);
        return r;
#endif
    }
}

}  // namespace ember::formulas
