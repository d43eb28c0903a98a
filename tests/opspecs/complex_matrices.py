"""Rows of linear algebra over complex matrices."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from .base import COMPLEX, Case, Spec, arr, case, ulps

Make = Callable[[str, np.random.Generator], Iterable[Case]]

LOOSE = ulps(
    4096, "LAPACK's own error, by the condition of small matrices", scale=lambda *a, **k: 1.0
)
SQUARE, BATCH, TALL, WIDE = (3, 3), (2, 3, 3), (4, 3), (2, 4)


def samples(*shapes: Any, **kw: Any) -> Make:
    """Well-conditioned matrices: random ones with a large diagonal."""

    def matrix(rng: np.random.Generator, shape: tuple, dtype: str) -> Any:
        found = arr(rng, shape, dtype, low=-1, high=1)
        if len(shape) > 1:
            found.data[...] += 2 * np.eye(*shape[-2:])
        return found

    def make(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
        for group in shapes:
            group = group if isinstance(group[0], tuple) else (group,)
            yield case(*(matrix(rng, s, dtype) for s in group), **kw)

    return make


def row(name: str, make: Make, fn: Any = "", grad: bool = True, gradgrad: bool = True) -> Spec:
    return Spec(
        f"complex {name}", make, COMPLEX, fn=fn or name, tol=LOOSE, strides=False, grad=grad,
        grad_cases=(lambda rng: make("complex128", rng)) if grad else None, gradgrad=gradgrad,
    )  # fmt: skip


def of(function: Callable) -> Callable:
    """A function of the library and the arguments."""
    return lambda lib: lambda *args, **kw: function(lib, *args, **kw)


def positive(lib: Any, a: Any) -> Any:
    return a @ a.mH + lib.eye(a.shape[-1], dtype=a.dtype)


def reconstructed(lib: Any, a: Any) -> Any:
    u, s, vh = lib.linalg.svd(a, full_matrices=False)
    return abs(u), s, abs(vh), u[..., :1] @ vh[..., :1, :]


def of_hermitian(lib: Any, a: Any) -> Any:
    values, vectors = lib.linalg.eigh(a + a.mH)
    return values, abs(vectors), vectors[..., :1] @ vectors[..., :1].mH


def sorted_eig(lib: Any, a: Any) -> Any:
    values, vectors = lib.linalg.eig(a)
    return abs(values).sum(-1), (values * values).sum(-1), abs(vectors).sum()


SPECS = [
    row("linalg.det", samples(SQUARE, BATCH)),
    row("linalg.slogdet", samples(SQUARE, BATCH)),
    row("logdet", samples(SQUARE)),
    row("linalg.inv", samples(SQUARE, BATCH)),
    row("linalg.solve", samples((SQUARE, (3, 2)), (BATCH, (2, 3, 2)), (SQUARE, (3,)))),
    row("linalg.solve left", samples((SQUARE, (2, 3)), left=False), "linalg.solve"),
    row("linalg.solve_triangular", samples((SQUARE, (3, 2)), upper=True)),
    row("linalg.cholesky", samples(SQUARE, BATCH),
        of(lambda lib, a: lib.linalg.cholesky(positive(lib, a)))),
    row("linalg.cholesky upper", samples(SQUARE),
        of(lambda lib, a: lib.linalg.cholesky(positive(lib, a), upper=True))),
    row("cholesky_solve", samples(((3, 2), SQUARE)),
        of(lambda lib, b, a: lib.cholesky_solve(b, lib.linalg.cholesky(positive(lib, a))))),
    row("linalg.qr", samples(SQUARE, TALL, WIDE)),
    row("linalg.eigh", samples(SQUARE, BATCH), of(of_hermitian)),
    row("linalg.eigvalsh", samples(SQUARE), of(lambda lib, a: lib.linalg.eigvalsh(a + a.mH))),
    row("linalg.eig", samples(SQUARE, BATCH), of(sorted_eig)),
    row("linalg.eigvals", samples(SQUARE), of(lambda lib, a: (lib.linalg.eigvals(a) ** 3).sum())),
    row("linalg.svd", samples(SQUARE, TALL, WIDE), of(reconstructed)),
    row("linalg.svdvals", samples(SQUARE, TALL)),
    row("linalg.pinv", samples(TALL, WIDE)),
    row("linalg.lu", samples(SQUARE)),
    row("linalg.lu_factor", samples(SQUARE)),
    row("linalg.lu_solve", samples((SQUARE, (3, 2))),
        of(lambda lib, a, b: lib.linalg.lu_solve(*lib.linalg.lu_factor(a), b))),
    row("linalg.lu_solve adjoint", samples((SQUARE, (3, 2))),
        of(lambda lib, a, b: lib.linalg.lu_solve(*lib.linalg.lu_factor(a), b, adjoint=True))),
    row("linalg.lstsq", samples((TALL, (4, 2))),
        of(lambda lib, a, b: lib.linalg.lstsq(a, b).solution)),
    row("linalg.matrix_exp", samples(SQUARE)),
    row("linalg.matrix_power", samples(SQUARE), of(lambda lib, a: lib.linalg.matrix_power(a, -3))),
    row("linalg.matrix_rank", samples(TALL), grad=False),
    row("linalg.cond", samples(SQUARE)),
    row("linalg.matrix_norm", samples(SQUARE, BATCH)),
    row("linalg.matrix_norm nuc", samples(SQUARE), of(lambda lib, a: lib.linalg.matrix_norm(a, "nuc"))),
    row("linalg.vector_norm", samples(SQUARE, (4,))),
    row("linalg.vecdot", samples((SQUARE, SQUARE))),
    row("linalg.vander", samples((4,))),
    row("vander", samples((4,)), grad=False),
    row("linalg.cross", samples((SQUARE, SQUARE))),
]  # fmt: skip


def _real_eig(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    yield case(arr(rng, (3, 3), dtype, low=-1, high=1))
    yield case(arr(rng, (2, 4, 4), dtype, low=-1, high=1))


SPECS += [
    Spec("linalg.eig", _real_eig, ("float32", "float64"), fn=of(sorted_eig), tol=LOOSE,
         grad=True, grad_cases=lambda rng: [*_real_eig("float64", rng)][:1]),
    Spec("linalg.eigvals", _real_eig, ("float32", "float64"), tol=LOOSE, grad=True,
         fn=of(lambda lib, a: (lib.linalg.eigvals(a) ** 2).sum(-1)),
         grad_cases=lambda rng: [*_real_eig("float64", rng)][:1]),
]  # fmt: skip
