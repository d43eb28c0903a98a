#pragma once

#include "cpu/gemm_pack.h"
#include "cpu/rows.h"
#include "kernels/attention.h"
#include "kernels/formulas/math.h"

// Scores are made in blocks of some keys by some queries, transposed: a register holds one key's
// scores with several queries, so that maxima, sums and factors of queries are registers too, keys
// and values are the operand that products read where it lies, and only the queries are packed. The
// softmax of a query goes on from block to block (Milakov and Gimelshein, 2018; Dao et al., 2022).
namespace ember::cpu::EMBER_LEVEL {
namespace {

using kernels::Attention;
using kernels::AttentionBackward;
using Matrices = Attention::Matrices;

constexpr int64_t kKeys = 128;             // of a block
constexpr int64_t kQueries = 64;           // of a block
constexpr int64_t kCausalQueries = 32;     // of a block whose keys end with its last query
constexpr size_t kLocalBytes = 256 << 10;  // of a task's memory that may be on its stack
constexpr int64_t kMostPieces = 64;        // of the work, where they need more
constexpr int64_t kTaskWork = 400'000;     // multiplications that deserve a task
constexpr int64_t kHeads = 8;              // fewer are cut into several tasks each

template <class T>
constexpr T kInfinity = std::numeric_limits<T>::infinity();

// c (m, n) = alpha a @ b + beta c; k, a_row and a_col count items of a, see gemm_pack.h.
template <int PerItem = 1, class T>
EMBER_NOINLINE void multiply(int64_t m, int64_t n, int64_t k, const T* a, int64_t a_row,
                             int64_t a_col, const T* b, int64_t b_row, T* c, int64_t c_row, T alpha,
                             T beta) {
    using Shape = TileShape<T>;
    TileCall<T> call;
    call.k = k;
    call.a_row = a_row;
    call.a_col = a_col;
    call.b_row = b_row;
    call.c_row = c_row;
    call.epilogue.alpha = alpha;
    call.epilogue.beta = beta;
    const int64_t panels = ceil_div(m, Shape::kRows);
    for (int64_t q = 0; q < panels; q++) {
        const Range rows = piece(m, panels, q);
        const TileFn<T>* tiles = Tiles<T, false, PerItem>::table[rows.end - rows.begin - 1];
        call.a = a + rows.begin * a_row;
        for (int64_t j = 0; j < n; j += Shape::kColumns) {
            const int64_t width = least(n - j, Shape::kColumns);
            const bool one = width <= Shape::kLanes;
            call.tail = one ? width : width - Shape::kLanes;
            call.b = b + j;
            call.c = c + rows.begin * c_row + j;
            tiles[!one](call);
        }
    }
}

// A matrix of T as products read it.
template <class T>
struct Rows {
    const T* data;
    int64_t stride;
};

// Where a head of a batch has its row `row`.
template <class S>
EMBER_INLINE S* at(const Matrices& x, int64_t b, int64_t h, int64_t row) {
    return static_cast<S*>(x.data) + b * x.batch + h * x.head + row * x.row;
}

// (rows, width) with columns side by side: where it lies, or copied to `spare`. Rows far apart cost
// too many address translations, and share too few cache sets.
template <class T, class S>
EMBER_NOINLINE Rows<T> rows_of(const S* from, int64_t row, int64_t col, int64_t rows, int64_t width,
                               T* spare) {
    if constexpr (std::is_same_v<S, T>) {
        if (col == 1 && row < 1024) return {from, row};
    }
    for (int64_t i = 0; i < rows; i++, from += row) {
        T* to = spare + i * width;
        if (col == 1) {
            sweep<Vec<T>>(0, width, [&](auto part) __attribute__((always_inline)) {
                part.store(to, part.load(from));
            });
        } else {
            for (int64_t j = 0; j < width; j++) to[j] = item_as<T>(from[j * col]);
        }
    }
    return {spare, width};
}

// to[i * to_row + r] = factor[i] * from[r * from_row + i] for n columns of (rows, n)
template <class T, class S>
EMBER_NOINLINE void store_transposed(const T* from, int64_t from_row, int64_t rows, int64_t n,
                                     const T* factor, S* to, int64_t to_row) {
    constexpr int64_t kLanes = Vec<T>::size;
    for (int64_t i0 = 0; i0 < n; i0 += kLanes) {
        const Vec<T> scale = Vec<T>::load(factor + i0);
        for (int64_t r = 0; r < rows; r += kLanes) {
            const int64_t here = least(kLanes, rows - r);
            Vec<T> block[kLanes];
#pragma GCC unroll 16
            for (int64_t i = 0; i < kLanes; i++) {
                block[i] = Vec<T>{Raw<T>{}};
                if (i < here) block[i] = Vec<T>::load(from + (r + i) * from_row + i0) * scale;
            }
            transpose_rounds<T, kLanes / 2>(block);
#pragma GCC unroll 16
            for (int64_t i = 0; i < kLanes; i++)
                if (i < n - i0) store_lanes(to + (i0 + i) * to_row + r, block[i], here);
        }
    }
}

// Some queries of one head, and where their blocks of scores are in memory.
template <class T>
struct Queries {
    int64_t b, h, first, count;
    int64_t columns;  // whole registers: the row stride of all blocks
};

EMBER_INLINE int64_t block_queries(const Attention& x) {
    return x.causal ? kCausalQueries : kQueries;
}

template <class T>
EMBER_INLINE Queries<T> queries_from(const Attention& x, int64_t b, int64_t h, int64_t first) {
    constexpr int64_t kLanes = Vec<T>::size;
    const int64_t count = least(block_queries(x), x.queries - first);
    return {b, h, first, count, ceil_div(count, kLanes) * kLanes};
}

// How many keys the last of the queries sees.
template <class T>
EMBER_INLINE int64_t keys_seen(const Attention& x, const Queries<T>& q) {
    return x.causal ? least(x.keys, q.first + q.count) : x.keys;
}

// Adds the mask to the scores (keys, queries), and hides the keys that come later than a query.
template <class T>
EMBER_NOINLINE void apply_mask(const Attention& x, const Queries<T>& q, int64_t k0, int64_t keys,
                               T* scores, T* spare) {
    using V = Vec<T>;
    constexpr int64_t kLanes = V::size;
    if (x.mask.data) {
        const T* mask = at<const T>(x.mask, q.b, q.h, q.first) + k0 * x.mask.col;
        const bool shared = x.mask.row == 0;
        if (!shared) pack(mask, x.mask.row, x.mask.col, q.count, keys, spare, q.columns);
        for (int64_t j = 0; j < keys; j++)
            for (int64_t i = 0; i < q.columns; i += kLanes) {
                T* to = scores + j * q.columns + i;
                V more = shared ? V(mask[j * x.mask.col]) : V::load(spare + j * q.columns + i);
                (V::load(to) + more).store(to);
            }
    }
    if (!x.causal || k0 + keys <= q.first + 1) return;
    for (int64_t j = most(0, q.first + 1 - k0); j < keys; j++)
        for (int64_t i = 0, late = k0 + j - q.first; i < late && i < q.columns; i += kLanes) {
            T* to = scores + j * q.columns + i;
            const Mask<sizeof(T)> hidden = lanes_below<T>(least(kLanes, late - i));
            select(hidden, V(-kInfinity<T>), V::load(to)).store(to);
        }
}

// The running maxima and sums of a block's queries, and their results (value width, queries).
template <class T>
struct Running {
    alignas(64) T largest[kQueries], total[kQueries];
    T* sums;
};

// Scores (keys, queries) become exponentials; what is there from the blocks before is scaled.
template <class T, int Vectors>
EMBER_INLINE void exponentials(T* scores, int64_t keys, int64_t columns, int64_t i, bool first,
                               int64_t value_width, Running<T>& to) {
    using V = Vec<T>;
    constexpr int64_t kLanes = V::size;
    V before[Vectors], top[Vectors], base[Vectors], total[Vectors];
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; v++) {
        before[v] = first ? V(-kInfinity<T>) : V::load(to.largest + i + v * kLanes);
        top[v] = before[v];
        total[v] = V{Raw<T>{}};
    }
    for (int64_t j = 0; j < keys; j++) {
#pragma GCC unroll 4
        for (int v = 0; v < Vectors; v++)
            top[v] = max(V::load(scores + j * columns + i + v * kLanes), top[v]);
    }
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; v++)  // a query that has seen no key yet
        base[v] = select(top[v] == V(-kInfinity<T>), V(T(0)), top[v]);
    for (int64_t j = 0; j < keys; j++) {
#pragma GCC unroll 4
        for (int v = 0; v < Vectors; v++) {
            T* at = scores + j * columns + i + v * kLanes;
            V e = formulas::exp(V::load(at) - base[v]);
            e.store(at);
            total[v] += e;
        }
    }
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; v++) {
        const int64_t c = i + v * kLanes;
        top[v].store(to.largest + c);
        if (!first) {
            V factor = formulas::exp(before[v] - base[v]);
            total[v] += V::load(to.total + c) * factor;
            if (any(top[v] != before[v]))
                for (int64_t d = 0; d < value_width; d++) {
                    T* at = to.sums + d * columns + c;
                    (V::load(at) * factor).store(at);
                }
        }
        total[v].store(to.total + c);
    }
}

