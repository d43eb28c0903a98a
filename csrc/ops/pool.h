#pragma once

#include <tuple>

#include "autograd/record.h"

namespace ember::ops {

// Pooling of (N, C, H, W) or (C, H, W) over windows; every option is one number or two. An empty
// stride is the kernel's size. ceil_mode lets a last window reach over the end.
Tensor max_pool2d(const Tensor& input, const Dims& kernel_size, const Dims& stride,
                  const Dims& padding, const Dims& dilation, bool ceil_mode);
// With the index (int64) of each maximum in its plane.
std::tuple<Tensor, Tensor> max_pool2d_with_indices(const Tensor& input, const Dims& kernel_size,
                                                   const Dims& stride, const Dims& padding,
                                                   const Dims& dilation, bool ceil_mode);
Tensor avg_pool2d(const Tensor& input, const Dims& kernel_size, const Dims& stride,
                  const Dims& padding, bool ceil_mode, bool count_include_pad,
                  std::optional<int64_t> divisor_override);

}  // namespace ember::ops
