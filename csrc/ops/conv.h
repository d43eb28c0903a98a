#pragma once

#include <string_view>

#include "autograd/record.h"

namespace ember::ops {

// Cross-correlation: input (N, C, H, W) or (C, H, W), weight (K, C / groups, R, S), bias (K,).
// stride, padding and dilation are one number or two, of rows and of columns.
Tensor conv2d(const Tensor& input, const Tensor& weight, const Tensor& bias, const Dims& stride,
              const Dims& padding, const Dims& dilation, int64_t groups);
// padding "valid" is none; "same" keeps the size and needs a stride of 1.
Tensor conv2d_mode(const Tensor& input, const Tensor& weight, const Tensor& bias,
                   const Dims& stride, std::string_view padding, const Dims& dilation,
                   int64_t groups);

}  // namespace ember::ops
