#pragma once

#include "autograd/record.h"

// Factors of matrices (*, m, n) of float32, float64, complex64 or complex128 and solutions by them,
// without gradients.
namespace ember::ops {

// L and U in one matrix, the rows exchanged (from 1), and the first zero on U's diagonal (from 1; 0
// where there is none).
std::tuple<Tensor, Tensor, Tensor> lu_factor(const Tensor& a);
// x with a x = b for triangular a; batches broadcast. The other triangle is not read.
Tensor solve_triangular(const Tensor& a, const Tensor& b, bool upper, bool unit);

}  // namespace ember::ops
