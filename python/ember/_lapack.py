"""Factorisations over numpy's LAPACK, with gradients in differentiable functions of Ember.

Backward formulas follow M. Giles (2008), "Collected matrix derivative results for forward and
reverse mode algorithmic differentiation", and for SVD, QR and the pseudoinverse J. Townsend (2016),
S. Walter and L. Lehmann (2010), G. Golub and V. Pereyra (1973).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from . import _C
from .autograd.function import Function

Tensor = _C.Tensor


class LinAlgError(RuntimeError):
    """A matrix that an operation cannot do with: singular, not positive definite."""


_DTYPES = (_C.float32, _C.float64, _C.complex64, _C.complex128)


def real_of(dtype: _C.dtype) -> _C.dtype:
    """The dtype of a complex dtype's parts."""
    return {_C.complex64: _C.float32, _C.complex128: _C.float64}.get(dtype, dtype)


def _check(name: str, a: Any, square: bool = False) -> None:
    if not isinstance(a, Tensor):
        raise TypeError(f"{name}: expected a tensor, got {type(a).__name__}")
    if a.dim() < 2:
        raise RuntimeError(
            f"{name}: The input tensor A must have at least 2 dimensions, got {a.dim()}"
        )
    if a.dtype not in _DTYPES:
        raise RuntimeError(
            f"{name}: Expected a tensor of float32, float64, complex64 or complex128, got {a.dtype}"
        )
    if square and a.shape[-1] != a.shape[-2]:
        raise RuntimeError(
            f"{name}: A must be batches of square matrices, but they are "
            f"{a.shape[-2]} by {a.shape[-1]} matrices"
        )


def _same_dtype(name: str, a: Tensor, b: Any) -> None:
    if not isinstance(b, Tensor):
        raise TypeError(f"{name}: expected a tensor, got {type(b).__name__}")
    if a.dtype != b.dtype:
        raise RuntimeError(f"{name}: expected tensors of one dtype, got {a.dtype} and {b.dtype}")


def deliver(result: Any, out: Any) -> Any:
    """The result, or `out` with the result in it."""
    if out is None:
        return result
    if isinstance(out, (tuple, list)):
        for r, o in zip(result, out, strict=True):
            deliver(r, o)
        return type(result)(*out)
    return _C.where(_C.ones((), dtype=_C.bool, device=result.device), result, result, out=out)


def _broadcast(name: str, *shapes: Sequence[int]) -> tuple[int, ...]:
    try:
        return np.broadcast_shapes(*map(tuple, shapes))
    except ValueError:
        raise RuntimeError(f"{name}: batch shapes {shapes} do not broadcast") from None


def _iterate(function: Callable, a: np.ndarray, *args: Any, **kwargs: Any) -> Any:
    """function(a, ...) for LAPACK's iterations, some of which never end on NaN or infinity."""
    if not np.isfinite(a).all():
        raise np.linalg.LinAlgError("the matrix has values that are not finite")
    return function(a, *args, **kwargs)


def run(name: str, function: Callable, *tensors: Tensor, **kwargs: Any) -> Any:
    """function(arrays) as tensors; raises LinAlgError where LAPACK gives up.

    Tensors of other devices come to the CPU, and the results go where the first of them was.
    """
    device = _same_device(name, tensors)
    try:
        with np.errstate(all="ignore"):
            result = function(*(t.detach().cpu().numpy() for t in tensors), **kwargs)
    except np.linalg.LinAlgError as e:
        raise LinAlgError(f"{name}: {e}") from None
    dtype = tensors[0].dtype

    def wrap(x: Any) -> Tensor:
        t = _C.from_numpy(np.array(x, order="C"))
        if t.is_complex():
            return t.to(device, dtype if dtype.is_complex else t.dtype)
        return t.to(device, real_of(dtype) if t.dtype.is_floating_point else t.dtype)

    return tuple(map(wrap, result)) if isinstance(result, tuple) else wrap(result)


def half_diagonal_tril(x: Tensor) -> Tensor:
    return x.tril() - 0.5 * _C.diag_embed(x.diagonal(0, -2, -1))


class Inverse(Function):
    @staticmethod
    def forward(ctx: Any, name: str, a: Tensor) -> Tensor:
        y = run(name, np.linalg.inv, a)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple:
        (y,) = ctx.saved_tensors
        return None, -(y.mH @ g @ y.mH)


class Solve(Function):
    """x with a x = b, both matrices."""

    @staticmethod
    def forward(ctx: Any, name: str, a: Tensor, b: Tensor) -> Tensor:
        x = run(name, np.linalg.solve, a, b)
        ctx.save_for_backward(a, x)
        return x

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple:
        a, x = ctx.saved_tensors
        gb = Solve.apply("linalg.solve", a.mH, g)
        ga = -(gb @ x.mH) if ctx.needs_input_grad[1] else None
        return None, fit(ga, a), gb if ctx.needs_input_grad[2] else None