template <class T>
EMBER_NOINLINE void softmax_block(const Queries<T>& q, T* scores, int64_t keys, bool first,
                                  int64_t value_width, Running<T>& to) {
    constexpr int64_t kLanes = Vec<T>::size;
    int64_t i = 0;
    for (; i + 2 * kLanes <= q.columns; i += 2 * kLanes)
        exponentials<T, 2>(scores, keys, q.columns, i, first, value_width, to);
    if (i < q.columns) exponentials<T, 1>(scores, keys, q.columns, i, first, value_width, to);
}

// Divides the sums of exponentials times values by those of the exponentials.
template <class S, class T>
EMBER_NOINLINE void finish_queries(const Attention& x, const Queries<T>& q, const Running<T>& to) {
    using V = Vec<T>;
    const int64_t n = q.columns;
    alignas(64) T factor[kQueries], log_sums[kQueries];
    sweep<V>(0, n, [&](auto part) __attribute__((always_inline)) {
        V total = part.load(to.total), inverse = V(T(1)) / total;
        V log_sum = part.load(to.largest) + formulas::log(total);
        if (x.mask.data) {
            const Mask<sizeof(T)> blind = total == V(T(0));
            inverse = select(blind, V(T(0)), inverse);
            log_sum = select(blind, V(kInfinity<T>), log_sum);
        }
        part.store(factor, inverse);
        part.store(log_sums, log_sum);
    });
    store_transposed(to.sums, n, x.value_width, q.count, factor, at<S>(x.out, q.b, q.h, q.first),
                     x.out.row);
    if (x.log_sums)
        memcpy(static_cast<T*>(x.log_sums) + (q.b * x.heads + q.h) * x.queries + q.first, log_sums,
               size_t(q.count) * sizeof(T));
}

