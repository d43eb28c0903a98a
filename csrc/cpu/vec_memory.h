#pragma once

#include "cpu/vec_type.h"

// Parts of registers, and registers read from and written to other item types.
namespace ember::cpu::EMBER_LEVEL {
namespace {

// The first n items (n <= size), zeros behind them; nothing past them is touched.
#if defined(__AVX2__) && !defined(__AVX512F__)
template <class T>
EMBER_INLINE __m256i first_items(int n) {
    if constexpr (sizeof(T) == 4)
        return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
    else
        return _mm256_cmpgt_epi64(_mm256_set1_epi64x(n), _mm256_setr_epi64x(0, 1, 2, 3));
}
#endif
template <class T>
EMBER_INLINE Vec<T> load_first(const void* p, int64_t n) {
#if defined(__AVX512F__)
    if constexpr (sizeof(T) == 4)
        return {(Raw<T>)_mm512_maskz_loadu_epi32(__mmask16((1u << n) - 1), p)};
    else if constexpr (sizeof(T) == 8)
        return {(Raw<T>)_mm512_maskz_loadu_epi64(__mmask8((1u << n) - 1), p)};
#elif defined(__AVX2__)
    if constexpr (sizeof(T) == 4)
        return {(Raw<T>)_mm256_maskload_epi32((const int*)p, first_items<T>(int(n)))};
    else if constexpr (sizeof(T) == 8)
        return {(Raw<T>)_mm256_maskload_epi64((const long long*)p, first_items<T>(int(n)))};
#endif
    Vec<T> r{Raw<T>{}};
    memcpy(&r.v, p, size_t(n) * sizeof(T));
    return r;
}
template <class T>
EMBER_INLINE void store_first(Vec<T> x, void* p, int64_t n) {
#if defined(__AVX512F__)
    if constexpr (sizeof(T) == 4)
        return _mm512_mask_storeu_epi32(p, __mmask16((1u << n) - 1), (__m512i)x.v);
    else if constexpr (sizeof(T) == 8)
        return _mm512_mask_storeu_epi64(p, __mmask8((1u << n) - 1), (__m512i)x.v);
#elif defined(__AVX2__)
    if constexpr (sizeof(T) == 4)
        return _mm256_maskstore_epi32((int*)p, first_items<T>(int(n)), (__m256i)x.v);
    else if constexpr (sizeof(T) == 8)
        return _mm256_maskstore_epi64((long long*)p, first_items<T>(int(n)), (__m256i)x.v);
#endif
    memcpy(p, &x.v, size_t(n) * sizeof(T));
}

// Halves, VecF::size at a time, as floats.
typedef uint16_t RawHalves __attribute__((vector_size(EMBER_VECTOR_BYTES / 2)));

EMBER_INLINE VecF to_float(RawHalves bits, BFloat16) {
#if defined(__AVX512F__)
    return {(Raw<float>)_mm512_slli_epi32(_mm512_cvtepu16_epi32((__m256i)bits), 16)};
#elif defined(__AVX2__)
    return {(Raw<float>)_mm256_slli_epi32(_mm256_cvtepu16_epi32((__m128i)bits), 16)};
#else
    return {(Raw<float>)(__builtin_convertvector(bits, Raw<uint32_t>) << 16)};
#endif
}
EMBER_INLINE VecF to_float(RawHalves bits, Half) {
#if defined(__AVX512F__)
    return {_mm512_cvtph_ps((__m256i)bits)};
#elif defined(__F16C__)
    return {_mm256_cvtph_ps((__m128i)bits)};
#else
    Vec<int32_t> x{__builtin_convertvector(bits, Raw<int32_t>)};
    Vec<int32_t> magnitude = (x & Vec<int32_t>(0x7fff)) << 13;
    VecF rebased = bit_cast<float>(magnitude) * VecF(0x1p112f);
    VecF special = bit_cast<float>(magnitude | Vec<int32_t>(0x7f800000));
    VecF r = select(magnitude < Vec<int32_t>(0x7c00 << 13), rebased, special);
    return bit_cast<float>(bit_cast<int32_t>(r) | ((x & Vec<int32_t>(0x8000)) << 16));
#endif
}
EMBER_INLINE RawHalves narrow_bits(Vec<int32_t> x) {
#if defined(__AVX512F__)
    return (RawHalves)_mm512_cvtepi32_epi16((__m512i)x.v);
#elif defined(__AVX2__)
    __m256i packed = _mm256_packus_epi32((__m256i)x.v, (__m256i)x.v);
    return (RawHalves)_mm256_castsi256_si128(_mm256_permute4x64_epi64(packed, 0x08));
#else
    return __builtin_convertvector((Raw<uint32_t>)x.v, RawHalves);
#endif
}
// Round to nearest even; every NaN becomes the quiet one (in Half it keeps its sign).
EMBER_INLINE RawHalves to_halves(VecF x, BFloat16) {
    Vec<uint32_t> bits = bit_cast<uint32_t>(x);
    bits = (bits + ((bits >> 16) & Vec<uint32_t>(1)) + Vec<uint32_t>(0x7fff)) >> 16;
    return narrow_bits(select(x != x, Vec<int32_t>(0x7fc0), bit_cast<int32_t>(bits)));
}
#if defined(__AVX512BF16__)
// The same in one instruction, with zeros for subnormal numbers: between products of pairs.
EMBER_INLINE RawHalves round_halves(VecF x) { return (RawHalves)_mm512_cvtneps_pbh(x.v); }
#endif
EMBER_INLINE RawHalves to_halves(VecF x, Half) {
#if defined(__AVX512F__)
    return (RawHalves)_mm512_cvtps_ph(x.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
#elif defined(__F16C__)
    return (RawHalves)_mm256_cvtps_ph(x.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
#else
    using I = Vec<int32_t>;
    I bits = bit_cast<int32_t>(x), sign = (bits >> 16) & I(0x8000);
    bits = bits & I(0x7fffffff);
    // Below 2^-14 adding 0.5 lets the float unit round at the half's last subnormal bit.
    I small = bit_cast<int32_t>(bit_cast<float>(bits) + VecF(0.5f)) - I(0x3f000000);
    I normal = (bits + I(0xfff - 0x38000000) + ((bits >> 13) & I(1))) >> 13;
    I r = select(bits < I(0x38800000), small, normal);
    r = select(bits < I(0x47800000), r, I(0x7c00));
    r = select(bits > I(0x7f800000), I(0x7e00), r);
    return narrow_bits(r | sign);
#endif
}

#if defined(__AVX512BF16__)
// The lanes of low, then those of high, as bfloat16: pairs in the bits of a float. The processor
// takes subnormal numbers for zeros here.
EMBER_INLINE VecF to_pairs(VecF low, VecF high) {
    return {(Raw<float>)_mm512_cvtne2ps_pbh(high.v, low.v)};
}
// Pairs of the first half's halves with the second half's.
EMBER_INLINE VecF interleave_halves(VecF x) {
    typedef uint16_t Halves __attribute__((vector_size(64)));
    Halves index;
    for (int i = 0; i < 32; i++) index[i] = uint16_t(i / 2 + i % 2 * 16);
    return {(Raw<float>)__builtin_shuffle((Halves)x.v, index)};
}
#endif

// load_as<V>(p): V::size items of any floating type as V; store_as the other way.
template <class V, class T>
EMBER_INLINE V load_as(const T* p) {
    if constexpr (sizeof(T) == 2) {
        RawHalves bits;
        memcpy(&bits, p, sizeof bits);
        return to_float(bits, T{});
    } else {
        static_assert(std::is_same_v<T, typename V::Scalar>);
        return V::load(p);
    }
}
// The bits of the first n of two bytes each, zeros behind them.
EMBER_INLINE RawHalves load_first_halves(const void* p, int64_t n) {
#if defined(__AVX512F__)
    return (RawHalves)_mm256_maskz_loadu_epi16(__mmask16((1u << n) - 1), p);
#else
    RawHalves bits{};
    memcpy(&bits, p, size_t(n) * 2);
    return bits;
#endif
}
EMBER_INLINE void store_first_halves(void* p, RawHalves bits, int64_t n) {
#if defined(__AVX512F__)
    _mm256_mask_storeu_epi16(p, __mmask16((1u << n) - 1), (__m256i)bits);
#else
    memcpy(p, &bits, size_t(n) * 2);
#endif
}
// Pairs of halves in the bits of floats, those of `low` below.
EMBER_INLINE VecF pair_halves(RawHalves low, RawHalves high) {
#if defined(__AVX512F__)
    __m512i below = _mm512_cvtepu16_epi32((__m256i)low);
    __m512i above = _mm512_cvtepu16_epi32((__m256i)high);
    return {(Raw<float>)_mm512_or_si512(below, _mm512_slli_epi32(above, 16))};
#else
    return {(Raw<float>)(__builtin_convertvector(low, Raw<uint32_t>) |
                         __builtin_convertvector(high, Raw<uint32_t>) << 16)};
#endif
}
template <class V, class T>
EMBER_INLINE V load_first_as(const T* p, int64_t n) {
    if constexpr (sizeof(T) == 2) {
        return to_float(load_first_halves(p, n), T{});
    } else {
        static_assert(std::is_same_v<T, typename V::Scalar>);
        return load_first<T>(p, n);
    }
}
template <class V, class T>
EMBER_INLINE void store_as(T* p, V x) {
    if constexpr (sizeof(T) == 2) {
        RawHalves bits = to_halves(x, T{});
        memcpy(p, &bits, sizeof bits);
    } else {
        static_assert(std::is_same_v<T, typename V::Scalar>);
        x.store(p);
    }
}
template <class V, class T>
EMBER_INLINE void store_first_as(T* p, V x, int64_t n) {
    if constexpr (sizeof(T) == 2) {
        store_first_halves(p, to_halves(x, T{}), n);
    } else {
        static_assert(std::is_same_v<T, typename V::Scalar>);
        store_first(x, p, n);
    }
}

// Past the caches; p is aligned to V::size items of its type.
template <class V, class T>
EMBER_INLINE void stream_as(T* p, V x) {
    if constexpr (sizeof(T) == 2) {
        RawHalves bits = to_halves(x, T{});
#if defined(__AVX512F__)
        _mm256_stream_si256((__m256i*)p, (__m256i)bits);
#elif defined(__AVX2__)
        _mm_stream_si128((__m128i*)p, (__m128i)bits);
#else
        memcpy(p, &bits, sizeof bits);
#endif
    } else {
        static_assert(std::is_same_v<T, typename V::Scalar>);
        x.stream(p);
    }
}

// Past the caches.
EMBER_INLINE void stream_copy(char* out, const char* in, int64_t bytes) {
    int64_t head = -reinterpret_cast<intptr_t>(out) & (EMBER_VECTOR_BYTES - 1);
    if (head > bytes) head = bytes;
    if (head > 0) memcpy(out, in, size_t(head));
    int64_t i = head;
    for (; i + EMBER_VECTOR_BYTES <= bytes; i += EMBER_VECTOR_BYTES)
        Vec<int64_t>::load(in + i).stream(out + i);
    if (i < bytes) memcpy(out + i, in + i, size_t(bytes - i));
}

// Into the second-level cache. Any address will do.
EMBER_INLINE void prefetch(const void* p) { __builtin_prefetch(p, 0, 2); }
// The first page of `bytes` bytes: what lies behind it the processor sees coming.
EMBER_INLINE void prefetch(const void* p, int64_t bytes) {
    for (int64_t b = 0; b < bytes && b < 4096; b += 64) prefetch(static_cast<const char*>(p) + b);
}
#if defined(__AVX512VNNI__)
// The first n bytes, one an item, zeros behind them.
EMBER_INLINE Vec<uint32_t> load_bytes(const void* p, int64_t n) {
    __m128i bytes = _mm_maskz_loadu_epi8(__mmask16((1u << n) - 1), p);
    return {(Raw<uint32_t>)_mm512_cvtepu8_epi32(bytes)};
}
#endif

// One byte an item, 1 where the mask is set: as bool is stored.
template <int B>
EMBER_INLINE void store_bools(Mask<B> m, void* p, int64_t n) {
    constexpr int size = EMBER_VECTOR_BYTES / B;
#if defined(__AVX512F__)
    __m128i bytes = _mm_maskz_set1_epi8(__mmask16(m.v), 1);
    if (n == size && size == 16)
        _mm_storeu_si128((__m128i*)p, bytes);
    else
        _mm_mask_storeu_epi8(p, __mmask16((1u << n) - 1), bytes);
#elif defined(__SSE2__)
#if defined(__AVX2__)
    int bits = B == 4 ? _mm256_movemask_ps((__m256)m.v) : _mm256_movemask_pd((__m256d)m.v);
    uint64_t bytes = _pdep_u64(unsigned(bits), 0x0101010101010101);
#else
    int bits = B == 4 ? _mm_movemask_ps((__m128)m.v) : _mm_movemask_pd((__m128d)m.v);
    uint32_t bytes = unsigned(bits) * 0x00204081u & 0x01010101u;
#endif
    if (n == size)
        memcpy(p, &bytes, size);
    else
        memcpy(p, &bytes, size_t(n));
#else
    for (int64_t i = 0; i < n; i++) static_cast<char*>(p)[i] = m.v[i] != 0;
#endif
}

}  // namespace
}  // namespace ember::cpu::EMBER_LEVEL
