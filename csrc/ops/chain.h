#pragma once

#include <vector>

#include "core/tensor.h"

namespace ember::ops {

// Product of matrices in the order of fewest operations; the first and last may be vectors.
Tensor multi_dot(const std::vector<Tensor>& tensors);

}  // namespace ember::ops
