#pragma once

#include <optional>

#include "autograd/record.h"

namespace ember::ops {

// (x - mean) / sqrt(var + eps) * weight + bias over the last dims, whose sizes normalized_shape
// gives (Ba, Kiros and Hinton, 2016). weight and bias may be undefined.
Tensor layer_norm(const Tensor& input, const Dims& normalized_shape, const Tensor& weight,
                  const Tensor& bias, double eps);
// input / sqrt(mean(input^2) + eps) * weight over the last dims (Zhang and Sennrich, 2019); eps is
// the computation's own without a value.
Tensor rms_norm(const Tensor& input, const Dims& normalized_shape, const Tensor& weight,
                std::optional<double> eps);
// The same by image and group of channels, (N, C, ...), with weight and bias (C,) (Wu and He,
// 2018).
Tensor group_norm(const Tensor& input, int64_t num_groups, const Tensor& weight, const Tensor& bias,
                  double eps);
// The same by image and channel; with running statistics as batch_norm, whose momentum is that of
// the batch's mean.
Tensor instance_norm(const Tensor& input, const Tensor& running_mean, const Tensor& running_var,
                     const Tensor& weight, const Tensor& bias, bool use_input_stats,
                     double momentum, double eps);
// The same by channel (dim 1) over all other dims, with the batch's statistics while training and
// the running ones otherwise (Ioffe and Szegedy, 2015). Running statistics are updated in place.
Tensor batch_norm(const Tensor& input, const Tensor& running_mean, const Tensor& running_var,
                  const Tensor& weight, const Tensor& bias, bool training, double momentum,
                  double eps);

}  // namespace ember::ops
