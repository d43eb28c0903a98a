#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "core/macros.h"

namespace ember {

// The order is the promotion order within each category; float16 and bfloat16 promote to float32.
enum class DType : uint8_t {
    Bool,
    UInt8,
    Int8,
    Int16,
    Int32,
    Int64,
    Float16,
    BFloat16,
    Float32,
    Float64,
    Complex64,
    Complex128,
};
constexpr int kDTypeCount = 12;

// Storage types of the two half formats. Arithmetic happens in float.
struct Half {
    uint16_t bits;
};
struct BFloat16 {
    uint16_t bits;
};

EMBER_INLINE float to_float(BFloat16 x) {
    uint32_t bits = uint32_t(x.bits) << 16;
    float f;
    memcpy(&f, &bits, 4);
    return f;
}

EMBER_INLINE BFloat16 to_bfloat16(float f) {
    uint32_t bits;
    memcpy(&bits, &f, 4);
    if (f != f) return {uint16_t(0x7fc0)};
    return {uint16_t((bits + 0x7fff + ((bits >> 16) & 1)) >> 16)};
}

// Exact for every value, subnormals included: the exponent is rebased by a multiplication.
EMBER_INLINE float to_float(Half x) {
    uint32_t sign = uint32_t(x.bits & 0x8000) << 16;
    uint32_t magnitude = uint32_t(x.bits & 0x7fff) << 13;
    float f;
    if (magnitude >= (0x7c00u << 13)) {
        magnitude |= 0x7f800000;
        memcpy(&f, &magnitude, 4);
    } else {
        memcpy(&f, &magnitude, 4);
        f *= 0x1p112f;
        memcpy(&magnitude, &f, 4);
    }
    magnitude |= sign;
    memcpy(&f, &magnitude, 4);
    return f;
}

// Round to nearest even; overflow gives infinity, NaN stays NaN.
EMBER_INLINE Half to_half(float f) {
    uint32_t bits;
    memcpy(&bits, &f, 4);
    uint32_t sign = (bits >> 16) & 0x8000;
    bits &= 0x7fffffff;
    if (bits > 0x7f800000) return {uint16_t(sign | 0x7e00)};
    if (bits >= 0x47800000) return {uint16_t(sign | 0x7c00)};
    if (bits < 0x38800000) {
        // Below 2^-14: adding 0.5 lets the float unit round at the half's last subnormal bit.
        float magnitude;
        memcpy(&magnitude, &bits, 4);
        magnitude += 0.5f;
        memcpy(&bits, &magnitude, 4);
        return {uint16_t(sign | (bits - 0x3f000000))};
    }
    bits += 0xfff + ((bits >> 13) & 1);
    return {uint16_t(sign | ((bits - 0x38000000) >> 13))};
}

template <class T>
struct TypeTag {
    using type = T;
};

template <class T>
struct DTypeOf;
#define EMBER_DTYPE_OF(type, name)                  \
    template <>                                     \
    struct DTypeOf<type> {                          \
        static constexpr DType value = DType::name; \
    };
EMBER_DTYPE_OF(bool, Bool)
EMBER_DTYPE_OF(uint8_t, UInt8)
EMBER_DTYPE_OF(int8_t, Int8)
EMBER_DTYPE_OF(int16_t, Int16)
EMBER_DTYPE_OF(int32_t, Int32)
EMBER_DTYPE_OF(int64_t, Int64)
EMBER_DTYPE_OF(Half, Float16)
EMBER_DTYPE_OF(BFloat16, BFloat16)
EMBER_DTYPE_OF(float, Float32)
EMBER_DTYPE_OF(double, Float64)
#undef EMBER_DTYPE_OF

// Calls f(TypeTag<T>{}) for the T of Ts whose dtype is `dtype`; nothing when none is.
// The caller has asked the slot's mask before, so that "nothing" cannot happen in a kernel.
template <class... Ts, class F>
EMBER_INLINE void dispatch(DType dtype, F&& f) {
    (void)((dtype == DTypeOf<Ts>::value ? (f(TypeTag<Ts>{}), true) : false) || ...);
}

EMBER_INLINE constexpr int item_size(DType dtype) {
    switch (dtype) {
        case DType::Bool:
        case DType::UInt8:
        case DType::Int8: return 1;
        case DType::Int16:
        case DType::Float16:
        case DType::BFloat16: return 2;
        case DType::Int32:
        case DType::Float32: return 4;
        case DType::Int64:
        case DType::Float64:
        case DType::Complex64: return 8;
        case DType::Complex128: return 16;
    }
    return 0;
}

// A set of dtypes.
struct DTypeMask {
    uint32_t bits = 0;
    constexpr bool has(DType dtype) const { return bits >> int(dtype) & 1; }
    constexpr DTypeMask operator|(DTypeMask other) const { return {bits | other.bits}; }
    constexpr DTypeMask operator-(DTypeMask other) const { return {bits & ~other.bits}; }
};
template <class... Ds>
constexpr DTypeMask dtypes(Ds... ds) {
    return {((1u << int(ds)) | ... | 0u)};
}
constexpr DTypeMask kBool = dtypes(DType::Bool);
constexpr DTypeMask kIntegers =
    dtypes(DType::UInt8, DType::Int8, DType::Int16, DType::Int32, DType::Int64);
constexpr DTypeMask kHalves = dtypes(DType::Float16, DType::BFloat16);
constexpr DTypeMask kFloats = dtypes(DType::Float32, DType::Float64);
constexpr DTypeMask kFloating = kHalves | kFloats;
constexpr DTypeMask kIntegral = kIntegers | kBool;
constexpr DTypeMask kNumeric = kIntegers | kFloating;
constexpr DTypeMask kReal = kNumeric | kBool;
constexpr DTypeMask kComplex = dtypes(DType::Complex64, DType::Complex128);

constexpr bool is_floating(DType dtype) { return kFloating.has(dtype); }
constexpr bool is_complex(DType dtype) { return kComplex.has(dtype); }
// The complex dtype with parts of this floating one (halves widen to float32), and back.
constexpr DType complex_of(DType dtype) {
    if (is_complex(dtype)) return dtype;
    return dtype == DType::Float64 ? DType::Complex128 : DType::Complex64;
}
constexpr DType real_of(DType dtype) {
    if (!is_complex(dtype)) return dtype;
    return dtype == DType::Complex64 ? DType::Float32 : DType::Float64;
}
constexpr bool is_integral(DType dtype) { return kIntegral.has(dtype); }

EMBER_EXPORT const char* dtype_name(DType dtype);  // "float32"
// The dtype both convert to, by PyTorch's lattice (int64 with float16 gives float16).
EMBER_EXPORT DType promote(DType a, DType b);

}  // namespace ember