def fit(g: Tensor | None, like: Tensor) -> Tensor | None:
    """Sum a gradient over the dims that `like` was broadcast along."""
    if g is None or g.shape == like.shape:
        return g
    lead = g.dim() - like.dim()
    dims = [
        d for d in range(g.dim()) if d < lead or (like.shape[d - lead] == 1 and g.shape[d] != 1)
    ]
    return g.sum(dims, keepdim=True).reshape(like.shape)


def _same_device(name: str, tensors: Sequence[Tensor]) -> _C.device:
    device = tensors[0].device
    for t in tensors:
        if t.device != device:
            raise RuntimeError(
                f"{name}: all tensors must be on one device, got {device} and {t.device}"
            )
    return device


def _on_cpu(name: str, function: Callable, *tensors: Tensor, **kwargs: Any) -> Any:
    """A function of the CPU's tensors for those of any device."""
    device = _same_device(name, tensors)
    result = function(*(t.cpu() for t in tensors), **kwargs)
    return tuple(r.to(device) for r in result) if isinstance(result, tuple) else result.to(device)


class SolveTriangular(Function):
    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor, upper: bool, unit: bool) -> Tensor:
        x = _on_cpu("linalg.solve_triangular", _C._solve_triangular, a, b, upper=upper, unit=unit)
        ctx.save_for_backward(a, x)
        ctx.upper, ctx.unit = upper, unit
        return x

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple:
        a, x = ctx.saved_tensors
        gb = SolveTriangular.apply(a.mH, g, not ctx.upper, ctx.unit)
        ga = None
        if ctx.needs_input_grad[0]:
            ga = -(gb @ x.mH)
            offset = int(ctx.unit)
            ga = fit(ga.triu(offset) if ctx.upper else ga.tril(-offset), a)
        return ga, gb if ctx.needs_input_grad[1] else None, None, None


def _cofactors(a: np.ndarray) -> np.ndarray:
    """The conjugate derivatives of the determinant, also of a singular matrix."""
    u, s, vh = _iterate(np.linalg.svd, a)
    n = s.shape[-1]
    others = np.stack([np.prod(np.delete(s, i, -1), -1) for i in range(n)], -1)
    sign = np.conj(np.linalg.det(u) * np.linalg.det(vh))
    return (u * (sign[..., None] * others)[..., None, :]) @ vh


class Determinant(Function):
    @staticmethod
    def forward(ctx: Any, a: Tensor) -> Tensor:
        d = run("linalg.det", np.linalg.det, a)
        ctx.save_for_backward(a, d)
        return d

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:
        a, d = ctx.saved_tensors
        g = g[..., None, None]
        if a.shape[-1] == 0:
            return a * g
        if bool((d == 0).any()):
            return g * run("linalg.det", _cofactors, a)
        return g * Determinant.apply(a).conj()[..., None, None] * Inverse.apply("linalg.det", a).mH


class SignLogDet(Function):
    @staticmethod
    def forward(ctx: Any, a: Tensor) -> tuple[Tensor, Tensor]:
        sign, log = run("linalg.slogdet", lambda x: tuple(np.linalg.slogdet(x)), a)
        ctx.save_for_backward(a, sign)
        return sign, log

    @staticmethod
    def backward(ctx: Any, g_sign: Tensor, g: Tensor) -> Tensor:
        a, sign = ctx.saved_tensors
        if sign.is_complex():
            # The sign turns by the imaginary part of what the logarithm grows by.
            g = g - 1j * (g_sign.conj() * sign).imag
        return g[..., None, None] * Inverse.apply("linalg.slogdet", a).mH


class Cholesky(Function):
    @staticmethod
    def forward(ctx: Any, a: Tensor) -> Tensor:
        lower = run("linalg.cholesky", np.linalg.cholesky, a)
        ctx.save_for_backward(lower)
        return lower

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:
        (lower,) = ctx.saved_tensors
        middle = half_diagonal_tril(lower.mH @ g)
        left = SolveTriangular.apply(lower.mH, middle, True, False)
        whole = SolveTriangular.apply(lower.mH, left.mH, True, False).mH
        return 0.5 * (whole + whole.mH)


