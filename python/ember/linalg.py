"""Linear algebra, in part over numpy's LAPACK, under PyTorch's names in ``torch.linalg``.

Functions take matrices ``(..., m, n)``, float32, float64, complex64 or complex128, and work on each
of a batch. Where LAPACK cannot go on they raise :class:`LinAlgError`, a ``RuntimeError``.
"""

from __future__ import annotations

import math
from collections import namedtuple
from collections.abc import Sequence
from typing import Any

import numpy as np

from . import _C, _lapack
from ._autocast import in_float32
from ._lapack import LinAlgError, _check, _same_dtype, deliver, real_of, tolerances

Tensor = _C.Tensor

__all__ = [
    "LinAlgError",
    "cholesky",
    "cond",
    "cross",
    "det",
    "diagonal",
    "eig",
    "eigh",
    "eigvals",
    "eigvalsh",
    "inv",
    "lstsq",
    "lu",
    "lu_factor",
    "lu_solve",
    "matmul",
    "matrix_exp",
    "matrix_norm",
    "matrix_power",
    "matrix_rank",
    "multi_dot",
    "norm",
    "pinv",
    "qr",
    "slogdet",
    "solve",
    "solve_triangular",
    "svd",
    "svdvals",
    "vander",
    "vecdot",
    "vector_norm",
]

matmul = _C.matmul

_Eig = namedtuple("linalg_eig", "eigenvalues eigenvectors")
_Eigh = namedtuple("linalg_eigh", "eigenvalues eigenvectors")
_Lstsq = namedtuple("linalg_lstsq", "solution residuals rank singular_values")
_LU = namedtuple("linalg_lu", "P L U")
_LUFactor = namedtuple("linalg_lu_factor", "LU pivots")
_QR = namedtuple("linalg_qr", "Q R")
_Slogdet = namedtuple("linalg_slogdet", "sign logabsdet")
_SVD = namedtuple("linalg_svd", "U S Vh")


