"""Rows of rearrangements, pieces, diagonals, scatters that combine, and distances."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import numpy as np

from .base import (
    ALL,
    FLOATS,
    LARGE,
    NUMBERS,
    Arr,
    Bad,
    Case,
    DType,
    Spec,
    Tol,
    arr,
    case,
    given,
    index,
    ulps,
)
from .views import SOME, S, V, X, grads, listed, over

Cases = Callable[[str, np.random.Generator], Iterable[Case]]


def copied(name: str, cases: Callable, *grad: tuple, **more: Any) -> Spec:
    """A function and method whose results are copies."""
    more.setdefault("method", name)
    more.setdefault("strides", False)
    return Spec(
        name, cases, more.pop("dtypes", SOME), grad=bool(grad), grad_cases=grads(*grad), **more
    )


def made_of(*calls: tuple, ndims: tuple[int, ...]) -> Cases:
    """Each call on the plain, transposed and stepped tensors of so many dims."""
    shapes = {1: (6,), 2: (4, 6), 3: (4, 6, 2), 4: (4, 2, 2, 3)}

    def make(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
        for n in ndims:
            for layout in ("plain", "transposed", "stepped"):
                for call in calls:
                    yield case(arr(rng, shapes[n], dtype, layout), *call)

    return make


REARRANGED = [
    copied("flip", over(((0,),), ((0, -1),), ((),), least=2), ((2, 3), "plain", (0, 1)), ((2, 3), "transposed", (1,)),
           large=lambda rng: case(arr(rng, LARGE, "float32"), (1,)),
           bad=(Bad(case(X, (2,)), "IndexError"), Bad(case(X, (0, 0)), "RuntimeError"))),
    copied("fliplr", over((), least=2), ((2, 3), "plain"), bad=(Bad(case(V), "RuntimeError"),)),
    copied("flipud", over((), least=1), ((2, 3), "plain"), bad=(Bad(case(S), "RuntimeError"),)),
    copied("roll", over((1,), (-2, 0), ((1, 5), (0, -1)), (0, 0), least=1), ((2, 3), "plain", 1), ((2, 3), "plain", (1, 2), (0, 1)),
           bad=(Bad(case(X, 1, 2), "IndexError"), Bad(case(X, (1, 2), 0), "RuntimeError"), Bad(case(X, ()), "RuntimeError"))),
    copied("rot90", over((), (2,), (3, (1, 0)), (-1, (0, -1)), (4,), least=2), ((2, 3), "plain"), ((2, 3), "plain", 3, (1, 0)),
           bad=(Bad(case(V), "RuntimeError"), Bad(case(X, 1, (0, 0)), "RuntimeError"), Bad(case(X, 1, (0,)), "RuntimeError"),
                Bad(case(X, 1, (0, 2)), "IndexError|RuntimeError"))),
    copied("tile", over(((2,),), ((2, 1, 3, 1, 2),), ((1,),), ((0, 2),)), ((2, 3), "plain", (2, 2)),
           bad=(Bad(case(X, (-1,)), "RuntimeError"),)),
    copied("repeat_interleave", lambda d, r: [*over((2,), (3, 0), (0, -1), least=1)(d, r), case(arr(r, (), d), 3),
                                              *(case(arr(r, (4, 3), d, lay), index([2, 0, 1, 3]), 0) for lay in ("plain", "transposed")),
                                              case(arr(r, (4,), d), index([2, 0, 1, 3]), output_size=6), case(arr(r, (3, 2), d), index([2]), 1)],
           ((2, 3), "plain", 2), ((2, 3), "plain", 2, 1), large=lambda rng: case(arr(rng, LARGE, "float32"), 3, 0),
           bad=(Bad(case(X, -1), "RuntimeError"), Bad(case(X, index([1, 2, 3]), 0), "RuntimeError"), Bad(case(X, index([[1]]), 0), "RuntimeError"),
                Bad(case(X, 1, 2), "IndexError"), Bad(case(X, V, 1), "RuntimeError"))),
    Spec("repeat_indices", lambda d, r: [case(given([2, 0, 3], d, role="index")), case(given([], d, role="index"))], ("int64", "int32"), fn="repeat_interleave",
         bad=(Bad(case(V), "RuntimeError"), Bad(case(index([-1])), "RuntimeError"))),
    Spec("take_along_dim", lambda d, r: [case(arr(r, (3, 4), d, lay), index(r.integers(0, n, shape)), dim) for lay in ("plain", "transposed")
                                         for n, shape, dim in ((3, (2, 4), 0), (4, (3, 1), 1), (4, (1, 5), -1))] + [case(arr(r, (3, 4), d), index([5, 0, 11]))],
         ALL, method="take_along_dim", out=True, grad=True,
         grad_cases=lambda rng: [case(arr(rng, (2, 3), "float64"), index([[0, 2]]), 1), case(arr(rng, (2, 3), "float64"), index([5, 5]))],
         bad=(Bad(case(X, V, 1), "RuntimeError"), Bad(case(X, index([0]), 0), "RuntimeError"))),
    copied("ravel", over(()), ((2, 3), "transposed")),
    copied("narrow_copy", over((0, 1, 2), (-1, 0, 0), least=2), ((2, 3), "plain", 1, 1, 2), bad=(Bad(case(X, 0, 1, 2), "RuntimeError"),)),
]  # fmt: skip


# ---- Pieces and joins


def several(*shapes: tuple) -> Cases:
    def make(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
        for group in shapes:
            for layout in ("plain", "transposed"):
                yield case([arr(rng, s, dtype, layout) for s in group])

    return make


def join(name: str, *shapes: tuple, bad: tuple[Bad, ...] = (), **more: Any) -> Spec:
    made = several(*shapes)
    return Spec(
        name, made, SOME, grad=True, out=True, grad_cases=lambda rng: list(made("float64", rng))[:3],
        bad=(Bad(case([]), "RuntimeError|ValueError"), Bad(case([1]), "TypeError"), *bad), **more,
    )  # fmt: skip


def _meshgrid(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    a, b, c = arr(rng, (2,), dtype), arr(rng, (3,), dtype, "stepped"), arr(rng, (), dtype)
    yield case(a, b, indexing="ij")
    yield case(a, b, c, indexing="xy")
    yield case([a, b])
    yield case(a)
    yield case(c, indexing="xy")


SPLIT_BAD = (
    Bad(case(X, 0), "RuntimeError"),
    Bad(case(S, 1), "RuntimeError"),
    Bad(case(X, "x"), "TypeError"),
)
MISMATCH = (Bad(case([X, given(np.ones((3, 2, 2)), "float32")]), "RuntimeError"),)
PIECES = [
    Spec("tensor_split", lambda d, r: [*over((3,), (2, -1), ((1, 2),), ([-1, 1, 9],), (5, 0), least=1)(d, r),
                                       case(arr(r, (6,), d), index([1, 3])), case(arr(r, (6,), d), index(4))],
         SOME, method="tensor_split", grad=True, grad_cases=grads(((3, 2), "plain", 2), ((2, 3), "plain", (1,), 1)),
         bad=(*SPLIT_BAD, Bad(case(X, 1, 2), "IndexError"), Bad(case(X, V), "RuntimeError"))),
    Spec("hsplit", made_of((2,), ((1, 3),), ndims=(1, 2, 3)), SOME, method="hsplit", grad=True, grad_cases=grads(((3, 2), "plain", 2)),
         bad=(*SPLIT_BAD, Bad(case(X, 2), "RuntimeError"))),
    Spec("vsplit", made_of((2,), ([1, 3],), ndims=(2, 3)), SOME, method="vsplit", grad=True, grad_cases=grads(((4, 2), "plain", 2)),
         bad=(*SPLIT_BAD, Bad(case(V, 1), "RuntimeError"))),
    Spec("dsplit", made_of((2,), ((1,),), ndims=(3,)), SOME, method="dsplit", grad=True,
         grad_cases=grads(((1, 1, 4), "plain", 2)), bad=(*SPLIT_BAD, Bad(case(X, 1), "RuntimeError"))),
    Spec("split_with_sizes", made_of(((1, 3),), ndims=(2,)), SOME, method="split_with_sizes", grad=True, grad_cases=grads(((4, 2), "plain", (1, 3))),
         bad=(Bad(case(X, (1, 2)), "RuntimeError"),)),
    Spec("unfold", lambda d, r: [*over((0, 1, 1), (-1, 0, 2), least=1)(d, r), *made_of((0, 3, 1), (0, 2, 2), (-1, 2, 3), ndims=(2, 3))(d, r),
                                 case(arr(r, (), d), 0, 1, 1)], SOME, fn="Tensor.unfold", method="unfold", grad=True,
         grad_cases=grads(((5,), "plain", 0, 3, 1), ((2, 5), "transposed", 1, 2, 2), ((3, 2), "plain", 0, 2, 1)),
         bad=(Bad(case(X, 0, 3, 1), "RuntimeError"), Bad(case(X, 0, 1, 0), "RuntimeError"), Bad(case(X, 2, 1, 1), "IndexError"), Bad(case(X, 0, -1, 1), "RuntimeError"))),
    join("hstack", ((2, 3), (2, 1)), ((3,), (2,)), ((2, 3, 2), (2, 1, 2)), bad=MISMATCH),
    join("vstack", ((2, 3), (1, 3)), ((3,), (3,)), ((3,), (2, 3)), bad=MISMATCH),
    join("row_stack", ((2, 3), (1, 3)), bad=MISMATCH),
    join("dstack", ((2, 3), (2, 3)), ((3,), (3,)), ((2, 3, 1), (2, 3, 2)), bad=MISMATCH),
    join("column_stack", ((2, 3), (2, 1)), ((3,), (3,)), ((3,), (3, 2)), bad=MISMATCH),
    Spec("meshgrid", _meshgrid, SOME, grad=True, grad_cases=lambda rng: list(_meshgrid("float64", rng))[:2],
         bad=(Bad(case(X, V), "RuntimeError"), Bad(case(V, given([1], "int64")), "RuntimeError"), Bad(case([]), "RuntimeError"),
              Bad(case(V, indexing="ji"), "RuntimeError"), Bad(case(1), "TypeError"))),
    Spec("cartesian_prod", lambda d, r: [case(arr(r, (2,), d), arr(r, (3,), d), arr(r, (2,), d)), case(arr(r, (3,), d))], SOME,
         grad=True, grad_cases=lambda rng: [case(arr(rng, (2,), "float64"), arr(rng, (3,), "float64"))], bad=(Bad(case(X, V), "RuntimeError"), Bad(case([V, V]), "TypeError"))),
    Spec("combinations", lambda d, r: [case(arr(r, (4,), d), *more) for more in ((), (3,), (1,), (5,), (0,))] + [case(arr(r, (3,), d), 2, with_replacement=True)],
         SOME, grad=True, grad_cases=lambda rng: [case(arr(rng, (3,), "float64"))], bad=(Bad(case(X), "RuntimeError"), Bad(case(V, -1), "RuntimeError"))),
    Spec("block_diag", lambda d, r: [case(arr(r, (2, 3), d), arr(r, (2,), d), arr(r, (), d))
                                     , case(arr(r, (2, 2), d, "transposed")), case()] if d == "float32"
         else [case(arr(r, (2, 3), d), arr(r, (1, 1), d))], SOME, strides=False, grad=True,
         grad_cases=lambda rng: [case(arr(rng, (2, 1), "float64"), arr(rng, (1, 2), "float64"))], bad=(Bad(case(given(np.ones((1, 1, 1)), "float32")), "RuntimeError"),)),
    *(Spec(f"atleast_{n}d", lambda d, r: [*over(())(d, r), case(arr(r, (2,), d), arr(r, (), d)), case([arr(r, (2, 3), d)])], SOME, grad=True,
           grad_cases=grads(((3,), "plain")), bad=(Bad(case(1), "TypeError"),)) for n in (1, 2, 3)),
    Spec("broadcast_shapes", lambda d, r: [case((2, 1), (3,)), case((5,), 1, (4, 1)), case(), case((0, 1), (3,)), case(3)], ("float32",),
         bad=(Bad(case((2,), (3,)), "RuntimeError"), Bad(case((-1,)), "ValueError"))),
    Spec("unravel_index", lambda d, r: [case(given([[0, 5], [11, 7]], d, role="index"), (3, 4)), case(given(7, d, role="index"), 9), case(given([23], d, role="index"), (2, 3, 4))],
         ("int64", "int32"), strides=False, bad=(Bad(case(V, (2,)), "TypeError"), Bad(case(index([1]), (-1,)), "ValueError|RuntimeError"))),
    Spec("vander", lambda d, r: [case(arr(r, (3,), d, low=-2, high=2), *more) for more in ((), (2,), (4, True), (0,))], ("float32", "float64", "int32"),
         tol=ulps(8, "products"), strides=False, grad=True, grad_cases=lambda rng: [case(arr(rng, (3,), "float64", low=1, high=2))],
         bad=(Bad(case(X), "RuntimeError"), Bad(case(V, -1), "RuntimeError"))),
]  # fmt: skip

# ---- Diagonals and triangles


def _indices(name: str) -> Spec:
    return Spec(
        name, lambda d, r: [case(*args, dtype=DType(d)) for args in ((3, 4), (4, 3, 1), (3, 3, -1), (0, 2), (2, 0), (3, 3, 9), (3, 3, -9))] + [case(3, 3)],
        ("int64", "int32"), bad=(Bad(case(-1, 2), "RuntimeError"), Bad(case(2, 2, dtype=DType("float32", fixed=True)), "RuntimeError"), Bad(case("x", 2), "TypeError"),
                                 Bad(case(2**40, 2**40), "RuntimeError"))
    )  # fmt: skip


def _in_place(name: str, cases: Cases, *bad: Bad, dtypes: tuple[str, ...] = SOME) -> Spec:
    """A method that changes its tensor."""
    return Spec(name, cases, dtypes, fn=f"Tensor.{name}", changes=(0,), bad=bad)


def dense_over(*calls: tuple, ndim: int = -1, least: int = 0) -> Cases:
    made = over(*calls, ndim=ndim, least=least)
    return lambda d, r: [c for c in made(d, r) if c.args[0].layout != "expanded"]


DIAGONALS = [
    copied("diag", lambda d, r: [case(arr(r, s, d, lay), *k) for s, lay in (((3,), "plain"), ((4,), "stepped"), ((3, 4), "transposed"), ((4, 2), "plain"), ((0,), "plain"))
                                 for k in ((), (1,), (-2,))], ((3,), "plain"), ((3, 2), "plain", -1), out=True,
           bad=(Bad(case(S), "RuntimeError"), Bad(case(given(np.ones((1, 1, 1)), "float32")), "RuntimeError"))),
    copied("diagflat", over((), (1,), ({"offset": -2},)), ((2, 2), "plain")),
    copied("diag_embed", over((), (1,), (-1, 0, 1), ({"dim1": 0, "dim2": -1},), least=1), ((2, 3), "plain"), ((2,), "plain", -1),
           bad=(Bad(case(X, 0, 1, 1), "RuntimeError"), Bad(case(X, 0, 0, 3), "IndexError"), Bad(case(V, 2**62), "RuntimeError"))),
    _indices("tril_indices"),
    _indices("triu_indices"),
    _in_place("fill_diagonal_", lambda d, r: [case(arr(r, s, d, lay), 1, wrap) for s, lay in (((3, 4), "plain"), ((7, 2), "plain"), ((9, 3), "plain"),
                                              ((3, 3, 3), "plain"), ((4, 3), "stepped"), ((0, 3), "plain")) for wrap in (False, True)],
              Bad(case(V, 1), "RuntimeError"), Bad(case(given(np.ones((2, 3, 2)), "float32"), 1), "RuntimeError")),
    _in_place("tril_", dense_over((), (1,), (-1,), least=2), Bad(case(V), "RuntimeError")),
    _in_place("triu_", dense_over((), (1,), (-1,), least=2), Bad(case(V), "RuntimeError")),
]  # fmt: skip

# ---- Views made of the tensor itself

ITSELF = [
    _in_place("squeeze_", over((), (0,), (-1,)), Bad(case(X, 2), "IndexError")),
    _in_place("unsqueeze_", over((0,), (-1,)), Bad(case(X, 3), "IndexError")),
    _in_place("t_", over((), ndim=2), Bad(case(given(np.ones((1, 1, 1)), "float32")), "RuntimeError")),
    _in_place("transpose_", over((0, 1), (-1, 0), least=2), Bad(case(X, 0, 2), "IndexError")),
    _in_place("as_strided_", listed(((6,), "plain", (2, 3), (3, 1)), ((2, 3), "plain", (2,), (1,), 1)), Bad(case(X, (9,), (1,)), "RuntimeError")),
    _in_place("resize_", listed(((2, 3), "plain", 3, 2), ((2, 3), "transposed", (6,)), ((2, 3), "plain", 2), ((2, 3), "plain", (0, 4)), ((6,), "plain", 1, 1, 6)),
              Bad(case(X, -1), "RuntimeError"), Bad(case(X, 2**40, 2**40), "RuntimeError")),
    _in_place("resize_as_", lambda d, r: [case(arr(r, (2, 3), d), arr(r, (3, 2), "float32"))], Bad(case(X, 1), "TypeError")),
]  # fmt: skip


# ---- Copies with a part replaced


def replaced(name: str, *calls: tuple, bad: tuple[Bad, ...]) -> Spec:
    def cases(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
        for shape, part, *args in calls:
            for layout in ("plain", "transposed", "stepped"):
                yield case(arr(rng, shape, dtype, layout), arr(rng, part, dtype, layout), *args)

    return Spec(
        name, cases, SOME, method=name, strides=False, grad=True, grad_cases=lambda rng: list(cases("float64", rng))[::3], bad=bad
    )  # fmt: skip


REPLACED = [
    replaced("select_scatter", ((2, 3), (3,), 0, 1), ((2, 3), (2,), -1, -1), bad=(Bad(case(X, V, 0, 2), "IndexError"), Bad(case(X, S, 0, 0), "RuntimeError"))),
    replaced("slice_scatter", ((4, 3), (2, 3), 0, 1, 3), ((4, 3), (4, 2), 1, 0, 3, 2), ((4, 3), (4, 3)), bad=(Bad(case(X, V), "RuntimeError"),)),
    replaced("diagonal_scatter", ((3, 3), (3,)), ((3, 4), (2,), 2), bad=(Bad(case(X, V), "RuntimeError"),)),
    # PyTorch passes the gradient of what was replaced on to the input.
    Spec("as_strided_scatter", lambda d, r: [case(arr(r, (6,), d, grad=False), arr(r, (2, 2), d), (2, 2), (2, 1))], SOME, method="as_strided_scatter", grad=True,
         grad_cases=lambda rng: [case(arr(rng, (6,), "float64"), arr(rng, (2,), "float64"), (2,), (2,))], bad=(Bad(case(X, V, (2,), (1,)), "RuntimeError"),)),
    Spec("put", lambda d, r: [case(arr(r, (3, 4), d, lay), index([[0, -1], [5, 7]]), arr(r, (2, 2), d), acc) for lay in ("plain", "transposed") for acc in (False, True)]
         + [case(arr(r, (3,), d), index([1, 1]), arr(r, (2,), d), accumulate=True)], NUMBERS, method="put", inplace="put_", grad=True, strides=False,
         tol=Tol(1, "a sum of two"), grad_cases=lambda rng: [case(arr(rng, (2, 3), "float64"), index([0, -1]), arr(rng, (2,), "float64"), a) for a in (False, True)],
         bad=(Bad(case(X, index([9]), V), "RuntimeError|IndexError"), Bad(case(X, index([9]), given([1.0], "float32")), "IndexError|RuntimeError"),
              Bad(case(X, V, V), "RuntimeError|IndexError"), Bad(case(X, index([0]), given([1.0], "float64")), "RuntimeError"))),
]  # fmt: skip


def _combined(*reduces: str, by_vector: bool) -> Cases:
    def make(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
        for reduce in reduces:
            # Means of integers are of what fits exactly; products stay small.
            low, high = (0.5, 2) if dtype in FLOATS else (0, 3)
            for include in (True, False):
                for shape, dim, layout in (
                    ((4, 3), 0, "plain"),
                    ((3, 5), 1, "transposed"),
                    ((7,), 0, "stepped"),
                    ((2, 3, 4), -2, "plain"),
                ):
                    n = shape[dim]
                    x = arr(rng, shape, dtype, layout, low, high)
                    places = index(rng.integers(0, n, n + 1)) if by_vector else None
                    sizes = tuple(
                        n + 1 if i == dim % len(shape) else s for i, s in enumerate(shape)
                    )
                    places = places or index(rng.integers(0, n, sizes))
                    yield case(
                        x,
                        dim,
                        places,
                        arr(rng, sizes, dtype, layout, low, high),
                        reduce,
                        include_self=include,
                    )
        if dtype in FLOATS:
            for reduce in reduces:
                yield case(
                    given([1, np.nan, np.inf, 2], dtype),
                    0,
                    index([0, 0, 3, 2]),
                    given([5, 6, np.nan, 1], dtype),
                    reduce,
                )

    return make  # fmt: skip


def _combined_grads(*reduces: str, by_vector: bool) -> Callable:
    def make(rng: np.random.Generator) -> Iterable[Case]:
        for reduce in reduces:
            for include in (True, False):
                places = index([0, 2, 0]) if by_vector else index([[0, 1], [2, 1], [0, 0]])
                values = rng.permutation(12) / 4 + 0.5
                yield case(
                    given(values[:6].reshape(3, 2), "float64"),
                    0,
                    places,
                    given(values[6:].reshape(3, 2), "float64"),
                    reduce,
                    include_self=include,
                )
                if reduce == "prod":
                    zeros = given([[0.0, 1.0], [2.0, 0.0], [5.0, 3.0]], "float64")
                    yield case(
                        given(values[:6].reshape(3, 2), "float64"),
                        0,
                        places,
                        zeros,
                        reduce,
                        include_self=include,
                    )

    return make  # fmt: skip


def _untied(*reduces: str, by_vector: bool) -> Cases:
    """For gradients: of an item equal to an extreme that does not count PyTorch takes a share."""
    made = _combined_grads(*reduces, by_vector=by_vector)
    return lambda dtype, rng: [
        Case(tuple(replace(a, dtype=dtype) if isinstance(a, Arr) and a.role == "value" else a for a in c.args), c.kwargs)
        for c in made(rng)
    ]  # fmt: skip


def _combining(name: str, *reduces: str, by_vector: bool) -> list[Spec]:
    i = index([0]) if by_vector else index([[0]])
    one = given([[1.0]], "float32")
    tol = ulps(16, "sums and products of few items", lambda lib, *a, **k: 64.0, steps=16)
    gradients = Spec(
        name + "_untied", _untied(*reduces, by_vector=by_vector), ("float32", "float64"), fn=name, grad=True, tol=tol, strides=False,
        grad_cases=_combined_grads(*reduces, by_vector=by_vector),
    )  # fmt: skip
    return [gradients, Spec(
        name, _combined(*reduces, by_vector=by_vector), NUMBERS, method=name, inplace=name + "_", out=True, tol=tol, strides=False,
        large=lambda rng: case(arr(rng, (701, 150), "float32"), 0, index(rng.integers(0, 701, 701)) if by_vector else index(rng.integers(0, 701, (701, 150))),
                               arr(rng, (701, 150), "float32"), "amax"),
        bad=(Bad(case(one, 0, i, one, "up"), "RuntimeError"), Bad(case(one, 2, i, one, "prod"), "IndexError"),
             Bad(case(one, 0, i, given([[1.0]], "float64"), "prod"), "RuntimeError"), Bad(case(one, 0, V, one, "prod"), "RuntimeError"),
             Bad(case(one, 0, index([5]) if by_vector else index([[5]]), one, "amax"), *(("RuntimeError", "IndexError") if by_vector else ("RuntimeError",)))),
    )]  # fmt: skip


COMBINED = [
    *_combining("scatter_reduce", "sum", "prod", "mean", "amax", "amin", by_vector=False),
    *_combining("index_reduce", "prod", "mean", "amax", "amin", by_vector=True),
    Spec("scatter_multiply", lambda d, r: [case(arr(r, (4, 3), d, "plain", 0, 3), 0, index([[0, 1, 2], [0, 3, 2]]), arr(r, (2, 3), d, "plain", 0, 3), reduce="multiply"),
                                           case(arr(r, (4, 3), d, "transposed", 0, 3), 1, index([[0], [2]]), 2, reduce="multiply")],
         NUMBERS, fn="scatter", method="scatter", tol=ulps(4, "products of few items", steps=4), strides=False),
]  # fmt: skip


# ---- Distances


def _cdist(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    for p in (2.0, 1.0, 0.5, 3.0, 0.0, float("inf")):
        yield case(arr(rng, (3, 4), dtype), arr(rng, (5, 4), dtype, "transposed"), p)
        yield case(arr(rng, (2, 3, 4), dtype), arr(rng, (5, 4), dtype), p=p)
    for mode in (
        "use_mm_for_euclid_dist_if_necessary",
        "use_mm_for_euclid_dist",
        "donot_use_mm_for_euclid_dist",
    ):
        yield case(arr(rng, (40, 7), dtype), arr(rng, (30, 7), dtype), compute_mode=mode)
    yield case(arr(rng, (0, 4), dtype), arr(rng, (3, 4), dtype), note="empty")
    yield case(arr(rng, (2, 0), dtype), arr(rng, (3, 0), dtype), note="empty")  # fmt: skip


DISTANCES = [
    Spec("cdist", _cdist, ("float32", "float64"), strides=False, grad=True, gradgrad=False,
         tol=ulps(64, "a difference of squares about as large as 7 * 16 and its root", lambda lib, a, b, *r, **k: 40.0),
         grad_cases=lambda rng: [case(arr(rng, (2, 3), "float64"), arr(rng, (3, 3), "float64"), p) for p in (2.0, 1.0, 3.0, float("inf"))]
         + [case(arr(rng, (27, 2), "float64"), arr(rng, (2, 2), "float64"))],
         large=lambda rng: case(arr(rng, (301, 33), "float32"), arr(rng, (203, 33), "float32")),
         bad=(Bad(case(V, X), "RuntimeError"), Bad(case(X, given(np.ones((2, 2)), "float32")), "RuntimeError"), Bad(case(X, X, -1.0), "RuntimeError"),
              Bad(case(given([[1]], "int64"), given([[1]], "int64")), "RuntimeError"), Bad(case(X, X, compute_mode="x"), "ValueError"))),
    Spec("dist", lambda d, r: [case(arr(r, (3, 4), d), arr(r, s, d), *p) for s in ((3, 4), (4,)) for p in ((), (1,), (0,), (3,), (float("inf"),))], ("float32", "float64"),
         method="dist", tol=ulps(32, "a sum of powers and a root"), grad=True,
         grad_cases=lambda rng: [case(arr(rng, (2, 3), "float64"), arr(rng, (3,), "float64"), p) for p in (2, 1, 3)],
         bad=(Bad(case(X, given(np.ones((4,)), "float32")), "RuntimeError"), Bad(case(X, 1), "TypeError"))),
]  # fmt: skip

SPECS = [*REARRANGED, *PIECES, *DIAGONALS, *ITSELF, *REPLACED, *COMBINED, *DISTANCES]
