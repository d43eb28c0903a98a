#include "cpu/attention.h"

// Attention of bfloat16 by dot products of pairs, at twice the speed of float32's. Weights and
// their gradients are rounded to bfloat16 between two products, sums are float32. What does not lie
// in whole pairs, and few queries, go to the kernel of the level below.
namespace ember::cpu::EMBER_LEVEL {
namespace {

constexpr int kPair = 2;

void (*attention_below)(Context&, const Attention&);
void (*attention_backward_below)(Context&, const AttentionBackward&);

EMBER_INLINE bool in_pairs(const Matrices& x) {
    return x.col == 1 && x.row % kPair == 0 && x.head % kPair == 0 && x.batch % kPair == 0 &&
           reinterpret_cast<uintptr_t>(x.data) % sizeof(float) == 0;
}
EMBER_INLINE bool all_in_pairs(const Attention& x) {
    return x.dtype == DType::BFloat16 && x.width % kPair == 0 && x.value_width % kPair == 0 &&
           x.queries >= VecF::size && in_pairs(x.query) && in_pairs(x.key) && in_pairs(x.value);
}

EMBER_INLINE int64_t padded(int64_t width) { return ceil_div(width, VecF::size) * VecF::size; }

// Rows of bfloat16 as pairs of neighbouring numbers.
EMBER_INLINE const float* pairs(const BFloat16* p) { return reinterpret_cast<const float*>(p); }

// Pairs of one number of two rows below each other: (rows / 2, padded width).
EMBER_INLINE void pack_row_pairs(const BFloat16* from, int64_t row, int64_t rows, int64_t width,
                                 float* to) {
    pack<kPair>(from, 1, row, width, rows, to, padded(width));
}

// (keys, n) of float32 becomes pairs of keys, (keys / 2, n), in place.
EMBER_NOINLINE void round_to_pairs(float* x, int64_t keys, int64_t n) {
    for (int64_t j = 0; j < keys; j += kPair)
        for (int64_t i = 0; i < n; i += VecF::size) {
            const float* from = x + j * n + i;
            RawHalves above{};
            if (j + 1 < keys) above = round_halves(VecF::load(from + n));
            pair_halves(round_halves(VecF::load(from)), above).store(x + j / kPair * n + i);
        }
}

// Items of a task's memory. Forward: queries, results, values, scores, mask.
EMBER_INLINE int64_t forward_items(const Attention& x) {
    return kQueries * (x.width / kPair + x.value_width) + kKeys / kPair * padded(x.value_width) +
           2 * kKeys * kQueries;
}

EMBER_NOINLINE void forward_queries(const Attention& x, const Queries<float>& q, float* memory) {
    float* query = memory;                               // pairs of (width, queries)
    float* scores = query + x.width / kPair * kQueries;  // (keys, queries)
    float* mask = scores + kKeys * kQueries;             // (keys, queries)
    float* values = mask + kKeys * kQueries;             // pairs of (keys, value width)
    const int64_t kv = q.h / x.group, n = q.columns, value_row = padded(x.value_width);
    Running<float> to;
    to.sums = values + kKeys / kPair * value_row;  // (value width, queries)
    pack<kPair>(at<const BFloat16>(x.query, q.b, q.h, q.first), x.query.row, 1, q.count, x.width,
                query, n);
    const int64_t seen = keys_seen(x, q);
    for (int64_t k0 = 0; k0 < seen; k0 += kKeys) {
        const int64_t keys = least(kKeys, seen - k0);
        multiply<kPair>(keys, n, x.width / kPair, pairs(at<const BFloat16>(x.key, q.b, kv, k0)),
                        x.key.row / kPair, 1, query, n, scores, n, float(x.scale), 0.0f);
        apply_mask(x, q, k0, keys, scores, mask);
        softmax_block(q, scores, keys, k0 == 0, x.value_width, to);
        round_to_pairs(scores, keys, n);
        pack_row_pairs(at<const BFloat16>(x.value, q.b, kv, k0), x.value.row, keys, x.value_width,
                       values);
        multiply<kPair>(x.value_width, n, ceil_div(keys, kPair), values, 1, value_row, scores, n,
                        to.sums, n, 1.0f, float(k0 > 0));
    }
    finish_queries<BFloat16>(x, q, to);
}

void forward(Context& context, const Attention& x) {
    if (!all_in_pairs(x)) return attention_below(context, x);
    forward_blocks<float>(
        context, x, forward_items(x),
        [&](const Queries<float>& q, float* memory) { forward_queries(x, q, memory); });
}

// Items of a task's memory. Backward: queries, output gradients and keys, both ways; scores and
// their gradients, as numbers and in pairs.
EMBER_INLINE int64_t backward_items(const Attention& x) {
    return kQueries * (x.width / kPair + x.value_width / kPair + x.width) +
           (kQueries + kKeys) / kPair * padded(x.width) + kQueries / kPair * padded(x.value_width) +
           4 * kKeys * kQueries;
}

EMBER_NOINLINE void backward_queries(const AttentionBackward& x, const Queries<float>& q,
                                     const KeyGrads<float>& to, float* memory) {
    constexpr int64_t kLanes = VecF::size;
    const int64_t kv = q.h / x.group, n = q.columns, seen = keys_seen(x, q);
    const int64_t row = padded(x.width), value_row = padded(x.value_width);
    float* query = memory;                                     // pairs of (width, queries)
    float* grad = query + x.width / kPair * kQueries;          // pairs of (value width, queries)
    float* weights = grad + x.value_width / kPair * kQueries;  // (keys, queries)
    float* slopes = weights + kKeys * kQueries;                // (keys, queries)
    float* slope_pairs = slopes + kKeys * kQueries;            // pairs of (keys, queries); the mask
    float* rounded = slope_pairs + kKeys * kQueries;  // (keys, queries / 2): weights, then slopes
    float* grad_query = rounded + kKeys * kQueries;   // (width, queries)
    float* query_rows = grad_query + x.width * kQueries;         // pairs of (queries, width)
    float* grad_rows = query_rows + kQueries / kPair * row;      // pairs of (queries, value width)
    float* key_rows = grad_rows + kQueries / kPair * value_row;  // pairs of (keys, width)
    const float scale = float(x.scale);

    const BFloat16* from = at<const BFloat16>(x.query, q.b, q.h, q.first);
    const BFloat16* grad_from = at<const BFloat16>(x.grad, q.b, q.h, q.first);
    pack<kPair>(from, x.query.row, 1, q.count, x.width, query, n);
    pack<kPair>(grad_from, x.grad.row, 1, q.count, x.value_width, grad, n);
    pack_row_pairs(from, x.query.row, q.count, x.width, query_rows);
    pack_row_pairs(grad_from, x.grad.row, q.count, x.value_width, grad_rows);
    const QuerySums<float> sums = query_sums<BFloat16>(x, q, grad_from, x.grad.row);
    for (int64_t k0 = 0; k0 < seen; k0 += kKeys) {
        const int64_t keys = least(kKeys, seen - k0), key_pairs = ceil_div(keys, kPair);
        const BFloat16* key = at<const BFloat16>(x.key, q.b, kv, k0);
        multiply<kPair>(keys, n, x.width / kPair, pairs(key), x.key.row / kPair, 1, query, n,
                        weights, n, scale, 0.0f);
        apply_mask(x, q, k0, keys, weights, slope_pairs);
        multiply<kPair>(keys, n, x.value_width / kPair,
                        pairs(at<const BFloat16>(x.value, q.b, kv, k0)), x.value.row / kPair, 1,
                        grad, n, slopes, n, 1.0f, 0.0f);
        BFloat16* weights_out = reinterpret_cast<BFloat16*>(rounded);
        BFloat16* slopes_out = weights_out + kKeys * kQueries;
        for (int64_t j = 0; j < keys; j += kPair)
            for (int64_t i = 0; i < n; i += kLanes) {
                RawHalves pair[kPair] = {};
                for (int64_t r = 0; r < least(kPair, keys - j); r++) {
                    const int64_t o = (j + r) * n + i;
                    VecF weight =
                        formulas::exp(VecF::load(weights + o) - VecF::load(sums.log_sums + i));
                    VecF slope = weight * (VecF::load(slopes + o) - VecF::load(sums.shared + i));
                    const RawHalves low = round_halves(weight);
                    pair[r] = round_halves(slope);
                    memcpy(weights_out + o, &low, sizeof low);
                    memcpy(slopes_out + o, &pair[r], sizeof low);
                }
                pair_halves(pair[0], pair[1]).store(slope_pairs + j / kPair * n + i);
            }
        const int64_t query_pairs = ceil_div(q.count, kPair);
        if (to.value)
            multiply<kPair>(keys, x.value_width, query_pairs, pairs(weights_out), n / kPair, 1,
                            grad_rows, value_row, to.value + k0 * to.value_row, to.value_row, 1.0f,
                            1.0f);
        if (to.key)
            multiply<kPair>(keys, x.width, query_pairs, pairs(slopes_out), n / kPair, 1, query_rows,
                            row, to.key + k0 * to.key_row, to.key_row, scale, 1.0f);
        if (!x.grad_query.data) continue;
        pack_row_pairs(key, x.key.row, keys, x.width, key_rows);
        multiply<kPair>(x.width, n, key_pairs, key_rows, 1, row, slope_pairs, n, grad_query, n,
                        1.0f, float(k0 > 0));
    }
    if (x.grad_query.data) store_grad_query<BFloat16>(x, q, grad_query);
}

void backward(Context& context, const AttentionBackward& x) {
    if (!all_in_pairs(x) || x.grad.col != 1) return attention_backward_below(context, x);
    backward_blocks<BFloat16, float>(context, x, backward_items(x),
                                     [&](const Queries<float>& q, const KeyGrads<float>& to,
                                         float* memory) { backward_queries(x, q, to, memory); });
}

}  // namespace

void register_attention_bf16(Table& table) {
    const int device = int(table.device);
    attention_below =
        reinterpret_cast<void (*)(Context&, const Attention&)>(kernels::attention.fn[device]);
    attention_backward_below = reinterpret_cast<void (*)(Context&, const AttentionBackward&)>(
        kernels::attention_backward.fn[device]);
    table.set(kernels::attention, forward, kFloating);
    table.set(kernels::attention_backward, backward, kFloating);
}

}  // namespace ember::cpu::EMBER_LEVEL
