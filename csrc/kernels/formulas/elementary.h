#pragma once

#include <cmath>
#include <cstdint>

#include "kernels/formulas/math.h"

// Short formulas, and of integers in 64 bits.
namespace ember::formulas {

template <class V>
EMBER_FORMULA V sinc(V x) {
    V y = x * V(3.14159265358979323846);
    return select(y == V(0), V(1), sin(y) / y);
}
template <class V>
EMBER_FORMULA V entr(V x) {
    V y = select(x == V(0), V(0), -x * log(x));
    return select(x < V(0), V(-ScalarOf<V>(__builtin_inf())), y);
}
template <class V>
EMBER_FORMULA V logit(V x, V low, V high) {
    V p = select(x < low, low, select(x > high, high, x));
    return log(p / (V(1) - p));
}
template <class V>
EMBER_FORMULA V logit_backward(V grad, V x, V low, V high, V beyond) {
    return select((x >= low) & (x <= high), grad / (x * (V(1) - x)), beyond);
}
template <class V>
EMBER_FORMULA V nan_to_num(V x, V nan, V high, V low) {
    V infinity = V(ScalarOf<V>(__builtin_inf()));
    V y = select(x == infinity, high, select(x == -infinity, low, x));
    return select(x == x, y, nan);
}

template <class V>
EMBER_FORMULA V xlogy(V a, V b) {
    return select(b == b, select(a == V(0), V(0), a * log(b)), b);
}
template <class V>
EMBER_FORMULA V xlog1py(V a, V b) {
    return select(b == b, select(a == V(0), V(0), a * log1p(b)), b);
}
template <class V>
EMBER_FORMULA V logaddexp(V a, V b) {
    V infinity = V(ScalarOf<V>(__builtin_inf()));
    V y = maximum(a, b) + log1p(exp(-abs(a - b)));
    return select((abs(a) == infinity) & (a == b), a, y);
}
template <class V>
EMBER_FORMULA V logaddexp2(V a, V b) {
    V infinity = V(ScalarOf<V>(__builtin_inf()));
    V y = fma(log1p(exp2(-abs(a - b))), V(1.44269504088896340736), maximum(a, b));
    return select((abs(a) == infinity) & (a == b), a, y);
}

// x as mantissa * 2^exponent with 1/2 <= |mantissa| < 1, in double; of zeros, infinities and NaN
// the exponent is 0.
template <class V>
struct Binary {
    V mantissa, exponent;
};
#if !defined(__CUDACC__) && !defined(EMBER_SCALAR_FORMULAS)
template <class V>
EMBER_FORMULA Binary<V> frexp(V x) {
    auto subnormal = abs(x) < V(0x1p-1022);
    auto bits = bit_cast<uint64_t>(select(subnormal, x * V(0x1p54), x));
    using Bits = decltype(bits);
    V exponent = from_small_int<double>(bit_cast<int64_t>((bits >> 52) & Bits(0x7ff)));
    V mantissa = bit_cast<double>((bits & Bits(0x800fffffffffffff)) | Bits(uint64_t(1022) << 52));
    auto regular = (abs(x) < V(__builtin_inf())) & (x != V(0));
    exponent = exponent - select(subnormal, V(1022 + 54), V(1022));
    return {select(regular, mantissa, x), select(regular, exponent, V(0))};
}
#else
EMBER_FORMULA Binary<double> frexp(double x) {
    int exponent = 0;
    double mantissa = ::frexp(x, &exponent);
    return {mantissa, x - x == 0 ? double(exponent) : 0};
}
#endif

// The neighbour of `from` towards `to` among 16-bit floats, of which a and b are the bits.
EMBER_FORMULA uint16_t next_half(uint16_t a, uint16_t b, float from, float to) {
    if (from != from) return a;
    if (to != to || from == to) return b;
    if (from == 0) return to < 0 ? 0x8001 : 1;
    // Magnitudes are ordered as their bits are.
    return uint16_t(a + ((to > from) == (from > 0) ? 1 : -1));
}

EMBER_FORMULA uint64_t magnitude(int64_t x) { return x < 0 ? 0 - uint64_t(x) : uint64_t(x); }
EMBER_FORMULA uint64_t common_divisor(int64_t a, int64_t b) {
    uint64_t x = magnitude(a), y = magnitude(b);
    while (y != 0) {
        uint64_t rest = x % y;
        x = y;
        y = rest;
    }
    return x;
}
EMBER_FORMULA int64_t common_multiple(int64_t a, int64_t b, int64_t bits) {
    uint64_t divisor = common_divisor(a, b);
    if (divisor == 0) return 0;
    int64_t product = int64_t(magnitude(a) / divisor * magnitude(b));
    if (bits == 32) product = int32_t(product);  // wraps as the dtype does
    return int64_t(magnitude(product));
}
EMBER_FORMULA int64_t shift_left(int64_t a, int64_t b, int64_t bits) {
    return b < 0 || b >= bits ? 0 : int64_t(uint64_t(a) << b);
}
EMBER_FORMULA int64_t shift_right(int64_t a, int64_t b, int64_t most) {
    return a >> (b < 0 || b >= most ? most : b);
}

}  // namespace ember::formulas
