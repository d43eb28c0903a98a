#pragma once

#include "cpu/transpose.h"
#include "cpu/vec.h"

// Moves of items between strided layouts, by item size.
namespace ember::cpu::EMBER_LEVEL {
namespace {

// Two dims; strides count bytes.
struct Move {
    char* out;
    int64_t out_inner, out_outer;
    const char* in;
    int64_t in_inner, in_outer;
    int64_t inner, outer;
    bool stream = false;
};

template <class U>
EMBER_INLINE U read_item(const char* p) {
    U x;
    memcpy(&x, p, sizeof x);
    return x;
}
template <class U>
EMBER_INLINE void write_item(char* p, U x) {
    memcpy(p, &x, sizeof x);
}

// n items, all x; past the caches if told to.
template <class U>
void fill_row(char* out, U x, int64_t n, bool stream) {
    constexpr int64_t size = sizeof(U);
    U items[EMBER_VECTOR_BYTES / size];
    for (U& item : items) item = x;
    const auto pattern = Vec<int64_t>::load(items);
    const int64_t bytes = n * size, head = -reinterpret_cast<intptr_t>(out) & (sizeof items - 1);
    int64_t i = 0;
    if (stream && head % size == 0 && bytes > head) {
        for (; i < head; i += size) write_item(out + i, x);
        for (; i + int64_t(sizeof items) <= bytes; i += sizeof items) pattern.stream(out + i);
    }
    for (; i + int64_t(sizeof items) <= bytes; i += sizeof items) pattern.store(out + i);
    for (; i < bytes; i += size) write_item(out + i, x);
}

template <class U>
void move_row(char* out, int64_t out_stride, const char* in, int64_t in_stride, int64_t n,
              bool stream) {
    constexpr int64_t size = sizeof(U);
    if (out_stride == size && in_stride == size) {
        if (n * size >= 64) {
            memcpy(out, in, size_t(n * size));
            return;
        }
        for (int64_t i = 0; i < n; i++) write_item(out + i * size, read_item<U>(in + i * size));
    } else if (out_stride == size && in_stride == 0) {
        fill_row(out, read_item<U>(in), n, stream);
    } else if (out_stride == size && in_stride == -size) {
        for (int64_t i = 0; i < n; i++) write_item(out + i * size, read_item<U>(in - i * size));
    } else if (out_stride == size) {
        for (int64_t i = 0; i < n; i++)
            write_item(out + i * size, read_item<U>(in + i * in_stride));
    } else {
        for (int64_t i = 0; i < n; i++)
            write_item(out + i * out_stride, read_item<U>(in + i * in_stride));
    }
}

// The input is dense along the outer dim, the output along the inner one. Whole rows of the input
// first, so that its cache lines are read once: rows a power of two apart would evict each other.
template <class U>
void move_transposed(const Move& m) {
    constexpr int64_t size = sizeof(U), side = sizeof(U) == 8 ? 32 : 64, block = 16 / size;
    alignas(64) char in_square[side * side * size], out_square[side * side * size];
    // Streaming needs whole cache lines.
    bool stream = m.stream && ((reinterpret_cast<intptr_t>(m.out) | m.out_outer) & 63) == 0;
    for (int64_t j0 = 0; j0 < m.outer; j0 += side) {
        int64_t rows = m.outer - j0 < side ? m.outer - j0 : side;
        for (int64_t i0 = 0; i0 < m.inner; i0 += side) {
            int64_t columns = m.inner - i0 < side ? m.inner - i0 : side;
            const char* in = m.in + i0 * m.in_inner + j0 * size;
            char* out = m.out + i0 * size + j0 * m.out_outer;
            for (int64_t i = 0; i < columns; i++) {
                if (rows == side)
                    memcpy(in_square + i * side * size, in + i * m.in_inner, side * size);
                else
                    memcpy(in_square + i * side * size, in + i * m.in_inner, size_t(rows * size));
            }
            bool streams = stream && rows == side && columns == side;
            char* to = streams ? out_square : out;
            int64_t stride = streams ? side * size : m.out_outer;
            int64_t whole_rows = rows & -block, whole_columns = columns & -block;
            for (int64_t j = 0; j < whole_rows; j += block) {
                for (int64_t i = 0; i < whole_columns; i += block)
                    transpose_block<U>(in_square + (i * side + j) * size, side * size,
                                       to + j * stride + i * size, stride);
            }
            for (int64_t j = 0; j < rows; j++) {
                int64_t done = j < whole_rows ? whole_columns : 0;
                for (int64_t i = done; i < columns; i++)
                    write_item(to + j * stride + i * size,
                               read_item<U>(in_square + (i * side + j) * size));
            }
            for (int64_t j = 0; streams && j < side; j++)
                stream_copy(out + j * m.out_outer, out_square + j * side * size, side * size);
        }
    }
}

// Rows of n items each, for few of them: a call for each row would cost more than its items.
template <class U, int n>
void move_short_rows(const Move& m) {
    constexpr int64_t size = sizeof(U);
    char* out = m.out;
    const char* in = m.in;
    if (m.out_inner == size && m.in_inner == size) {
        for (int64_t j = 0; j < m.outer; j++, out += m.out_outer, in += m.in_outer)
            memcpy(out, in, size_t(n * size));
        return;
    }
    for (int64_t j = 0; j < m.outer; j++, out += m.out_outer, in += m.in_outer) {
#pragma GCC unroll 8
        for (int i = 0; i < n; i++)
            write_item(out + i * m.out_inner, read_item<U>(in + i * m.in_inner));
    }
}

template <class U>
void move_items(const Move& m) {
    constexpr int64_t size = sizeof(U);
    switch (m.outer > 1 ? m.inner : 0) {
        case 1: return move_short_rows<U, 1>(m);
        case 2: return move_short_rows<U, 2>(m);
        case 3: return move_short_rows<U, 3>(m);
        case 4: return move_short_rows<U, 4>(m);
        case 5: return move_short_rows<U, 5>(m);
        case 6: return move_short_rows<U, 6>(m);
        case 7: return move_short_rows<U, 7>(m);
        default: break;
    }
    if constexpr (size <= 8)
        if (m.in_outer == size && m.out_inner == size && m.in_inner != size && m.in_inner != 0 &&
            m.inner >= 8 && m.outer >= 8)
            return move_transposed<U>(m);
    for (int64_t j = 0; j < m.outer; j++)
        move_row<U>(m.out + j * m.out_outer, m.out_inner, m.in + j * m.in_outer, m.in_inner,
                    m.inner, m.stream);
}

struct Item16 {
    uint64_t low, high;
};

void move(int item, const Move& m) {
    switch (item) {
        case 1: return move_items<uint8_t>(m);
        case 2: return move_items<uint16_t>(m);
        case 4: return move_items<uint32_t>(m);
        case 8: return move_items<uint64_t>(m);
        default: return move_items<Item16>(m);
    }
}

}  // namespace
}  // namespace ember::cpu::EMBER_LEVEL
