"""Rows of indexing: subscripts read and assigned, gather and scatter, masks."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from .base import ALL, Arr, Bad, Case, Spec, arr, case, given, index, mask, ulps

SOME = ("float32", "float64", "bfloat16", "int32", "bool")
X = given(np.ones((2, 3)), "float32")
V = given([1.0, 2, 3], "float32")
M = mask([[True, False, True], [False, False, True]])

# ---- Subscripts


def _basic() -> Iterable[Any]:
    """Subscripts that make views, for a (4, 5, 3)."""
    yield from (
        0,
        -1,
        slice(None),
        slice(1, 3),
        slice(None, None, 2),
        slice(-3, -1),
        slice(9, 2),
        None,
        ...,
    )
    yield from (
        (0, 1, 2),
        (slice(None), 1),
        (..., 0),
        (None, 0, None),
        (slice(1, None), ..., slice(0, 2)),
        (),
    )
    yield from ((1, None, ..., 2), (slice(None), slice(None), slice(2, 0)), True, False, (True, 0))


def _advanced() -> Iterable[Any]:
    """Subscripts by tensors and masks, for a (4, 5, 3)."""
    rows, columns = index([0, 3, -1]), index([[1], [4]])
    yield rows
    yield index([[0, 1], [2, 3]])
    yield index(1)
    yield index([], dtype="int64")
    yield (rows, index([0, 1, 2]))
    yield (slice(None), columns)
    yield (rows, slice(1, 3))
    yield (rows, slice(None), index([0, 1, 2]))
    yield (slice(None), rows, index(2))
    yield (..., index([0, 2]))
    yield (columns, rows, 1)
    yield (None, rows)
    yield [0, 2]
    yield ([0, 2], [1, 1])
    yield mask([True, False, True, True])
    yield mask(np.arange(20).reshape(4, 5) % 3 == 0)
    yield mask(np.arange(60).reshape(4, 5, 3) % 7 == 0)
    yield (slice(None), mask([True, False, True, False, True]))
    yield mask([False] * 4)
    yield index([1, 2], dtype="int32")


def _get(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    for layout in ("plain", "transposed", "stepped"):
        x = arr(rng, (4, 5, 3), dtype, layout)
        for subscript in (*_basic(), *_advanced()):
            yield case(x, subscript)
    x = arr(rng, (), dtype)
    for subscript in (..., (), None, mask(True), mask(False)):
        yield case(x, subscript)
    yield case(arr(rng, (0, 3), dtype), slice(0, 2))
    yield case(arr(rng, (300, 7), dtype), index(rng.integers(-300, 300, 500)))


def _set(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    for layout in ("plain", "transposed"):
        for subscript in (*_basic(), *_advanced()):
            yield case(arr(rng, (4, 5, 3), dtype, layout), subscript, 1)
    for subscript, shape in (
        (0, (5, 3)), (slice(1, 3), (2, 5, 3)), (slice(1, 3), (3,)), (slice(None, None, 2), (2, 1, 1)), (..., ()),
        (index([0, 2]), (2, 5, 3)), (index([0, 2]), (5, 1)), (mask([True, False, True, True]), (3, 5, 3)),
        ((index([0, 1]), index([2, 3])), (2, 3)), (None, (1, 4, 5, 3)),
    ):  # fmt: skip
        yield case(arr(rng, (4, 5, 3), dtype), subscript, arr(rng, shape, dtype))
        yield case(arr(rng, (4, 5, 3), dtype), subscript, arr(rng, shape, "float64", low=0))


def _get_grads(rng: np.random.Generator) -> Iterable[Case]:
    x = arr(rng, (2, 3), "float64")
    for subscript in (0, (slice(None), -1), slice(None, None, 2), index([1, 1, 0]), (index([0, 1]), index([2, 2])), M,
                      (..., None)):  # fmt: skip
        yield case(x, subscript)


def _assigned(lib: Any) -> Callable:
    def run(x: Any, subscript: Any, value: Any) -> Any:
        copy = x.clone()
        copy[subscript] = value
        return copy

    return run


def _set_grads(rng: np.random.Generator) -> Iterable[Case]:
    x = arr(rng, (2, 3), "float64")
    yield case(x, 0, arr(rng, (3,), "float64"))
    yield case(x, (slice(None), slice(0, 2)), arr(rng, (2, 1), "float64"))
    yield case(x, index([1]), arr(rng, (3,), "float64"))
    yield case(x, M, 2.0)
    yield case(x, M, arr(rng, (), "float64"))


BAD_SUBSCRIPTS = (
    (2, "IndexError"), (-3, "IndexError"), ((0, 0, 0), "IndexError"), ((..., ...), "IndexError"),
    (slice(None, None, -1), "ValueError"), (slice(None, None, 0), "ValueError"), (1.5, "TypeError|IndexError"),
    ("x", "TypeError|IndexError|ValueError"), (index([5]), "IndexError"), (index([-4]), "IndexError"),
    (mask([True, False, True]), "IndexError"), (given([0.5], "float32"), "IndexError"),
    ((index([0, 1, 0]), index([0, 1])), "IndexError"), ((0, 3), "IndexError"),
)  # fmt: skip


def row(name: str, *args: Any, **more: Any) -> Spec:
    """PyTorch's layouts of these results follow its implementation; Ember's are contiguous, or the
    input's."""
    return Spec(name, *args, strides=False, **more)


