#pragma once

#include <string_view>

#include "autograd/record.h"

// Linear equations, determinants and factors of matrices (*, m, n) of float32, float64, complex64
// or complex128, with gradients. Where `check`, a matrix that an operation cannot do with raises
// LinAlgError; results for such matrices are NaN elsewhere.
namespace ember::ops {

// `info`: the first zero on the diagonal of U (from 1), or 0.
std::tuple<Tensor, Tensor> linalg_inv(std::string_view name, const Tensor& A, bool check);
std::tuple<Tensor, Tensor> linalg_solve(std::string_view name, const Tensor& A, const Tensor& B,
                                        bool left, bool check);
Tensor linalg_solve_triangular(const Tensor& A, const Tensor& B, bool upper, bool left,
                               bool unitriangular);
Tensor linalg_det(const Tensor& A);
std::tuple<Tensor, Tensor> linalg_slogdet(const Tensor& A);
// LU, pivots, info.
std::tuple<Tensor, Tensor, Tensor> linalg_lu_factor(std::string_view name, const Tensor& A,
                                                    bool check);
Tensor linalg_lu_solve(const Tensor& LU, const Tensor& pivots, const Tensor& B, bool left,
                       bool adjoint);
// P of A = P L U, of A's dtype; L and U.
Tensor linalg_permutation(const Tensor& LU, const Tensor& pivots);
std::tuple<Tensor, Tensor> linalg_triangles(const Tensor& LU);
// `info`: the order of the first leading minor that is not positive, or 0.
std::tuple<Tensor, Tensor> linalg_cholesky(std::string_view name, const Tensor& A, bool upper,
                                           bool check);
std::tuple<Tensor, Tensor> linalg_qr(const Tensor& A, std::string_view mode);
// Without gradients: R and reflectors below it, their factors; Q's columns of them; and Q's product
// by C.
std::tuple<Tensor, Tensor> linalg_geqrf(const Tensor& A);
Tensor linalg_reflectors(const Tensor& A, const Tensor& tau, int64_t columns);
Tensor linalg_reflect(const Tensor& A, const Tensor& tau, const Tensor& C, bool adjoint);

}  // namespace ember::ops
