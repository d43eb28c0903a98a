#pragma once

#include <string_view>

#include "autograd/record.h"

// Linear maps along the spatial dims of images (N, C, dims...), of 1 to 3 dims.
namespace ember::ops {

// To `size` by a mode of PyTorch's interpolate. Positive scales, one a dim, take the place of the
// quotients of the sizes.
Tensor interpolate(const Tensor& input, const Dims& size, std::string_view mode, bool align_corners,
                   bool antialias, double scale0, double scale1, double scale2);

// Padding of the last dims by items of the input: mode "reflect", "replicate" or "circular".
Tensor pad_with_items(const Tensor& input, const Dims& padding, std::string_view mode);

// Means over windows [floor(i * size / n), ceil((i + 1) * size / n)); (C, dims...) too.
Tensor adaptive_avg_pool1d(const Tensor& input, const Dims& output_size);
Tensor adaptive_avg_pool2d(const Tensor& input, const Dims& output_size);
Tensor adaptive_avg_pool3d(const Tensor& input, const Dims& output_size);

}  // namespace ember::ops
