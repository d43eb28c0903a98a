#include "cpu/attention.h"

// Attention in the computing type; decoding, which has few queries, goes one by one.
namespace ember::cpu::EMBER_LEVEL {
namespace {

constexpr int64_t kFewQueries = 7;  // up to here they go one by one

// Items of a task's memory. Forward: queries, results, keys, values, scores, mask.
EMBER_INLINE int64_t forward_items(const Attention& x) {
    return (kQueries + kKeys) * (x.width + x.value_width) + 2 * kKeys * kQueries;
}

template <class S, class T>
EMBER_NOINLINE void forward_queries(const Attention& x, const Queries<T>& q, T* memory) {
    T* query = memory;                       // (width, queries)
    T* scores = query + x.width * kQueries;  // (keys, queries)
    T* mask = scores + kKeys * kQueries;     // (keys, queries)
    T* spare_key = mask + kKeys * kQueries;  // (keys, width)
    T* spare_value = spare_key + kKeys * x.width;
    Running<T> to;
    to.sums = spare_value + kKeys * x.value_width;  // (value width, queries)
    const int64_t kv = q.h / x.group, n = q.columns;
    pack(at<const S>(x.query, q.b, q.h, q.first), x.query.row, x.query.col, q.count, x.width, query,
         n);
    const int64_t seen = keys_seen(x, q);
    for (int64_t k0 = 0; k0 < seen; k0 += kKeys) {
        const int64_t keys = least(kKeys, seen - k0);
        const Rows<T> key = rows_of(at<const S>(x.key, q.b, kv, k0), x.key.row, x.key.col, keys,
                                    x.width, spare_key);
        multiply(keys, n, x.width, key.data, key.stride, 1, query, n, scores, n, T(x.scale), T(0));
        apply_mask(x, q, k0, keys, scores, mask);
        softmax_block(q, scores, keys, k0 == 0, x.value_width, to);
        const Rows<T> value = rows_of(at<const S>(x.value, q.b, kv, k0), x.value.row, x.value.col,
                                      keys, x.value_width, spare_value);
        multiply(x.value_width, n, keys, value.data, 1, value.stride, scores, n, to.sums, n, T(1),
                 T(k0 > 0));
    }
    finish_queries<S>(x, q, to);
}

// Scores of one query: a register of keys at a time, whose products with the query are transposed
// to be summed.
template <class S, class T>
EMBER_NOINLINE void scores_of_query(const Attention& x, const S* key, const T* query, int64_t keys,
                                    T* scores) {
    constexpr int64_t kLanes = Vec<T>::size;
    for (int64_t j = 0; j < keys; j += kLanes) {
        const int64_t last = least(kLanes, keys - j) - 1;
        Vec<T> sums[kLanes];
        const S* rows[kLanes];
#pragma GCC unroll 16
        for (int64_t l = 0; l < kLanes; l++) {
            sums[l] = Vec<T>{Raw<T>{}};
            rows[l] = key + (j + least(l, last)) * x.key.row;
        }
        sweep<Vec<T>>(0, x.width, [&](auto part) __attribute__((always_inline)) {
            const Vec<T> q = part.load(query);
#pragma GCC unroll 16
            for (int64_t l = 0; l < kLanes; l++) sums[l] += q * part.load(rows[l]);
        });
        transpose_rounds<T, kLanes / 2>(sums);
#pragma GCC unroll 16
        for (int64_t l = 1; l < kLanes; l++) sums[0] += sums[l];
        sums[0].store(scores + j);
    }
}

// to (value width) = factor * to + weights (keys) @ value
template <class S, class T, int Vectors>
EMBER_INLINE void add_values(const S* value, int64_t row, const T* weights, int64_t keys,
                             int64_t width, T factor, T* to) {
    constexpr int64_t kLanes = Vec<T>::size;
    const int64_t tail = width - (Vectors - 1) * kLanes;
    auto lanes = [&](int v)
                     __attribute__((always_inline)) { return v + 1 < Vectors ? kLanes : tail; };
    Vec<T> sums[Vectors];
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; v++) sums[v] = Vec<T>::load(to + v * kLanes) * Vec<T>(factor);
    for (int64_t j = 0; j < keys; j++, value += row) {
        const Vec<T> weight(weights[j]);
#pragma GCC unroll 4
        for (int v = 0; v < Vectors; v++)
            sums[v] += weight * load_lanes<T>(value + v * kLanes, lanes(v));
    }
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; v++) sums[v].store(to + v * kLanes);
}

