"""Rows of statistics: extremes together, sums without NaN, covariance, differences, histograms."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from .base import ALL, FLOATS, LARGE, NUMBERS, Bad, Case, Spec, arr, case, given, index, ulps

WIDE = ("float32", "float64")
A = given(np.arange(6.0).reshape(2, 3), "float32")
V = given([1.0, 2.0, 4.0], "float32")
E = given([], "float32")
CUBE = given(np.ones((2, 2, 2)), "float32")
SHAPES = ((), (1,), (5,), (3, 4), (2, 3, 4))

Cases = Callable[[str, np.random.Generator], Iterable[Case]]


def _layouts(*calls: tuple, least: int = 0, most: int = 3) -> Cases:
    def make(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
        for shape in SHAPES:
            if not least <= len(shape) <= most:
                continue
            for layout in ("plain", "transposed", "stepped"):
                for positional, named in calls:
                    yield case(arr(rng, shape, dtype, layout), *positional, **named)

    return make


def _with_nans(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    for shape in SHAPES:
        for layout in ("plain", "transposed"):
            a = arr(rng, shape, dtype, layout)
            if a.is_float:
                a.data[...] = np.where(rng.random(shape) < 0.3, np.nan, a.data)
            for positional, named in (((), {}), ((-1,), {}), ((), {"dim": 0, "keepdim": True})):
                yield case(a, *positional, **named)
    if dtype in FLOATS:
        yield case(given([np.nan, np.nan], dtype))


def _sum_scale(lib: Any, x: Any, *args: Any, **kwargs: Any) -> Any:
    return lib.nansum(x.abs().double(), *args, **kwargs)


def _cov(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    for layout in ("plain", "transposed", "stepped"):
        yield case(arr(rng, (3, 7), dtype, layout))
        yield case(arr(rng, (3, 7), dtype, layout), correction=0)
    yield case(arr(rng, (6,), dtype))
    yield case(arr(rng, (), dtype))
    yield case(arr(rng, (0, 3), dtype))
    yield case(arr(rng, (2, 0), dtype))
    counts = index([1, 2, 3, 1])
    if dtype in WIDE:
        weights = given([0.5, 0.25, 0.5, 1.0], dtype, grad=False)
        yield case(arr(rng, (2, 4), dtype), aweights=weights)
        yield case(arr(rng, (2, 4), dtype), fweights=counts, aweights=weights, correction=2)
    yield case(arr(rng, (2, 4), dtype), fweights=counts)


def _corrcoef(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    for layout in ("plain", "transposed", "stepped"):
        yield case(arr(rng, (3, 7), dtype, layout))
    yield case(arr(rng, (6,), dtype))


def _gradient(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    for layout in ("plain", "transposed", "stepped"):
        x = arr(rng, (4, 5), dtype, layout)
        yield case(x)
        yield case(x, spacing=2.0)
        yield case(x, spacing=(0.5, 2.0))
        yield case(x, dim=-1)
        yield case(x, dim=(1, 0), edge_order=2)
        if dtype in WIDE:
            rows = given([0.0, 1.0, 2.5, 3.0], dtype, grad=False)
            columns = given([0.0, 1.0, 1.5, 3.0, 4.0], dtype, grad=False)
            yield case(x, spacing=(rows, columns))
            yield case(x, spacing=(columns,), dim=1, edge_order=2)
    yield case(arr(rng, (2, 3, 4), dtype), spacing=[2.0], dim=1)
    yield case(arr(rng, (), dtype))


def _histogram(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    for layout in ("plain", "transposed", "stepped"):
        x = arr(rng, (5, 6), dtype, layout)
        yield case(x, 7)
        yield case(x, 4, range=(-2.0, 3.0))
        yield case(x, given([-4.0, -1.0, 0.0, 2.5], dtype))
        yield case(x, 3, weight=given(np.arange(30.0).reshape(5, 6), dtype), density=True)
    yield case(given([1.0, 1.0], dtype), 2)
    yield case(given([], dtype), 2)
    yield case(given([0.0, 1.0, 2.0], dtype), 2)


def _histogramdd(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    for layout in ("plain", "transposed"):
        x = arr(rng, (20, 2), dtype, layout)
        yield case(x, 3)
        yield case(x, [3, 4])
        yield case(x, [3, 4], range=(-2.0, 2.0, -1.0, 3.0), density=True)
        edges = [given([-4.0, 0.0, 4.0], dtype), given([-4.0, 1.0, 2.0], dtype)]
        yield case(x, edges, weight=given(np.arange(20.0), dtype))
    yield case(arr(rng, (4, 5, 3), dtype), 2)


def _flat_histogram(lib: Any) -> Callable:
    def run(*args: Any, **kwargs: Any) -> tuple:
        hist, edges = lib.histogramdd(*args, **kwargs)
        return hist, *edges

    return run


FEW = ulps(64, "sums and quotients of a few numbers", lambda lib, *a, **k: 8.0)
SPECS = [
    Spec("aminmax", _layouts(((), {}), ((), {"dim": 0}), ((), {"dim": -1, "keepdim": True})), ALL, method="aminmax",
         grad=True, grad_cases=lambda r: [case(arr(r, (3, 4), "float64")), case(arr(r, (3, 4), "float64"), dim=1)],
         large=lambda r: case(arr(r, LARGE, "float32"), dim=0),
         bad=(Bad(case(E), "RuntimeError"), Bad(case(A, dim=2), "IndexError"))),
    Spec("nansum", _with_nans, ALL, method="nansum", out=True, tol=ulps(8, "a sum", _sum_scale), grad=True,
         grad_cases=lambda r: [case(arr(r, (3, 4), "float64")), case(given([[1.0, np.nan], [2.0, 3.0]], "float64"), 1)],
         bad=(Bad(case(A, 2), "IndexError"),)),
    Spec("nanmean", _with_nans, FLOATS, method="nanmean", out=True, tol=ulps(8, "a sum", lambda lib, x, *a, **k: 4.0, steps=2),
         grad=True, grad_cases=lambda r: [case(arr(r, (3, 4), "float64")), case(given([[1.0, np.nan], [2.0, 3.0]], "float64"), 1)],
         bad=(Bad(case(index([1])), "RuntimeError"), Bad(case(A, 2), "IndexError"))),
    Spec("cov", _cov, (*WIDE, "int64", "int32"), method="cov", strides=False, tol=ulps(64, "sums of products", lambda lib, *a, **k: 16.0),
         grad=True, grad_cases=lambda r: [case(arr(r, (2, 5), "float64")), case(arr(r, (2, 4), "float64"), fweights=index([1, 2, 3, 1]))],
         bad=(Bad(case(CUBE), "RuntimeError"), Bad(case(given([[True]], "bool")), "RuntimeError"), Bad(case(A, fweights=V), "RuntimeError"),
              Bad(case(A, fweights=index([1, 2])), "RuntimeError"), Bad(case(A, fweights=index([1, -2, 1])), "RuntimeError"),
              Bad(case(A, aweights=index([1, 2, 3])), "RuntimeError"))),
    Spec("corrcoef", _corrcoef, WIDE, method="corrcoef", strides=False, tol=FEW, bad=(Bad(case(CUBE), "RuntimeError"),)),
    Spec("gradient", _gradient, (*WIDE, "int64"), strides=False, tol=FEW, grad=True,
         grad_cases=lambda r: [case(arr(r, (3, 4), "float64")), case(arr(r, (4,), "float64"), edge_order=2)],
         bad=(Bad(case(A, edge_order=2), "RuntimeError"), Bad(case(A, edge_order=3), "RuntimeError"), Bad(case(A, dim=5), "IndexError"),
              Bad(case(A, dim=(0, 0)), "RuntimeError"), Bad(case(A, spacing=(1.0,), dim=(0, 1)), "RuntimeError"))),
    Spec("histogram", _histogram, WIDE, method="histogram", strides=False, tol=FEW,
         bad=(Bad(case(A, 0), "RuntimeError"), Bad(case(index([1]), 2), "NotImplementedError"), Bad(case(A, 2, weight=V), "RuntimeError"),
              Bad(case(A, 2, range=(3.0, 1.0)), "RuntimeError"), Bad(case(A, given([0.0, 1.0], "float64")), "RuntimeError"),
              Bad(case(A, given([[1.0]], "float32")), "RuntimeError"), Bad(case(given([np.nan], "float32"), 2), "RuntimeError"))),
    Spec("histogramdd", _histogramdd, WIDE, fn=_flat_histogram, strides=False, tol=FEW,
         bad=(Bad(case(A, [2, 3]), "RuntimeError"), Bad(case(V, 2), "RuntimeError"))),
    Spec("logspace", lambda d, r: [case(0, 2, 3), case(-1.5, 2, 7), case(0, 3, 4, base=2), case(1, 1, 0), case(2, 0, 1)], ("float32",),
         tol=ulps(4, "a power"), bad=(Bad(case(0, 1, -1), "RuntimeError"),)),
    Spec("positive", _layouts(((), {})), NUMBERS, method="positive", bad=(Bad(case(given([True], "bool")), "RuntimeError"),)),
    Spec("fill", _layouts(((3,), {}), most=2), NUMBERS),
    Spec("is_nonzero", lambda d, r: [case(given(1, d)), case(given([[0]], d))], NUMBERS, method="is_nonzero",
         bad=(Bad(case(A), "RuntimeError"), Bad(case(E), "RuntimeError"))),
]  # fmt: skip
