#pragma once

#include "autograd/record.h"

// Factors of matrices (*, m, n) of float32, float64, complex64 or complex128 and solutions by them,
// without gradients. The kernels are the CPU's: what other devices hold comes there and goes back.
namespace ember::ops {

struct Lu {
    Tensor lu;      // L without its unit diagonal, and U: contiguous
    Tensor pivots;  // (*, min(m, n)), int32: the row exchanged with each, from 1
    Tensor info;    // (*), int32: the first zero on U's diagonal, from 1, or 0
    Tensor sign;    // (*): the determinant of the exchanges
};
Lu factor_lu(const Tensor& a);
// x with its rows exchanged as the pivots say, or back; batches broadcast.
Tensor exchange_rows(const char* name, const Tensor& x, const Tensor& pivots, bool reverse);
// x with a x = b for triangular a; batches broadcast. The other triangle is not read.
Tensor substitute(const char* name, const Tensor& a, const Tensor& b, bool upper, bool unit);
// Upper triangular u with u^H u = a of which the upper triangle is read; and the order of the first
// leading minor that is not positive, or 0.
std::tuple<Tensor, Tensor> factor_cholesky(const Tensor& a);
// R with the vectors of Q's reflectors below it, and their factors.
std::tuple<Tensor, Tensor> factor_qr(const Tensor& a);
// Q c, or Q^H c, with Q (m, m) the product of reflectors; `columns` of Q itself where there is no
// c.
Tensor reflect(const Tensor& a, const Tensor& tau, const Tensor& c, bool adjoint);
Tensor reflectors(const Tensor& a, const Tensor& tau, int64_t columns);

}  // namespace ember::ops
