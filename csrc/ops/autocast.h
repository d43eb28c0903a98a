#pragma once

#include "core/tensor.h"

namespace ember::ops {

// What an operation that autocast casts computes on instead of x. The cast of a float32 parameter
// is kept until autocast ends, so that a parameter used twice is cast once and gets one gradient.
EMBER_EXPORT Tensor autocast(const Tensor& x, DType dtype);
EMBER_EXPORT void clear_autocast_cache();

}  // namespace ember::ops