class QR(Function):
    @staticmethod
    def forward(ctx: Any, a: Tensor, mode: str) -> tuple[Tensor, Tensor]:
        q, r = run("linalg.qr", lambda x: tuple(np.linalg.qr(x, mode)), a)
        ctx.save_for_backward(a, q, r)
        ctx.mode = mode
        return q, r

    @staticmethod
    def backward(ctx: Any, gq: Tensor, gr: Tensor) -> tuple:
        a, q, r = ctx.saved_tensors
        m, n = a.shape[-2:]
        if ctx.mode == "complete" and m > n:
            raise NotImplementedError(
                "linalg.qr: no derivative for mode='complete' of more rows than columns"
            )
        if m >= n:
            return QR.square(q, r, gq, gr), None
        # a = [x, y] and r = [u, v]: x = q u, y = q v.
        y, u, gu, gv = a[..., m:], r[..., :m], gr[..., :m], gr[..., m:]
        gx = QR.square(q, u, gq + y @ gv.mH, gu)
        return _C.cat([gx, q @ gv], -1), None

    @staticmethod
    def square(q: Tensor, r: Tensor, gq: Tensor, gr: Tensor) -> Tensor:
        m = r @ gr.mH - gq.mH @ q
        below = m.tril(-1)
        symmetric = below + below.mH + _C.diag_embed(_C.real(m.diagonal(0, -2, -1)))
        return SolveTriangular.apply(r, (gq + q @ symmetric).mH, True, False).mH


class Eigh(Function):
    @staticmethod
    def forward(ctx: Any, a: Tensor, uplo: str) -> tuple[Tensor, Tensor]:
        values, vectors = run("linalg.eigh", lambda x: tuple(_iterate(np.linalg.eigh, x, uplo)), a)
        ctx.save_for_backward(values, vectors)
        return values, vectors

    @staticmethod
    def backward(ctx: Any, gl: Tensor, gv: Tensor) -> tuple:
        values, v = ctx.saved_tensors
        gap = values.unsqueeze(-2) - values.unsqueeze(-1)
        diagonal = _C.eye(values.shape[-1], dtype=_C.bool, device=values.device)
        gap = _C.where(diagonal, 1.0, gap)
        inner = _C.where(diagonal, 0.0, (v.mH @ gv) / gap) + _C.diag_embed(gl)
        return v @ inner @ v.mH, None


