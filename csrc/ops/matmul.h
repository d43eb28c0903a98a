#pragma once

#include "autograd/record.h"

namespace ember::ops {

// Products in all ranks as numpy's matmul; batches broadcast.
Tensor matmul(const Tensor& a, const Tensor& b, const Dest& dest);

}  // namespace ember::ops