SUBSCRIPTS = [
    row("getitem", _get, SOME, fn=lambda lib: lib.Tensor.__getitem__, grad=True, grad_cases=_get_grads,
         large=lambda rng: case(arr(rng, (3001, 307), "float32"), index(rng.integers(0, 3001, 4000))),
         bad=tuple(Bad(case(X, s), e) for s, e in BAD_SUBSCRIPTS)),
    row("setitem", _set, SOME, fn=_assigned, grad=True, grad_cases=_set_grads,
         large=lambda rng: case(arr(rng, (3001, 307), "float32"), index(rng.permutation(3001)[:2500]),
                                arr(rng, (2500, 307), "float32")),
         bad=(*(Bad(case(X, s, 1), e) for s, e in BAD_SUBSCRIPTS), Bad(case(X, 0, given([1.0, 2], "float32")), "RuntimeError"),
              Bad(case(X, index([0]), given([1.0, 2], "float32")), "RuntimeError"),
              Bad(case(X, M, given([1.0, 2], "float32")), "RuntimeError|IndexError"), Bad(case(X, 0, "x"), "TypeError"))),
]  # fmt: skip

# ---- Along a dim


def _sources(rng: np.random.Generator, dtype: str) -> Iterable[tuple[Arr, int, int]]:
    """An input, a dim, and its size."""
    for shape, layout in (
        ((4, 5, 3), "plain"),
        ((4, 5, 3), "transposed"),
        ((4, 6), "stepped"),
        ((30, 70), "plain"),
    ):
        for dim in range(len(shape)):
            yield arr(rng, shape, dtype, layout), dim, shape[dim]


