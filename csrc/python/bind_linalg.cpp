#include "ops/cross.h"
#include "ops/linalg.h"
#include "ops/products.h"
#include "python/bind.h"
#include "python/tables.h"

namespace ember::python {

// What ember.linalg makes its functions of.
void bind_linalg(BindTable& t) {
    bind<&ops::linalg_inv>(t, kFunction, "_linalg_inv(name: str, A, check: bool)",
                           "The inverse, and the first zero on U's diagonal (from 1) or 0.");
    bind<&ops::linalg_solve>(t, kFunction,
                             "_linalg_solve(name: str, A, B, left: bool, check: bool)",
                             "X with A X = B or X A = B, and as _linalg_inv.");
    bind<&ops::linalg_solve_triangular>(
        t, kFunction,
        "_linalg_solve_triangular(A, B, upper: bool, left: bool, unitriangular: bool)",
        "X with A X = B or X A = B for triangular A.");
    bind<&ops::linalg_det>(t, kFunction, "_linalg_det(A)", "The determinant.");
    bind<&ops::linalg_slogdet>(t, kFunction, "_linalg_slogdet(A)",
                               "The determinant's sign, and the logarithm of its magnitude.");
    bind<&ops::linalg_lu_factor>(t, kFunction, "_linalg_lu_factor(name: str, A, check: bool)",
                                 "L and U in one matrix, the rows exchanged (from 1), and as "
                                 "_linalg_inv.");
    bind<&ops::linalg_lu_solve>(
        t, kFunction, "_linalg_lu_solve(LU, pivots, B, left: bool, adjoint: bool)",
        "X with A X = B or X A = B, or of A^H where adjoint, by what _linalg_lu_factor gave.");
    bind<&ops::linalg_permutation>(t, kFunction, "_linalg_permutation(LU, pivots)",
                                   "P of A = P L U, of LU's dtype.");
    bind<&ops::linalg_triangles>(t, kFunction, "_linalg_triangles(LU)", "L and U.");
    bind<&ops::linalg_cholesky>(t, kFunction,
                                "_linalg_cholesky(name: str, A, upper: bool, check: bool)",
                                "L of A = L L^H, or L^H, and the order of the first leading minor "
                                "that is not positive or 0.");
    bind<&ops::linalg_qr>(t, kFunction, "_linalg_qr(A, mode: str)", "Q and R.");
    bind<&ops::linalg_geqrf>(t, kFunction, "_linalg_geqrf(A)",
                             "R with the reflectors of Q below it, and their factors; without a "
                             "gradient.");
    bind<&ops::linalg_reflectors>(t, kFunction, "_linalg_reflectors(A, tau, columns: int)",
                                  "Columns of the product of reflectors, without a gradient.");
    bind<&ops::linalg_reflect>(t, kFunction, "_linalg_reflect(A, tau, C, adjoint: bool)",
                               "The product of reflectors, or its adjoint, times C; without a "
                               "gradient.");
    bind<&ops::cross>(t, kFunction, "_linalg_cross(input, other, dim: int)",
                      "Cross products along dim.");
    bind<&ops::multi_dot>(t, kFunction, "_linalg_multi_dot(tensors)",
                          "The product of matrices in the order of fewest operations.");
    bind<&ops::tensordot>(t, kFunction,
                          "_tensordot(a, b, dims_a: tuple[int, ...], dims_b: tuple[int, ...])",
                          "Sums of products over dims of a and as many of b.");
    bind<&ops::kron>(t, kFunction, "_kron(input, other)",
                     "Blocks of other, each times an item of input.");
}

}  // namespace ember::python
