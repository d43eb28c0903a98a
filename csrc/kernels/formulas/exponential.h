#pragma once

#include "kernels/formulas/traits.h"

// exp, log and their relatives on vectors. Every polynomial here is a minimax fit (Remez exchange,
// relative error of the result given beside it) with its leading coefficients rounded first.
// Measured against libm's in double: at most 1 ULP but where a comment says otherwise.
namespace ember::formulas {

// (e^r - 1 - r) / r^2 on |r| <= ln 2 / 2: float 2^-31, double 2^-62.
template <class V>
EMBER_FORMULA V expm1_reduced(V r) {
    V p;
    if constexpr (is_float<V>)
        p = horner(r, 0.5, 0x1.55553cp-3, 0x1.5554f2p-5, 0x1.11370ep-7, 0x1.6d4206p-10,
                   0x1.6bcedcp-13);
    else
        p = horner(r, 0.5, 0x1.555555555555dp-3, 0x1.555555555556cp-5, 0x1.111111110e56bp-7,
                   0x1.6c16c16c0ac3ap-10, 0x1.a01a01b5db320p-13, 0x1.a01a01e424194p-16,
                   0x1.71ddeb06957e8p-19, 0x1.27e458af72e46p-22, 0x1.af7389da98683p-26,
                   0x1.2034168467b8dp-29);
    return fma(r * r, p, r);
}

// x - n ln 2 for an n of at most 11 bits.
template <class V>
EMBER_FORMULA V less_ln2(V x, V n) {
    V high(is_float<V> ? 0x1.62e4p-1 : 0x1.62e42feep-1);  // few bits: n * high is exact
    V low(is_float<V> ? 0x1.7f7d1cf79abcap-20 : 0x1.a39ef35793c76p-33);
    return fma(n, -low, fma(n, -high, x));
}

// x = n ln 2 + r with whole n and |r| <= ln 2 / 2; |x| below 10^4.
template <class V>
EMBER_FORMULA V reduce_by_ln2(V x, V& n) {
    V shift = whole_shift(x);
    n = fma(x, V(0x1.71547652b82fep+0), shift) - shift;
    return less_ln2(x, n);
}

// 2^(i / 16) = kSixteenths[i] (1 + kSixteenthRests[i]).
constexpr float kSixteenths[16] = {0x1p+0,        0x1.0b5586p+0, 0x1.172b84p+0, 0x1.2387a6p+0,
                                   0x1.306fep+0,  0x1.3dea64p+0, 0x1.4bfdaep+0, 0x1.5ab07ep+0,
                                   0x1.6a09e6p+0, 0x1.7a1148p+0, 0x1.8ace54p+0, 0x1.9c4918p+0,
                                   0x1.ae89fap+0, 0x1.c199bep+0, 0x1.d5818ep+0, 0x1.ea4afap+0};
constexpr float kSixteenthRests[16] = {0,           0x1.8d9p-25,  -0x1.9cp-27,  0x1.965p-25,
                                       0x1.125p-25, 0x1.371p-25,  -0x1.0a3p-25, -0x1.01p-27,
                                       0x1.26p-26,  -0x1.05dp-25, 0x1.67p-28,   0x1.a4p-28,
                                       -0x1.fap-27, -0x1.69p-28,  -0x1.a5p-28,  0x1.61p-28};

// x = n ln 2 + r with n in sixteenths and |r| <= ln 2 / 32, which leaves e^r to a short polynomial:
// 2^-29. `masked` gives 0 and infinity beyond the range: there n decides if only |r| < 2.
template <bool masked, class V>
EMBER_FORMULA V exp_by_table(V x) {
    using I = typename V::Int;
    V shift(0x1.8p19);  // a sixteenth is its last place
    V shifted = fma(x, V(0x1.71547652b82fep+0), shift), n = shifted - shift, r = less_ln2(x, n);
    if constexpr (masked) r = bit_cast<float>(bit_cast<int32_t>(r) & I(~0x40000000));
    I number = bit_cast<int32_t>(shifted);
    V power = look_up(V::load(kSixteenths), number);
    V rest = look_up(V::load(kSixteenthRests), number);
    V y = fma(power, fma(r, horner(r, 1, 0x1.00021ep-1, 0x1.555598p-3), rest), power);
    return scale_by_power(masked ? abs(y) : y, n);
}

template <class V>
EMBER_FORMULA V exp(V x) {
    if constexpr (V::looks_up) {
        return exp_by_table<true>(x);
    } else {
        // Beyond these the result is 0 or infinity. A NaN passes, being the second operand.
        x = min(V(is_float<V> ? 89 : 710), max(V(is_float<V> ? -104 : -746), x));
        V n, r = reduce_by_ln2(x, n);
        return scale_by_power(V(1) + expm1_reduced(r), n);
    }
}

// exp where the result is a normal number: |x| <= 87 (float) or 708 (double).
template <class V>
EMBER_FORMULA V exp_bounded(V x) {
    if constexpr (V::looks_up) {
        return exp_by_table<false>(x);
    } else {
        V n, r = reduce_by_ln2(x, n);
        return scale_by_normal_power(V(1) + expm1_reduced(r), n);
    }
}

// exp(x + tail) for a tail of at most an ULP of x.
template <class V>
EMBER_FORMULA V exp_with_tail(V x, V tail) {
    x = min(V(is_float<V> ? 89 : 710), max(V(is_float<V> ? -104 : -746), x));
    V n, r = reduce_by_ln2(x, n) + tail;
    return scale_by_power(V(1) + expm1_reduced(r), n);
}

template <class V>
EMBER_FORMULA V exp2(V x) {
    x = min(V(is_float<V> ? 129 : 1025), max(V(is_float<V> ? -151 : -1076), x));
    V shift = whole_shift(x);
    V n = (x + shift) - shift;
    return scale_by_power(V(1) + expm1_reduced((x - n) * V(0x1.62e42fefa39efp-1)), n);
}

// 1.7 ULP.
template <class V>
EMBER_FORMULA V expm1(V x) {
    x = min(V(is_float<V> ? 89 : 710), max(V(is_float<V> ? -18 : -38), x));
    V n, r = reduce_by_ln2(x, n);
    V p = expm1_reduced(r);
    // Half of 2^n p + (2^n - 1), for 2^n may be too large.
    V half = scale_by_power(V(0.5), n);
    V y = fma(half, p, half - V(0.5));
    return select(n == V(0), p, y + y);
}

// x = 2^e m with sqrt(1/2) <= m < sqrt(2), for positive x, neither subnormal nor infinite.
template <class V>
EMBER_FORMULA V split_normal_power(V x, V& e) {
    using T = ScalarOf<V>;
    using I = IntOf<V>;
    using U = std::make_unsigned_t<I>;
    constexpr int mantissa = is_float<V> ? 23 : 52, bias = is_float<V> ? 127 : 1023;
    constexpr U sqrt_half = is_float<V> ? U(0x3f3504f3) : U(0x3fe6a09e667f3bcd);
    auto bits = bit_cast<U>(x);
    using Bits = decltype(bits);
    Bits biased = (bits + Bits((U(bias) << mantissa) - sqrt_half)) >> mantissa;
    e = from_small_int<T>(bit_cast<I>(biased)) - V(bias);
    return bit_cast<T>(bits - ((biased - Bits(bias)) << mantissa));
}
template <class V>
EMBER_FORMULA V split_power(V x, V& e) {
    auto subnormal = x < V(is_float<V> ? 0x1p-126 : 0x1p-1022);
    V m = split_normal_power(select(subnormal, x * V(is_float<V> ? 0x1p24 : 0x1p54), x), e);
    e = select(subnormal, e - V(is_float<V> ? 24 : 54), e);
    return m;
}

// (atanh(s) / s - 1 - z / 3) / z^2 for z = s^2, |s| <= 0.1716, double: 2^-66.
template <class V>
EMBER_FORMULA V atanh_tail(V z) {
    return horner(z, 0x1.9999999999b30p-3, 0x1.2492492457d5fp-3, 0x1.c71c722d66de8p-4,
                  0x1.745ce9e2f8ffep-4, 0x1.3b1eec261c2dcp-4, 0x1.0f7fe6575344ap-4,
                  0x1.0e42d17919b4cp-4);
}

// log(1 + f) = f - (half_square - rest).
template <class V>
struct LogParts {
    V f, half_square, rest;
};
template <class V>
EMBER_FORMULA LogParts<V> log_parts(V f) {
    V half_square = V(0.5) * f * f;
    V rest;
    if constexpr (is_float<V>) {  // f^3 P(f): 2^-29
        rest = f * f * f *
               horner(f, 0x1.555548p-2, -0x1.000008p-2, 0x1.99a46p-3, -0x1.555b48p-3, 0x1.233de8p-3,
                      -0x1.fc526ap-4, 0x1.e6bc5cp-4, -0x1.dce7eap-4, 0x1.131f24p-4);
    } else {
        // By s = f / (2 + f): log(1 + f) = 2 atanh(s) = f - s (f - R), R = 2 s^2 (1/3 + ...).
        V s = f / (V(2) + f), z = s * s;
        V r = z * fma(z, V(2) * atanh_tail(z), V(2.0 / 3));
        rest = s * (half_square + r);
    }
    return {f, half_square, rest};
}

// The logarithm where x is positive and finite, else what belongs there.
template <class V>
EMBER_FORMULA V log_or_special(V x, V logarithm) {
    V infinity = V(ScalarOf<V>(__builtin_inf()));
    V special = select(x < V(0), V(ScalarOf<V>(__builtin_nan(""))), x);  // NaN and infinity stay
    special = select(x == V(0), -infinity, special);
    return select((x > V(0)) & (x < infinity), logarithm, special);
}

template <class V>
EMBER_FORMULA V add_power(LogParts<V> p, V e) {
    V high(is_float<V> ? 0x1.62e4p-1 : 0x1.62e42feep-1);
    V low(is_float<V> ? 0x1.7f7d1cf79abcap-20 : 0x1.a39ef35793c76p-33);
    return fma(e, high, p.f - (p.half_square - fma(e, low, p.rest)));
}

template <class V>
EMBER_FORMULA V log(V x) {
    V e, m = split_power(x, e);
    return log_or_special(x, add_power(log_parts(m - V(1)), e));
}

template <class V>
EMBER_FORMULA V log1p(V x) {
    V u = V(1) + x;
    V from_x = u - V(1), lost = (V(1) - (u - from_x)) + (x - from_x);  // 1 + x = u + lost
    V e, m = split_power(u, e);
    V f = select(e == V(0), x, (m - V(1)) + scale_by_power(lost, -e));
    V y = add_power(log_parts(f), e);
    return log_or_special(u, y);
}

// log(m) 2^-e in another base: (e + log2(m)) by parts whose leading products are exact.
template <class V>
EMBER_FORMULA V log_in_base(V x, double base_high, double base_low, double two_high,
                            double two_low) {
    V e, m = split_power(x, e);
    LogParts<V> p = log_parts(m - V(1));
    IntOf<V> kept = is_float<V> ? IntOf<V>(0xfffff000) : IntOf<V>(0xffffffff00000000);
    V high = bit_cast<ScalarOf<V>>(bit_cast<IntOf<V>>(p.f - p.half_square) & typename V::Int(kept));
    V low = ((p.f - high) - p.half_square) + p.rest;
    V y = e * V(two_high);
    V y_high = high * V(base_high);
    V y_low = fma(low, V(base_high), fma(low + high, V(base_low), e * V(two_low)));
    V sum = y + y_high;
    return log_or_special(x, sum + (((y - sum) + y_high) + y_low));
}
template <class V>
EMBER_FORMULA V log2(V x) {
    if constexpr (is_float<V>)
        return log_in_base(x, 0x1.714p+0, 0x1.47652b82fe177p-12, 1, 0);
    else
        return log_in_base(x, 0x1.71547652p+0, 0x1.705fc2eefa2p-33, 1, 0);
}
template <class V>
EMBER_FORMULA V log10(V x) {
    if constexpr (is_float<V>)
        return log_in_base(x, 0x1.bcap-2, 0x1.7b1526e50e32ap-14, 0x1.344p-2, 0x1.3509f79fef312p-18);
    else
        return log_in_base(x, 0x1.bcb7b152p-2, 0x1.b9438ca9aadd5p-36, 0x1.34413508p-2,
                           0x1.f79fef311f12bp-34);
}

}  // namespace ember::formulas
