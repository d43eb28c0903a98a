#pragma once

#include <cmath>
#include <cstdint>

#include "core/macros.h"

// Short formulas in double, and of integers in 64 bits.
namespace ember::formulas {

EMBER_FORMULA double sinc(double x) {
    double y = 3.14159265358979323846 * x;
    return y == 0 ? 1 : ::sin(y) / y;
}
EMBER_FORMULA double entr(double x) {
    return x > 0 ? -x * ::log(x) : x == 0 ? 0 : x < 0 ? -INFINITY : x;
}
EMBER_FORMULA double logit(double x, double low, double high) {
    double p = x < low ? low : x > high ? high : x;
    return ::log(p / (1 - p));
}
EMBER_FORMULA double nan_to_num(double x, double nan, double high, double low) {
    return x != x ? nan : x == INFINITY ? high : x == -INFINITY ? low : x;
}
EMBER_FORMULA double frexp_mantissa(double x) {
    int exponent;
    return ::frexp(x, &exponent);
}
EMBER_FORMULA double frexp_exponent(double x) {
    int exponent = 0;
    ::frexp(x, &exponent);
    return exponent;
}
EMBER_FORMULA bool signbit(double x) { return std::signbit(x); }

EMBER_FORMULA double xlogy(double a, double b) { return b != b ? b : a == 0 ? 0 : a * ::log(b); }
EMBER_FORMULA double xlog1py(double a, double b) {
    return b != b ? b : a == 0 ? 0 : a * ::log1p(b);
}
EMBER_FORMULA double logaddexp(double a, double b) {
    if (std::isinf(a) && a == b) return a;
    return ::fmax(a, b) + ::log1p(::exp(-::fabs(a - b)));
}
EMBER_FORMULA double logaddexp2(double a, double b) {
    if (std::isinf(a) && a == b) return a;
    return ::fmax(a, b) + ::log1p(::exp2(-::fabs(a - b))) * 1.44269504088896340736;
}

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
