#pragma once

#include "autograd/record.h"

// Whether tensors agree, exactly or within a tolerance.
namespace ember::ops {

bool equal(const Tensor& a, const Tensor& b);
// |a - b| <= atol + rtol * |b|; equal infinities are close, NaNs if equal_nan.
Tensor isclose(const Tensor& a, const Tensor& b, double rtol, double atol, bool equal_nan);
bool allclose(const Tensor& a, const Tensor& b, double rtol, double atol, bool equal_nan);

}  // namespace ember::ops
