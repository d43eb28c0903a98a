#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>

#include "core/dtype.h"
#include "core/macros.h"
#include "cpu/level.h"

#if defined(__SSE2__)
// GCC 12 warns of the undefined registers that its own headers pass on purpose.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#include <immintrin.h>
#pragma GCC diagnostic pop
#endif

// Vec<T> is the level's full register of T, on GCC's vector extensions; intrinsics stand where the
// compiler's generic code is poor. Everything is always inlined: no symbol leaves a level file.
namespace ember::cpu::EMBER_LEVEL {
namespace {

template <class T>
struct RawOf {
    typedef T type __attribute__((vector_size(EMBER_VECTOR_BYTES)));
};
template <class T>
using Raw = typename RawOf<T>::type;

template <int Bytes>
struct IntOfSize;
template <>
struct IntOfSize<1> {
    using type = int8_t;
};
template <>
struct IntOfSize<2> {
    using type = int16_t;
};
template <>
struct IntOfSize<4> {
    using type = int32_t;
};
template <>
struct IntOfSize<8> {
    using type = int64_t;
};

template <class T, bool = std::is_integral_v<T>>
struct RingOf {
    using type = T;
};
template <class T>
struct RingOf<T, true> {
    using type = std::make_unsigned_t<T>;
};

// What a comparison of items of `Bytes` bytes gives: a register of all-ones or all-zero items, or a
// mask register where the level has them.
#if defined(__AVX512F__)
template <int Bytes>
struct Mask {
    static_assert(Bytes == 4 || Bytes == 8, "masks serve 4- and 8-byte items");
    using Bits = std::conditional_t<Bytes == 4, __mmask16, __mmask8>;
    Bits v;
};
template <int B>
EMBER_INLINE Mask<B> operator&(Mask<B> a, Mask<B> b) {
    return {typename Mask<B>::Bits(a.v & b.v)};
}
template <int B>
EMBER_INLINE Mask<B> operator|(Mask<B> a, Mask<B> b) {
    return {typename Mask<B>::Bits(a.v | b.v)};
}
template <int B>
EMBER_INLINE Mask<B> operator^(Mask<B> a, Mask<B> b) {
    return {typename Mask<B>::Bits(a.v ^ b.v)};
}
template <int B>
EMBER_INLINE Mask<B> operator!(Mask<B> a) {
    return {typename Mask<B>::Bits(~a.v)};
}
template <int B>
EMBER_INLINE bool any(Mask<B> m) {
    return m.v != 0;
}
template <int B>
EMBER_INLINE bool all(Mask<B> m) {
    return m.v == typename Mask<B>::Bits(-1);
}
#else
template <int Bytes>
struct Mask {
    Raw<typename IntOfSize<Bytes>::type> v;
};
template <int B>
EMBER_INLINE Mask<B> operator&(Mask<B> a, Mask<B> b) {
    return {a.v & b.v};
}
template <int B>
EMBER_INLINE Mask<B> operator|(Mask<B> a, Mask<B> b) {
    return {a.v | b.v};
}
template <int B>
EMBER_INLINE Mask<B> operator^(Mask<B> a, Mask<B> b) {
    return {a.v ^ b.v};
}
template <int B>
EMBER_INLINE Mask<B> operator!(Mask<B> a) {
    return {~a.v};
}
template <int B>
EMBER_INLINE bool any(Mask<B> m) {
#if defined(__AVX2__)
    return !_mm256_testz_si256((__m256i)m.v, (__m256i)m.v);
#elif defined(__SSE2__)
    return _mm_movemask_epi8((__m128i)m.v) != 0;
#else
    uint64_t words[2];
    memcpy(words, &m, sizeof words);
    return (words[0] | words[1]) != 0;
#endif
}
template <int B>
EMBER_INLINE bool all(Mask<B> m) {
    return !any(!m);
}
#endif

template <class T>
struct Vec {
    using Scalar = T;
    using Int = Vec<typename IntOfSize<sizeof(T)>::type>;
    using Compare = Mask<sizeof(T)>;
    static constexpr int size = EMBER_VECTOR_BYTES / sizeof(T);
#if defined(__AVX512F__)
    static constexpr bool looks_up = std::is_same_v<T, float>;  // has look_up
#else
    static constexpr bool looks_up = false;
#endif

