"""Products of Householder's reflectors, and factorisations by random projections."""

from __future__ import annotations

from collections import namedtuple
from typing import Any

from . import _C
from ._lapack import _check, _same_dtype, deliver

Tensor = _C.Tensor

_Geqrf = namedtuple("geqrf", "a tau")


def _reflect(A: Tensor, tau: Tensor, C: Tensor, adjoint: bool) -> Tensor:
    """``H_0 ... H_(k-1) C`` with ``H_i = 1 - tau_i v_i v_i^H``; its adjoint times C."""
    if not (_C.is_grad_enabled() and any(x.requires_grad for x in (A, tau, C))):
        return _C._linalg_reflect(A, tau, C, adjoint)
    k = tau.shape[-1]
    vectors = A.tril(-1) + _C.eye(*A.shape[-2:], dtype=A.dtype, device=A.device)
    for i in range(k) if adjoint else reversed(range(k)):
        v = vectors[..., i, None]
        factor = tau[..., i, None, None]
        C = C - (factor.conj() if adjoint else factor) * (v @ (v.mH @ C))
    return C


def _check_reflectors(name: str, A: Tensor, tau: Tensor) -> None:
    _check(name, A)
    _same_dtype(name, A, tau)
    if tau.shape[:-1] != A.shape[:-2] or tau.dim() < 1 or tau.shape[-1] > A.shape[-1]:
        raise RuntimeError(
            f"{name}: expected up to {A.shape[-1]} factors for each of {tuple(A.shape)}, got "
            f"{tuple(tau.shape)}"
        )


def householder_product(A: Tensor, tau: Tensor, *, out: Tensor | None = None) -> Tensor:
    """First n columns of the product of reflectors.

    Parameters
    ----------
    A : Tensor
        ``(..., m, n)``, m >= n: the vectors below the diagonal, as `geqrf` gives them.
    tau : Tensor
        ``(..., k)``, k <= n: their factors.
    """
    return _product("linalg.householder_product", A, tau, out)


def _product(name: str, A: Tensor, tau: Tensor, out: Tensor | None) -> Tensor:
    _check_reflectors(name, A, tau)
    m, n = A.shape[-2:]
    if m < n:
        raise RuntimeError(f"{name}: expected at least as many rows as columns, got {m} and {n}")
    if not (_C.is_grad_enabled() and (A.requires_grad or tau.requires_grad)):
        return deliver(_C._linalg_reflectors(A, tau, n), out)
    eye = _C.eye(m, n, dtype=A.dtype, device=A.device).expand(*A.shape)
    return deliver(_reflect(A, tau, eye, False), out)


def orgqr(input: Tensor, input2: Tensor, *, out: Tensor | None = None) -> Tensor:
    """See `linalg.householder_product`."""
    return _product("orgqr", input, input2, out)


def ormqr(
    input: Tensor, tau: Tensor, other: Tensor, left: bool = True, transpose: bool = False, *,
    out: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """``Q other`` (``other Q`` where not `left`) with Q the square product of reflectors.

    ``Q^H`` takes Q's place where `transpose`; see `linalg.householder_product`.
    """
    _check_reflectors("ormqr", input, tau)
    _same_dtype("ormqr", input, other)
    rows = other.shape[-2 if left else -1] if other.dim() >= 2 else -1
    if tau.shape[-1] != min(input.shape[-2:]):
        raise RuntimeError(
            f"ormqr: expected {min(input.shape[-2:])} factors for {tuple(input.shape)}, got "
            f"{tau.shape[-1]}"
        )
    if rows != input.shape[-2] or other.shape[:-2] != input.shape[:-2]:
        raise RuntimeError(
            f"ormqr: reflectors {tuple(input.shape)} do not fit {tuple(other.shape)}"
        )
    if left:
        return deliver(_reflect(input, tau, other, transpose), out)
    return deliver(_reflect(input, tau, other.mH, not transpose).mH, out)


def geqrf(input: Tensor, *, out: Any = None) -> Any:
    """R with the reflectors of Q below it, and their factors: ``(a, tau)``."""
    if input.requires_grad and _C.is_grad_enabled():
        raise NotImplementedError("geqrf: has no derivative")

    return deliver(_Geqrf(*_C._linalg_geqrf(input)), out)


# ---- By random projections (Halko, Martinsson and Tropp, 2009)


def _range_basis(A: Tensor, q: int, niter: int, M: Tensor | None) -> Tensor:
    def times(X: Tensor) -> Tensor:
        return A @ X if M is None else A @ X - M @ X

    def adjoint_times(X: Tensor) -> Tensor:
        return A.mH @ X if M is None else A.mH @ X - M.mH @ X

    from .linalg import qr

    Q = qr(times(_C.randn(A.shape[-1], q, dtype=A.dtype, device=A.device))).Q
    for _ in range(niter):
        Q = qr(adjoint_times(Q)).Q
        Q = qr(times(Q)).Q
    return Q


def svd_lowrank(
    A: Tensor, q: int | None = 6, niter: int | None = 2, M: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """``A - M`` (A without M) close to ``U diag(S) V^H`` of rank q, by random projections.

    Parameters
    ----------
    A : Tensor
        ``(..., m, n)``
    q : int
        How many singular values to find; a few more than wanted makes those exact.
    niter : int
        Products by A and its adjoint that sharpen the basis.
    M : Tensor, optional
        Broadcasts to A.

    Returns
    -------
    U, S, V
        ``(..., m, q)``, ``(..., q)``, ``(..., n, q)``
    """
    from . import linalg

    _check("svd_lowrank", A)
    q, niter = 6 if q is None else q, 2 if niter is None else niter
    m, n = A.shape[-2:]
    if not 0 <= q <= min(m, n):
        raise ValueError(f"svd_lowrank: q must be from 0 to {min(m, n)}, got {q}")
    if not 0 <= niter <= 10_000:
        raise ValueError(f"svd_lowrank: niter must be from 0 to 10,000, got {niter}")
    M = None if M is None else M.broadcast_to(A.shape)
    wide = m < n
    if wide:
        A, M = A.mH, None if M is None else M.mH
    Q = _range_basis(A, q, niter, M)
    small = Q.mH @ A if M is None else Q.mH @ A - Q.mH @ M
    U, S, Vh = linalg.svd(small, full_matrices=False)
    U, V = Q @ U, Vh.mH
    return (V, S, U) if wide else (U, S, V)


def pca_lowrank(
    A: Tensor, q: int | None = None, center: bool = True, niter: int = 2
) -> tuple[Tensor, Tensor, Tensor]:
    """Principal components: `svd_lowrank` of A less its columns' means where `center`.

    q is 6 by default, or less for a smaller matrix; ValueError where it is larger than A.
    """
    _check("pca_lowrank", A)
    q = min(6, *A.shape[-2:]) if q is None else q
    if not 0 <= q <= min(A.shape[-2:]):
        raise ValueError(f"pca_lowrank: q must be from 0 to {min(A.shape[-2:])}, got {q}")
    return svd_lowrank(A - A.mean(-2, keepdim=True) if center else A, q, niter)
