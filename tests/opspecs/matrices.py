"""Rows of einsum and the products beside matmul, and of linear algebra.

What a factorisation leaves open (signs, the order of equal values) the rows take out: they look at
products of the factors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from .base import FLOATS, INTS, Arr, Bad, Case, Spec, arr, case, given, ulps

WIDE = ("float32", "float64")
A = given(np.arange(6.0).reshape(2, 3), "float32")
V = given([1.0, 2.0, 3.0], "float32")
S = given([[2.0, 1.0], [1.0, 3.0]], "float32")
SINGULAR = given(np.ones((2, 2)), "float32")


def around(n: float, why: str, scale: float = 1.0) -> Any:
    return ulps(n, why, lambda lib, *a, **k: scale)


def magnitudes(path: str) -> Any:
    """Relative to the same sums of absolute values."""

    def positive(lib: Any, x: Any) -> Any:
        if isinstance(x, list):
            return [positive(lib, item) for item in x]
        return abs(x) if isinstance(x, lib.Tensor) else x

    def scale(lib: Any, *args: Any, **kwargs: Any) -> Any:
        return _lib(path)(lib)(*(positive(lib, a) for a in args), **kwargs)

    return ulps(24, "sums of products; halves round after each pair", scale, steps=4)


def _lib(path: str) -> Callable:
    def find(lib: Any) -> Any:
        for part in path.split("."):
            lib = getattr(lib, part)
        return lib

    return find


SMALL = around(64, "differences and sums of products of numbers up to 4", 64.0)

# ---- einsum and products


EQUATIONS = (
    ("ij,jk->ik", (3, 4), (4, 5)),
    ("ij,jk", (3, 4), (4, 5)),
    ("bij,bjk->bik", (2, 3, 4), (2, 4, 5)),
    ("bhid,bhjd->bhij", (2, 3, 4, 5), (2, 3, 6, 5)),
    ("...ij,...jk->...ik", (2, 3, 4), (4, 5)),
    ("i,j->ji", (3,), (4,)),
    ("ii->i", (4, 4)),
    ("ii", (4, 4)),
    ("iij->ji", (3, 3, 2)),
    ("ij->", (3, 4)),
    ("ij->ji", (3, 4)),
    ("ba", (3, 4)),
    ("...->...", (3, 4)),
    ("i...->...", (3, 4, 2)),
    ("ij,ij->ij", (3, 4), (3, 4)),
    ("ij,ij->i", (3, 4), (3, 4)),
    ("ij,kj->", (3, 4), (2, 4)),
    ("i,i", (5,), (5,)),
    (",i->i", (), (3,)),
    ("ij,j", (3, 1), (4,)),
    ("bi,ij,bj->b", (2, 3), (3, 4), (2, 4)),
    ("ab,bc,cd,de->ae", (2, 3), (3, 4), (4, 5), (5, 2)),
    ("ijk,ilm,njm,nlk,abc->", (2, 3, 2), (2, 2, 3), (2, 3, 3), (2, 2, 2), (1, 2, 1)),
    ("bn,anm,bm->ba", (2, 3), (4, 3, 5), (2, 5)),
    ("nchw,kc->nkhw", (2, 3, 2, 2), (4, 3)),
    ("ij,jk->ik", (0, 4), (4, 5)),
    ("ij,jk->ik", (3, 0), (0, 5)),
    ("a,b,c,d,e,f,g->g", (2,), (3,), (2,), (1,), (2,), (2,), (3,)),
    (" i j , j -> i ", (3, 4), (4,)),
)


def _einsum(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    for i, (equation, *shapes) in enumerate(EQUATIONS):
        layout = "transposed" if i % 2 else "plain"
        yield case(equation, *(arr(rng, s, dtype, layout, -2, 2) for s in shapes))
    x, y = arr(rng, (3, 4), dtype), arr(rng, (4, 2), dtype)
    yield case("ij,jk->ik", [x, y])
    yield case(x, [0, 1], y, [1, 2], [0, 2])
    yield case(x, [0, 1], y, [1, 2])
    yield case(x, [..., 1], y, [1, 2], [2, ...])


def _einsum_grads(rng: np.random.Generator) -> Iterable[Case]:
    for equation, *shapes in (*EQUATIONS[:8], EQUATIONS[20], EQUATIONS[13]):
        yield case(equation, *(arr(rng, s, "float64", low=-2, high=2) for s in shapes))


def _of(*shapes: tuple, **kwargs: Any) -> Callable[[str, np.random.Generator], Iterable[Case]]:
    """One sample a tuple of shapes."""

    def make(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
        for i, given_shapes in enumerate(shapes):
            layout = ("plain", "transposed", "stepped")[i % 3]
            yield case(*(arr(rng, s, dtype, layout) for s in given_shapes), **kwargs)

    return make


def _grads(make: Callable) -> Callable[[np.random.Generator], Iterable[Case]]:
    return lambda rng: make("float64", rng)


def product(name: str, make: Callable, **more: Any) -> Spec:
    more.setdefault("dtypes", (*FLOATS, *INTS))
    more.setdefault("tol", magnitudes(more.get("fn", name)))
    return Spec(
        name, make, strides=False, grad=True, grad_cases=_grads(make), out=True,
        **{"method": name, **more},
    )  # fmt: skip


def _tensordot(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    x, y = arr(rng, (2, 3, 4), dtype), arr(rng, (3, 4, 5), dtype)
    yield case(x, y)
    yield case(x, y, dims=([1, 2], [0, 1]))
    yield case(x, arr(rng, (4, 3), dtype, "transposed"), dims=([2, 1], [0, 1]))
    yield case(x, arr(rng, (2,), dtype), dims=0)
    yield case(x, arr(rng, (4,), dtype), dims=1)
    yield case(x, arr(rng, (5, 1), dtype), dims=([-1], [-1]))


def _plus(*shapes: tuple) -> Callable[[str, np.random.Generator], Iterable[Case]]:
    def make(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
        for i, given_shapes in enumerate(shapes):
            layout = "transposed" if i % 2 else "plain"
            args = [arr(rng, s, dtype, layout) for s in given_shapes]
            yield case(*args)
            yield case(*args, beta=2, alpha=3)
            yield case(*args, beta=0)

    return make


def _renorm(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    x = arr(rng, (3, 4), dtype)
    for p, dim, most in ((2, 0, 3.0), (1, 1, 5.0), (2, -1, 100.0), (3, 0, 0.0)):
        yield case(x, p, dim, most)
    yield case(arr(rng, (2, 3, 4), dtype, "transposed"), 2, 1, 4.0)


def _vector_norms(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    x = arr(rng, (3, 4, 2), dtype, "transposed", 0.5, 4)
    for order in (2, 1, 0, 3, -1, 0.5, float("inf"), -float("inf")):
        yield case(x, order)
        yield case(x, order, dim=1, keepdim=True)
    yield case(x, dim=(0, 2))


def _matrix_norms(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    x = arr(rng, (2, 3, 4), dtype)
    for order in ("fro", "nuc", 2, -2, 1, -1, float("inf"), -float("inf")):
        yield case(x, order)
        yield case(x, order, dim=(0, 1), keepdim=True)


def _norms(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    x = arr(rng, (3, 4), dtype)
    yield case(x)
    yield case(arr(rng, (2, 3, 4), dtype))
    yield case(arr(rng, (4,), dtype), 1)
    for order in ("fro", "nuc", 2, 1, float("inf")):
        yield case(x, order)
    yield case(x, 2, dim=1)
    yield case(x, "fro", dim=(0, 1), keepdim=True)


NORM = around(64, "sums, powers and singular values", 16.0)

PRODUCTS = [
    Spec("einsum", _einsum, (*FLOATS, "int64"), tol=magnitudes("einsum"), strides=False, grad=True,
         grad_cases=_einsum_grads,
         bad=(Bad(case("ij,jk", A, A), "RuntimeError"), Bad(case("ij", A, A), "RuntimeError"),
              Bad(case("ij->ijk", A), "RuntimeError"), Bad(case("ijk", A), "RuntimeError"),
              Bad(case("i1", A), "RuntimeError"), Bad(case("ij->ii", A), "RuntimeError"),
              Bad(case("ij"), "ValueError"), Bad(case("ii", A), "RuntimeError"))),
    product("tensordot", _tensordot, method="",
            bad=(Bad(case(A, A, dims=-1), "RuntimeError"),
                 Bad(case(A, A, dims=([0], [1])), "RuntimeError"))),
    product("inner", _of(((3,), (3,)), ((2, 3), (4, 3)), ((2, 2, 3), (3,)), ((), (3,))),
            bad=(Bad(case(A, S), "RuntimeError"),)),
    product("vdot", _of(((3,), (3,)), ((0,), (0,))), bad=(Bad(case(A, A), "RuntimeError"),)),
    # PyTorch views what it should reshape, here and in matrix_exp: contiguous samples alone.
    product("kron", lambda d, r: [case(arr(r, a, d), arr(r, b, d)) for a, b in
            (((2, 3), (3, 2)), ((2,), (2, 3)), ((2, 2, 2), (3,)), ((), (2,)), ((0, 2), (2, 2)))]),
    product("cross", tol=SMALL, dtypes=(*WIDE, *INTS), make=_of(((2, 3), (2, 3)), ((3, 4), (3, 4)), ((3, 3, 2), (3, 3, 2))),
            bad=(Bad(case(S, S), "RuntimeError"),)),
    product("linalg.cross", large=lambda r: case(arr(r, (350_000, 3), "float32"), arr(r, (350_000, 3), "float32")), tol=SMALL, dtypes=(*WIDE, *INTS), make=_of(((2, 3), (2, 3)), ((1, 3), (4, 3))), fn="linalg.cross", method=""),
    product("trace", lambda d, r: [case(arr(r, (3, 4), d, "transposed")), case(arr(r, (0, 2), d))],
            bad=(Bad(case(V), "RuntimeError"),)),
    product("chain_matmul", _of(((2, 3), (3, 4), (4, 2)), ((2, 3), (3, 2))), method="", dtypes=WIDE),
    product("matrix_power", lambda d, r: [case(arr(r, (2, 3, 3), d, low=-1, high=1), n) for n in (0, 1, 2, 5)]
            + [case(given([[2, 1], [1, 3]], d), -2)], dtypes=WIDE, tol=SMALL,
            bad=(Bad(case(A, 2), "RuntimeError"),)),
    product("addmv", _plus(((2,), (2, 3), (3,)), ((), (2, 3), (3,))), dtypes=(*FLOATS, "int64"),
            inplace="addmv_", bad=(Bad(case(V, A, A), "RuntimeError"),)),
    product("addbmm", _plus(((2, 4), (3, 2, 5), (3, 5, 4)), ((4,), (3, 2, 5), (3, 5, 4))),
            dtypes=(*WIDE, "int64"), inplace="addbmm_",
            bad=(Bad(case(A, A, A), "RuntimeError", "RuntimeError|IndexError"),)),
    product("addr", _plus(((2, 3), (2,), (3,)), ((3,), (2,), (3,))), dtypes=(*WIDE, "int64"),
            inplace="addr_", bad=(Bad(case(A, A, V), "RuntimeError"), Bad(case(A, V, V), "RuntimeError"))),
    product("renorm", _renorm, dtypes=WIDE, tol=SMALL, inplace="renorm_", bad=(Bad(case(V, 2, 0, 1.0), "RuntimeError"),)),
    product("bilinear", _of(((4, 2), (4, 3), (5, 2, 3)), ((2, 4, 2), (2, 4, 3), (5, 2, 3), (5,))),
            fn="nn.functional.bilinear", method="", dtypes=WIDE),
]  # fmt: skip
PRODUCTS = [
    Spec(**{**s.__dict__, "out": False}) if s.name in ("trace", "bilinear") else s for s in PRODUCTS
]

NORMS = [
    Spec("linalg.vector_norm", _vector_norms, WIDE, fn="linalg.vector_norm", tol=NORM, strides=False,
         out=True, grad=True, grad_cases=_grads(lambda d, r: [case(arr(r, (2, 3), d, low=0.5), 3)]),
         bad=(Bad(case(given([1], "int64")), "RuntimeError"),)),
    Spec("linalg.matrix_norm", _matrix_norms, WIDE, fn="linalg.matrix_norm", tol=NORM, strides=False,
         out=True, grad=True, grad_cases=_grads(lambda d, r: [case(arr(r, (2, 3), d), o) for o in ("fro", "nuc", 2, 1)]),
         bad=(Bad(case(V), "RuntimeError"), Bad(case(A, 3), "RuntimeError"))),
    Spec("linalg.norm", _norms, WIDE, fn="linalg.norm", tol=NORM, strides=False, out=True, grad=True,
         grad_cases=_grads(_norms), gradgrad=False),
]  # fmt: skip

# ---- Factorisations


def square(dtype: str, rng: np.random.Generator, *batch: int, n: int = 3) -> Arr:
    """Far from singular."""
    x = rng.uniform(-1, 1, (*batch, n, n)) + 3 * np.eye(n)
    return given(x, dtype, "transposed" if batch else "plain")


def _large(rng: np.random.Generator) -> Case:
    return case(square("float32", rng, n=512))


def _squares(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    yield case(square(dtype, rng))
    yield case(square(dtype, rng, 2))
    yield case(square(dtype, rng, 2, 2, n=4))
    yield case(given(np.zeros((0, 3, 3)), dtype))


def _plain_squares(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    return (c.plain() for c in _squares(dtype, rng))


def _rectangles(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    yield from _squares(dtype, rng)
    yield case(arr(rng, (4, 2), dtype))
    yield case(arr(rng, (2, 2, 4), dtype, "transposed"))


def _with(make: Callable, **kwargs: Any) -> Callable:
    return lambda *a: [Case(c.args, {**c.kwargs, **kwargs}, c.note) for c in make(*a)]


def _and_b(make: Callable) -> Callable:
    """A right side of two columns beside the matrix."""

    def cases(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
        for c in make(dtype, rng):
            yield Case((c.args[0], arr(rng, (*c.args[0].shape[:-1], 2), dtype)), c.kwargs)

    return cases


def symmetric(f: Callable) -> Callable:
    """f of the symmetric part, definite for the samples here."""
    return lambda lib: (
        lambda a, *b: f(lib)(
            a @ a.mT + 0.1 * lib.eye(a.shape[-1], dtype=a.dtype, device=a.device), *b
        )
    )


def linear(name: str, make: Callable, f: Callable | str = "", **more: Any) -> Spec:
    more.setdefault(
        "bad", (Bad(case(A.__class__(np.ones(3, np.float32), "float32")), "RuntimeError"),)
    )
    return Spec(
        name, make, WIDE, fn=f or name, tol=around(512, "a factorisation of well conditioned matrices", 32.0),
        strides=False, grad=more.pop("grad", True),
        grad_cases=_grads(lambda d, r: [c for c in make(d, r) if c.args[0].data.size][:4]), **more,
    )  # fmt: skip


def _svd_product(lib: Any) -> Callable:
    def f(a: Any) -> Any:
        u, s, vh = lib.linalg.svd(a, full_matrices=False)
        return (u * s.sqrt().unsqueeze(-2)) @ vh, s

    return f


def _old_svd(lib: Any) -> Callable:
    def f(a: Any) -> Any:
        u, s, v = lib.svd(a)
        return (u * s.unsqueeze(-2)) @ v.mT, s, lib.svd(a, compute_uv=False)[1]

    return f


def _eigh_product(lib: Any) -> Callable:
    def f(a: Any) -> Any:
        values, v = lib.linalg.eigh(a)
        return (v * values.sqrt().unsqueeze(-2)) @ v.mT, values

    return f


def _lu_solved(lib: Any) -> Callable:
    def f(a: Any, b: Any) -> Any:
        factors = lib.linalg.lu_factor(a)
        return (
            lib.linalg.lu_solve(*factors, b),
            lib.linalg.lu_solve(*factors, b, adjoint=True),
            lib.lu_solve(b, *factors),
        )

    return f


def _triangular(lib: Any) -> Callable:
    def f(a: Any, b: Any) -> Any:
        s = lib.linalg.solve_triangular
        return (
            s(a, b, upper=True), s(a, b, upper=False), s(a, b, upper=False, unitriangular=True),
            s(a, b.mT, upper=True, left=False), lib.triangular_solve(b, a)[0],
            lib.triangular_solve(b, a, upper=False, transpose=True)[0],
        )  # fmt: skip

    return f


def _cholesky_uses(lib: Any) -> Callable:
    def f(a: Any, b: Any) -> Any:
        lower = lib.linalg.cholesky(a)
        upper = lib.cholesky(a, upper=True)
        return (
            lower, upper, lib.cholesky_solve(b, lower), lib.cholesky_solve(b, upper, True),
            lib.cholesky_inverse(lower),
        )  # fmt: skip

    return f


NOT_SQUARE = (Bad(case(A), "RuntimeError"), Bad(case(V), "RuntimeError"),
              Bad(case(given([[1, 2], [3, 4]], "int64")), "RuntimeError"))  # fmt: skip


def _kept(path: str) -> dict:
    return {"f": path, "bad": NOT_SQUARE}


LINALG = [
    linear("linalg.det", _squares, bad=NOT_SQUARE, out=True),
    linear("det", _squares, bad=NOT_SQUARE, method="det"),
    linear("logdet", _squares, bad=NOT_SQUARE, method="logdet"),
    linear("linalg.slogdet", _squares, bad=NOT_SQUARE),
    linear("slogdet", _squares, bad=NOT_SQUARE, method="slogdet"),
    linear("linalg.inv", _squares, large=_large, bad=(*NOT_SQUARE, Bad(case(SINGULAR), "RuntimeError", "RuntimeError")), out=True),
    linear("inverse", _squares, bad=(), method="inverse", out=True),
    linear("linalg.pinv", _rectangles, out=True),
    linear("pinverse", _rectangles, bad=(), method="pinverse"),
    linear("linalg.solve", _and_b(_squares), out=True,
           bad=(Bad(case(A, A), "RuntimeError"), Bad(case(SINGULAR, SINGULAR), "RuntimeError", "RuntimeError"),
                Bad(case(S, A.__class__(np.ones((3, 2), np.float32), "float32")), "RuntimeError"))),
    linear("linalg.solve_vector", lambda d, r: [case(square(d, r), arr(r, (3,), d)),
                                               case(square(d, r, 2), arr(r, (2, 3), d))],
           "linalg.solve", bad=()),
    linear("linalg.solve_right", _with(lambda d, r: [case(square(d, r), arr(r, (2, 3), d))], left=False),
           "linalg.solve", bad=()),
    linear("solve_triangular", _and_b(_squares), _triangular, bad=()),
    linear("cholesky", _and_b(_squares), symmetric(_cholesky_uses), bad=()),
    linear("linalg.cholesky", _squares, symmetric(_lib("linalg.cholesky")), large=_large, bad=()),
    linear("linalg.qr", _rectangles, large=_large),
    linear("linalg.qr_complete", _with(_rectangles, mode="complete"), "linalg.qr", grad=False, bad=()),
    linear("linalg.qr_r", _with(_rectangles, mode="r"), "linalg.qr", grad=False,
           bad=(Bad(case(A, "x"), "RuntimeError"),)),
    linear("qr", _rectangles, bad=(), method="qr"),
    linear("linalg.svd", _rectangles, _svd_product, bad=()),
    linear("svd", _rectangles, _old_svd, bad=()),
    linear("linalg.svdvals", _rectangles, out=True),
    linear("linalg.eigh", _squares, symmetric(_eigh_product), bad=()),
    linear("linalg.eigvalsh", _squares, symmetric(_lib("linalg.eigvalsh")), bad=()),
    linear("linalg.lstsq", _and_b(_rectangles), lambda lib: lambda a, b: tuple(lib.linalg.lstsq(a, b))[:3],
           bad=()),
    linear("linalg.lu", lambda d, r: [c for c in _rectangles(d, r) if c.args[0].data.size], grad=False),
    linear("linalg.lu_square", _squares, "linalg.lu", bad=()),
    linear("linalg.lu_factor", _squares, large=_large),
    linear("lu_solve", _and_b(_squares), _lu_solved, bad=()),
    linear("linalg.matrix_exp", _plain_squares, bad=NOT_SQUARE),
    linear("matrix_exp", _plain_squares, bad=(), method="matrix_exp"),
    linear("linalg.cond", _squares, out=True),
    linear("linalg.matrix_rank", lambda d, r: [case(square(d, r, 2)), case(given(np.ones((3, 4)), d)),
                                             case(given(np.diag([1, 0.5, 1e-3]), d), tol=0.01),
                                             case(given(np.diag([1, -0.5, 0]), d), hermitian=True)], grad=False),
    linear("linalg.multi_dot", lambda d, r: [case([arr(r, s, d) for s in ((2, 5), (5, 3), (3, 4))]),
                                             case([arr(r, s, d) for s in ((5,), (5, 3), (3,))])],
           grad=False, bad=(Bad(case([A]), "RuntimeError"), Bad(case([A, A]), "RuntimeError"))),
    linear("linalg.vecdot", _of(((2, 3), (2, 3)), ((3,), (2, 3))), bad=()),
    linear("linalg.diagonal", _rectangles, bad=()),
    linear("linalg.vander", lambda d, r: [case(arr(r, (4,), d)), case(arr(r, (2, 3), d), N=4)],
           bad=(), grad=False),
]  # fmt: skip


def _failing(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    """Matrices of which some have no inverse and are not definite."""
    yield case(given([[1, 2], [2, 4]], dtype))
    yield case(given([[[2, 0], [0, 3]], [[0, 0], [0, 1]], [[1, 0], [0, -1]]], dtype))
    yield case(
        given([[[4, 1, 0], [1, 3, 0], [0, 0, -1]], [[1, 0, 0], [0, 0, 0], [0, 0, 1]]], dtype)
    )


def _infos(lib: Any) -> Callable:
    def f(a: Any) -> Any:
        eye = lib.eye(a.shape[-1], dtype=a.dtype, device=a.device)
        return (
            lib.linalg.inv_ex(a).info, lib.linalg.solve_ex(a, eye).info,
            lib.linalg.lu_factor_ex(a).info, lib.linalg.cholesky_ex(a).info,
            lib.linalg.cholesky_ex(a, upper=True).info,
        )  # fmt: skip

    return f


def _boxes(*shapes: tuple) -> Callable:
    """Square matrices as tensors of these shapes."""
    return lambda d, r: [
        case(Arr(square(d, r, n=6).data.reshape(s), d), *more) for s, *more in shapes
    ]


CHECKED = [
    linear("linalg.inv_ex", _squares, bad=(*NOT_SQUARE, Bad(case(SINGULAR, check_errors=True), "RuntimeError", "RuntimeError"))),
    linear("linalg.cholesky_ex", _squares, symmetric(_lib("linalg.cholesky_ex")), bad=()),
    linear("linalg.solve_ex", _and_b(_squares), bad=(Bad(case(A, A), "RuntimeError"), Bad(case(SINGULAR, SINGULAR, check_errors=True), "RuntimeError", "RuntimeError"))),
    linear("linalg.lu_factor_ex", _squares),
    linear("linalg.infos", _failing, _infos, grad=False, bad=()),
    linear("linalg.tensorinv", _boxes(((2, 3, 6),), ((6, 2, 3), 1)), bad=(Bad(case(A), "RuntimeError"), Bad(case(S, 0), "RuntimeError"))),
    linear("linalg.tensorsolve", lambda d, r: [case(*c.args, arr(r, (2, 3), d)) for c in _boxes(((2, 3, 6),), ((2, 3, 2, 3),))(d, r)],
           bad=(Bad(case(A, V), "RuntimeError"),)),
]  # fmt: skip

SPECS = [*PRODUCTS, *NORMS, *LINALG, *CHECKED]
