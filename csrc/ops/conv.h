#pragma once

#include <string_view>

#include "autograd/record.h"

// Cross-correlation of 1, 2 or 3 spatial dims: input (N, C, dims...) or (C, dims...), weight
// (K, C / groups, dims...), bias (K,). stride, padding and dilation are one number or one a dim.
namespace ember::ops {

#define EMBER_CONVOLUTION(rank)                                                                   \
    Tensor conv##rank##d(const Tensor& input, const Tensor& weight, const Tensor& bias,           \
                         const Dims& stride, const Dims& padding, const Dims& dilation,           \
                         int64_t groups);                                                         \
    /* padding "valid" is none; "same" keeps the size and needs a stride of 1. */                 \
    Tensor conv##rank##d_mode(const Tensor& input, const Tensor& weight, const Tensor& bias,      \
                              const Dims& stride, std::string_view padding, const Dims& dilation, \
                              int64_t groups);                                                    \
    /* The adjoint of the convolution: weight (C, K / groups, dims...) of an input with C. */     \
    Tensor conv_transpose##rank##d(                                                               \
        const Tensor& input, const Tensor& weight, const Tensor& bias, const Dims& stride,        \
        const Dims& padding, const Dims& output_padding, int64_t groups, const Dims& dilation);
EMBER_CONVOLUTION(1)
EMBER_CONVOLUTION(2)
EMBER_CONVOLUTION(3)
#undef EMBER_CONVOLUTION

}  // namespace ember::ops
