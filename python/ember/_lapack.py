"""Decompositions over numpy's LAPACK, with gradients in differentiable functions of Ember.

Backward formulas follow M. Giles (2008), "Collected matrix derivative results for forward and
reverse mode algorithmic differentiation", and for SVD and the pseudoinverse J. Townsend (2016) and
G. Golub and V. Pereyra (1973).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from . import _C
from .autograd.function import Function

Tensor = _C.Tensor
LinAlgError = _C._LinAlgError


_EPS = {_C.float32: 2.0**-23, _C.float64: 2.0**-52}
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


def run(name: str, function: Callable, a: Tensor, *args: Any, **kwargs: Any) -> Any:
    """function(array, ...) as tensors; raises LinAlgError where LAPACK gives up.

    A tensor of another device comes to the CPU, and the results go where it was.
    """
    if not _C.isfinite(a.detach()).all():
        # Some of LAPACK's iterations never end on NaN or infinity.
        raise LinAlgError(f"{name}: the matrix has values that are not finite")
    try:
        result = function(a.detach().cpu().numpy(), *args, **kwargs)
    except np.linalg.LinAlgError as e:
        raise LinAlgError(f"{name}: {e}") from None

    def wrap(x: Any) -> Tensor:
        return _C.from_numpy(np.asarray(x, order="C")).to(a.device)

    return tuple(map(wrap, result)) if isinstance(result, tuple) else wrap(result)


class Eigh(Function):
    @staticmethod
    def forward(ctx: Any, a: Tensor, uplo: str) -> tuple[Tensor, Tensor]:
        values, vectors = run("linalg.eigh", np.linalg.eigh, a, uplo)
        ctx.save_for_backward(values, vectors)
        ctx.set_materialize_grads(False)
        return values, vectors

    @staticmethod
    def backward(ctx: Any, gl: Tensor | None, gv: Tensor | None) -> tuple:
        values, v = ctx.saved_tensors
        if gv is None:
            return None if gl is None else (v * gl.unsqueeze(-2)) @ v.mH, None
        gap = values.unsqueeze(-2) - values.unsqueeze(-1)
        diagonal = _C.eye(values.shape[-1], dtype=_C.bool, device=values.device)
        gap = _C.where(diagonal, 1.0, gap)
        inner = _C.where(diagonal, 0.0, (v.mH @ gv) / gap)
        if gl is not None:
            inner = inner + _C.diag_embed(gl)
        return v @ inner @ v.mH, None


def complex_of(dtype: _C.dtype) -> _C.dtype:
    """The complex dtype with parts of a dtype."""
    return _C.promote_types(dtype, _C.complex64)


class Eig(Function):
    @staticmethod
    def forward(ctx: Any, a: Tensor) -> tuple[Tensor, Tensor]:
        values, vectors = (x.to(complex_of(a.dtype)) for x in run("linalg.eig", np.linalg.eig, a))
        ctx.save_for_backward(values, vectors)
        ctx.set_materialize_grads(False)
        return values, vectors

    @staticmethod
    def backward(ctx: Any, gl: Tensor | None, gv: Tensor | None) -> Tensor | None:
        values, v = ctx.saved_tensors
        if gv is None:
            return None if gl is None else Eig.outwards(v, gl.unsqueeze(-1) * v.mH)
        diagonal = _C.eye(values.shape[-1], dtype=_C.bool, device=values.device)
        gap = (values.unsqueeze(-2) - values.unsqueeze(-1)).conj()
        by_v = v.mH @ gv
        # Columns have length 1: what would make them longer does not count.
        by_v = by_v - v.mH @ (v * _C.real(by_v.diagonal(0, -2, -1)).unsqueeze(-2))
        inner = _C.where(diagonal, 0.0, by_v / _C.where(diagonal, 1.0, gap))
        if gl is not None:
            inner = inner + _C.diag_embed(gl)
        return Eig.outwards(v, inner @ v.mH)

    @staticmethod
    def outwards(v: Tensor, right: Tensor) -> Tensor:
        return _C._linalg_solve("linalg.eig", v.mH, right, True, True)[0]


class SVD(Function):
    """The thin decomposition."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, full: bool) -> tuple[Tensor, Tensor, Tensor]:
        u, s, vh = run("linalg.svd", np.linalg.svd, a, full)
        ctx.save_for_backward(u, s, vh)
        ctx.set_materialize_grads(False)
        return u, s, vh

    @staticmethod
    def backward(ctx: Any, gu: Tensor | None, gs: Tensor | None, gvh: Tensor | None) -> tuple:
        u, s, vh = ctx.saved_tensors
        k = s.shape[-1]
        if gu is None and gvh is None:
            alone = None if gs is None else (u[..., :k] * gs.unsqueeze(-2)) @ vh[..., :k, :]
            return alone, None
        gu, gvh = (_C.zeros_like(x) if g is None else g for x, g in ((u, gu), (vh, gvh)))
        u, gu, v, gv = u[..., :k], gu[..., :k], vh.mH[..., :k], gvh.mH[..., :k]
        squares = s * s
        gap = squares.unsqueeze(-2) - squares.unsqueeze(-1)
        gap = _C.where(_C.eye(k, dtype=_C.bool, device=s.device), 1.0, gap)
        by_u, by_v = u.mH @ gu, v.mH @ gv
        inner = (by_u - by_u.mH) / gap * s.unsqueeze(-2)
        inner = inner + s.unsqueeze(-1) * ((by_v - by_v.mH) / gap)
        if gs is not None:
            inner = inner + _C.diag_embed(gs)
        if u.is_complex():
            # The phase of a vector of u beside that of v's.
            inner = inner + _C.diag_embed(1j * by_u.diagonal(0, -2, -1).imag / s)
        g = u @ inner @ v.mH
        if u.shape[-2] > k:
            g = g + (gu - u @ by_u) / s.unsqueeze(-2) @ v.mH
        if v.shape[-2] > k:
            g = g + u @ ((gv - v @ by_v) / s.unsqueeze(-2)).mH
        return g, None


