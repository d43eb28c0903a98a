"""Matrix functions that stand in ``torch`` itself, composed of products and of ``linalg``."""

from __future__ import annotations

import math
from collections import namedtuple
from typing import Any

from . import _C, _lapack, linalg
from ._autocast import in_float32
from ._lapack import deliver
from .linalg import matrix_exp, matrix_power, slogdet

Tensor = _C.Tensor

__all__ = ["matrix_exp", "matrix_power", "slogdet"]

_QR = namedtuple("qr", "Q R")
_SVD = namedtuple("svd", "U S V")
_Triangular = namedtuple("triangular_solve", "solution cloned_coefficient")
_LUUnpack = namedtuple("lu_unpack", "P L U")


# ---- Products


def tensordot(a: Tensor, b: Tensor, dims: Any = 2, out: Tensor | None = None) -> Tensor:
    """Sum products over the last `dims` dims of a and the first of b, or over two lists of dims."""
    if isinstance(dims, Tensor):
        dims = dims.tolist()
    if isinstance(dims, int):
        if dims < 0:
            raise RuntimeError(f"tensordot expects dims >= 0, but got dims={dims}")
        if dims > min(a.dim(), b.dim()):
            raise RuntimeError(
                f"tensordot: dims={dims} is too many for {a.dim()} and {b.dim()} dims"
            )
        left, right = list(range(a.dim() - dims, a.dim())), list(range(dims))
    else:
        left, right = ([d] if isinstance(d, int) else list(d) for d in dims)
    return deliver(_C._tensordot(a, b, left, right), out)


