#pragma once

#include "cpu/pointwise_shared.h"
#include "cpu/vec.h"

// Dense conversions between all real dtypes.
namespace ember::cpu::EMBER_LEVEL {
namespace {

struct BoolItem {
    uint8_t byte;
};

// As PyTorch converts: floats truncate, through int32 to the smaller integers, and those that do
// not fit (NaN too) give the lowest number, as x86's instruction does; to bool is "not zero".
template <class D, class S>
EMBER_INLINE D convert_item(S x) {
    if constexpr (std::is_same_v<D, BoolItem>) {
        return {uint8_t(x != 0)};
    } else if constexpr (std::is_floating_point_v<S> && std::is_integral_v<D>) {
        using I = std::conditional_t<sizeof(D) == 8, int64_t, int32_t>;
        constexpr S limit = sizeof(D) == 8 ? S(0x1p63) : S(0x1p31);
        constexpr I lowest = sizeof(D) == 8 ? I(INT64_MIN) : I(INT32_MIN);
        return D(x >= -limit && x < limit ? I(x) : lowest);
    } else {
        return D(x);
    }
}

template <class D, class S>
void convert_items(void* out, const void* in, int64_t n) {
    D* d = static_cast<D*>(out);
    const S* s = static_cast<const S*>(in);
#pragma GCC ivdep
    for (int64_t i = 0; i < n; i++) d[i] = convert_item<D>(s[i]);
}

template <class S>
constexpr ConvertItems kConvertFrom[] = {
    convert_items<BoolItem, S>,
    convert_items<uint8_t, S>,
    convert_items<int8_t, S>,
    convert_items<int16_t, S>,
    convert_items<int32_t, S>,
    convert_items<int64_t, S>,
    nullptr,
    nullptr,
    convert_items<float, S>,
    convert_items<double, S>,
};

// The conversion in one step, or null: other dtypes to and from halves go through float.
EMBER_INLINE ConvertItems direct_convert(DType from, DType to) {
    const HalfConversions &halves = pointwise_shared.halves, &bfloats = pointwise_shared.bfloats;
    switch (from) {
        case DType::Bool:
        case DType::UInt8: return kConvertFrom<uint8_t>[int(to)];
        case DType::Int8: return kConvertFrom<int8_t>[int(to)];
        case DType::Int16: return kConvertFrom<int16_t>[int(to)];
        case DType::Int32: return kConvertFrom<int32_t>[int(to)];
        case DType::Int64: return kConvertFrom<int64_t>[int(to)];
        case DType::Float64: return kConvertFrom<double>[int(to)];
        case DType::Float32:
            if (to == DType::Float16) return halves.from_float;
            if (to == DType::BFloat16) return bfloats.from_float;
            return kConvertFrom<float>[int(to)];
        case DType::Float16: return to == DType::Float32 ? halves.to_float : nullptr;
        case DType::BFloat16: return to == DType::Float32 ? bfloats.to_float : nullptr;
        default: return nullptr;
    }
}

void convert(DType from, DType to, void* out, const void* in, int64_t n);

// What is real gets an imaginary part of zero; what becomes real loses it.
template <class T>
void convert_from_complex(DType to, void* out, const void* in, int64_t n) {
    const T* parts = static_cast<const T*>(in);
    if (to == DType::Bool) {
        uint8_t* truth = static_cast<uint8_t*>(out);
        for (int64_t i = 0; i < n; i++) truth[i] = parts[2 * i] != 0 || parts[2 * i + 1] != 0;
        return;
    }
    constexpr int64_t block = 512;
    T real[block];
    for (int64_t i = 0; i < n; i += block) {
        int64_t count = n - i < block ? n - i : block;
        for (int64_t k = 0; k < count; k++) real[k] = parts[2 * (i + k)];
        convert(DTypeOf<T>::value, to, static_cast<char*>(out) + i * item_size(to), real, count);
    }
}

template <class T>
void convert_to_complex(DType from, void* out, const void* in, int64_t n) {
    T* parts = static_cast<T*>(out);
    constexpr int64_t block = 512;
    T real[block];
    for (int64_t i = 0; i < n; i += block) {
        int64_t count = n - i < block ? n - i : block;
        convert(from, DTypeOf<T>::value, real, static_cast<const char*>(in) + i * item_size(from),
                count);
        for (int64_t k = 0; k < count; k++) {
            parts[2 * (i + k)] = real[k];
            parts[2 * (i + k) + 1] = 0;
        }
    }
}

void convert_complex(DType from, DType to, void* out, const void* in, int64_t n) {
    if (is_complex(from) && is_complex(to))
        return convert(real_of(from), real_of(to), out, in, 2 * n);
    if (from == DType::Complex64) return convert_from_complex<float>(to, out, in, n);
    if (from == DType::Complex128) return convert_from_complex<double>(to, out, in, n);
    if (to == DType::Complex64) return convert_to_complex<float>(from, out, in, n);
    convert_to_complex<double>(from, out, in, n);
}

// n dense items; out and in do not overlap.
void convert(DType from, DType to, void* out, const void* in, int64_t n) {
    if (from == to) {
        memcpy(out, in, size_t(n * item_size(to)));
        return;
    }
    if (EMBER_UNLIKELY(is_complex(from) || is_complex(to)))
        return convert_complex(from, to, out, in, n);
    if (ConvertItems direct = direct_convert(from, to)) return direct(out, in, n);
    float floats[512];
    constexpr int64_t block = 512;
    for (int64_t i = 0; i < n; i += block) {
        int64_t count = n - i < block ? n - i : block;
        convert(from, DType::Float32, floats, static_cast<const char*>(in) + i * item_size(from),
                count);
        convert(DType::Float32, to, static_cast<char*>(out) + i * item_size(to), floats, count);
    }
}

}  // namespace
}  // namespace ember::cpu::EMBER_LEVEL
