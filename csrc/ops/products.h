#pragma once

#include <vector>

#include "core/tensor.h"

namespace ember::ops {

// Product of matrices in the order of fewest operations; the first and last may be vectors.
Tensor multi_dot(const std::vector<Tensor>& tensors);
// Sums of products over dims of a and as many of b.
Tensor tensordot(const Tensor& a, const Tensor& b, const Dims& dims_a, const Dims& dims_b);
// Blocks of b, each times an item of a.
Tensor kron(const Tensor& a, const Tensor& b);

}  // namespace ember::ops
