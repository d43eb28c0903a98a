#pragma once

#include "cpu/gemm_kernel.h"

// Packing: dst[p * width + lane] = src[lane * lane_stride + p * k_stride], as T, zeros in the lanes
// from `lanes` to `width`. Panels of A have rows as lanes, strips of B columns. With two k an item,
// an item is a pair of bfloat16 in the bits of a float, the earlier k below; with four, a uint32_t
// of four int8. After the last k stand zeros.
namespace ember::cpu::EMBER_LEVEL {
namespace {

// An item that stands for what is left of it when its bfloat16 is taken away.
template <class S>
struct Remainder {
    S whole;
};
template <class S>
EMBER_INLINE float to_float(Remainder<S> x) {
    const float whole = item_as<float>(x.whole);
    return whole - to_float(to_bfloat16(whole));
}
template <class S>
constexpr bool kIsRemainder = false;
template <class S>
constexpr bool kIsRemainder<Remainder<S>> = true;

// Whether packing items of S in pairs rounds them to bfloat16.
template <class S, int PerItem>
constexpr bool kRounds = PerItem == 2 && !std::is_same_v<S, BFloat16>;

// The first n items at p as a register of T; n <= kLanes.
template <class T, class S>
EMBER_INLINE Vec<T> load_lanes(const S* p, int64_t n) {
    if constexpr (std::is_same_v<S, T>) {
        return n == Vec<T>::size ? Vec<T>::load(p) : load_first<T>(p, n);
    } else if constexpr (kIsRemainder<S>) {
        Vec<T> x = load_lanes<T>(&p->whole, n);
        return x - to_float(to_halves(x, BFloat16{}), BFloat16{});
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

// The same of sums; those of pairs round as pairs are multiplied, subnormal numbers to zeros.
template <int PerItem, class T, class S>
EMBER_INLINE void store_sums(S* p, Vec<T> x, int64_t n) {
    if constexpr (PerItem == 2 && std::is_same_v<S, BFloat16>)
        store_first_halves(p, round_halves(x), n);
    else
        store_lanes(p, x, n);
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
    } else if constexpr (kRounds<S, PerItem>) {
        constexpr int64_t kLanes = Vec<T>::size;
        return to_pairs(load_lanes<T>(p, least(n, kLanes)),
                        load_lanes<T>(p + least(n, kLanes), most(0, n - kLanes)));
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

// An item of each of n contiguous lanes, of `k` that are left.
template <int PerItem, class T, class S>
EMBER_INLINE Vec<T> load_contiguous(const S* src, int64_t k_stride, int64_t k, int64_t n) {
    if constexpr (PerItem == 1) {
        return load_lanes<T>(src, n);
    } else if constexpr (PerItem == 4) {
        auto row = [&](int q) __attribute__((always_inline)) {
            return load_bytes(src + q * k_stride, k > q ? n : 0) << 8 * q;
        };
        return row(0) | row(1) | row(2) | row(3);
    } else if constexpr (kRounds<S, PerItem>) {
        return interleave_halves(
            to_pairs(load_lanes<T>(src, n), load_lanes<T>(src + k_stride, k > 1 ? n : 0)));
    } else {
        const RawHalves above = load_first_halves(src + k_stride, k > 1 ? n : 0);
        return pair_halves(load_first_halves(src, n), above);
    }
}

// Lanes that are contiguous.
template <int PerItem = 1, class T, class S>
EMBER_NOINLINE void pack_contiguous(const S* src, int64_t k_stride, int64_t lanes, int64_t k,
                                    T* dst, int64_t width) {
    constexpr int kLanes = Vec<T>::size;
    auto item = [&](int64_t first, int64_t n) __attribute__((always_inline)) {
        load_contiguous<PerItem, T>(src + first, k_stride, k, n).store(dst + first);
    };
    const bool whole = lanes == width && width == 2 * kLanes;
    for (; k > 0; k -= PerItem, src += PerItem * k_stride, dst += width) {
        if (whole) {
            item(0, kLanes);
            item(kLanes, kLanes);
        } else {
            for (int64_t first = 0; first < width; first += kLanes)
                item(first, most(0, least(kLanes, lanes - first)));
        }
    }
}

// Panels of A whose rows are contiguous, in one pass over memory: panel q of kPanelRows from row
// begins[q] on, of `rows`. What a panel holds behind its own rows is not read.
template <int PerItem = 1, class T, class S>
EMBER_NOINLINE void pack_panels(const S* src, int64_t k_stride, const int64_t* begins,
                                int64_t panels, int64_t rows, int64_t k, T* dst,
                                int64_t panel_items) {
    constexpr int kLanes = Vec<T>::size, kWidth = TileShape<T>::kPanelRows;
    for (; k > 0; k -= PerItem, src += PerItem * k_stride, dst += kWidth)
        for (int64_t q = 0; q < panels; q++)
            for (int64_t l = 0; l < kWidth; l += kLanes) {
                const int64_t first = begins[q] + l, n = most(0, least(kLanes, rows - first));
                load_contiguous<PerItem, T>(src + first, k_stride, k, n)
                    .store(dst + q * panel_items + l);
            }
}

template <int PerItem = 1, class T, class S>
EMBER_INLINE void pack(const S* src, int64_t lane_stride, int64_t k_stride, int64_t lanes,
                       int64_t k, T* dst, int64_t width) {
    if (lane_stride == 1) return pack_contiguous<PerItem>(src, k_stride, lanes, k, dst, width);
    if constexpr (std::is_floating_point_v<T> || PerItem > 1) {
        if (k_stride == 1) return pack_transposed<PerItem>(src, lane_stride, lanes, k, dst, width);
    }
    constexpr bool rounds = kRounds<S, PerItem>;
    using Item = std::conditional_t<PerItem == 1, T, std::conditional_t<rounds, BFloat16, S>>;
    Item* items = reinterpret_cast<Item*>(dst);
    for (int64_t p = 0; p < ceil_div(k, PerItem) * PerItem; p++)
        for (int64_t l = 0; l < width; l++) {
            Item item{};
            if (l < lanes && p < k) {
                const S x = src[l * lane_stride + p * k_stride];
                if constexpr (rounds)
                    item = to_bfloat16(item_as<float>(x));
                else
                    item = item_as<Item>(x);
            }
            items[(p / PerItem * width + l) * PerItem + p % PerItem] = item;
        }
}

// Adds 128 to each of the int8 in n items, whole registers of them, which makes them uint8.
EMBER_INLINE void lift_signs(uint32_t* items, int64_t n) {
    using I = Vec<uint32_t>;
    for (int64_t i = 0; i < n; i += I::size) (I::load(items + i) ^ I(0x80808080)).store(items + i);
}

// What lifting the signs of B adds to each row of C: 128 times the sum of the row of A, of which
// `panel` holds k items.
template <class T>
EMBER_INLINE void sum_lifts(const T* panel, int64_t k, T* lift) {
    constexpr int64_t kRows = TileShape<T>::kPanelRows;
    for (int64_t i = 0; i < kRows; i += Vec<T>::size) {
        auto sum = Vec<T>{Raw<T>{}};
        for (int64_t p = 0; p < k; p++)
            sum = dot_fours(Vec<T>(0x80808080), Vec<T>::load(panel + p * kRows + i), sum);
        sum.store(lift + i);
    }
}

}  // namespace
}  // namespace ember::cpu::EMBER_LEVEL
