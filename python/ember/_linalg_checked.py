"""Factorisations that tell of a failure instead of raising, and solutions of tensor equations."""

from __future__ import annotations

import math
from collections import namedtuple
from typing import Any

from . import _C
from ._lapack import deliver

Tensor = _C.Tensor

_InvEx = namedtuple("linalg_inv_ex", "inverse info")
_CholeskyEx = namedtuple("linalg_cholesky_ex", "L info")
_SolveEx = namedtuple("linalg_solve_ex", "result info")
_LUFactorEx = namedtuple("linalg_lu_factor_ex", "LU pivots info")


def lu_factor_ex(
    A: Tensor, *, pivot: bool = True, check_errors: bool = False, out: Any = None
) -> Any:
    """`lu_factor` with the number of the first diagonal element of U that is 0, or 0."""
    if not pivot:
        raise RuntimeError("linalg.lu_factor_ex: LU without pivoting is not implemented on the CPU")
    name = "linalg.lu_factor_ex"
    return deliver(_LUFactorEx(*_C._linalg_lu_factor(name, A, check_errors)), out)


def inv_ex(A: Tensor, *, check_errors: bool = False, out: Any = None) -> Any:
    """`inv` that gives NaN for singular matrices, and ``info``: see `lu_factor_ex`."""
    return deliver(_InvEx(*_C._linalg_inv("linalg.inv_ex", A, check_errors)), out)


def solve_ex(
    A: Tensor, B: Tensor, *, left: bool = True, check_errors: bool = False, out: Any = None
) -> Any:
    """`solve` that gives NaN for singular matrices, and ``info``: see `lu_factor_ex`."""
    return deliver(_SolveEx(*_C._linalg_solve("linalg.solve_ex", A, B, left, check_errors)), out)


def cholesky_ex(
    input: Tensor, *, upper: bool = False, check_errors: bool = False, out: Any = None
) -> Any:
    """`cholesky` that gives NaN for matrices that are not positive definite.

    ``info`` is the order of the first leading minor that is not positive, or 0.
    """
    name = "linalg.cholesky_ex"
    return deliver(_CholeskyEx(*_C._linalg_cholesky(name, input, upper, check_errors)), out)


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
