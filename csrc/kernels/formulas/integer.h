#pragma once

#include <cstdint>
#include <type_traits>

#include "core/macros.h"

// Integer arithmetic as PyTorch defines it, without undefined behaviour: overflow wraps. Divisors
// are not zero: callers have raised before.
namespace ember::formulas {

// Unsigned, and wide enough that the language promotes no factor to a signed int.
template <class T>
using Wrapping = std::conditional_t<sizeof(T) < 4, uint32_t, std::make_unsigned_t<T>>;

template <class T>
EMBER_FORMULA T wrap_add(T a, T b) {
    return T(Wrapping<T>(a) + Wrapping<T>(b));
}
template <class T>
EMBER_FORMULA T wrap_multiply(T a, T b) {
    return T(Wrapping<T>(a) * Wrapping<T>(b));
}
template <class T>
EMBER_FORMULA T wrap_negate(T a) {
    return T(Wrapping<T>(0) - Wrapping<T>(a));
}

// The lowest number over -1 overflows: it wraps to itself.
template <class T>
EMBER_FORMULA T divide_truncating(T a, T b) {
    if (std::is_signed_v<T> && b == T(-1)) return wrap_negate(a);
    return T(a / b);
}
template <class T>
EMBER_FORMULA T remainder_truncating(T a, T b) {  // the sign of a
    if (std::is_signed_v<T> && b == T(-1)) return 0;
    return T(a % b);
}
template <class T>
EMBER_FORMULA T divide_flooring(T a, T b) {
    T quotient = divide_truncating(a, b);
    if constexpr (std::is_signed_v<T>)
        if ((a < 0) != (b < 0) && remainder_truncating(a, b) != 0) return T(quotient - 1);
    return quotient;
}
template <class T>
EMBER_FORMULA T remainder_flooring(T a, T b) {  // the sign of b
    T r = remainder_truncating(a, b);
    if constexpr (std::is_signed_v<T>)
        if (r != 0 && (r < 0) != (b < 0)) return T(r + b);
    return r;
}

// By squaring. Negative powers truncate: of 1 and -1 only something is left.
template <class T>
EMBER_FORMULA T power(T base, T exponent) {
    if constexpr (std::is_signed_v<T>) {
        if (exponent < 0) {
            if (base == 1) return 1;
            return base == T(-1) ? T(exponent % 2 == 0 ? 1 : -1) : T(0);
        }
    }
    T result = 1;
    for (; exponent != 0; exponent = T(exponent >> 1)) {
        if (exponent & 1) result = wrap_multiply(result, base);
        base = wrap_multiply(base, base);
    }
    return result;
}

template <class T>
EMBER_FORMULA T absolute(T x) {
    return x < T(0) ? wrap_negate(x) : x;
}
template <class T>
EMBER_FORMULA T sign_of(T x) {
    return T((x > T(0)) - (x < T(0)));
}

}  // namespace ember::formulas