// One query in rows as they lie: what a step of decoding needs, which reads keys and values once.
template <class S, class T>
EMBER_NOINLINE void forward_query(const Attention& x, int64_t b, int64_t h, int64_t i, T* memory) {
    using V = Vec<T>;
    constexpr int64_t kLanes = V::size, kChunk = 4 * kLanes;
    T* query = memory;          // (width)
    T* sums = query + x.width;  // (value width), and a register
    alignas(64) T scores[kKeys];
    const int64_t kv = h / x.group, seen = x.causal ? least(x.keys, i + 1) : x.keys;
    const S* from = at<const S>(x.query, b, h, i);
    for (int64_t d = 0; d < x.width; d++) query[d] = item_as<T>(from[d * x.query.col]) * T(x.scale);
    for (int64_t d = 0; d < x.value_width + kLanes; d++) sums[d] = 0;
    T largest = -kInfinity<T>, total = 0;
    for (int64_t k0 = 0; k0 < seen; k0 += kKeys) {
        const int64_t keys = least(kKeys, seen - k0);
        scores_of_query(x, at<const S>(x.key, b, kv, k0), query, keys, scores);
        if (x.mask.data) {
            const T* mask = at<const T>(x.mask, b, h, i) + k0 * x.mask.col;
            for (int64_t j = 0; j < keys; j++) scores[j] += mask[j * x.mask.col];
        }
        V top(largest);
        sweep<V>(0, keys, [&](auto part) __attribute__((always_inline)) {
            top = max(part.or_else(part.load(scores), -kInfinity<T>), top);
        });
        const T now = reduce_max(top), base = now == -kInfinity<T> ? T(0) : now;
        V sum{Raw<T>{}};
        sweep<V>(0, keys, [&](auto part) __attribute__((always_inline)) {
            V e = part.or_else(formulas::exp(part.load(scores) - V(base)), T(0));
            part.store(scores, e);
            sum += e;
        });
        alignas(64) T factors[kLanes];
        formulas::exp(V(largest) - V(base)).store(factors);
        total = total * factors[0] + reduce_add(sum);
        largest = now;
        const S* value = at<const S>(x.value, b, kv, k0);
        int64_t d = 0;
        for (; d + kChunk <= x.value_width; d += kChunk)
            add_values<S, T, 4>(value + d, x.value.row, scores, keys, kChunk, factors[0], sums + d);
        for (; d < x.value_width; d += kLanes)
            add_values<S, T, 1>(value + d, x.value.row, scores, keys,
                                least(kLanes, x.value_width - d), factors[0], sums + d);
    }
    const bool blind = x.mask.data && total == 0;
    const V inverse(blind ? T(0) : 1 / total);
    S* out = at<S>(x.out, b, h, i);
    sweep<V>(0, x.value_width, [&](auto part) __attribute__((always_inline)) {
        part.store(out, part.load(sums) * inverse);
    });
    if (x.log_sums) {
        alignas(64) T logs[kLanes];
        formulas::log(V(total)).store(logs);
        static_cast<T*>(x.log_sums)[(b * x.heads + h) * x.queries + i] =
            blind ? kInfinity<T> : largest + logs[0];
    }
}

template <class S, class T>
void forward_as(Context& context, const Attention& x) {
    if (x.queries <= kFewQueries && x.key.col == 1 && x.value.col == 1) {
        const int64_t traffic = 8 * x.keys * (x.width + x.value_width);
        const int64_t items = x.width + x.value_width + Vec<T>::size;
        return for_tasks<T>(
            context, x.batch * x.heads * x.queries, traffic, items, [&](int64_t i, T* memory) {
                const int64_t head = i / x.queries;
                forward_query<S>(x, head / x.heads, head % x.heads, i % x.queries, memory);
            });
    }
    forward_blocks<T>(context, x, forward_items(x),
                      [&](const Queries<T>& q, T* memory) { forward_queries<S>(x, q, memory); });
}

void forward(Context& context, const Attention& x) {
    dispatch_floating(x.dtype, [&](auto tag) {
        using S = typename decltype(tag)::type;
        forward_as<S, Compute<S>>(context, x);
    });
}

