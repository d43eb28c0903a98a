#pragma once

#include "autograd/record.h"

namespace ember::ops {

// Cross products of vectors of 3 along `dim`; other dims broadcast.
Tensor cross(const Tensor& input, const Tensor& other, int64_t dim);

}  // namespace ember::ops
