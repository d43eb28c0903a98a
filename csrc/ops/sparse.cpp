#include "ops/sparse.h"

#include "kernels/sparse.h"
#include "ops/copy.h"
#include "ops/launch.h"

namespace ember::kernels {

EMBER_SLOT(sparse_matmul)
EMBER_SLOT(sparse_sample)

}  // namespace ember::kernels

namespace ember::ops {

namespace {

constexpr const char* kName = "sparse matmul";

void check_index(const Tensor& index, int64_t count) {
    EMBER_CHECK(index.defined(), "%s: the pattern lacks what its gradient needs", kName);
    EMBER_CHECK(index.dtype() == DType::Int64 && index.dim() == 1 && index.is_contiguous(),
                "%s: indices must be contiguous vectors of int64", kName);
    EMBER_CHECK(count < 0 || index.numel() == count, "%s: expected %ld indices, got %ld", kName,
                long(count), long(index.numel()));
}

kernels::SparsePattern pattern_of(const SparseLayout& layout, int64_t m, int64_t k) {
    check_index(layout.columns, -1);
    kernels::SparsePattern p{m, k, layout.columns.numel()};
    check_index(layout.rows, m + 1);
    if (layout.order.defined()) check_index(layout.order, p.count);
    p.rows = layout.rows.as<int64_t>();
    p.columns = layout.columns.as<int64_t>();
    p.order = layout.order.defined() ? layout.order.as<int64_t>() : nullptr;
    return p;
}

// Rows of neighbouring items.
Tensor by_rows(const Tensor& x) {
    EMBER_CHECK(x.dim() == 2, "%s: expected a matrix, got shape %s", kName,
                to_string(x.sizes()).c_str());
    return x.impl()->strides[1] == 1 ? x : contiguous(x);
}

void check_pair(const Tensor& a, const Tensor& b) {
    EMBER_CHECK(a.dtype() == b.dtype(), "%s: both matrices must have one dtype, got %s and %s",
                kName, dtype_name(a.dtype()), dtype_name(b.dtype()));
}

}  // namespace

Tensor sparse_matmul(const SparsePattern& pattern, const Tensor& values, const Tensor& dense) {
    kernels::sparse_matmul.require(dense.device(), dense.dtype());
    check_pair(values, dense);
    Tensor from = by_rows(dense), items = contiguous(values);
    kernels::SparseProduct a;
    a.n = from.impl()->sizes[1];
    a.pattern =
        pattern_of(pattern.by_rows, pattern.by_rows.rows.numel() - 1, from.impl()->sizes[0]);
    EMBER_CHECK(items.dim() == 1 && items.numel() == a.pattern.count,
                "%s: expected %ld values, got shape %s", kName, long(a.pattern.count),
                to_string(items.sizes()).c_str());
    Tensor out = empty({{a.pattern.m, a.n}}, dense.options());
    a.values = items.data();
    a.dense = from.data();
    a.dense_row = from.impl()->strides[0];
    a.out = out.data();
    a.dtype = dense.dtype();
    launch(kernels::sparse_matmul, dense.device(), a.pattern.count * (a.n / 8 + 2), a);
    if (needs_grad(values, dense))
        record("SparseMatmulBackward0", out, {values, dense},
               [pattern, v = Saved::when(dense.requires_grad(), values),
                d = Saved::when(values.requires_grad(), dense)](Backward& bw, const Tensor& g) {
                   if (bw.needs(0)) bw.set(0, sparse_sample(pattern, g, d.get(bw)));
                   if (bw.needs(1)) bw.set(1, sparse_matmul(pattern.transposed(), v.get(bw), g));
               });
    return out;
}

Tensor sparse_sample(const SparsePattern& pattern, const Tensor& a, const Tensor& b) {
    kernels::sparse_sample.require(a.device(), a.dtype());
    check_pair(a, b);
    Tensor left = by_rows(a), right = by_rows(b);
    EMBER_CHECK(left.impl()->sizes[1] == right.impl()->sizes[1],
                "%s: rows of %ld and of %ld items do not multiply", kName,
                long(left.impl()->sizes[1]), long(right.impl()->sizes[1]));
    kernels::SparseSample s;
    s.n = left.impl()->sizes[1];
    s.pattern = pattern_of(pattern.by_rows, left.impl()->sizes[0], right.impl()->sizes[0]);
    Tensor out = empty({{s.pattern.count}}, a.options());
    s.a = left.data();
    s.b = right.data();
    s.a_row = left.impl()->strides[0];
    s.b_row = right.impl()->strides[0];
    s.out = out.data();
    s.dtype = a.dtype();
    launch(kernels::sparse_sample, a.device(), s.pattern.count * (s.n / 8 + 2), s);
    if (needs_grad(a, b))
        record("SparseSampleBackward0", out, {a, b},
               [pattern, x = Saved::when(b.requires_grad(), a),
                y = Saved::when(a.requires_grad(), b)](Backward& bw, const Tensor& g) {
                   if (bw.needs(0)) bw.set(0, sparse_matmul(pattern, g, y.get(bw)));
                   if (bw.needs(1)) bw.set(1, sparse_matmul(pattern.transposed(), g, x.get(bw)));
               });
    return out;
}

}  // namespace ember::ops
