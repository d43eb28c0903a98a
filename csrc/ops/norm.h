#pragma once

#include "autograd/record.h"

namespace ember::ops {

// (x - mean) / sqrt(var + eps) * weight + bias over the last dims, whose sizes normalized_shape
// gives (Ba, Kiros and Hinton, 2016). weight and bias may be undefined.
Tensor layer_norm(const Tensor& input, const Dims& normalized_shape, const Tensor& weight,
                  const Tensor& bias, double eps);
// The same by channel (dim 1) over all other dims, with the batch's statistics while training and
// the running ones otherwise (Ioffe and Szegedy, 2015). Running statistics are updated in place.
Tensor batch_norm(const Tensor& input, const Tensor& running_mean, const Tensor& running_var,
                  const Tensor& weight, const Tensor& bias, bool training, double momentum,
                  double eps);

}  // namespace ember::ops
