#pragma once

#include "cpu/gemm_kernel.h"

// Packing: dst[p * width + lane] = src[lane * lane_stride + p * k_stride], as T, zeros in the lanes
// from `lanes` to `width`. Panels of A have rows as lanes, strips of B columns. With two k an item,
// an item is a pair of bfloat16 in the bits of a float, the earlier k below; after an odd last k
// stands a zero.
namespace ember::cpu::EMBER_LEVEL {
namespace {

// The first n items at p as a register of T; n <= kLanes.
template <class T, class S>
EMBER_INLINE Vec<T> load_lanes(const S* p, int64_t n) {
    if constexpr (std::is_same_v<S, T>) {
        return n == Vec<T>::size ? Vec<T>::load(p) : load_first<T>(p, n);
    } else if constexpr (std::is_floating_point_v<T>) {
        return n == Vec<T>::size ? load_as<Vec<T>>(p) : load_first_as<Vec<T>>(p, n);
    } else {
        Vec<T> r{Raw<T>{}};
        for (int64_t i = 0; i < n; i++) r.v[i] = T(p[i]);
        return r;
    }
}
template <class T, class S>
EMBER_INLINE void store_lanes(S* p, Vec<T> x, int64_t n) {
    if constexpr (std::is_same_v<S, T>) {
        store_first(x, p, n);
    } else if constexpr (std::is_floating_point_v<T>) {
        if (n == Vec<T>::size) return store_as(p, x);
        store_first_as(p, x, n);
    } else {
        for (int64_t i = 0; i < n; i++) p[i] = S(x.v[i]);
    }
}

// Transposes a square of registers in place: log2(kLanes) rounds, the one of distance d swaps
// blocks of d lanes between the registers i and i + d.
template <class T, int Distance>
EMBER_INLINE void transpose_rounds(Vec<T>* rows) {
    constexpr int kLanes = Vec<T>::size;
    if constexpr (Distance > 0) {
        using Index = typename IntOfSize<sizeof(T)>::type;
        Raw<Index> low, high;
#pragma GCC unroll 16
        for (int i = 0; i < kLanes; i++) {
            low[i] = i & Distance ? Index(i - Distance + kLanes) : Index(i);
            high[i] = i & Distance ? Index(i + kLanes) : Index(i + Distance);
        }
#pragma GCC unroll 16
        for (int i = 0; i < kLanes; i++) {
            if (i & Distance) continue;
            Raw<T> x = rows[i].v, y = rows[i + Distance].v;
            rows[i].v = __builtin_shuffle(x, y, low);
            rows[i + Distance].v = __builtin_shuffle(x, y, high);
        }
        transpose_rounds<T, Distance / 2>(rows);
    }
}

// The items of the first n contiguous k at p, n <= kLanes * PerItem.
template <class T, int PerItem, class S>
EMBER_INLINE Vec<T> load_items(const S* p, int64_t n) {
    if constexpr (PerItem == 1) {
        return load_lanes<T>(p, n);
    } else {
        constexpr int kCount = Vec<T>::size * PerItem;
        static_assert(sizeof(S[PerItem]) == sizeof(T));
        if (n == kCount) return Vec<T>::load(reinterpret_cast<const T*>(p));
        alignas(64) S padded[kCount] = {};
        memcpy(padded, p, size_t(n) * sizeof(S));
        return Vec<T>::load(reinterpret_cast<const T*>(padded));
    }
}

// Lanes that are rows of contiguous k.
template <int PerItem = 1, class T, class S>
EMBER_NOINLINE void pack_transposed(const S* src, int64_t lane_stride, int64_t lanes, int64_t depth,
                                    T* dst, int64_t width) {
    constexpr int kLanes = Vec<T>::size;
    const int64_t k = ceil_div(depth, PerItem);
    for (int64_t first = 0; first < width; first += kLanes) {
        const int64_t here = lanes - first < kLanes ? lanes - first : kLanes;
        const S* rows = src + first * lane_stride;
        for (int64_t p = 0; p < k; p += kLanes) {
            const int64_t n = k - p < kLanes ? k - p : kLanes;
            const S* from = rows + p * PerItem;
            const int64_t count = least(kLanes * PerItem, depth - p * PerItem);
            Vec<T> block[kLanes];
            if (here == kLanes && count == kLanes * PerItem) {
#pragma GCC unroll 16
                for (int i = 0; i < kLanes; i++)
                    block[i] = load_items<T, PerItem>(from + i * lane_stride, kLanes * PerItem);
            } else {
#pragma GCC unroll 16
                for (int i = 0; i < kLanes; i++) {
                    block[i] = Vec<T>{Raw<T>{}};
                    if (i < here) block[i] = load_items<T, PerItem>(from + i * lane_stride, count);
                }
            }
            transpose_rounds<T, kLanes / 2>(block);
            T* out = dst + p * width + first;
            if (n == kLanes) {
#pragma GCC unroll 16
                for (int i = 0; i < kLanes; i++) block[i].store(out + i * width);
            } else {
#pragma GCC unroll 16
                for (int i = 0; i < kLanes; i++)
                    if (i < n) block[i].store(out + i * width);
            }
        }
    }
}

// Lanes that are contiguous.
template <class T, class S>
EMBER_NOINLINE void pack_contiguous(const S* src, int64_t k_stride, int64_t lanes, int64_t k,
                                    T* dst, int64_t width) {
    constexpr int kLanes = Vec<T>::size;
    if (lanes == width && width == 2 * kLanes) {
        for (int64_t p = 0; p < k; p++, src += k_stride, dst += width) {
            load_lanes<T>(src, kLanes).store(dst);
            load_lanes<T>(src + kLanes, kLanes).store(dst + kLanes);
        }
        return;
    }
    for (int64_t first = 0; first < width; first += kLanes) {
        const int64_t n = lanes - first < kLanes ? (lanes < first ? 0 : lanes - first) : kLanes;
        for (int64_t p = 0; p < k; p++)
            load_lanes<T>(src + p * k_stride + first, n).store(dst + p * width + first);
    }
}

// Contiguous lanes, pairs of rows.
template <class S>
EMBER_NOINLINE void pack_pairs(const S* src, int64_t k_stride, int64_t lanes, int64_t k, float* dst,
                               int64_t width) {
    constexpr int kLanes = VecF::size;
    using I = Vec<uint32_t>;
    for (int64_t p = 0; p < k; p += 2, src += 2 * k_stride, dst += width) {
        for (int64_t first = 0; first < width; first += kLanes) {
            const int64_t n = most(0, least(kLanes, lanes - first));
            I low = bit_cast<uint32_t>(load_lanes<float>(src + first, n)) >> 16, high = 0;
            if (p + 1 < k) high = bit_cast<uint32_t>(load_lanes<float>(src + k_stride + first, n));
            bit_cast<float>(low | high).store(dst + first);
        }
    }
}

template <int PerItem = 1, class T, class S>
EMBER_INLINE void pack(const S* src, int64_t lane_stride, int64_t k_stride, int64_t lanes,
                       int64_t k, T* dst, int64_t width) {
    if (lane_stride == 1) {
        if constexpr (PerItem == 2)
            return pack_pairs(src, k_stride, lanes, k, dst, width);
        else
            return pack_contiguous(src, k_stride, lanes, k, dst, width);
    }
    if constexpr (std::is_floating_point_v<T>) {
        if (k_stride == 1) return pack_transposed<PerItem>(src, lane_stride, lanes, k, dst, width);
    }
    using Item = std::conditional_t<PerItem == 1, T, S>;
    Item* items = reinterpret_cast<Item*>(dst);
    for (int64_t p = 0; p < ceil_div(k, PerItem) * PerItem; p++)
        for (int64_t l = 0; l < width; l++)
            items[(p / PerItem * width + l) * PerItem + p % PerItem] =
                l < lanes && p < k ? item_as<Item>(src[l * lane_stride + p * k_stride]) : Item{};
}

}  // namespace
}  // namespace ember::cpu::EMBER_LEVEL