// Items of a task's memory. Backward: queries, output gradients, keys and values, both ways; scores
// and their gradients, mask.
EMBER_INLINE int64_t backward_items(const Attention& x) {
    return (2 * kQueries + kKeys) * (x.width + x.value_width) + kQueries * x.width +
           3 * kKeys * kQueries;
}

template <class S, class T>
EMBER_NOINLINE void backward_queries(const AttentionBackward& x, const Queries<T>& q,
                                     const KeyGrads<T>& to, T* memory) {
    using V = Vec<T>;
    constexpr int64_t kLanes = V::size;
    T* query = memory;                             // (width, queries)
    T* grad = query + x.width * kQueries;          // (value width, queries)
    T* weights = grad + x.value_width * kQueries;  // (keys, queries)
    T* slopes = weights + kKeys * kQueries;        // (keys, queries)
    T* mask = slopes + kKeys * kQueries;
    T* grad_query = mask + kKeys * kQueries;  // (width, queries)
    T* spare_query = grad_query + x.width * kQueries;
    T* spare_grad = spare_query + kQueries * x.width;
    T* spare_key = spare_grad + kQueries * x.value_width;
    T* spare_value = spare_key + kKeys * x.width;
    const int64_t kv = q.h / x.group, n = q.columns, seen = keys_seen(x, q);
    const T scale = T(x.scale);

    const S* from = at<const S>(x.query, q.b, q.h, q.first);
    const S* grad_from = at<const S>(x.grad, q.b, q.h, q.first);
    pack(from, x.query.row, x.query.col, q.count, x.width, query, n);
    pack(grad_from, x.grad.row, x.grad.col, q.count, x.value_width, grad, n);
    const Rows<T> query_rows =
        rows_of(from, x.query.row, x.query.col, q.count, x.width, spare_query);
    const Rows<T> grad_rows =
        rows_of(grad_from, x.grad.row, x.grad.col, q.count, x.value_width, spare_grad);
    const QuerySums<T> sums = query_sums<S>(x, q, grad_rows.data, grad_rows.stride);
    for (int64_t k0 = 0; k0 < seen; k0 += kKeys) {
        const int64_t keys = least(kKeys, seen - k0);
        const Rows<T> key = rows_of(at<const S>(x.key, q.b, kv, k0), x.key.row, x.key.col, keys,
                                    x.width, spare_key);
        const Rows<T> value = rows_of(at<const S>(x.value, q.b, kv, k0), x.value.row, x.value.col,
                                      keys, x.value_width, spare_value);
        multiply(keys, n, x.width, key.data, key.stride, 1, query, n, weights, n, scale, T(0));
        apply_mask(x, q, k0, keys, weights, mask);
        multiply(keys, n, x.value_width, value.data, value.stride, 1, grad, n, slopes, n, T(1),
                 T(0));
        for (int64_t j = 0; j < keys; j++)
            for (int64_t i = 0; i < n; i += kLanes) {
                T *w = weights + j * n + i, *s = slopes + j * n + i;
                V weight = formulas::exp(V::load(w) - V::load(sums.log_sums + i));
                weight.store(w);
                (weight * (V::load(s) - V::load(sums.shared + i))).store(s);
            }
        if (to.value)
            multiply(keys, x.value_width, q.count, weights, n, 1, grad_rows.data, grad_rows.stride,
                     to.value + k0 * to.value_row, to.value_row, T(1), T(1));
        if (to.key)
            multiply(keys, x.width, q.count, slopes, n, 1, query_rows.data, query_rows.stride,
                     to.key + k0 * to.key_row, to.key_row, scale, T(1));
        if (x.grad_query.data)
            multiply(x.width, n, keys, key.data, 1, key.stride, slopes, n, grad_query, n, T(1),
                     T(k0 > 0));
    }
    if (x.grad_query.data) store_grad_query<S>(x, q, grad_query);
}

void backward(Context& context, const AttentionBackward& x) {
    dispatch_floating(x.dtype, [&](auto tag) {
        using S = typename decltype(tag)::type;
        using T = Compute<S>;
        backward_blocks<S, T>(context, x, backward_items(x),
                              [&](const Queries<T>& q, const KeyGrads<T>& to, T* memory) {
                                  backward_queries<S>(x, q, to, memory);
                              });
    });
}

}  // namespace

void register_attention(Table& table) {
    table.set(kernels::attention, forward, kFloating);
    table.set(kernels::attention_backward, backward, kFloating);
}

}  // namespace ember::cpu::EMBER_LEVEL