def _index_select(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    for x, dim, n in _sources(rng, dtype):
        yield case(x, dim, index(rng.integers(0, n, 7)))
        yield case(x, dim - len(x.shape), index(rng.integers(0, n, 3), "stepped", "int32"))
    yield case(arr(rng, (4, 5), dtype), 0, index([], dtype="int64"))
    yield case(arr(rng, (4, 5), dtype), 1, index(2))
    yield case(arr(rng, (), dtype), 0, index([0]))
    yield case(arr(rng, (3, 0), dtype), 0, index([1, 1]))


def _with_source(x: Arr, dim: int, count: int, rng: np.random.Generator) -> Arr:
    shape = list(x.shape)
    shape[dim] = count
    return arr(rng, shape, x.dtype, "transposed")


def _index_add(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    for x, dim, n in _sources(rng, dtype):
        yield case(x, dim, index(rng.integers(0, n, 6)), _with_source(x, dim, 6, rng))
    x = arr(rng, (4, 5), dtype)
    if dtype != "bool":
        yield case(x, 0, index([1, 1]), arr(rng, (2, 5), dtype), alpha=2)
    yield case(x, 0, index([], dtype="int64"), arr(rng, (0, 5), dtype))


def _index_copy(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    for x, dim, n in _sources(rng, dtype):
        yield case(x, dim, index(rng.permutation(n)[:3]), _with_source(x, dim, 3, rng))


def _index_fill(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    for x, dim, n in _sources(rng, dtype):
        yield case(x, dim, index(rng.integers(-n, n, 3)), 1)
        yield case(x, dim, index(rng.integers(0, n, 3)), arr(rng, (), dtype))


def _gather(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    for x, dim, n in _sources(rng, dtype):
        yield case(x, dim, index(rng.integers(0, n, x.shape), "transposed"))
        shape = [max(s - 1, 1) for s in x.shape]
        shape[dim] = 9
        yield case(x, dim, index(rng.integers(0, n, shape)))
    yield case(arr(rng, (), dtype), 0, index(0))
    yield case(arr(rng, (4, 5), dtype), 0, index(np.zeros((0, 5))))


def _scatter(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    for x, dim, _ in _sources(rng, dtype):
        # Each place once: PyTorch's choice among equal places is its own.
        order = np.argsort(rng.random(x.shape), axis=dim)
        yield case(x, dim, index(order), arr(rng, x.shape, dtype, "transposed"))
        yield case(x, dim, index(np.take(order, [0], axis=dim)), 1)


def _scatter_add(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    for x, dim, n in _sources(rng, dtype):
        yield case(
            x, dim, index(rng.integers(0, n, x.shape)), arr(rng, x.shape, dtype, "transposed")
        )
        shape = [max(s - 1, 1) for s in x.shape]
        yield case(x, dim, index(rng.integers(0, n, shape)), arr(rng, x.shape, dtype))


I2 = index([0, 1])
SUMS = ulps(10, "up to some eighty terms at one place, added in order",
            lambda lib, x, dim, i, src, **k: abs(x).double() + 1 + abs(src).double().sum(), steps=12)  # fmt: skip
OUTSIDE = (
    Bad(case(X, 0, index([2])), "IndexError"),
    Bad(case(X, 0, index([-1])), "IndexError"),
    Bad(case(X, 2, I2), "IndexError"),
    Bad(case(X, 0, index([[0]])), "IndexError"),
    Bad(case(X, 0, given([0.5], "float32")), "RuntimeError"),
    Bad(case(X, 0, 1), "TypeError"),
)


def _grad(*cases: Callable) -> Callable:
    return lambda rng: [make(rng) for make in cases]


def _x(rng: np.random.Generator) -> Arr:
    return arr(rng, (2, 3), "float64")


ALONG = [
    row("index_select", _index_select, ALL, method="index_select", out=True, grad=True,
         grad_cases=_grad(lambda r: case(_x(r), 1, index([0, 2, 2])), lambda r: case(_x(r), 0, index([1]))),
         large=lambda rng: case(arr(rng, (3001, 307), "float32"), 0, index(rng.integers(0, 3001, 4000))),
         bad=OUTSIDE),
    row("index_add", _index_add, ALL, method="index_add", inplace="index_add_", grad=True, tol=SUMS,
         grad_cases=_grad(lambda r: case(_x(r), 1, index([0, 0]), arr(r, (2, 2), "float64"), alpha=0.5)),
         large=lambda rng: case(arr(rng, (301, 307), "float32"), 0, index(rng.integers(0, 301, 4000)),
                                arr(rng, (4000, 307), "float32")),
         bad=(Bad(case(X, 0, index([2]), given(np.ones((1, 3)), "float32")), "RuntimeError|IndexError"),
              Bad(case(X, 0, I2, V), "RuntimeError|IndexError"),
              Bad(case(X, 0, I2, given(np.ones((2, 3)), "float64")), "RuntimeError"))),
    row("index_copy", _index_copy, ALL, method="index_copy", inplace="index_copy_", grad=True,
         grad_cases=_grad(lambda r: case(_x(r), 1, index([2, 0]), arr(r, (2, 2), "float64"))),
         bad=(Bad(case(X, 0, index([2]), given(np.ones((1, 3)), "float32")), "RuntimeError|IndexError"),
              Bad(case(X, 0, I2, given(np.ones((2, 2)), "float32")), "RuntimeError|IndexError"))),
    row("index_fill", _index_fill, ALL, method="index_fill", inplace="index_fill_", grad=True,
         grad_cases=_grad(lambda r: case(_x(r), 1, index([2]), 1.5), lambda r: case(_x(r), 0, index([1]), arr(r, (), "float64"))),
         bad=(Bad(case(X, 0, index([2]), 1), "IndexError"), Bad(case(X, 0, I2, V), "RuntimeError"))),
    row("gather", _gather, ALL, method="gather", out=True, grad=True,
         grad_cases=_grad(lambda r: case(_x(r), 1, index([[0, 0], [2, 1]]))),
         large=lambda rng: case(arr(rng, (701, 503), "float32"), 1, index(rng.integers(0, 503, (701, 600)))),
         bad=(Bad(case(X, 1, index([[3]])), "RuntimeError|IndexError"), Bad(case(X, 1, index([[-1]])), "RuntimeError|IndexError"),
              Bad(case(X, 1, index([0])), "RuntimeError"), Bad(case(X, 0, index([[0, 0, 0, 0]])), "RuntimeError"),
              Bad(case(X, 2, index([[0]])), "IndexError"), Bad(case(X, 0, V), "RuntimeError"))),
    row("scatter", _scatter, ALL, method="scatter", inplace="scatter_", grad=True,
         grad_cases=_grad(lambda r: case(_x(r), 1, index([[0, 2], [1, 0]]), arr(r, (2, 2), "float64")),
                          lambda r: case(_x(r), 1, index([[0, 2], [1, 0]]), 2.0)),
         bad=(Bad(case(X, 1, index([[3]]), X), "RuntimeError|IndexError"), Bad(case(X, 1, index([[0]]), V), "RuntimeError"),
              Bad(case(X, 1, index([[0, 1, 2, 0]]), X), "RuntimeError"),
              Bad(case(X, 1, index([[0]]), given(np.ones((2, 3)), "float64")), "RuntimeError"))),
    row("scatter_add", _scatter_add, ALL, method="scatter_add", inplace="scatter_add_", grad=True, tol=SUMS,
         grad_cases=_grad(lambda r: case(_x(r), 1, index([[0, 0], [1, 0]]), arr(r, (2, 2), "float64"))),
         large=lambda rng: case(arr(rng, (301, 307), "float32"), 0, index(rng.integers(0, 301, (2000, 307))),
                                arr(rng, (2000, 307), "float32")),
         bad=(Bad(case(X, 1, index([[3]]), X), "RuntimeError|IndexError"), Bad(case(X, 1, index([[0, 1, 2, 0]]), X), "RuntimeError"))),
]  # fmt: skip

# ---- Masks and positions


def _masked_select(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    for layout in ("plain", "transposed", "stepped", "expanded"):
        yield case(arr(rng, (4, 5), dtype, layout), mask(rng.random((4, 5)) < 0.5, layout))
        yield case(arr(rng, (4, 5), dtype, layout), mask(rng.random(5) < 0.5))
    yield case(arr(rng, (4, 1), dtype), mask(rng.random((3, 1, 5)) < 0.5))
    yield case(arr(rng, (), dtype), mask(True))
    yield case(arr(rng, (0, 3), dtype), mask(np.zeros((0, 3))))
    yield case(arr(rng, (90, 70), dtype), mask(rng.random((90, 70)) < 0.5))


def _masked_scatter(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    for layout in ("plain", "transposed"):
        yield case(
            arr(rng, (4, 5), dtype, layout), mask(rng.random((4, 5)) < 0.5), arr(rng, (20,), dtype)
        )
        yield case(
            arr(rng, (4, 5), dtype, layout),
            mask(rng.random(5) < 0.5),
            arr(rng, (5, 5), dtype, "stepped"),
        )


def _nonzero(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    for shape, layout in (((4, 5), "plain"), ((4, 5), "transposed"), ((3, 4, 5), "stepped"), ((), "plain"), ((0, 3), "plain"),
                          ((97, 101), "plain"), ((4, 5), "expanded")):  # fmt: skip
        yield case(arr(rng, shape, dtype, layout, -1, 1))
        yield case(arr(rng, shape, dtype, layout, -1, 1), as_tuple=True)


def _take(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    for layout in ("plain", "transposed", "stepped"):
        yield case(arr(rng, (4, 5), dtype, layout), index(rng.integers(-20, 20, (2, 7))))
    yield case(arr(rng, (), dtype), index([0, -1]))


def _index_put(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    x = arr(rng, (4, 5), dtype)
    yield case(x, (index([0, 2]), index([1, 1])), arr(rng, (2,), dtype))
    yield case(x, (index([0, -1]),), arr(rng, (2, 5), dtype))
    yield case(x, [mask(np.arange(20).reshape(4, 5) % 3 == 0)], arr(rng, (), dtype))
    if dtype != "bool":
        yield case(x, (index([1, 1, 1]), index([2, 2, 0])), arr(rng, (3,), dtype), True)


MASKS = [
    row("masked_select", _masked_select, ALL, method="masked_select", out=True, grad=True,
         grad_cases=_grad(lambda r: case(_x(r), M), lambda r: case(_x(r), mask([True, False, True]))),
         large=lambda rng: case(arr(rng, (701, 1503), "float32"), mask(rng.random((701, 1503)) < 0.5)),
         bad=(Bad(case(X, mask([True, False])), "RuntimeError"), Bad(case(X, index([[0]])), "RuntimeError"))),
    row("masked_scatter", _masked_scatter, ALL, method="masked_scatter", inplace="masked_scatter_", grad=True,
         grad_cases=_grad(lambda r: case(_x(r), M, arr(r, (4,), "float64"))),
         large=lambda rng: case(arr(rng, (701, 1503), "float32"), mask(rng.random((701, 1503)) < 0.5),
                                arr(rng, (701, 1503), "float32")),
         bad=(Bad(case(X, M, given([1.0], "float32")), "RuntimeError"), Bad(case(X, M, given(np.ones(9), "float64")), "RuntimeError"),
              Bad(case(X, V, V), "RuntimeError"))),
    row("nonzero", _nonzero, ALL, method="nonzero",
         large=lambda rng: case(arr(rng, (701, 1503), "int8", low=-1, high=1)), bad=(Bad(case(1), "TypeError"),)),
    row("take", _take, ALL, method="take", out=True, grad=True,
         grad_cases=_grad(lambda r: case(_x(r), index([0, 5, -1]))),
         bad=(Bad(case(X, index([6])), "IndexError"), Bad(case(X, index([-7])), "IndexError"),
              Bad(case(X, V), "RuntimeError|IndexError"))),
    row("index_put", _index_put, ALL, method="index_put", inplace="index_put_", grad=True,
         grad_cases=_grad(lambda r: case(_x(r), (index([0, 0]), index([1, 1])), arr(r, (2,), "float64"), True),
                          lambda r: case(_x(r), (index([1]),), arr(r, (3,), "float64"))),
         large=lambda rng: case(arr(rng, (301, 307), "float32"), (index(rng.integers(0, 301, 4000)),),
                                arr(rng, (4000, 307), "float32"), True),
         bad=(Bad(case(X, (index([2]),), V), "IndexError"), Bad(case(X, (I2, I2, I2), V), "IndexError"),
              Bad(case(X, (I2,), given(np.ones((2, 3)), "float64")), "RuntimeError"))),
]  # fmt: skip

SPECS = [*SUBSCRIPTS, *ALONG, *MASKS]
