#pragma once

#include <utility>

#include "cpu/padding.h"
#include "cpu/vec.h"

// The register-blocked product that matmul and convolution stand on: a tile of up to kRows rows and
// kVectors registers of columns of C stays in registers while k runs.
namespace ember::cpu::EMBER_LEVEL {
namespace {

// Part i of `total` cut into `parts` pieces whose sizes differ by one at most.
struct Range {
    int64_t begin, end;
};
EMBER_INLINE Range piece(int64_t total, int64_t parts, int64_t i) {
    const int64_t size = total / parts, longer = total % parts;
    const int64_t begin = i * size + (i < longer ? i : longer);
    return {begin, begin + size + (i < longer)};
}

template <class T>
struct TileShape {
    static constexpr bool kFloat = std::is_floating_point_v<T>;
    static constexpr int kLanes = Vec<T>::size;
    static constexpr int kVectors = 2;
    static constexpr int kColumns = kVectors * kLanes;
    // Accumulators, the row of B and one broadcast fill the 32 (AVX-512) or 16 registers.
    static constexpr int kRows = !kFloat                    ? kHasBytes ? 14 : 4
                                 : EMBER_VECTOR_BYTES == 64 ? 14
                                 : kHasFma                  ? 6
                                                            : 4;
    // Items between two k of a packed panel of A, whose rows come in whole registers.
    static constexpr int kPanelRows = (kRows + kLanes - 1) / kLanes * kLanes;
};

// Where a tile goes and what is done to it there: c = act(alpha * tile + beta * c + bias).
template <class T>
struct Epilogue {
    T alpha = T(1), beta = T(0);
    const T* column_bias = nullptr;  // by column of the tile
    const T* row_bias = nullptr;     // by row of the tile
    bool relu = false;
};

// k counts items of the packed operands.
template <class T>
struct TileCall {
    int64_t k;
    const T* a;  // (rows, k)
    int64_t a_row, a_col;
    const T* b;  // (k, columns), column stride 1
    int64_t b_row;
    T* c;
    int64_t c_row;
    int64_t tail;                      // columns in the last register, 1 to kLanes
    T lift[TileShape<T>::kPanelRows];  // what lifted signs of B add to a row; for items of int8
    Epilogue<T> epilogue;
};

template <class T>
EMBER_INLINE Vec<T> rectify(Vec<T> x) {
    if constexpr (TileShape<T>::kFloat) {
        return max(Vec<T>{Raw<T>{}}, x);  // the second operand where one is NaN
    } else {
        using I = typename Vec<T>::Int;
        return bit_cast<T>(max(bit_cast<typename I::Scalar>(x), I{decltype(I::v){}}));
    }
}

// Packed: A is a panel (a_row 1, a_col kPanelRows) and B's rows come in whole registers. PerItem is
// how many k an item holds: 1, or 2 where items are pairs of bfloat16 in the bits of a float, or 4
// of int8, where signs of B are lifted.
template <class T, int Rows, int Vectors, bool Packed, int PerItem = 1>
void tile(const TileCall<T>& call) {
    using V = Vec<T>;
    constexpr int kLanes = V::size;
    constexpr int kGroup = 3;  // rows that share a pointer, so that addresses fit the registers
    constexpr int kGroups = (Rows + kGroup - 1) / kGroup;
    const int64_t tail = call.tail;
    const T* b = call.b;
    V acc[Rows][Vectors];
#pragma GCC unroll 14
    for (int i = 0; i < Rows; i++)
#pragma GCC unroll 2
        for (int j = 0; j < Vectors; j++) acc[i][j] = V{Raw<T>{}};

    auto load_b = [&](int j) __attribute__((always_inline)) {
        if (Packed || j + 1 < Vectors) return V::load(b + j * kLanes);
#if !defined(__AVX2__)
        if (tail == kLanes) return V::load(b + j * kLanes);
#endif
        return load_first<T>(b + j * kLanes, tail);
    };
    auto add = [&](int i, T item, const V* row) __attribute__((always_inline)) {
        const V x(item);
#pragma GCC unroll 2
        for (int j = 0; j < Vectors; j++) {
            if constexpr (PerItem == 2)
                acc[i][j] = dot_pairs(x, row[j], acc[i][j]);
            else if constexpr (PerItem == 4)
                acc[i][j] = dot_fours(row[j], x, acc[i][j]);
            else
                acc[i][j] += x * row[j];
        }
    };
    if constexpr (Packed) {
        constexpr int kStep = TileShape<T>::kPanelRows;
        const T* a = call.a;
        const int64_t b_row = call.b_row;
        for (int64_t p = call.k; p > 0; p--) {
            V row[Vectors];
#pragma GCC unroll 2
            for (int j = 0; j < Vectors; j++) row[j] = load_b(j);
#pragma GCC unroll 14
            for (int i = 0; i < Rows; i++) {
                add(i, a[i], row);
            }
            a += kStep;
            b += b_row;
        }
        if constexpr (PerItem == 4) {
#pragma GCC unroll 14
            for (int i = 0; i < Rows; i++)
#pragma GCC unroll 2
                for (int j = 0; j < Vectors; j++) acc[i][j] = acc[i][j] - V(call.lift[i]);
        }
    } else {
        const int64_t a_row = call.a_row, a_col = call.a_col, b_row = call.b_row;
        const T* a[kGroups];
#pragma GCC unroll 5
        for (int g = 0; g < kGroups; g++) a[g] = call.a + g * kGroup * a_row;
        for (int64_t p = call.k; p > 0; p--) {
            V row[Vectors];
#pragma GCC unroll 2
            for (int j = 0; j < Vectors; j++) row[j] = load_b(j);
#pragma GCC unroll 14
            for (int i = 0; i < Rows; i++) {
                add(i, a[i / kGroup][i % kGroup * a_row], row);
            }
#pragma GCC unroll 5
            for (int g = 0; g < kGroups; g++) a[g] += a_col;
            b += b_row;
        }
    }

    const Epilogue<T>& e = call.epilogue;
    T* c = call.c;
    const int64_t c_row = call.c_row;
    if (e.alpha != T(1)) {
        V alpha(e.alpha);
#pragma GCC unroll 14
        for (int i = 0; i < Rows; i++)
#pragma GCC unroll 2
            for (int j = 0; j < Vectors; j++) acc[i][j] *= alpha;
    }
    if (e.beta != T(0)) {
        V beta(e.beta);
#pragma GCC unroll 14
        for (int i = 0; i < Rows; i++)
#pragma GCC unroll 2
            for (int j = 0; j < Vectors; j++) {
                const T* at = c + i * c_row + j * kLanes;
                acc[i][j] += beta * (j + 1 < Vectors ? V::load(at) : load_first<T>(at, tail));
            }
    }
    if (e.column_bias) {
#pragma GCC unroll 2
        for (int j = 0; j < Vectors; j++) {
            const T* at = e.column_bias + j * kLanes;
            V bias = j + 1 < Vectors ? V::load(at) : load_first<T>(at, tail);
#pragma GCC unroll 14
            for (int i = 0; i < Rows; i++) acc[i][j] += bias;
        }
    }
    if (e.row_bias) {
#pragma GCC unroll 14
        for (int i = 0; i < Rows; i++) {
            V bias(e.row_bias[i]);
#pragma GCC unroll 2
            for (int j = 0; j < Vectors; j++) acc[i][j] += bias;
        }
    }
    if (e.relu) {
#pragma GCC unroll 14
        for (int i = 0; i < Rows; i++)
#pragma GCC unroll 2
            for (int j = 0; j < Vectors; j++) acc[i][j] = rectify(acc[i][j]);
    }
    if (tail == kLanes) {
#pragma GCC unroll 14
        for (int i = 0; i < Rows; i++)
#pragma GCC unroll 2
            for (int j = 0; j < Vectors; j++) acc[i][j].store(c + i * c_row + j * kLanes);
    } else {
#pragma GCC unroll 14
        for (int i = 0; i < Rows; i++)
#pragma GCC unroll 2
            for (int j = 0; j < Vectors; j++) {
                T* at = c + i * c_row + j * kLanes;
                if (j + 1 < Vectors)
                    acc[i][j].store(at);
                else
                    store_first(acc[i][j], at, tail);
            }
    }
}

template <class T>
using TileFn = void (*)(const TileCall<T>&);

// table[rows - 1][vectors - 1]
template <class T, bool Packed, int PerItem = 1,
          class = std::make_integer_sequence<int, TileShape<T>::kRows>>
struct Tiles;
template <class T, bool Packed, int PerItem, int... I>
struct Tiles<T, Packed, PerItem, std::integer_sequence<int, I...>> {
    static constexpr TileFn<T> table[][2] = {
        {tile<T, I + 1, 1, Packed, PerItem>, tile<T, I + 1, 2, Packed, PerItem>}...};
};

}  // namespace
}  // namespace ember::cpu::EMBER_LEVEL