def inner(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Dot products of the last dims; a product by a zero-dim tensor."""
    if input.dim() == 0 or other.dim() == 0:
        return deliver(input * other, out)
    if input.dim() == 1 == other.dim():
        return _C.dot(input, other) if out is None else _C.dot(input, other, out=out)
    if input.shape[-1] != other.shape[-1]:
        raise RuntimeError(
            f"inner: the last dimensions must match, got {tuple(input.shape)} and "
            f"{tuple(other.shape)}"
        )
    return deliver(tensordot(input, other, ([-1], [-1])), out)


def vdot(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Dot product of two vectors, the first one conjugated."""
    if input.dim() != 1 or other.dim() != 1:
        raise RuntimeError(f"vdot: expected 1-D tensors, got {input.dim()}D and {other.dim()}D")
    return deliver(_C.dot(input.conj(), other), out)


def kron(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Kronecker product: blocks of other, each times an element of input."""
    return deliver(_C._kron(input, other), out)


def chain_matmul(*matrices: Tensor, out: Tensor | None = None) -> Tensor:
    """Product of matrices in the order of fewest operations; see `linalg.multi_dot`."""
    if len(matrices) == 1 and isinstance(matrices[0], (list, tuple)):
        matrices = tuple(matrices[0])
    if not matrices:
        raise RuntimeError("chain_matmul: expected one or more matrices")
    for m in matrices:
        if m.dim() != 2:
            raise RuntimeError(f"chain_matmul: tensors must be matrices, got {m.dim()} dims")
    if len(matrices) == 1:
        return deliver(matrices[0].clone(), out)
    return linalg.multi_dot(matrices, out=out)


def cross(
    input: Tensor, other: Tensor, dim: int | None = None, *, out: Tensor | None = None
) -> Tensor:
    """Cross product along `dim`, by default the first of size 3."""
    if dim is None:
        found = [d for d, n in enumerate(input.shape) if n == 3]
        if not found:
            raise RuntimeError(f"cross: no dimension of size 3 in input {tuple(input.shape)}")
        dim = found[0]
    return deliver(_C._linalg_cross(input, other, dim), out)


@in_float32
def trace(input: Tensor) -> Tensor:
    """Sum of a matrix's diagonal."""
    if input.dim() != 2:
        raise RuntimeError(f"trace: expected a matrix, but got tensor with dim {input.dim()}")
    return input.diagonal().sum()


def renorm(
    input: Tensor, p: float, dim: int, maxnorm: float, *, out: Tensor | None = None
) -> Tensor:
    """Scale down the slices along `dim` whose p-norm exceeds maxnorm."""
    if not input.dtype.is_floating_point and not input.is_complex():
        raise RuntimeError(f"renorm: expected a floating point tensor, got {input.dtype}")
    if p <= 0:
        raise RuntimeError(f"renorm: non-positive norm not supported, got {p}")
    if maxnorm < 0:
        raise RuntimeError(f"renorm: expected maxnorm to be >= 0 but got {maxnorm}")
    if input.dim() < 2:
        raise RuntimeError(f"renorm: input needs at least 2 dimensions, got {input.dim()}")
    (d,) = linalg._dims("renorm", dim, input.dim())
    norm = _C.norm(input, p, [k for k in range(input.dim()) if k != d], True)
    factor = _C.where(norm > maxnorm, maxnorm / (norm + 1e-7), 1.0)
    return deliver(input * factor.to(input.dtype), out)


def renorm_(input: Tensor, p: float, dim: int, maxnorm: float) -> Tensor:
    """`renorm` in place."""
    return input.copy_(renorm(input, p, dim, maxnorm))


def addmv(
    input: Tensor, mat: Tensor, vec: Tensor, *, beta: Any = 1, alpha: Any = 1,
    out: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """``beta * input + alpha * (mat @ vec)``; input broadcasts."""
    if mat.dim() != 2 or vec.dim() != 1 or mat.shape[1] != vec.shape[0] or input.dim() > 1:
        raise RuntimeError(
            f"addmv: expected a vector, a matrix and a vector, got shapes {tuple(input.shape)}, "
            f"{tuple(mat.shape)} and {tuple(vec.shape)}"
        )
    wide = input.unsqueeze(-1) if input.dim() else input
    result = _C.addmm(wide, mat, vec.unsqueeze(-1), beta=beta, alpha=alpha).squeeze(-1)
    return deliver(result, out)


def addmv_(input: Tensor, mat: Tensor, vec: Tensor, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
    """`addmv` in place."""
    return _in_place("addmv_", input, addmv(input, mat, vec, beta=beta, alpha=alpha))


def addbmm(
    input: Tensor, batch1: Tensor, batch2: Tensor, *, beta: Any = 1, alpha: Any = 1,
    out: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """``beta * input + alpha * sum(batch1 @ batch2)`` over the batch; input broadcasts."""
    if (
        batch1.dim() != 3
        or batch2.dim() != 3
        or batch1.shape[0] != batch2.shape[0]
        or batch1.shape[2] != batch2.shape[1]
    ):
        raise RuntimeError(
            f"addbmm: batch1 and batch2 must be batches of matrices that multiply, got shapes "
            f"{tuple(batch1.shape)} and {tuple(batch2.shape)}"
        )
    b, n, k = batch1.shape
    left = batch1.transpose(0, 1).reshape(n, b * k)
    right = batch2.reshape(b * k, batch2.shape[2])
    return deliver(_C.addmm(input, left, right, beta=beta, alpha=alpha), out)


def addbmm_(
    input: Tensor, batch1: Tensor, batch2: Tensor, *, beta: Any = 1, alpha: Any = 1
) -> Tensor:
    """`addbmm` in place."""
    return _in_place("addbmm_", input, addbmm(input, batch1, batch2, beta=beta, alpha=alpha))


def addr(
    input: Tensor, vec1: Tensor, vec2: Tensor, *, beta: Any = 1, alpha: Any = 1,
    out: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """``beta * input + alpha * outer(vec1, vec2)``; input broadcasts."""
    if vec1.dim() != 1 or vec2.dim() != 1:
        raise RuntimeError(f"addr: expected 1-D vectors, got {vec1.dim()}D and {vec2.dim()}D")
    shape = (vec1.shape[0], vec2.shape[0])
    if input.shape != shape and _lapack._broadcast("addr", input.shape, shape) != shape:
        raise RuntimeError(f"addr: input {tuple(input.shape)} does not broadcast to {shape}")
    result = _C.outer(vec1, vec2)
    if alpha != 1:
        result = alpha * result
    if beta == 0:
        # Not even the input's NaNs count.
        result = result.to(_C.result_type(input, result))
    else:
        result = (input if beta == 1 else beta * input) + result
    return deliver(result, out)


def addr_(input: Tensor, vec1: Tensor, vec2: Tensor, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
    """`addr` in place."""
    return _in_place("addr_", input, addr(input, vec1, vec2, beta=beta, alpha=alpha))


def _in_place(name: str, input: Tensor, result: Tensor) -> Tensor:
    if input.shape != result.shape:
        raise RuntimeError(
            f"{name}: input of shape {tuple(input.shape)} cannot hold a result of shape "
            f"{tuple(result.shape)}"
        )
    return input.copy_(result)


# ---- Factorisations


def det(input: Tensor) -> Tensor:
    """Determinant; see `linalg.det`."""
    return linalg.det(input)


def logdet(input: Tensor) -> Tensor:
    """Logarithm of the determinant: NaN where it is negative, -inf where it is 0."""
    sign, log = linalg.slogdet(input)
    if sign.is_complex():
        return sign.log() + log
    return _C.where(sign < 0, math.nan, log)


@in_float32
def inverse(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Inverse of square matrices; see `linalg.inv`."""
    return linalg.inv(input, out=out)


def pinverse(input: Tensor, rcond: float = 1e-15) -> Tensor:
    """Pseudoinverse; see `linalg.pinv`."""
    return linalg.pinv(input, rtol=rcond)


@in_float32
def cholesky(input: Tensor, upper: bool = False, *, out: Tensor | None = None) -> Tensor:
    """Cholesky factor; see `linalg.cholesky`."""
    return linalg.cholesky(input, upper=upper, out=out)


@in_float32
def cholesky_solve(
    B: Tensor, L: Tensor, upper: bool = False, *, out: Tensor | None = None
) -> Tensor:
    """Solve ``A X = B`` with A's Cholesky factor L."""
    if upper:
        y = linalg.solve_triangular(L.mH, B, upper=False)
        return linalg.solve_triangular(L, y, upper=True, out=out)
    y = linalg.solve_triangular(L, B, upper=False)
    return linalg.solve_triangular(L.mH, y, upper=True, out=out)


def cholesky_inverse(L: Tensor, upper: bool = False, *, out: Tensor | None = None) -> Tensor:
    """Inverse of A from its Cholesky factor L."""
    _lapack._check("cholesky_inverse", L, square=True)
    eye = _C.eye(L.shape[-1], dtype=L.dtype, device=L.device)
    return cholesky_solve(eye.expand(*L.shape), L, upper, out=out)


@in_float32
def qr(input: Tensor, some: bool = True, *, out: Any = None) -> Any:
    """``(Q, R)``; see `linalg.qr`."""
    return deliver(_QR(*linalg.qr(input, "reduced" if some else "complete")), out)


@in_float32
def svd(input: Tensor, some: bool = True, compute_uv: bool = True, *, out: Any = None) -> Any:
    """``input = U diag(S) V^H``: ``(U, S, V)``; U and V are zeros unless `compute_uv`."""
    _lapack._check("svd", input)
    if not compute_uv:
        m, n = input.shape[-2:]
        u = input.new_zeros((*input.shape[:-2], m, m))
        v = input.new_zeros((*input.shape[:-2], n, n))
        return deliver(_SVD(u, linalg.svdvals(input), v), out)
    u, s, vh = linalg.svd(input, full_matrices=not some)
    return deliver(_SVD(u, s, vh.mH), out)


def triangular_solve(
    b: Tensor, A: Tensor, upper: bool = True, transpose: bool = False, unitriangular: bool = False,
    *, out: Any = None,
) -> Any:  # fmt: skip
    """Solve ``A X = b`` (A^T where `transpose`): ``(solution, cloned_coefficient)``."""
    matrix = A.mT if transpose else A
    x = linalg.solve_triangular(matrix, b, upper=upper != transpose, unitriangular=unitriangular)
    return deliver(_Triangular(x, A.clone()), out)


def lu(A: Tensor, pivot: bool = True, get_infos: bool = False, out: Any = None) -> Any:
    """``(LU, pivots)``, with a zero for each matrix where `get_infos`; see `linalg.lu_factor`."""
    packed, pivots = linalg.lu_factor(A, pivot=pivot)
    if get_infos:
        return packed, pivots, _C.zeros(A.shape[:-2], dtype=_C.int32, device=A.device)
    return packed, pivots


def lu_solve(b: Tensor, LU_data: Tensor, LU_pivots: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Solve ``A X = b`` with A's LU factors."""
    return linalg.lu_solve(LU_data, LU_pivots, b, out=out)


def lu_unpack(
    LU_data: Tensor, LU_pivots: Tensor, unpack_data: bool = True, unpack_pivots: bool = True,
    *, out: Any = None,
) -> Any:  # fmt: skip
    """``(P, L, U)`` of what `lu` gave; empty where not asked for."""
    empty = _C.empty(0, dtype=LU_data.dtype, device=LU_data.device)
    p, lower, upper = empty, empty, empty
    if unpack_pivots:
        p = _C._linalg_permutation(LU_data, LU_pivots)
    if unpack_data:
        lower, upper = _C._linalg_triangles(LU_data)
    return deliver(_LUUnpack(p, lower, upper), out)
