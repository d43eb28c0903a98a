#pragma once

#include "kernels/formulas/exponential.h"
#include "kernels/formulas/normal_tail.h"

// tanh, sigmoid, erf and the normal distribution on vectors; minimax fits as in exponential.h.
namespace ember::formulas {

// 1.2 ULP (double 1.9).
template <class V>
EMBER_FORMULA V tanh(V x) {
    V magnitude = min(V(20), abs(x));  // tanh(20) rounds to 1
    if constexpr (is_float<V>) {
        // (tanh(x) - x) / x^3 on |x| < 0.625: 2^-27.
        V square = x * x;
        V p = horner(square, -0x1.555532p-2, 0x1.1106f6p-3, -0x1.b835a4p-5, 0x1.51f8d6p-6,
                     -0x1.750d1p-8);
        V small = fma(square * x, p, x);
        V large = V(1) - V(2) / (exp_bounded(magnitude + magnitude) + V(1));
        return select(magnitude < V(0.625), small, copysign(large, x));
    } else {
        V e = expm1(magnitude + magnitude);
        return copysign(e / (e + V(2)), x);
    }
}

// 1 / (1 + e^-x), with a relative error of 2 ULP in the lower tail too.
template <class V>
EMBER_FORMULA V sigmoid(V x) {
    V e = exp(-abs(x));
    return select(x < V(0), e, V(1)) / (V(1) + e);
}

// 1.1 ULP.
template <class V>
EMBER_FORMULA V erf(V x) {
    V magnitude = abs(x), square = x * x;
    V small, tail;
    if constexpr (is_float<V>) {
        // erf(x) / x - 1 on |x| < 1: 2^-28; -log(1 - erf(x)) on 1 <= x < 3.95: 2^-27.
        small = fma(x,
                    horner(square, 0x1.06eba8p-3, -0x1.81273ep-2, 0x1.ce2ce6p-4, -0x1.b7f71ep-6,
                           0x1.53f24cp-8, -0x1.a352dep-11, 0x1.4776e4p-14),
                    x);
        tail = exp_bounded(-horner(min(V(3.95), magnitude), 0x1.502678p-12, 0x1.208e52p+0,
                                   0x1.46a98ap-1, 0x1.a6c816p-4, -0x1.66a3b6p-6, 0x1.83fcb4p-9,
                                   -0x1.896f1cp-13));
    } else {
        small =
            fma(x,
                horner(square, 0x1.06eba8214db68p-3, -0x1.812746b0379a8p-2, 0x1.ce2f21a04024dp-4,
                       -0x1.b82ce311d454bp-6, 0x1.565bccf4ac030p-8, -0x1.c02daf9cca499p-11,
                       0x1.f9a2ac6fccc3ep-14, -0x1.f4c97d281f82cp-17, 0x1.b97820e9ccf89p-20,
                       -0x1.5bd9b74d17214p-23, 0x1.d5eb028795715p-27, -0x1.a83d8191c66ddp-31),
                x);
        V z = min(V(6), magnitude);
        tail = V(2) * exp_bounded(-z * z) * scaled_normal_tail(z * V(0x1.6a09e667f3bcdp+0));
    }
    return select(magnitude < V(1), small, copysign(V(1) - tail, x));
}

// The standard normal distribution at x: density, and the share below x, which does not cancel in
// the lower tail (6.5 ULP).
template <class V>
struct Normal {
    V density, below;
};
template <class V>
EMBER_FORMULA Normal<V> normal(V x) {
    V y = min(V(is_float<V> ? 15 : 39), abs(x));
    // The exponent grows to 88 or more: its rounding error would be the result's.
    V half = V(0.5) * y, exponent = half * y;
    V lost = product_error(half, y, exponent);
    V e = exp(-exponent);
    e = fma(-e, lost, e);
    V tail = e * scaled_normal_tail(y);
    return {e * V(0x1.9884533d43651p-2), select(x < V(0), tail, V(1) - tail)};
}

}  // namespace ember::formulas
