#include "ops/attention.h"

#include <cmath>
#include <limits>

#include "kernels/attention.h"
#include "ops/copy.h"
#include "ops/formula.h"
#include "ops/matmul.h"
#include "ops/random.h"
#include "ops/softmax.h"
#include "ops/view.h"

namespace ember::kernels {

EMBER_SLOT(attention)
EMBER_SLOT(attention_backward)

}  // namespace ember::kernels

namespace ember::ops {

namespace {

using kernels::Attention;
using Matrices = Attention::Matrices;

constexpr const char* kName = "scaled_dot_product_attention";

struct Options {
    double scale;
    bool causal, grouped;
};

DType computing(DType dtype) { return dtype == DType::Float64 ? DType::Float64 : DType::Float32; }

// ---- The formula

// Each head of x (…, H, S, E) as often as it takes to be `heads`.
Tensor repeat_heads(const Tensor& x, int64_t heads) {
    int64_t own = x.size(-3);
    if (own == heads) return x;
    Dims wide(x.sizes()), sizes(x.sizes());
    wide.insert(x.dim() - 2, heads / own);
    sizes[x.dim() - 3] = heads;
    return reshape(expand(unsqueeze(x, -3), wide), sizes);
}

// The gradient of repeat_heads.
Tensor sum_heads(const Tensor& g, int64_t own) {
    int64_t heads = g.size(-3);
    if (own == heads) return g;
    Dims sizes(g.sizes());
    sizes[g.dim() - 3] = heads / own;
    sizes.insert(g.dim() - 3, own);
    return sum(reshape(g, sizes), {-3}, false);
}

Tensor minus_infinity() { return wrapped_number(number(-std::numeric_limits<double>::infinity())); }

// softmax(scale * query @ key^T + mask) in differentiable operations.
Tensor weights_of(const Tensor& query, const Tensor& key, const Tensor& mask, const Options& o) {
    Tensor scores = matmul(mul(query, o.scale), mT(key));
    if (o.causal) {
        Tensor seen = tril(
            full(scores.sizes().last(2), number(int64_t(1)), {DType::Bool, query.device()}), 0);
        scores = masked_fill(scores, logical_not(seen, {}), minus_infinity());
    }
    if (!mask.defined()) return softmax(scores, -1, std::nullopt);
    scores = mask.dtype() == DType::Bool
                 ? masked_fill(scores, logical_not(mask, {}), minus_infinity())
                 : add(scores, to_dtype(mask, scores.dtype()));
    // Queries that see no key get zeros, and no gradient comes from there.
    Tensor blind = all(eq(detach(scores), minus_infinity()), Dims{-1}, true, {});
    Tensor zero = wrapped_number(number(0.0));
    return masked_fill(softmax(masked_fill(scores, blind, zero), -1, std::nullopt), blind, zero);
}

Tensor by_formula(const Tensor& query, const Tensor& key, const Tensor& value, const Tensor& mask,
                  double dropout_p, const Options& o) {
    if (query.dtype() != computing(query.dtype())) {  // halves round once, at the end
        auto wide = [&](const Tensor& x) { return to_dtype(x, computing(x.dtype())); };
        Tensor added = mask.defined() && mask.dtype() != DType::Bool ? wide(mask) : mask;
        return to_dtype(by_formula(wide(query), wide(key), wide(value), added, dropout_p, o),
                        query.dtype());
    }
    auto repeated = [&](const Tensor& x) {
        return o.grouped ? repeat_heads(x, query.size(-3)) : x;
    };
    Tensor weights = weights_of(query, repeated(key), mask, o);
    if (dropout_p > 0) weights = dropout(weights, dropout_p, true, false);
    return matmul(weights, repeated(value));
}

void formula_backward(Backward& bw, const Tensor& g, const Tensor& query, const Tensor& key,
                      const Tensor& value, const Tensor& mask, const Options& o) {
    auto repeated = [&](const Tensor& x) {
        return o.grouped ? repeat_heads(x, query.size(-3)) : x;
    };
    auto summed = [&](const Tensor& x, const Tensor& like) {
        return o.grouped ? sum_heads(x, like.size(-3)) : x;
    };
    Tensor k = repeated(key), weights = weights_of(query, k, mask, o);
    if (bw.needs(2)) bw.set(2, summed(matmul(mT(weights), g), value));
    if (!bw.needs(0) && !bw.needs(1)) return;
    Tensor slopes = mul(matmul(g, mT(repeated(value))), weights);
    Tensor scores = mul(sub(slopes, mul(weights, sum(slopes, {-1}, true))), o.scale);
    if (bw.needs(0)) bw.set(0, matmul(scores, k));
    if (bw.needs(1)) bw.set(1, summed(matmul(mT(scores), query), key));
}

// ---- The kernel

// The leading dims of what the kernel computes; the last of them are the heads.
struct Lead {
    Dims query, key;  // they differ where heads are grouped
    static int64_t batch(const Dims& lead) {
        int64_t n = 1;
        for (int d = 0; d + 1 < lead.size(); d++) n *= lead[d];
        return n;
    }
    static int64_t heads(const Dims& lead) { return lead.empty() ? 1 : lead.back(); }
};

// x (…, rows, cols), broadcast to the leading dims, as (batch, heads, rows, cols).
Tensor four_dims(const Tensor& x, const Dims& lead) {
    Dims sizes = lead;
    sizes.push_back(x.size(-2));
    sizes.push_back(x.size(-1));
    Tensor wide = same(sizes, x.sizes()) ? x : expand(x, sizes);
    if (lead.size() == 2) return wide;
    return reshape(wide, {Lead::batch(lead), Lead::heads(lead), x.size(-2), x.size(-1)});
}

Matrices matrices(const Tensor& x) {
    const int64_t* strides = x.impl()->strides;
    return {x.data(), strides[0], strides[1], strides[2], strides[3]};
}

// (…, rows, cols) in the order of `like`'s memory: rows of heads next to each other where they come
// so from a projection.
Tensor fresh(const Dims& lead, int64_t rows, int64_t cols, const Tensor& like) {
    Dims sizes = lead;
    sizes.push_back(rows);
    sizes.push_back(cols);
    if (lead.size() != 2) return empty(sizes, like.options());
    int64_t b = lead[0], h = lead[1];
    if (like.dim() != 4 || like.size(1) == 1 || like.size(2) == 1 ||
        like.stride(1) > like.stride(2))
        return empty(sizes, like.options());
    bool rows_first = b > 1 && like.stride(2) > like.stride(0);
    Dims strides{rows_first ? h * cols : rows * h * cols, cols,
                 rows_first ? b * h * cols : h * cols, 1};
    return empty_strided(sizes, strides, like.options());
}

// What is added to the scores, of the computing type; a broadcast mask is not repeated.
Tensor added_mask(const Tensor& mask, DType dtype) {
    if (!mask.defined()) return mask;
    Dims sizes(mask.sizes());
    for (int d = 0; d < sizes.size(); d++)
        if (mask.impl()->strides[d] == 0 && sizes[d] > 1) sizes[d] = 1;
    Tensor once = alias(mask, sizes, mask.strides(), mask.offset());
    if (mask.dtype() != DType::Bool) return to_dtype(once, dtype);
    return masked_fill(zeros(sizes, {dtype, mask.device()}), logical_not(once, {}),
                       minus_infinity());
}

Lead lead_of(const Tensor& query, const Tensor& key, const Tensor& value, const Tensor& mask,
             bool grouped) {
    auto lead = [](const Tensor& x) { return x.sizes().first(size_t(x.dim() - 2)); };
    Dims all(lead(query)), own = broadcast_sizes(kName, lead(key), lead(value));
    if (grouped) own.back() = query.size(-3);
    all = broadcast_sizes(kName, all, own);
    if (mask.defined() && mask.dim() > 2) all = broadcast_sizes(kName, all, lead(mask));
    own = all;
    if (grouped) own.back() = key.size(-3);
    return {all, own};
}

void describe(Attention& k, const Lead& lead, const Tensor& query, const Tensor& key,
              const Tensor& value, const Tensor& mask, const Options& o) {
    k.batch = Lead::batch(lead.query);
    k.heads = Lead::heads(lead.query);
    k.group = k.heads / Lead::heads(lead.key);
    k.queries = query.size(2);
    k.keys = key.size(2);
    k.width = query.size(3);
    k.value_width = value.size(3);
    k.query = matrices(query);
    k.key = matrices(key);
    k.value = matrices(value);
    if (mask.defined()) {
        Dims sizes = lead.query;
        sizes.push_back(k.queries);
        sizes.push_back(k.keys);
        k.mask = matrices(four_dims(expand(mask, sizes), lead.query));
    }
    k.scale = o.scale;
    k.causal = o.causal;
    k.dtype = query.dtype();
}

int64_t estimated_ns(const Attention& k) {
    return int64_t(2e-2 * double(k.batch * k.heads) * double(k.queries) * double(k.keys) *
                   double(k.width + k.value_width));
}

void fused_backward(Backward& bw, const Tensor& g, const Lead& lead, const Tensor& query,
                    const Tensor& key, const Tensor& value, const Tensor& mask, const Tensor& out,
                    const Tensor& log_sums, const Options& o) {
    Tensor q = four_dims(query, lead.query), k = four_dims(key, lead.key),
           v = four_dims(value, lead.key), m = added_mask(mask, log_sums.dtype());
    Tensor grad = four_dims(g, lead.query), result = four_dims(out, lead.query);
    kernels::AttentionBackward b;
    describe(b, lead, q, k, v, m, o);
    b.out = matrices(result);
    b.log_sums = log_sums.data();
    b.grad = matrices(grad);
    Tensor grads[3];
    Matrices* places[] = {&b.grad_query, &b.grad_key, &b.grad_value};
    const Tensor* inputs[] = {&query, &key, &value};
    for (int i = 0; i < 3; i++) {
        if (!bw.needs(i)) continue;
        const Tensor& x = *inputs[i];
        const Dims& own = i == 0 ? lead.query : lead.key;
        grads[i] = fresh(own, x.size(-2), x.size(-1), x);
        *places[i] = matrices(four_dims(grads[i], own));
    }
    launch(kernels::attention_backward, query.device(), estimated_ns(b) * 3, b);
    for (int i = 0; i < 3; i++)
        if (grads[i].defined()) bw.set(i, grads[i]);
}

Tensor fused(const Lead& lead, const Tensor& query, const Tensor& key, const Tensor& value,
             const Tensor& mask, const Options& o) {
    Tensor out = fresh(lead.query, query.size(-2), value.size(-1), query), log_sums;
    bool wanted = needs_grad(query, key, value);
    {
        GradModeGuard no_grad(false);
        DType wide = computing(query.dtype());
        Tensor q = four_dims(query, lead.query), k = four_dims(key, lead.key),
               v = four_dims(value, lead.key), m = added_mask(mask, wide);
        Attention a;
        describe(a, lead, q, k, v, m, o);
        a.out = matrices(four_dims(out, lead.query));
        if (wanted) {
            log_sums = empty(Dims{a.batch, a.heads, a.queries}, {wide, query.device()});
            a.log_sums = log_sums.data();
        }
        launch(kernels::attention, query.device(), estimated_ns(a), a);
    }
    if (wanted)
        record("ScaledDotProductFlashAttentionForCpuBackward0", out, {query, key, value},
               [q = Saved(query), k = Saved(key), v = Saved(value), m = Saved(mask),
                y = Saved::output(out), log_sums, lead, o](Backward& bw, const Tensor& g) {
                   if (modes::grad_enabled())
                       return formula_backward(bw, g, q.get(bw), k.get(bw), v.get(bw), m.get(bw),
                                               o);
                   fused_backward(bw, g, lead, q.get(bw), k.get(bw), v.get(bw), m.get(bw),
                                  y.get(bw), log_sums, o);
               });
    return out;
}

// ---- Checks

void check(const Tensor& query, const Tensor& key, const Tensor& value, const Tensor& mask,
           double dropout_p, bool causal, bool grouped) {
    const char* names[] = {"query", "key", "value"};
    const Tensor* all[] = {&query, &key, &value};
    for (int i = 0; i < 3; i++) {
        const Tensor& x = *all[i];
        EMBER_CHECK(x.dim() >= 2, "%s: %s must have at least 2 dims, got %d", kName, names[i],
                    x.dim());
        EMBER_CHECK(
            x.dtype() == query.dtype() && is_floating(x.dtype()),
            "%s: query, key and value must have one floating point dtype, got %s, %s and %s", kName,
            dtype_name(query.dtype()), dtype_name(key.dtype()), dtype_name(value.dtype()));
        check_same_device(kName, query, x);
    }
    EMBER_CHECK(query.size(-1) == key.size(-1) && key.size(-2) == value.size(-2),
                "%s: expected shapes (..., L, E), (..., S, E) and (..., S, Ev), got %s, %s and %s",
                kName, to_string(query.sizes()).c_str(), to_string(key.sizes()).c_str(),
                to_string(value.sizes()).c_str());
    EMBER_CHECK(!mask.defined() || !causal, "%s: attn_mask must be None where is_causal is true",
                kName);
    EMBER_CHECK(dropout_p >= 0 && dropout_p <= 1, "%s: dropout_p must be between 0 and 1, got %g",
                kName, dropout_p);
    if (grouped) {
        for (int i = 0; i < 3; i++)
            EMBER_CHECK(all[i]->dim() >= 3, "%s: enable_gqa needs at least 3 dims, got %d", kName,
                        all[i]->dim());
        int64_t heads = query.size(-3);
        for (int i = 1; i < 3; i++) {
            int64_t own = all[i]->size(-3);
            EMBER_CHECK(own == heads || (own > 0 && heads % own == 0),
                        "%s: the query's %ld heads must be a multiple of the %s's, got %ld", kName,
                        long(heads), names[i], long(own));
        }
    }
    if (!mask.defined()) return;
    check_same_device(kName, query, mask);
    EMBER_CHECK(mask.dtype() == DType::Bool || mask.dtype() == query.dtype() ||
                    mask.dtype() == DType::Float32,
                "%s: attn_mask must be bool or of the query's dtype %s, got %s", kName,
                dtype_name(query.dtype()), dtype_name(mask.dtype()));
}

}  // namespace

Tensor scaled_dot_product_attention(const Tensor& query, const Tensor& key, const Tensor& value,
                                    const Tensor& mask, double dropout_p, bool causal,
                                    std::optional<double> scale, bool grouped) {
    check(query, key, value, mask, dropout_p, causal, grouped);
    int64_t width = query.size(-1);
    Options o{scale.value_or(width > 0 ? 1 / std::sqrt(double(width)) : 1), causal, grouped};
    Dims scores{query.size(-2), key.size(-2)};
    bool simple = dropout_p == 0 && kernels::attention.serves(query.device().type, query.dtype());
    if (mask.defined()) {
        auto last = mask.sizes().last(size_t(mask.dim() < 2 ? mask.dim() : 2));
        simple = simple && !needs_grad(mask) && same(broadcast_sizes(kName, last, scores), scores);
    }
    if (grouped && key.size(-3) != value.size(-3)) simple = false;
    if (!simple) return by_formula(query, key, value, mask, dropout_p, o);
    Lead lead = lead_of(query, key, value, mask, grouped);
    Dims sizes = lead.query;
    sizes.push_back(query.size(-2));
    sizes.push_back(value.size(-1));
    if (checked_numel(kName, sizes, query.dtype()) == 0 || key.size(-2) == 0)
        return by_formula(query, key, value, mask, dropout_p, o);
    return fused(lead, query, key, value, mask, o);
}

}  // namespace ember::ops