// fn(i, memory) for each of `tasks`, each of which multiplies `work` times and needs `items` of T.
template <class T, class F>
EMBER_INLINE void for_tasks(Context& context, int64_t tasks, int64_t work, int64_t items, F&& fn) {
    constexpr int64_t kLocalItems = kLocalBytes / sizeof(T);
    const bool local = items <= kLocalItems;
    int64_t each = kTaskWork / (work + 1) + 1;
    if (!local) each = most(each, ceil_div(tasks, kMostPieces));
    T* scratch = local ? nullptr : context.scratch_of<T>(ceil_div(tasks, each) * items);
    parallel_for(tasks, each, [&](int64_t begin, int64_t end) {
        alignas(64) T stack[kLocalItems];
        T* memory = local ? stack : scratch + begin / each * items;
        for (int64_t i = begin; i < end; i++) fn(i, memory);
    });
}

// fn(queries, memory) for all blocks of queries.
template <class T, class F>
EMBER_INLINE void forward_blocks(Context& context, const Attention& x, int64_t items, F&& fn) {
    const int64_t block = block_queries(x), blocks = ceil_div(x.queries, block);
    const int64_t work =
        least(block, x.queries) * x.keys * (x.width + x.value_width) / (x.causal ? 2 : 1);
    for_tasks<T>(context, x.batch * x.heads * blocks, work, items, [&](int64_t i, T* memory) {
        const int64_t b = i / blocks / x.heads, h = i / blocks % x.heads;
        fn(queries_from<T>(x, b, h, i % blocks * block), memory);
    });
}

// Sums of the gradients of one head's keys and values, as a task adds to them.
template <class T>
struct KeyGrads {
    T *key, *value;
    int64_t key_row, value_row;
};