    Raw<T> v;

    Vec() = default;
    EMBER_INLINE Vec(Raw<T> raw) : v(raw) {}
    EMBER_INLINE Vec(T item) : v(item - Raw<T>{}) {}  // minus zero: keeps the sign of -0.0

    // The unaligned load and store of `size` items.
    static EMBER_INLINE Vec load(const void* p) {
        Vec r;
        memcpy(&r.v, p, sizeof r.v);
        return r;
    }
    EMBER_INLINE void store(void* p) const { memcpy(p, &v, sizeof v); }
    // Past the caches; p is aligned to the register.
    EMBER_INLINE void stream(void* p) const {
#if defined(__AVX512F__)
        _mm512_stream_si512((__m512i*)p, (__m512i)v);
#elif defined(__AVX2__)
        _mm256_stream_si256((__m256i*)p, (__m256i)v);
#elif defined(__SSE2__)
        _mm_stream_si128((__m128i*)p, (__m128i)v);
#else
        store(p);
#endif
    }

    // Signed integers wrap, so they add and multiply as unsigned.
    using Ring = Raw<typename RingOf<T>::type>;
    friend EMBER_INLINE Vec operator+(Vec a, Vec b) { return {(Raw<T>)((Ring)a.v + (Ring)b.v)}; }
    friend EMBER_INLINE Vec operator-(Vec a, Vec b) { return {(Raw<T>)((Ring)a.v - (Ring)b.v)}; }
    friend EMBER_INLINE Vec operator*(Vec a, Vec b) { return {(Raw<T>)((Ring)a.v * (Ring)b.v)}; }
    friend EMBER_INLINE Vec operator-(Vec a) { return {(Raw<T>)(-(Ring)a.v)}; }
    EMBER_INLINE Vec& operator+=(Vec b) { return *this = *this + b; }
    EMBER_INLINE Vec& operator-=(Vec b) { return *this = *this - b; }
    EMBER_INLINE Vec& operator*=(Vec b) { return *this = *this * b; }
    friend EMBER_INLINE Vec operator/(Vec a, Vec b) { return {a.v / b.v}; }
    friend EMBER_INLINE Vec operator&(Vec a, Vec b) { return {a.v & b.v}; }
    friend EMBER_INLINE Vec operator|(Vec a, Vec b) { return {a.v | b.v}; }
    friend EMBER_INLINE Vec operator^(Vec a, Vec b) { return {a.v ^ b.v}; }
    friend EMBER_INLINE Vec operator~(Vec a) { return {~a.v}; }
    friend EMBER_INLINE Vec operator<<(Vec a, int n) { return {a.v << n}; }
    friend EMBER_INLINE Vec operator>>(Vec a, int n) { return {a.v >> n}; }

#if defined(__AVX512F__)
#define EMBER_VEC_COMPARE(op, float_code, int_code)                               \
    friend EMBER_INLINE Compare operator op(Vec a, Vec b) {                       \
        if constexpr (std::is_same_v<T, float>)                                   \
            return {_mm512_cmp_ps_mask(a.v, b.v, float_code)};                    \
        else if constexpr (std::is_same_v<T, double>)                             \
            return {_mm512_cmp_pd_mask(a.v, b.v, float_code)};                    \
        else if constexpr (std::is_same_v<T, int32_t>)                            \
            return {_mm512_cmp_epi32_mask((__m512i)a.v, (__m512i)b.v, int_code)}; \
        else if constexpr (std::is_same_v<T, uint32_t>)                           \
            return {_mm512_cmp_epu32_mask((__m512i)a.v, (__m512i)b.v, int_code)}; \
        else if constexpr (std::is_same_v<T, int64_t>)                            \
            return {_mm512_cmp_epi64_mask((__m512i)a.v, (__m512i)b.v, int_code)}; \
        else                                                                      \
            return {_mm512_cmp_epu64_mask((__m512i)a.v, (__m512i)b.v, int_code)}; \
    }
#else
#define EMBER_VEC_COMPARE(op, float_code, int_code) \
    friend EMBER_INLINE Compare operator op(Vec a, Vec b) { return {a.v op b.v}; }
#endif
    EMBER_VEC_COMPARE(<, _CMP_LT_OQ, _MM_CMPINT_LT)
    EMBER_VEC_COMPARE(<=, _CMP_LE_OQ, _MM_CMPINT_LE)
    EMBER_VEC_COMPARE(>, _CMP_GT_OQ, _MM_CMPINT_NLE)
    EMBER_VEC_COMPARE(>=, _CMP_GE_OQ, _MM_CMPINT_NLT)
    EMBER_VEC_COMPARE(==, _CMP_EQ_OQ, _MM_CMPINT_EQ)
    EMBER_VEC_COMPARE(!=, _CMP_NEQ_UQ, _MM_CMPINT_NE)
#undef EMBER_VEC_COMPARE
};

// Orders streamed stores before what another thread does after it is told of them.
EMBER_INLINE void stream_fence() {
#if defined(__SSE2__)
    _mm_sfence();
#endif
}

using VecF = Vec<float>;
using VecD = Vec<double>;

// Where the mask is set a, else b.
template <class T>
EMBER_INLINE Vec<T> select(Mask<sizeof(T)> m, Vec<T> a, Vec<T> b) {
#if defined(__AVX512F__)
    if constexpr (std::is_same_v<T, float>)
        return {_mm512_mask_blend_ps(m.v, b.v, a.v)};
    else if constexpr (std::is_same_v<T, double>)
        return {_mm512_mask_blend_pd(m.v, b.v, a.v)};
    else if constexpr (sizeof(T) == 4)
        return {(Raw<T>)_mm512_mask_blend_epi32(m.v, (__m512i)b.v, (__m512i)a.v)};
    else
        return {(Raw<T>)_mm512_mask_blend_epi64(m.v, (__m512i)b.v, (__m512i)a.v)};
#else
    return {m.v ? a.v : b.v};
#endif
}

// The same bits as another item type of the same size.
template <class To, class T>
EMBER_INLINE Vec<To> bit_cast(Vec<T> x) {
    static_assert(sizeof(To) == sizeof(T));
    return {(Raw<To>)x.v};
}

// a * b + c; one rounding where the level has FMA.
EMBER_INLINE VecF fma(VecF a, VecF b, VecF c) {
#if defined(__AVX512F__)
    return {_mm512_fmadd_ps(a.v, b.v, c.v)};
#elif defined(__FMA__)
    return {_mm256_fmadd_ps(a.v, b.v, c.v)};
#else
    return {a.v * b.v + c.v};
#endif
}
EMBER_INLINE VecD fma(VecD a, VecD b, VecD c) {
#if defined(__AVX512F__)
    return {_mm512_fmadd_pd(a.v, b.v, c.v)};
#elif defined(__FMA__)
    return {_mm256_fmadd_pd(a.v, b.v, c.v)};
#else
    return {a.v * b.v + c.v};
#endif
}
#if defined(__AVX512BF16__)
// a.low * b.low + a.high * b.high + c, where lanes of a and b are pairs of bfloat16. The processor
// takes subnormal numbers for zeros here.
EMBER_INLINE VecF dot_pairs(VecF a, VecF b, VecF c) {
    return {_mm512_dpbf16_ps(c.v, (__m512bh)a.v, (__m512bh)b.v)};
}
#endif
#if defined(__AVX512VNNI__)
constexpr bool kHasBytes = true;
// c plus the four products of the uint8 in a lane of a and the int8 in that of b.
EMBER_INLINE Vec<uint32_t> dot_fours(Vec<uint32_t> a, Vec<uint32_t> b, Vec<uint32_t> c) {
    return {(Raw<uint32_t>)_mm512_dpbusd_epi32((__m512i)c.v, (__m512i)a.v, (__m512i)b.v)};
}
#else
constexpr bool kHasBytes = false;
#endif
#if defined(__FMA__)
constexpr bool kHasFma = true;
#else
constexpr bool kHasFma = false;
#endif

// a * b - product, exactly, where product is a * b rounded: by FMA, or in halves (Dekker, 1971),
// where no operand exceeds 2^100 (float) or 2^990 (double).
template <class T>
EMBER_INLINE Vec<T> product_error(Vec<T> a, Vec<T> b, Vec<T> product) {
#if defined(__FMA__)
    return fma(a, b, -product);
#else
    Vec<T> splitter(sizeof(T) == 4 ? T(0x1p12 + 1) : T(0x1p27 + 1));
    Vec<T> a_scaled = a * splitter, a_high = a_scaled - (a_scaled - a), a_low = a - a_high;
    Vec<T> b_scaled = b * splitter, b_high = b_scaled - (b_scaled - b), b_low = b - b_high;
    return ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low;
#endif
}

EMBER_INLINE VecF sqrt(VecF x) {
#if defined(__AVX512F__)
    return {_mm512_sqrt_ps(x.v)};
#elif defined(__AVX2__)
    return {_mm256_sqrt_ps(x.v)};
#elif defined(__SSE2__)
    return {_mm_sqrt_ps(x.v)};
#else
    VecF r;
    for (int i = 0; i < VecF::size; i++) r.v[i] = __builtin_sqrtf(x.v[i]);
    return r;
#endif
}
EMBER_INLINE VecD sqrt(VecD x) {
#if defined(__AVX512F__)
    return {_mm512_sqrt_pd(x.v)};
#elif defined(__AVX2__)
    return {_mm256_sqrt_pd(x.v)};
#elif defined(__SSE2__)
    return {_mm_sqrt_pd(x.v)};
#else
    VecD r;
    for (int i = 0; i < VecD::size; i++) r.v[i] = __builtin_sqrt(x.v[i]);
    return r;
#endif
}

// -0.0 in every item: the sign bit alone.
template <class T>
EMBER_INLINE Vec<typename Vec<T>::Int::Scalar> sign_bits(Vec<T>) {
    using I = typename Vec<T>::Int::Scalar;
    return Vec<I>(I(I(1) << (sizeof(I) * 8 - 1)));
}
template <class T>
EMBER_INLINE Vec<T> abs(Vec<T> x) {
    if constexpr (std::is_floating_point_v<T>)
        return bit_cast<T>(bit_cast<typename Vec<T>::Int::Scalar>(x) & ~sign_bits(x));
    else
        return select(x < Vec<T>(0), -x, x);
}
template <class T>
EMBER_INLINE Vec<T> copysign(Vec<T> magnitude, Vec<T> sign) {
    using I = typename Vec<T>::Int::Scalar;
    Vec<I> bit = sign_bits(sign);
    return bit_cast<T>((bit_cast<I>(magnitude) & ~bit) | (bit_cast<I>(sign) & bit));
}

// x86's: the second operand where one is NaN.
template <class T>
EMBER_INLINE Vec<T> max(Vec<T> a, Vec<T> b) {
#if defined(__AVX512F__)
    if constexpr (std::is_same_v<T, float>) return {_mm512_max_ps(a.v, b.v)};
    if constexpr (std::is_same_v<T, double>) return {_mm512_max_pd(a.v, b.v)};
    if constexpr (std::is_same_v<T, int32_t>)
        return {(Raw<T>)_mm512_max_epi32((__m512i)a.v, (__m512i)b.v)};
    if constexpr (std::is_same_v<T, int64_t>)
        return {(Raw<T>)_mm512_max_epi64((__m512i)a.v, (__m512i)b.v)};
#elif defined(__AVX2__)
    if constexpr (std::is_same_v<T, float>) return {_mm256_max_ps(a.v, b.v)};
    if constexpr (std::is_same_v<T, double>) return {_mm256_max_pd(a.v, b.v)};
#elif defined(__SSE2__)
    if constexpr (std::is_same_v<T, float>) return {_mm_max_ps(a.v, b.v)};
    if constexpr (std::is_same_v<T, double>) return {_mm_max_pd(a.v, b.v)};
#endif
    return select(a > b, a, b);
}
template <class T>
EMBER_INLINE Vec<T> min(Vec<T> a, Vec<T> b) {
#if defined(__AVX512F__)
    if constexpr (std::is_same_v<T, float>) return {_mm512_min_ps(a.v, b.v)};
    if constexpr (std::is_same_v<T, double>) return {_mm512_min_pd(a.v, b.v)};
    if constexpr (std::is_same_v<T, int32_t>)
        return {(Raw<T>)_mm512_min_epi32((__m512i)a.v, (__m512i)b.v)};
    if constexpr (std::is_same_v<T, int64_t>)
        return {(Raw<T>)_mm512_min_epi64((__m512i)a.v, (__m512i)b.v)};
#elif defined(__AVX2__)
    if constexpr (std::is_same_v<T, float>) return {_mm256_min_ps(a.v, b.v)};
    if constexpr (std::is_same_v<T, double>) return {_mm256_min_pd(a.v, b.v)};
#elif defined(__SSE2__)
    if constexpr (std::is_same_v<T, float>) return {_mm_min_ps(a.v, b.v)};
    if constexpr (std::is_same_v<T, double>) return {_mm_min_pd(a.v, b.v)};
#endif
    return select(a < b, a, b);
}
// NaN where either is NaN.
template <class T>
EMBER_INLINE Vec<T> maximum(Vec<T> a, Vec<T> b) {
    if constexpr (std::is_floating_point_v<T>) return select(a != a, a, max(a, b));
    return max(a, b);
}
template <class T>
EMBER_INLINE Vec<T> minimum(Vec<T> a, Vec<T> b) {
    if constexpr (std::is_floating_point_v<T>) return select(a != a, a, min(a, b));
    return min(a, b);
}

// To a whole number; round goes to the nearest, ties to even. Signs of zero are kept.
template <class T>
EMBER_INLINE Vec<T> round(Vec<T> x) {
#if defined(__AVX512F__)
    if constexpr (sizeof(T) == 4)
        return {_mm512_roundscale_ps(x.v, _MM_FROUND_TO_NEAREST_INT)};
    else
        return {_mm512_roundscale_pd(x.v, _MM_FROUND_TO_NEAREST_INT)};
#elif defined(__AVX2__)
    if constexpr (sizeof(T) == 4)
        return {_mm256_round_ps(x.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
    else
        return {_mm256_round_pd(x.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
#else
    Vec<T> whole(sizeof(T) == 4 ? T(0x1p23) : T(0x1p52));  // from here on all are whole
    Vec<T> a = abs(x);
    return select(a < whole, copysign((a + whole) - whole, x), x);
#endif
}
template <class T>
EMBER_INLINE Vec<T> floor(Vec<T> x) {
#if defined(__AVX512F__)
    if constexpr (sizeof(T) == 4)
        return {_mm512_roundscale_ps(x.v, _MM_FROUND_TO_NEG_INF)};
    else
        return {_mm512_roundscale_pd(x.v, _MM_FROUND_TO_NEG_INF)};
#elif defined(__AVX2__)
    if constexpr (sizeof(T) == 4)
        return {_mm256_floor_ps(x.v)};
    else
        return {_mm256_floor_pd(x.v)};
#else
    Vec<T> r = round(x);
    return select(r > x, r - Vec<T>(1), r);
#endif
}
template <class T>
EMBER_INLINE Vec<T> ceil(Vec<T> x) {
#if defined(__AVX512F__)
    if constexpr (sizeof(T) == 4)
        return {_mm512_roundscale_ps(x.v, _MM_FROUND_TO_POS_INF)};
    else
        return {_mm512_roundscale_pd(x.v, _MM_FROUND_TO_POS_INF)};
#elif defined(__AVX2__)
    if constexpr (sizeof(T) == 4)
        return {_mm256_ceil_ps(x.v)};
    else
        return {_mm256_ceil_pd(x.v)};
#else
    Vec<T> r = round(x);
    return copysign(select(r < x, r + Vec<T>(1), r), x);
#endif
}
template <class T>
EMBER_INLINE Vec<T> trunc(Vec<T> x) {
#if defined(__AVX512F__)
    if constexpr (sizeof(T) == 4)
        return {_mm512_roundscale_ps(x.v, _MM_FROUND_TO_ZERO)};
    else
        return {_mm512_roundscale_pd(x.v, _MM_FROUND_TO_ZERO)};
#elif defined(__AVX2__)
    if constexpr (sizeof(T) == 4)
        return {_mm256_round_ps(x.v, _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC)};
    else
        return {_mm256_round_pd(x.v, _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC)};
#else
    return copysign(floor(abs(x)), x);
#endif
}

// float <-> double: the lower and upper half of a VecF as VecD, and back.
EMBER_INLINE VecD widen_lower(VecF x) {
#if defined(__AVX512F__)
    return {_mm512_cvtps_pd(_mm512_castps512_ps256(x.v))};
#elif defined(__AVX2__)
    return {_mm256_cvtps_pd(_mm256_castps256_ps128(x.v))};
#elif defined(__SSE2__)
    return {_mm_cvtps_pd(x.v)};
#else
    return {Raw<double>{x.v[0], x.v[1]}};
#endif
}
EMBER_INLINE VecD widen_upper(VecF x) {
#if defined(__AVX512F__)
    return {_mm512_cvtps_pd(_mm512_extractf32x8_ps(x.v, 1))};
#elif defined(__AVX2__)
    return {_mm256_cvtps_pd(_mm256_extractf128_ps(x.v, 1))};
#elif defined(__SSE2__)
    return {_mm_cvtps_pd(_mm_movehl_ps(x.v, x.v))};
#else
    return {Raw<double>{x.v[2], x.v[3]}};
#endif
}
EMBER_INLINE VecF narrow(VecD lower, VecD upper) {
#if defined(__AVX512F__)
    return {_mm512_insertf32x8(_mm512_castps256_ps512(_mm512_cvtpd_ps(lower.v)),
                               _mm512_cvtpd_ps(upper.v), 1)};
#elif defined(__AVX2__)
    return {_mm256_insertf128_ps(_mm256_castps128_ps256(_mm256_cvtpd_ps(lower.v)),
                                 _mm256_cvtpd_ps(upper.v), 1)};
#elif defined(__SSE2__)
    return {_mm_movelh_ps(_mm_cvtpd_ps(lower.v), _mm_cvtpd_ps(upper.v))};
#else
    return {Raw<float>{float(lower.v[0]), float(lower.v[1]), float(upper.v[0]), float(upper.v[1])}};
#endif
}

// Folds the items of a register pairwise, halves first, so the order is fixed: f(lower, upper).
template <class T, class F>
EMBER_INLINE T fold(Vec<T> x, F f) {
#if defined(__AVX512F__)
    __m512i w = (__m512i)x.v;
    x = f(x, Vec<T>{(Raw<T>)_mm512_shuffle_i64x2(w, w, 0x4e)});
    w = (__m512i)x.v;
    x = f(x, Vec<T>{(Raw<T>)_mm512_shuffle_i64x2(w, w, 0xb1)});
    w = (__m512i)x.v;
    x = f(x, Vec<T>{(Raw<T>)_mm512_shuffle_epi32(w, _MM_PERM_ENUM(0x4e))});
    w = (__m512i)x.v;
    if constexpr (sizeof(T) == 4)
        x = f(x, Vec<T>{(Raw<T>)_mm512_shuffle_epi32(w, _MM_PERM_ENUM(0xb1))});
#elif defined(__AVX2__)
    __m256i w = (__m256i)x.v;
    x = f(x, Vec<T>{(Raw<T>)_mm256_permute4x64_epi64(w, 0x4e)});
    w = (__m256i)x.v;
    x = f(x, Vec<T>{(Raw<T>)_mm256_shuffle_epi32(w, 0x4e)});
    w = (__m256i)x.v;
    if constexpr (sizeof(T) == 4) x = f(x, Vec<T>{(Raw<T>)_mm256_shuffle_epi32(w, 0xb1)});
#else
    if constexpr (sizeof(T) == 4) {
        x = f(x, Vec<T>{__builtin_shuffle(x.v, Raw<int32_t>{2, 3, 0, 1})});
        x = f(x, Vec<T>{__builtin_shuffle(x.v, Raw<int32_t>{1, 0, 3, 2})});
    } else {
        x = f(x, Vec<T>{__builtin_shuffle(x.v, Raw<int64_t>{1, 0})});
    }
#endif
    static_assert(sizeof(T) >= 4);
    return x.v[0];
}
template <class T>
EMBER_INLINE T reduce_add(Vec<T> x) {
    return fold(x, [](Vec<T> a, Vec<T> b) __attribute__((always_inline)) { return a + b; });
}
template <class T>
EMBER_INLINE T reduce_max(Vec<T> x) {  // NaN wins
    return fold(x, [](Vec<T> a, Vec<T> b) __attribute__((always_inline)) { return maximum(a, b); });
}
template <class T>
EMBER_INLINE T reduce_min(Vec<T> x) {  // NaN wins
    return fold(x, [](Vec<T> a, Vec<T> b) __attribute__((always_inline)) { return minimum(a, b); });
}

}  // namespace
}  // namespace ember::cpu::EMBER_LEVEL
