#pragma once

#include <cstring>
#include <type_traits>

#include "core/dtype.h"
#include "core/macros.h"
#include "cpu/level.h"
#include "cpu/sizes.h"
#include "cpu/vec.h"

// Planes of images with borders, for convolution and pooling.
namespace ember::cpu::EMBER_LEVEL {
namespace {

EMBER_INLINE int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
EMBER_INLINE int64_t most(int64_t a, int64_t b) { return a > b ? a : b; }

template <class T, class S>
EMBER_INLINE T item_as(S x) {
    if constexpr (std::is_same_v<S, T>)
        return x;
    else if constexpr (std::is_class_v<S>)
        return to_float(x);
    else
        return T(x);
}

// Planes with borders (or cropped, where a border is negative). Columns are split by their
// remainder modulo `phases` and those of one remainder lie side by side, so that a strided row is
// contiguous too.
struct Padding {
    int64_t top = 0, left = 0, rows = 0, columns = 0, phases = 1;
    EMBER_INLINE int64_t phase_columns() const { return ceil_div(columns, phases); }
    EMBER_INLINE int64_t row() const { return phase_columns() * phases; }
    EMBER_INLINE int64_t plane() const { return rows * row(); }
    EMBER_INLINE bool changes(int64_t height, int64_t width) const {
        return top != 0 || left != 0 || rows != height || columns != width || phases != 1;
    }
    // Where column x lies in its row.
    EMBER_INLINE int64_t column(int64_t x) const {
        return x % phases * phase_columns() + x / phases;
    }
};

// Items [begin, end) of a row to even[i / 2] or odd[i / 2].
template <class T>
EMBER_INLINE void split_row(const T* row, int64_t begin, int64_t end, T* even, T* odd) {
    constexpr int kLanes = Vec<T>::size;
    using Index = typename IntOfSize<sizeof(T)>::type;
    Raw<Index> evens, odds;
    for (int i = 0; i < kLanes; i++) evens[i] = Index(2 * i), odds[i] = Index(2 * i + 1);
    if (begin < end && begin % 2 != 0) odd[begin / 2] = row[begin], begin++;
    for (int64_t i = begin; i < end; i += 2 * kLanes) {
        const int64_t count = least(2 * kLanes, end - i);
        Vec<T> low = load_first<T>(row + i, least(kLanes, count)), high{Raw<T>{}};
        if (count > kLanes) high = load_first<T>(row + i + kLanes, count - kLanes);
        store_first(Vec<T>{__builtin_shuffle(low.v, high.v, evens)}, even + i / 2, (count + 1) / 2);
        store_first(Vec<T>{__builtin_shuffle(low.v, high.v, odds)}, odd + i / 2, count / 2);
    }
}

template <class T, class S>
EMBER_NOINLINE void pad_plane(const S* in, int64_t height, int64_t width, const Padding& p, T fill,
                              T* out) {
    const int64_t begin = least(most(p.left, 0), p.columns);
    const int64_t end = most(least(p.left + width, p.columns), begin);
    for (int64_t y = 0; y < p.rows; y++, out += p.row()) {
        const int64_t from = y - p.top;
        const bool inside = from >= 0 && from < height;
        if (!inside) {
            for (int64_t x = 0; x < p.row(); x++) out[x] = fill;
            continue;
        }
        if (p.phases > 1) {
            for (int64_t x = 0; x < begin; x++) out[p.column(x)] = fill;
            for (int64_t x = end; x < p.row(); x++) out[p.column(x)] = fill;
        }
        const S* row = in + from * width - p.left;
        if constexpr (std::is_same_v<S, T> && std::is_floating_point_v<T>) {
            if (p.phases == 2) {
                split_row(row, begin, end, out, out + p.phase_columns());
                continue;
            }
        }
        if (p.phases > 1) {
            for (int64_t phase = 0; phase < p.phases; phase++) {
                T* to = out + phase * p.phase_columns();
                int64_t i = ceil_div(most(begin - phase, 0), p.phases);
                for (; i * p.phases + phase < end; i++)
                    to[i] = item_as<T>(row[i * p.phases + phase]);
            }
            continue;
        }
        for (int64_t x = 0; x < begin; x++) out[x] = fill;
        if constexpr (std::is_same_v<S, T>)
            memcpy(out + begin, row + begin, size_t(end - begin) * sizeof(T));
        else
            for (int64_t x = begin; x < end; x++) out[x] = item_as<T>(row[x]);
        for (int64_t x = end; x < p.columns; x++) out[x] = fill;
    }
}

}  // namespace
}  // namespace ember::cpu::EMBER_LEVEL