def _by_values(u: Tensor, s: Tensor, vh: Tensor, atol: Any, rtol: Any) -> tuple[Tensor, Tensor]:
    """The pseudoinverse and the rank, from singular values."""
    large = s > bound(s, atol, rtol)
    inverse = _C.where(large, 1 / s, 0)
    return (vh.mH * inverse.unsqueeze(-2)) @ u.mH, large.sum(-1)


def bound(s: Tensor, atol: Any, rtol: Any) -> Tensor:
    """Up to where singular values, in order, count as zero: one for each matrix, as a column."""
    atol, rtol = (x.unsqueeze(-1) if isinstance(x, Tensor) else x for x in (atol, rtol))
    return _larger(_C.maximum(s[..., :1], s[..., -1:]), atol, rtol)


def _larger(size: Tensor, atol: Any, rtol: Any) -> Tensor:
    return _C.maximum(size * rtol, _C.as_tensor(atol, dtype=size.dtype, device=size.device))


def tolerances(A: Tensor, atol: Any, rtol: Any) -> tuple[Any, Any]:
    """The absolute and the relative one, numbers or tensors, for singular values that are zero."""
    atol, rtol = (x.detach() if isinstance(x, Tensor) else x for x in (atol, rtol))
    if rtol is None:
        rtol = _EPS[real_of(A.dtype)] * max(A.shape[-2:])
        if isinstance(atol, Tensor):
            rtol = _C.where(atol > 0, 0.0, rtol)
        elif atol is not None and atol > 0:
            rtol = 0.0
    return 0.0 if atol is None else atol, rtol


def full_rank(r: Tensor, atol: Any, rtol: Any) -> Tensor | None:
    """The inverse of R if no matrix ``Q R`` has a singular value up to the tolerances, or None.

    The smallest one is at least ``1 / |R^-1|``, the largest at most ``|R|`` (Frobenius).
    """
    eye = _C.eye(r.shape[-1], dtype=r.dtype, device=r.device)
    inverse = _C._linalg_solve_triangular(r, eye, True, True, False)
    least, most = _C.norm(inverse, 2, (-2, -1)), _C.norm(r, 2, (-2, -1))
    return inverse if (least * _larger(most, atol, rtol) < 1).all() else None


class PseudoInverse(Function):
    """The pseudoinverse and the rank."""

    @staticmethod
    def forward(
        ctx: Any, a: Tensor, atol: Any, rtol: Any, hermitian: bool
    ) -> tuple[Tensor, Tensor]:
        p = None if hermitian else PseudoInverse.by_qr(a, atol, rtol)
        if p is None:
            if hermitian:
                s, u = run("linalg.pinv", np.linalg.eigh, a)
                u, s, vh = u * s.sign().unsqueeze(-2), abs(s), u.mH
            else:
                u, s, vh = run("linalg.pinv", np.linalg.svd, a, full_matrices=False)
            p, rank = _by_values(u, s, vh, atol, rtol)
        else:
            rank = _C.full(a.shape[:-2], min(a.shape[-2:]), dtype=_C.int64, device=a.device)
        ctx.save_for_backward(a, p)
        ctx.mark_non_differentiable(rank)
        return p, rank

    @staticmethod
    def by_qr(a: Tensor, atol: Any, rtol: Any) -> Tensor | None:
        wide = a.shape[-2] < a.shape[-1]
        q, r = _C._linalg_qr(a.mH if wide else a, "reduced")
        inverse = full_rank(r, atol, rtol)
        if inverse is None:
            return None
        return q @ inverse.mH if wide else inverse @ q.mH

    @staticmethod
    def backward(ctx: Any, g: Tensor, _: Any) -> tuple:
        a, p = ctx.saved_tensors
        gt, pt = g.mH, p.mH
        k = gt @ p
        ga = -(pt @ g @ pt) + (gt - a @ (p @ gt)) @ p @ pt + pt @ p @ (gt - k @ a)
        return ga, None, None, None
