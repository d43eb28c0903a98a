#pragma once

#include "autograd/record.h"

namespace ember::ops {

// exp(x) / sum(exp(x)) along dim; the input is cast to `dtype` first, when given.
Tensor softmax(const Tensor& input, int64_t dim, std::optional<DType> dtype);
Tensor log_softmax(const Tensor& input, int64_t dim, std::optional<DType> dtype);

}  // namespace ember::ops
