#pragma once

#include <type_traits>

#include "core/dtype.h"
#include "core/error.h"
#include "core/parallel.h"
#include "core/view.h"
#include "cpu/sizes.h"

namespace ember::cpu::EMBER_LEVEL {
namespace {

struct Bytes16 {
    uint64_t words[2];
};

// Calls f with a type of that size; moving items needs no more than their size.
template <class F>
EMBER_INLINE void dispatch_size(int bytes, F&& f) {
    switch (bytes) {
        case 1: return f(TypeTag<uint8_t>{});
        case 2: return f(TypeTag<uint16_t>{});
        case 4: return f(TypeTag<uint32_t>{});
        case 8: return f(TypeTag<uint64_t>{});
        default: return f(TypeTag<Bytes16>{});
    }
}

template <class F>
EMBER_INLINE void dispatch_real(DType dtype, F&& f) {
    dispatch<bool, uint8_t, int8_t, int16_t, int32_t, int64_t, Half, BFloat16, float, double>(dtype,
                                                                                              f);
}

// A complex number, as far as sums go.
template <class T>
struct Parts {
    T re, im;
    friend EMBER_INLINE Parts operator+(Parts a, Parts b) { return {a.re + b.re, a.im + b.im}; }
};

template <class F>
EMBER_INLINE void dispatch_summable(DType dtype, F&& f) {
    if (dtype == DType::Complex64) return f(TypeTag<Parts<float>>{});
    if (dtype == DType::Complex128) return f(TypeTag<Parts<double>>{});
    dispatch_real(dtype, f);
}

// Arithmetic on stored items: halves in float, rounded once; small integers wrap.
template <class T>
using Arithmetic = std::conditional_t<std::is_same_v<T, Half> || std::is_same_v<T, BFloat16>, float,
                                      std::conditional_t<std::is_same_v<T, bool>, int, T>>;

template <class T>
EMBER_INLINE Arithmetic<T> read_item(T x) {
    if constexpr (std::is_same_v<T, Half> || std::is_same_v<T, BFloat16>) {
        return to_float(x);
    } else {
        return x;
    }
}

template <class T>
EMBER_INLINE T add_items(T x, Arithmetic<T> y) {
    if constexpr (std::is_same_v<T, Half>) {
        return to_half(to_float(x) + y);
    } else if constexpr (std::is_same_v<T, BFloat16>) {
        return to_bfloat16(to_float(x) + y);
    } else if constexpr (std::is_same_v<T, bool>) {
        return x | (y != 0);
    } else if constexpr (std::is_integral_v<T>) {
        using U = std::make_unsigned_t<T>;
        return T(U(U(x) + U(y)));
    } else {
        return x + y;
    }
}

template <class T>
EMBER_INLINE Arithmetic<T> scale_item(T x, Arithmetic<T> scale) {
    if constexpr (std::is_integral_v<T>) {
        return Arithmetic<T>(uint64_t(x) * uint64_t(scale));
    } else {
        return read_item(x) * scale;
    }
}

// True where lo <= index < n for all of `count` indices.
EMBER_INLINE bool all_within(const int64_t* index, int64_t count, int64_t lo, int64_t n) {
    uint64_t range = uint64_t(n - lo), outside = 0;
    for (int64_t i = 0; i < count; i++) outside |= uint64_t(index[i]) - uint64_t(lo) >= range;
    return outside == 0;
}

// PyTorch raises IndexError from indexing, index_select and embedding, RuntimeError from gather,
// scatter and index_add.
#define EMBER_RAISE_OUTSIDE(kind, operation, index, dim, n)                                   \
    raise(kind, "%s: index %lld is out of bounds for dimension %d with size %lld", operation, \
          static_cast<long long>(index), dim, static_cast<long long>(n))

// Raises for the first of `count` indices outside [lo, n).
EMBER_INLINE void check_indices(ErrorKind kind, const char* operation, const int64_t* index,
                                int64_t count, int64_t lo, int64_t n, int dim) {
    parallel_for(count, 64 * 1024, [=](int64_t begin, int64_t end) {
        if (all_within(index + begin, end - begin, lo, n)) return;
        for (int64_t i = begin; i < end; i++) {
            if (index[i] < lo || index[i] >= n)
                EMBER_RAISE_OUTSIDE(kind, operation, index[i], dim, n);
        }
    });
}

}  // namespace
}  // namespace ember::cpu::EMBER_LEVEL
