#pragma once

#include <optional>
#include <tuple>

#include "autograd/record.h"

// Pooling of (N, C, dims...) or (C, dims...) with 1, 2 or 3 spatial dims; every option is one
// number or one a dim. An empty stride is the kernel's size. ceil_mode lets a last window reach
// over the end.
namespace ember::ops {

#define EMBER_POOLING(rank)                                                                    \
    Tensor max_pool##rank##d(const Tensor& input, const Dims& kernel_size, const Dims& stride, \
                             const Dims& padding, const Dims& dilation, bool ceil_mode);       \
    /* With the index (int64) of each maximum in its plane. */                                 \
    std::tuple<Tensor, Tensor> max_pool##rank##d_with_indices(                                 \
        const Tensor& input, const Dims& kernel_size, const Dims& stride, const Dims& padding, \
        const Dims& dilation, bool ceil_mode);                                                 \
    Tensor avg_pool##rank##d(const Tensor& input, const Dims& kernel_size, const Dims& stride, \
                             const Dims& padding, bool ceil_mode, bool count_include_pad,      \
                             std::optional<int64_t> divisor_override);                         \
    /* Window i of n is [floor(i * size / n), ceil((i + 1) * size / n)). */                    \
    std::tuple<Tensor, Tensor> adaptive_max_pool##rank##d(const Tensor& input,                 \
                                                          const Dims& output_size);
EMBER_POOLING(1)
EMBER_POOLING(2)
EMBER_POOLING(3)
#undef EMBER_POOLING

}  // namespace ember::ops