// For each query: log_sums, and what all its weights' gradients have in common. Columns behind the
// last query get weights of 0.
template <class T>
struct QuerySums {
    alignas(64) T log_sums[kQueries], shared[kQueries];
};
template <class S, class T, class G>
EMBER_NOINLINE QuerySums<T> query_sums(const AttentionBackward& x, const Queries<T>& q,
                                       const G* grad, int64_t grad_row) {
    QuerySums<T> sums;
    const T* log_sums = static_cast<const T*>(x.log_sums) + (q.b * x.heads + q.h) * x.queries;
    for (int64_t i = 0; i < q.columns; i++) {
        sums.log_sums[i] = kInfinity<T>;
        sums.shared[i] = 0;
        if (i >= q.count) continue;
        sums.log_sums[i] = log_sums[q.first + i];
        const S* out = at<const S>(x.out, q.b, q.h, q.first + i);
        const G* slope = grad + i * grad_row;
        sums.shared[i] =
            T(sweep_sum<Vec<T>>(x.value_width, [&](auto part) __attribute__((always_inline)) {
                return part.load(out) * part.load(slope);
            }));
    }
    return sums;
}

template <class S, class T>
EMBER_INLINE void store_grad_query(const AttentionBackward& x, const Queries<T>& q,
                                   const T* grad_query) {
    alignas(64) T scales[kQueries];
    for (T& s : scales) s = T(x.scale);
    store_transposed(grad_query, q.columns, x.width, q.count, scales,
                     at<S>(x.grad_query, q.b, q.h, q.first), x.grad_query.row);
}

// The gradients of keys and values are sums over queries: a task has all queries of a head of keys,
// or, where heads are few, some of them, and then the tasks' sums are added.
// fn(queries, sums to add to, memory) does some queries.
template <class S, class T, class F>
EMBER_INLINE void backward_blocks(Context& context, const AttentionBackward& x, int64_t items,
                                  F&& fn) {
    const int64_t key_heads = x.heads / x.group, heads = x.batch * key_heads;
    const int64_t block = block_queries(x), blocks = ceil_div(x.queries, block);
    const int64_t work =
        x.group * x.queries * x.keys * (3 * x.width + 2 * x.value_width) / (x.causal ? 2 : 1);
    int64_t parts = 1;
    if (heads < kHeads) parts = clamp_to(least(kHeads / heads, work / kTaskWork), 1, blocks);
    // Where the sums of a part begin: items of its keys' gradients, then of its values'.
    const int64_t key_items = x.grad_key.data ? x.keys * x.width : 0;
    const int64_t part_items = key_items + (x.grad_value.data ? x.keys * x.value_width : 0);
    const bool direct = std::is_same_v<S, T> && parts == 1;
    T* sums = direct ? nullptr : context.scratch_of<T>(heads * parts * part_items);

    for_tasks<T>(context, heads * parts, work / parts, items, [&](int64_t task, T* memory) {
        const int64_t part = task % parts, b = task / parts / key_heads;
        const int64_t kv = task / parts % key_heads;
        T* own = sums + task * part_items;
        KeyGrads<T> to{own, own + key_items, x.width, x.value_width};
        if (direct) {
            to = {at<T>(x.grad_key, b, kv, 0), at<T>(x.grad_value, b, kv, 0), x.grad_key.row,
                  x.grad_value.row};
        }
        if (!x.grad_key.data) to.key = nullptr;
        if (!x.grad_value.data) to.value = nullptr;
        for (int64_t j = 0; j < x.keys; j++) {
            if (to.key) memset(to.key + j * to.key_row, 0, size_t(x.width) * sizeof(T));
            if (to.value) memset(to.value + j * to.value_row, 0, size_t(x.value_width) * sizeof(T));
        }
        for (int64_t h = kv * x.group; h < (kv + 1) * x.group; h++)
            for (int64_t i = part; i < blocks; i += parts)
                fn(queries_from<T>(x, b, h, i * block), to, memory);
    });
    if (direct || part_items == 0) return;
    parallel_for(heads * x.keys, kGrainBytes / (x.width + x.value_width + 1) / parts + 1,
                 [&](int64_t begin, int64_t end) {
                     for (int64_t i = begin; i < end; i++) {
                         const int64_t head = i / x.keys, j = i % x.keys;
                         const T* own = sums + head * parts * part_items;
                         auto add = [&](const Matrices& grad, const T* from, int64_t width) {
                             if (!grad.data) return;
                             S* row = at<S>(grad, head / key_heads, head % key_heads, j);
                             sweep<Vec<T>>(0, width, [&](auto part) __attribute__((always_inline)) {
                                 Vec<T> sum = part.load(from + j * width);
                                 for (int64_t p = 1; p < parts; p++)
                                     sum += part.load(from + p * part_items + j * width);
                                 part.store(row, sum);
                             });
                         };
                         add(x.grad_key, own, x.width);
                         add(x.grad_value, own + key_items, x.value_width);
                     }
                 });
}

}  // namespace
}  // namespace ember::cpu::EMBER_LEVEL
