#pragma once

#include <string_view>

#include "autograd/record.h"

// Losses. `reduction` is "none", "mean" or "sum"; others raise ValueError.
namespace ember::ops {

// input: logits (C,), (N, C) or (N, C, ...); target: class indices (int64) without the class dim,
// or probabilities of input's shape; weight: (C,). The mean divides by the targets' weights.
Tensor cross_entropy(const Tensor& input, const Tensor& target, const Tensor& weight,
                     std::optional<bool> size_average, int64_t ignore_index,
                     std::optional<bool> reduce, std::string_view reduction,
                     double label_smoothing);
// The same for log-probabilities and class indices.
Tensor nll_loss(const Tensor& input, const Tensor& target, const Tensor& weight,
                std::optional<bool> size_average, int64_t ignore_index, std::optional<bool> reduce,
                std::string_view reduction);
Tensor mse_loss(const Tensor& input, const Tensor& target, std::optional<bool> size_average,
                std::optional<bool> reduce, std::string_view reduction, const Tensor& weight);
// input: probabilities in [0, 1]; logarithms are bounded by -100.
Tensor binary_cross_entropy(const Tensor& input, const Tensor& target, const Tensor& weight,
                            std::optional<bool> size_average, std::optional<bool> reduce,
                            std::string_view reduction);
Tensor binary_cross_entropy_with_logits(const Tensor& input, const Tensor& target,
                                        const Tensor& weight, std::optional<bool> size_average,
                                        std::optional<bool> reduce, std::string_view reduction,
                                        const Tensor& pos_weight);

}  // namespace ember::ops
