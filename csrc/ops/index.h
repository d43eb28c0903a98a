#pragma once

#include "autograd/record.h"

namespace ember::ops {

// x with alpha * source added to the slices of `dim` that index names.
Tensor index_add(const Tensor& x, int64_t dim, const Tensor& index, const Tensor& source,
                 Number alpha, const Dest& dest);

}  // namespace ember::ops