def det(A: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Determinant of square matrices."""
    return deliver(_C._linalg_det(A), out)


def slogdet(A: Tensor, *, out: Any = None) -> Any:
    """Sign of the determinant and logarithm of its magnitude: ``(sign, logabsdet)``."""
    return deliver(_Slogdet(*_C._linalg_slogdet(A)), out)


@in_float32
def inv(A: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Inverse of square matrices; LinAlgError for a singular one."""
    return deliver(_C._linalg_inv("linalg.inv", A, True)[0], out)


@in_float32
def solve(A: Tensor, B: Tensor, *, left: bool = True, out: Tensor | None = None) -> Tensor:
    """Solve ``A X = B``, or ``X A = B`` where not `left`.

    ``B`` holds matrices, or vectors where it has one dim or A's batch shape and a dim more.
    """
    return deliver(_C._linalg_solve("linalg.solve", A, B, left, True)[0], out)


@in_float32
def solve_triangular(
    A: Tensor,
    B: Tensor,
    *,
    upper: bool,
    left: bool = True,
    unitriangular: bool = False,
    out: Tensor | None = None,
) -> Tensor:
    """Solve ``A X = B`` (``X A = B`` where not `left`) for triangular A, by substitution."""
    return deliver(_C._linalg_solve_triangular(A, B, upper, left, unitriangular), out)


@in_float32
def cholesky(input: Tensor, *, upper: bool = False, out: Tensor | None = None) -> Tensor:
    """L with ``A = L L^H`` (or ``L^H`` where `upper`), of Hermitian positive definite matrices."""
    return deliver(_C._linalg_cholesky("linalg.cholesky", input, upper, True)[0], out)


@in_float32
def qr(A: Tensor, mode: str = "reduced", *, out: Any = None) -> Any:
    """``A = Q R``, Q orthonormal and R upper triangular; `mode` is reduced, complete or r."""
    return deliver(_QR(*_C._linalg_qr(A, mode)), out)


def _check_hermitian(name: str, A: Tensor, UPLO: str) -> None:
    _check(name, A, square=True)
    if UPLO.upper() not in ("L", "U"):
        raise RuntimeError(f"{name}: Expected UPLO argument to be 'L' or 'U', got {UPLO!r}")


@in_float32
def eigh(input: Tensor, UPLO: str = "L", *, out: Any = None) -> Any:
    """Eigenvalues, ascending, and eigenvectors (columns) of Hermitian matrices."""
    _check_hermitian("linalg.eigh", input, UPLO)
    return deliver(_Eigh(*_lapack.Eigh.apply(input, UPLO.upper())), out)


@in_float32
def eigvalsh(input: Tensor, UPLO: str = "L", *, out: Tensor | None = None) -> Tensor:
    """Eigenvalues of Hermitian matrices, ascending."""
    if input.requires_grad and _C.is_grad_enabled():
        return deliver(eigh(input, UPLO).eigenvalues, out)
    _check_hermitian("linalg.eigvalsh", input, UPLO)
    return deliver(_lapack.run("linalg.eigvalsh", np.linalg.eigvalsh, input, UPLO.upper()), out)


@in_float32
def svd(
    A: Tensor, full_matrices: bool = True, *, driver: str | None = None, out: Any = None
) -> Any:
    """``A = U diag(S) Vh``; U and Vh square where `full_matrices`. `driver` means nothing here."""
    _check("linalg.svd", A)
    return deliver(_SVD(*_lapack.SVD.apply(A, full_matrices)), out)


@in_float32
def svdvals(A: Tensor, *, driver: str | None = None, out: Tensor | None = None) -> Tensor:
    """Singular values, descending."""
    _check("linalg.svdvals", A)
    if A.requires_grad and _C.is_grad_enabled():
        return deliver(_lapack.SVD.apply(A, False)[1], out)
    return deliver(_lapack.run("linalg.svdvals", np.linalg.svd, A, compute_uv=False), out)


def pinv(
    input: Tensor,
    rtol: Any = None,
    *,
    atol: Any = None,
    hermitian: bool = False,
    rcond: Any = None,
    out: Tensor | None = None,
) -> Tensor:
    """Pseudoinverse; singular values up to ``max(atol, rtol * largest)`` count as zero."""
    _check("linalg.pinv", input, square=hermitian)
    absolute, relative = tolerances(input, atol, rtol if rcond is None else rcond)
    return deliver(_lapack.PseudoInverse.apply(input, absolute, relative, hermitian)[0], out)


def matrix_rank(
    input: Tensor,
    tol: Any = None,
    *,
    atol: Any = None,
    rtol: Any = None,
    hermitian: bool = False,
    out: Tensor | None = None,
) -> Tensor:
    """Number of singular values above ``max(atol, rtol * largest)``: int64."""
    _check("linalg.matrix_rank", input, square=hermitian)
    absolute, relative = (
        tolerances(input, atol, rtol) if tol is None else tolerances(input, tol, 0.0)
    )
    A = input.detach()
    wide = A.shape[-2] < A.shape[-1]
    if not hermitian:
        r = _C._linalg_qr(A.mH if wide else A, "r")[1]
        if _lapack.full_rank(r, absolute, relative) is not None:
            rank = _C.full(A.shape[:-2], r.shape[-1], dtype=_C.int64, device=A.device)
            return deliver(rank, out)
    s = abs(eigvalsh(A)) if hermitian else svdvals(A)
    return deliver((s > _lapack.bound(s, absolute, relative)).sum(-1), out)


@in_float32
def lstsq(A: Tensor, B: Tensor, rcond: float | None = None, *, driver: str | None = None) -> Any:
    """Least squares ``min |A X - B|``: ``(solution, residuals, rank, singular_values)``.

    By the pseudoinverse. As in PyTorch residuals are empty unless A has more rows than columns
    and full rank; rank is empty for driver 'gels', singular values are given for 'gelss' and
    'gelsd'.
    """
    _check("linalg.lstsq", A)
    _same_dtype("linalg.lstsq", A, B)
    driver = driver or "gelsy"
    if driver not in ("gels", "gelsy", "gelsd", "gelss"):
        raise RuntimeError(
            f"linalg.lstsq: parameter `driver` should be one of (gels, gelsy, gelsd, gelss), "
            f"got {driver!r}"
        )
    vector = B.dim() == A.dim() - 1 and B.shape == A.shape[:-1]
    matrix = B.unsqueeze(-1) if vector else B
    if matrix.dim() < 2 or matrix.shape[-2] != A.shape[-2]:
        raise RuntimeError(
            f"linalg.lstsq: input.size(-2) should match other.size(-2), got {tuple(A.shape)} and "
            f"{tuple(B.shape)}"
        )
    m, n = A.shape[-2:]
    inverse, rank = _lapack.PseudoInverse.apply(A, *tolerances(A, None, rcond), False)
    solution = inverse @ matrix
    empty = _C.empty(0, dtype=real_of(A.dtype), device=A.device)
    residuals = empty
    if m > n and driver != "gelsy" and bool((rank == n).all()):
        residuals = (A @ solution - matrix).abs().square().sum(-2)
    return _Lstsq(
        solution.squeeze(-1) if vector else solution,
        residuals.squeeze(-1) if vector and residuals.dim() > 1 else residuals,
        _C.empty(0, dtype=_C.int64, device=A.device) if driver == "gels" else rank,
        svdvals(A) if driver in ("gelss", "gelsd") else empty,
    )


def lu_factor(A: Tensor, *, pivot: bool = True, out: Any = None) -> Any:
    """L and U in one matrix, and the rows exchanged, from 1: ``(LU, pivots)``."""
    if not pivot:
        raise RuntimeError("linalg.lu_factor: LU without pivoting is not implemented on the CPU")
    return deliver(_LUFactor(*_C._linalg_lu_factor("linalg.lu_factor", A, False)[:2]), out)


def lu(A: Tensor, *, pivot: bool = True, out: Any = None) -> Any:
    """``A = P L U`` by partial pivoting."""
    packed, pivots = lu_factor(A, pivot=pivot)
    p = _C._linalg_permutation(packed, pivots)
    return deliver(_LU(p, *_C._linalg_triangles(packed)), out)


def lu_solve(
    LU: Tensor,
    pivots: Tensor,
    B: Tensor,
    *,
    left: bool = True,
    adjoint: bool = False,
    out: Tensor | None = None,
) -> Tensor:
    """Solve ``A X = B`` (``X A = B``, A^H where `adjoint`) with what lu_factor gave."""
    return deliver(_C._linalg_lu_solve(LU, pivots, B, left, adjoint), out)


def eig(input: Tensor, *, out: Any = None) -> Any:
    """Eigenvalues and eigenvectors (columns of length 1) of square matrices, always complex."""
    _check("linalg.eig", input, square=True)
    return deliver(_Eig(*_lapack.Eig.apply(input)), out)


def eigvals(input: Tensor, *, out: Any = None) -> Any:
    """Eigenvalues of square matrices, always complex."""
    if input.requires_grad and _C.is_grad_enabled():
        return deliver(eig(input).eigenvalues, out)
    _check("linalg.eigvals", input, square=True)
    values = _lapack.run("linalg.eigvals", np.linalg.eigvals, input)
    return deliver(values.to(_lapack.complex_of(input.dtype)), out)


# ---- Norms


def _dims(name: str, dim: Any, ndim: int) -> list[int]:
    dims = [dim] if isinstance(dim, int) else list(dim)
    for d in dims:
        if not -max(ndim, 1) <= d < max(ndim, 1):
            raise IndexError(f"{name}: dim {d} is out of range for {ndim} dims")
    return [d % max(ndim, 1) for d in dims]


def vector_norm(
    input: Tensor,
    ord: float = 2,
    dim: Any = None,
    keepdim: bool = False,
    *,
    dtype: Any = None,
    out: Tensor | None = None,
) -> Tensor:
    """``(sum |x|^ord)^(1/ord)`` over `dim`, or all elements; see `ember.norm`."""
    if dtype is not None:
        input = input.to(dtype)
    if not input.dtype.is_floating_point and not input.is_complex():
        raise RuntimeError(
            "linalg.vector_norm: Expected a floating point or complex tensor as input. "
            f"Got {input.dtype}"
        )
    if input.numel() == 0 and (ord < 0 or ord == math.inf):
        over = range(input.dim()) if dim is None else _dims("linalg.vector_norm", dim, input.dim())
        if dim is None or any(input.shape[d] == 0 for d in over):
            raise RuntimeError(
                f"linalg.vector_norm: cannot compute the {ord} norm over an empty dim"
            )
    return deliver(_C.norm(input, ord, dim, keepdim), out)


def matrix_norm(
    input: Tensor,
    ord: Any = "fro",
    dim: Any = (-2, -1),
    keepdim: bool = False,
    *,
    dtype: Any = None,
    out: Tensor | None = None,
) -> Tensor:
    """Norm of matrices: 'fro', 'nuc' (sum of singular values), 2 and -2 (largest and smallest
    one), 1 and -1 (sums of columns), inf and -inf (of rows)."""
    if dtype is not None:
        input = input.to(dtype)
    if input.dim() < 2 or not (input.dtype.is_floating_point or input.is_complex()):
        raise RuntimeError(
            "linalg.matrix_norm: expected a floating point or complex tensor of at least 2 dims, "
            f"got {input.dim()} of {input.dtype}"
        )
    dims = _dims("linalg.matrix_norm", dim, input.dim())
    if len(dims) != 2 or dims[0] == dims[1]:
        raise RuntimeError(f"linalg.matrix_norm: dim must be two different dims, got {dim}")
    if ord == "fro":
        return deliver(_C.norm(input, 2, dims, keepdim), out)
    row, column = dims
    if (isinstance(ord, str) and ord != "nuc") or ord not in (
        "nuc",
        2,
        -2,
        1,
        -1,
        math.inf,
        -math.inf,
    ):
        raise RuntimeError(f"linalg.matrix_norm: Order {ord} not supported.")
    if ord in ("nuc", 2, -2):
        s = svdvals(input.movedim(dims, (-2, -1)))
        result = s.sum(-1) if ord == "nuc" else s.amax(-1) if ord == 2 else s.amin(-1)
        if keepdim:
            for d in sorted(dims):
                result = result.unsqueeze(d)
        return deliver(result, out)
    if abs(ord) == math.inf:
        row, column = column, row
    sums = input.abs().sum(row, keepdim=True)
    result = sums.amax(column, keepdim=True) if ord > 0 else sums.amin(column, keepdim=True)
    return deliver(result if keepdim else result.squeeze(dims), out)


def norm(
    input: Tensor,
    ord: Any = None,
    dim: Any = None,
    keepdim: bool = False,
    *,
    out: Tensor | None = None,
    dtype: Any = None,
) -> Tensor:
    """`vector_norm` or `matrix_norm`, by the number of dims; 2 over all elements by default."""
    if ord is None:
        return vector_norm(input, 2, dim, keepdim, dtype=dtype, out=out)
    if dim is None and input.dim() not in (1, 2):
        raise RuntimeError(
            "linalg.norm: If dim is not specified but ord is, the input must be 1D or 2D"
        )
    count = input.dim() if dim is None else 1 if isinstance(dim, int) else len(dim)
    if count == 2:
        return matrix_norm(
            input, ord, (0, 1) if dim is None else dim, keepdim, dtype=dtype, out=out
        )
    if isinstance(ord, str):
        raise RuntimeError(f"linalg.norm: ord {ord!r} needs two dims")
    return vector_norm(input, ord, dim, keepdim, dtype=dtype, out=out)


@in_float32
def cond(input: Tensor, p: Any = None, *, out: Tensor | None = None) -> Tensor:
    """Condition number: the norm of A times that of its inverse; 2 by default."""
    _check("linalg.cond", input, square=p not in (None, 2, -2))
    if input.numel() == 0:
        return deliver(
            _C.zeros(input.shape[:-2], dtype=real_of(input.dtype), device=input.device), out
        )
    if p in (None, 2, -2):
        s = svdvals(input)
        big, small = s[..., 0], s[..., -1]
        return deliver(small / big if p == -2 else big / small, out)
    try:
        return deliver(matrix_norm(input, p) * matrix_norm(inv(input), p), out)
    except LinAlgError:
        infinite = _C.full(
            input.shape[:-2], math.inf, dtype=real_of(input.dtype), device=input.device
        )
        return deliver(infinite, out)


# ---- Products


def matrix_power(A: Tensor, n: int, *, out: Tensor | None = None) -> Tensor:
    """A to a whole power, by squaring; a negative one inverts."""
    if A.dim() < 2 or A.shape[-1] != A.shape[-2]:
        raise RuntimeError(
            f"linalg.matrix_power: A must be batches of square matrices, got {tuple(A.shape)}"
        )
    if n < 0:
        return matrix_power(inv(A), -n, out=out)
    result = None
    while n > 0:
        if n & 1:
            result = A if result is None else result @ A
        n >>= 1
        A = A @ A if n else A
    if result is None:
        eye = _C.eye(A.shape[-1], dtype=A.dtype, device=A.device)
        result = _C.where(_C.ones((), dtype=_C.bool, device=A.device), eye, A)
    return deliver(result, out)


def matrix_exp(input: Tensor) -> Tensor:
    """Exponential of square matrices: Taylor's polynomial of degree 18 after scaling, then
    squaring (Bader, Blanes and Casas, 2019)."""
    _check("linalg.matrix_exp", input, square=True)
    if input.numel() == 0:
        return input.clone()
    size = float(input.detach().abs().sum(-2).max())
    squarings = max(0, math.ceil(math.log2(size))) if 0 < size < math.inf else 0
    x = input / 2.0**squarings
    eye = _C.eye(input.shape[-1], dtype=input.dtype, device=input.device)
    # Horner in powers of x^3, so that 18 degrees take 7 products.
    x2 = x @ x
    x3 = x2 @ x
    c = [1 / math.factorial(k) for k in range(19)]
    result = c[18] * eye
    for k in range(15, -1, -3):
        result = c[k] * eye + c[k + 1] * x + c[k + 2] * x2 + x3 @ result
    for _ in range(squarings):
        result = result @ result
    return result


def multi_dot(tensors: Sequence[Tensor], *, out: Tensor | None = None) -> Tensor:
    """Product of matrices in the order of fewest operations; the first and last may be vectors."""
    return deliver(_C._linalg_multi_dot(tensors), out)


def vecdot(x: Tensor, y: Tensor, *, dim: int = -1, out: Tensor | None = None) -> Tensor:
    """Dot products of vectors along `dim`, the first ones conjugated."""
    return deliver((x.conj() * y).sum(dim), out)


def cross(input: Tensor, other: Tensor, *, dim: int = -1, out: Tensor | None = None) -> Tensor:
    """Cross product of vectors of 3 along `dim`; other dims broadcast."""
    return deliver(_C._linalg_cross(input, other, dim), out)


def diagonal(A: Tensor, *, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """Diagonals of matrices as a view."""
    return A.diagonal(offset, dim1, dim2)


def vander(x: Tensor, *, N: int | None = None) -> Tensor:
    """Powers 0 to N - 1 of a vector's elements as rows."""
    n = x.shape[-1] if N is None else N
    if n <= 1:
        raise RuntimeError(f"linalg.vander: N must be greater than 1, got {n}")
    if not x.is_complex() and not x.dtype.is_floating_point:
        x = x.to(_C.int64)
    powers = x.unsqueeze(-1).expand(*x.shape, n - 1).cumprod(-1)
    return _C.cat([_C.ones_like(x).unsqueeze(-1), powers], -1)


from ._linalg_checked import (  # noqa: E402  needs the functions above
    cholesky_ex,
    inv_ex,
    lu_factor_ex,
    solve_ex,
    tensorinv,
    tensorsolve,
)
from ._reflectors import householder_product  # noqa: E402

__all__ += ["householder_product"]
__all__ += ["cholesky_ex", "inv_ex", "lu_factor_ex", "solve_ex", "tensorinv", "tensorsolve"]


from ._overridable import publish  # noqa: E402  needs the functions above

publish(globals(), __all__)
