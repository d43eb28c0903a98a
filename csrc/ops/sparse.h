#pragma once

#include "autograd/record.h"

namespace ember::ops {

// Where the items of a sparse matrix (m, k) stand: by rows, and by columns for gradients.
struct SparseLayout {
    Tensor rows, columns, order;  // int64; order may be undefined; see kernels/sparse.h
};
struct SparsePattern {
    SparseLayout by_rows, by_columns;  // the second may be undefined where no gradient is needed
    SparsePattern transposed() const { return {by_columns, by_rows}; }
};

// sparse (m, k) @ dense (k, n), differentiable by the values (count,) and by dense. float32 and
// float64.
Tensor sparse_matmul(const SparsePattern& pattern, const Tensor& values, const Tensor& dense);
// The items of a (m, n) @ b (k, n)^T at the pattern: (count,).
Tensor sparse_sample(const SparsePattern& pattern, const Tensor& a, const Tensor& b);

}  // namespace ember::ops