def _eig(a: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    values, vectors = _iterate(np.linalg.eig, a)
    dtype = np.result_type(a.dtype, np.complex64)
    return values.astype(dtype), vectors.astype(dtype)


class Eig(Function):
    @staticmethod
    def forward(ctx: Any, a: Tensor) -> tuple[Tensor, Tensor]:
        values, vectors = run("linalg.eig", _eig, a)
        ctx.save_for_backward(values, vectors)
        return values, vectors

    @staticmethod
    def backward(ctx: Any, gl: Tensor, gv: Tensor) -> Tensor:
        values, v = ctx.saved_tensors
        diagonal = _C.eye(values.shape[-1], dtype=_C.bool, device=values.device)
        gap = (values.unsqueeze(-2) - values.unsqueeze(-1)).conj()
        by_v = v.mH @ gv
        # Columns have length 1: what would make them longer does not count.
        by_v = by_v - v.mH @ (v * _C.real(by_v.diagonal(0, -2, -1)).unsqueeze(-2))
        inner = _C.where(diagonal, 0.0, by_v / _C.where(diagonal, 1.0, gap)) + _C.diag_embed(gl)
        return Solve.apply("linalg.eig", v.mH, inner @ v.mH)


class SVD(Function):
    """The thin decomposition."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, full: bool) -> tuple[Tensor, Tensor, Tensor]:
        u, s, vh = run("linalg.svd", lambda x: tuple(_iterate(np.linalg.svd, x, full)), a)
        ctx.save_for_backward(u, s, vh)
        return u, s, vh

    @staticmethod
    def backward(ctx: Any, gu: Tensor, gs: Tensor, gvh: Tensor) -> tuple:
        u, s, vh = ctx.saved_tensors
        k = s.shape[-1]
        u, gu, v, gv = u[..., :k], gu[..., :k], vh.mH[..., :k], gvh.mH[..., :k]
        squares = s * s
        gap = squares.unsqueeze(-2) - squares.unsqueeze(-1)
        gap = _C.where(_C.eye(k, dtype=_C.bool, device=s.device), 1.0, gap)
        by_u, by_v = u.mH @ gu, v.mH @ gv
        inner = (by_u - by_u.mH) / gap * s.unsqueeze(-2)
        inner = inner + s.unsqueeze(-1) * ((by_v - by_v.mH) / gap) + _C.diag_embed(gs)
        if u.is_complex():
            # The phase of a vector of u beside that of v's.
            inner = inner + _C.diag_embed(1j * by_u.diagonal(0, -2, -1).imag / s)
        g = u @ inner @ v.mH
        if u.shape[-2] > k:
            g = g + (gu - u @ by_u) / s.unsqueeze(-2) @ v.mH
        if v.shape[-2] > k:
            g = g + u @ ((gv - v @ by_v) / s.unsqueeze(-2)).mH
        return g, None


class SingularValues(Function):
    @staticmethod
    def forward(ctx: Any, a: Tensor) -> Tensor:
        ctx.save_for_backward(a)
        return run("linalg.svdvals", lambda x: _iterate(np.linalg.svd, x, compute_uv=False), a)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:
        (a,) = ctx.saved_tensors
        u, _, vh = SVD.apply(a, False)
        return (u * g.unsqueeze(-2)) @ vh


def _pinv(a: np.ndarray, atol: np.ndarray, rtol: np.ndarray, hermitian: bool) -> np.ndarray:
    if hermitian:
        values, u = _iterate(np.linalg.eigh, a)
        s, vh = np.abs(values), np.swapaxes(u * np.sign(values)[..., None, :], -1, -2).conj()
    else:
        u, s, vh = _iterate(np.linalg.svd, a, full_matrices=False)
    bound = np.maximum(atol, rtol * s.max(-1, initial=0))[..., None]
    inverse = np.divide(1, s, out=np.zeros_like(s), where=s > bound)
    return np.swapaxes(vh, -1, -2).conj() @ (inverse[..., None] * np.swapaxes(u, -1, -2).conj())


def tolerances(A: Tensor, atol: Any, rtol: Any) -> tuple[np.ndarray, np.ndarray]:
    """The absolute and the relative one, up to which singular values count as zero."""

    def array(x: Any) -> np.ndarray:
        return x.detach().cpu().numpy() if isinstance(x, Tensor) else np.asarray(x)

    absolute = array(0.0 if atol is None else atol)
    if rtol is not None:
        return absolute, array(rtol)
    relative = float(np.finfo(str(A.dtype).rpartition(".")[2]).eps) * max(A.shape[-2:])
    return absolute, np.where(absolute > 0, 0.0, relative)


class PseudoInverse(Function):
    @staticmethod
    def forward(ctx: Any, a: Tensor, atol: Any, rtol: Any, hermitian: bool) -> Tensor:
        p = run("linalg.pinv", _pinv, a, atol=atol, rtol=rtol, hermitian=hermitian)
        ctx.save_for_backward(a, p)
        return p

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple:
        a, p = ctx.saved_tensors
        gt, pt = g.mH, p.mH
        k = gt @ p
        ga = -(pt @ g @ pt) + (gt - a @ (p @ gt)) @ p @ pt + pt @ p @ (gt - k @ a)
        return ga, None, None, None


def permutation(pivots: np.ndarray, m: int) -> np.ndarray:
    """P of a = P L U from the exchanges."""
    *batch, k = pivots.shape
    flat = pivots.reshape(math.prod(batch), k)
    order = np.tile(np.arange(m), (len(flat), 1))
    each = np.arange(len(flat))
    for j in range(k):
        p = flat[:, j] - 1
        held = order[each, p].copy()
        order[each, p] = order[:, j]
        order[:, j] = held
    matrix = np.zeros((len(flat), m, m))
    matrix[each[:, None], order, np.arange(m)] = 1
    return matrix.reshape(*batch, m, m)


def lu_factor(a: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """L and U in one matrix, the exchanges, and the first zero on U's diagonal, from 1, or 0."""
    return _on_cpu("linalg.lu_factor", _C._lu_factor, a)


class LUFactor(Function):
    @staticmethod
    def forward(ctx: Any, a: Tensor) -> tuple[Tensor, Tensor]:
        lu, pivots, _ = lu_factor(a)
        ctx.save_for_backward(lu, pivots)
        ctx.mark_non_differentiable(pivots)
        return lu, pivots

    @staticmethod
    def backward(ctx: Any, g: Tensor, _: Any) -> Tensor:
        lu, pivots = ctx.saved_tensors
        m, n = lu.shape[-2:]
        if m != n:
            raise NotImplementedError("linalg.lu_factor: no derivative for matrices not square")
        lower, upper = unpack(lu)
        p = run("linalg.lu", permutation, pivots, m=m).to(lu.dtype)
        inner = (lower.mH @ g.tril(-1)).tril(-1) + (g.triu() @ upper.mH).triu()
        right = SolveTriangular.apply(upper, inner.mH, True, False).mH
        return p @ SolveTriangular.apply(lower.mH, right, True, True)


def unpack(lu: Tensor) -> tuple[Tensor, Tensor]:
    m, n = lu.shape[-2:]
    k = min(m, n)
    ones = _C.eye(m, k, dtype=lu.dtype, device=lu.device)
    return lu[..., :k].tril(-1) + ones, lu[..., :k, :].triu()
