#pragma once

#include "autograd/record.h"

namespace ember::ops {

// Products in all ranks as numpy's matmul: (n,) @ (n,), (m, k) @ (k,), (…, m, k) @ (…, k, n); batch
// dims broadcast. Both must have one dtype.
Tensor matmul(const Tensor& a, const Tensor& b, const Dest& dest = {});
// The same for exactly two dims, three, one and two, one and one.
Tensor mm(const Tensor& a, const Tensor& b, const Dest& dest);
Tensor bmm(const Tensor& a, const Tensor& b, const Dest& dest);
Tensor int_mm(const Tensor& a, const Tensor& b, const Dest& dest);
Tensor mv(const Tensor& a, const Tensor& b, const Dest& dest);
Tensor dot(const Tensor& a, const Tensor& b, const Dest& dest);
Tensor outer(const Tensor& a, const Tensor& b);
// beta * input + alpha * (a @ b); a beta of 0 ignores input, NaN included.
Tensor addmm(const Tensor& input, const Tensor& a, const Tensor& b, Number beta, Number alpha,
             const Dest& dest);
Tensor baddbmm(const Tensor& input, const Tensor& a, const Tensor& b, Number beta, Number alpha,
               const Dest& dest);
// input (…, in) @ weight (out, in)^T + bias (out,)
Tensor linear(const Tensor& input, const Tensor& weight, const Tensor& bias);

}  // namespace ember::ops
