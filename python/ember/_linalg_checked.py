"""Factorisations that tell of a failure instead of raising, and solutions of tensor equations."""

from __future__ import annotations

import math
from collections import namedtuple
from typing import Any

import numpy as np

from . import _C, _lapack
from ._lapack import LinAlgError, _check, deliver

Tensor = _C.Tensor

_InvEx = namedtuple("linalg_inv_ex", "inverse info")
_CholeskyEx = namedtuple("linalg_cholesky_ex", "L info")
_SolveEx = namedtuple("linalg_solve_ex", "result info")
_LUFactorEx = namedtuple("linalg_lu_factor_ex", "LU pivots info")


def _raise_if(name: str, info: Tensor, what: str) -> None:
    bad = info.reshape(-1).nonzero()
    if bad.shape[0]:
        raise LinAlgError(f"{name}: {what % int(info.reshape(-1)[bad[0, 0]])}")


def _regular(A: Tensor, info: Tensor) -> tuple[Tensor, Tensor]:
    """A with the identity in place of matrices that failed, and where those are."""
    failed = (info != 0).reshape(*info.shape, 1, 1)
    identity = _C.eye(A.shape[-1], dtype=A.dtype, device=A.device)
    return _C.where(failed, identity, A), failed


_SINGULAR = "The diagonal element %d is zero, the input matrix is singular."


def lu_factor_ex(
    A: Tensor, *, pivot: bool = True, check_errors: bool = False, out: Any = None
) -> Any:
    """`lu_factor` with the number of the first diagonal element of U that is 0, or 0."""
    from . import linalg

    _check("linalg.lu_factor_ex", A)
    if A.requires_grad or not pivot:
        packed, pivots = linalg.lu_factor(A, pivot=pivot)
        info = _lapack.lu_factor(A.detach())[2]
    else:
        packed, pivots, info = _lapack.lu_factor(A)
    if check_errors:
        _raise_if("linalg.lu_factor_ex", info, _SINGULAR)
    return deliver(_LUFactorEx(packed, pivots, info), out)


def inv_ex(A: Tensor, *, check_errors: bool = False, out: Any = None) -> Any:
    """`inv` that gives NaN for singular matrices, and ``info``: see `lu_factor_ex`."""
    from . import linalg

    _check("linalg.inv_ex", A, square=True)
    info = _lapack.lu_factor(A.detach())[2]
    if check_errors:
        _raise_if("linalg.inv_ex", info, _SINGULAR)
    regular, failed = _regular(A, info)
    inverse = linalg.inv(regular)
    return deliver(_InvEx(_C.where(failed, math.nan, inverse), info), out)


def solve_ex(
    A: Tensor, B: Tensor, *, left: bool = True, check_errors: bool = False, out: Any = None
) -> Any:
    """`solve` that gives NaN for singular matrices, and ``info``: see `lu_factor_ex`."""
    from . import linalg

    _check("linalg.solve_ex", A, square=True)
    info = _lapack.lu_factor(A.detach())[2]
    if check_errors:
        _raise_if("linalg.solve_ex", info, _SINGULAR)
    regular, failed = _regular(A, info)
    result = linalg.solve(regular, B, left=left)
    vector = result.dim() == regular.dim() - 1
    return deliver(_SolveEx(_C.where(failed[..., 0] if vector else failed, math.nan, result), info),
                   out)  # fmt: skip


def _leading_minors(x: np.ndarray) -> np.ndarray:
    """For each matrix the order of the first leading minor that is not positive, or 0."""
    info = np.zeros(x.shape[:-2], np.int32)
    for at in np.ndindex(info.shape):
        a = np.tril(x[at]).copy()
        for k in range(a.shape[0]):
            if not a[k, k].real > 0:
                info[at] = k + 1
                break
            a[k:, k] /= np.sqrt(a[k, k])
            for j in range(k + 1, a.shape[0]):
                a[j:, j] -= a[j:, k] * np.conj(a[j, k])
    return info


def cholesky_ex(
    input: Tensor, *, upper: bool = False, check_errors: bool = False, out: Any = None
) -> Any:
    """`cholesky` that gives NaN for matrices that are not positive definite.

    ``info`` is the order of the first leading minor that is not positive, or 0.
    """
    from . import linalg

    name = "linalg.cholesky_ex"
    _check(name, input, square=True)
    try:
        factor = linalg.cholesky(input, upper=upper)
        info = _C.zeros(input.shape[:-2], dtype=_C.int32, device=input.device)
    except LinAlgError:
        info = _lapack.run(name, _leading_minors, input.mT if upper else input)
        if check_errors:
            _raise_if(name, info, "The factorization could not be completed because the input is "
                      "not positive-definite (the leading minor of order %d).")  # fmt: skip
        regular, failed = _regular(input, info)
        factor = _C.where(failed, math.nan, linalg.cholesky(regular, upper=upper))
    return deliver(_CholeskyEx(factor, info), out)


def tensorinv(input: Tensor, ind: int = 2, *, out: Tensor | None = None) -> Tensor:
    """The inverse of the map that `tensordot` with A's dims from `ind` on is."""
    from . import linalg

    if ind <= 0:
        raise RuntimeError(f"linalg.tensorinv: expected a strictly positive integer for 'ind', got "
                           f"{ind}")  # fmt: skip
    rows, columns = input.shape[:ind], input.shape[ind:]
    n, m = math.prod(rows), math.prod(columns)
    if n != m:
        raise RuntimeError(
            f"linalg.tensorinv: expected prod(shape[ind:]) == prod(shape[:ind]), got {m} != {n}"
        )
    return deliver(linalg.inv(input.reshape(n, m)).reshape(*columns, *rows), out)


def tensorsolve(
    A: Tensor, B: Tensor, dims: tuple[int, ...] | None = None, *, out: Tensor | None = None
) -> Tensor:
    """X with ``tensordot(A, X, X.dim()) == B``; `dims` of A are moved to its end first."""
    from . import linalg

    if dims is not None:
        A = A.movedim(tuple(dims), tuple(range(-len(dims), 0)))
    shape = A.shape[B.dim() :]
    n, m = math.prod(A.shape[: B.dim()]), math.prod(shape)
    if n != m or n != B.numel():
        raise RuntimeError(
            f"linalg.tensorsolve: expected prod(A.shape[B.dim():]) == prod(A.shape[:B.dim()]), got "
            f"{m} != {n}"
        )
    return deliver(linalg.solve(A.reshape(n, m), B.reshape(-1)).reshape(shape), out)
