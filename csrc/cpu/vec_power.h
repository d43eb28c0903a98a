#pragma once

#include "cpu/vec_type.h"

// Vectors of whole numbers, and powers of two.
namespace ember::cpu::EMBER_LEVEL {
namespace {

// Whole numbers below 2^22 (float) or 2^51 (double) in magnitude, both ways, by adding 1.5 times
// the number whose last place is one: no level has all the conversions, every level has additions.
template <class T>
EMBER_INLINE Vec<T> whole_shift(Vec<T>) {
    return Vec<T>(sizeof(T) == 4 ? T(0x1.8p23) : T(0x1.8p52));
}
template <class T>
EMBER_INLINE typename Vec<T>::Int small_int(Vec<T> whole) {
    using I = typename Vec<T>::Int::Scalar;
    Vec<T> shift = whole_shift(Vec<T>{});
    return bit_cast<I>(whole + shift) - bit_cast<I>(shift);
}
template <class T>
EMBER_INLINE Vec<T> from_small_int(typename Vec<T>::Int n) {
    using I = typename Vec<T>::Int::Scalar;
    Vec<T> shift = whole_shift(Vec<T>{});
    return bit_cast<T>(n + bit_cast<I>(shift)) - shift;
}

// x * 2^n for a whole n, and 2^floor(n) with look_up; right also where the result is subnormal or
// infinite.
template <class T>
EMBER_INLINE Vec<T> scale_by_power(Vec<T> x, Vec<T> n) {
#if defined(__AVX512F__)
    if constexpr (sizeof(T) == 4)
        return {_mm512_scalef_ps(x.v, n.v)};
    else
        return {_mm512_scalef_pd(x.v, n.v)};
#else
    // In two factors, each a normal number.
    using I = typename Vec<T>::Int;
    constexpr int bias = sizeof(T) == 4 ? 127 : 1023, mantissa = sizeof(T) == 4 ? 23 : 52;
    I total = small_int(n) + I(2 * bias);
    Vec<std::make_unsigned_t<typename I::Scalar> > half{(decltype(half.v))total.v};
    half = half >> 1;
    I first{(decltype(first.v))half.v};
    return x * bit_cast<T>(first << mantissa) * bit_cast<T>((total - first) << mantissa);
#endif
}

// The same where 2^n is a normal number.
template <class T>
EMBER_INLINE Vec<T> scale_by_normal_power(Vec<T> x, Vec<T> n) {
#if defined(__AVX512F__)
    return scale_by_power(x, n);
#else
    using I = typename Vec<T>::Int;
    constexpr int bias = sizeof(T) == 4 ? 127 : 1023, mantissa = sizeof(T) == 4 ? 23 : 52;
    return x * bit_cast<T>((small_int(n) + I(bias)) << mantissa);
#endif
}

#if defined(__AVX512F__)
// The item of `table` that the last bits of each number name.
EMBER_INLINE VecF look_up(VecF table, Vec<int32_t> number) {
    return {_mm512_permutexvar_ps((__m512i)number.v, table.v)};
}
#endif

}  // namespace
}  // namespace ember::cpu::EMBER_LEVEL
