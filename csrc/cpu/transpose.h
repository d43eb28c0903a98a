#pragma once

#include <cstring>
#include <utility>

#include "core/macros.h"
#include "cpu/level.h"

// Small squares transposed in registers of 16 bytes, which every level has.
namespace ember::cpu::EMBER_LEVEL {
namespace {

// a0 b0 a1 b1 ... of the lower or upper halves of two registers of 16 bytes.
template <class Row, size_t... I>
EMBER_INLINE Row interleave_lower(Row a, Row b, std::index_sequence<I...>) {
    return __builtin_shufflevector(a, b, (I / 2 + I % 2 * sizeof...(I))...);
}
template <class Row, size_t... I>
EMBER_INLINE Row interleave_upper(Row a, Row b, std::index_sequence<I...>) {
    constexpr size_t n = sizeof...(I);
    return __builtin_shufflevector(a, b, (n / 2 + I / 2 + I % 2 * n)...);
}

// A square of 16 bytes a row: interleaving the rows of its halves log2(rows) times transposes it.
template <class U>
EMBER_INLINE void transpose_block(const char* in, int64_t in_stride, char* out,
                                  int64_t out_stride) {
    constexpr int n = 16 / sizeof(U);
    typedef U Row __attribute__((vector_size(16)));
    Row row[n], next[n];
#pragma GCC unroll 16
    for (int i = 0; i < n; i++) memcpy(&row[i], in + i * in_stride, 16);
#pragma GCC unroll 4
    for (int stage = 1; stage < n; stage *= 2) {
#pragma GCC unroll 8
        for (int i = 0; i < n / 2; i++) {
            constexpr std::make_index_sequence<n> items;
            next[2 * i] = interleave_lower(row[i], row[i + n / 2], items);
            next[2 * i + 1] = interleave_upper(row[i], row[i + n / 2], items);
        }
#pragma GCC unroll 16
        for (int i = 0; i < n; i++) row[i] = next[i];
    }
#pragma GCC unroll 16
    for (int i = 0; i < n; i++) memcpy(out + i * out_stride, &row[i], 16);
}

}  // namespace
}  // namespace ember::cpu::EMBER_LEVEL
