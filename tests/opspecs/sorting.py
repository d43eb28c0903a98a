"""Rows of order, search and running results."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import numpy as np

from .base import (
    ALL,
    FLOATS,
    INTS,
    LARGE,
    NUMBERS,
    Bad,
    Case,
    DType,
    Spec,
    arr,
    case,
    extremes,
    given,
    index,
    ulps,
)

NO_DIM: dict = {}
Cases = Callable[[str, np.random.Generator], Iterable[Case]]
SHAPES = (
    ((2, 3, 4), "plain"), ((2, 3, 4), "transposed"), ((5, 7), "stepped"), ((4, 6), "expanded"),
    ((2, 3, 4, 5), "channels_last"), ((67,), "shifted"), ((9, 35), "transposed"), ((3, 150), "plain"),
    ((1030,), "plain"),
)  # fmt: skip
X = given([[1.0, 2.0, 3.0]], "float32")
V = given([1.0, 2.0, 3.0], "float32")
S = given(1.0, "float32")
I2 = given([[1, 2], [3, 4]], "int64")
EMPTY = given(np.ones((3, 0)), "float32")
BAD_DIM = (Bad(case(X, dim=2), "IndexError"), Bad(case(X, dim=-3), "IndexError"))


def distinct(rng: np.random.Generator, shape: tuple, dtype: str, layout: str = "plain") -> Any:
    """Items that differ (as far as the dtype has as many), so that gradients are defined."""
    n = int(np.prod(shape))
    data = rng.permutation(n) - n // 2
    scaled = data / 8 if dtype in FLOATS and n < 1000 else data
    return given(scaled.reshape(shape), dtype, layout)


def along(
    *calls: dict, first: tuple = (), corners: bool = True, empty: bool = True, expanded: bool = True
) -> Cases:
    """Each dim of each shape, with each of the keyword arguments."""

    def make(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
        for shape, layout in SHAPES:
            if layout == "expanded" and not expanded:
                continue
            for dim in sorted({0, len(shape) // 2, -1}):
                for kwargs in calls or ({},):
                    yield case(arr(rng, shape, dtype, layout), *first, dim=dim, **kwargs)
        yield case(arr(rng, (), dtype), *first, dim=0)
        yield case(arr(rng, (), dtype), *first, dim=-1)
        if empty:
            yield case(arr(rng, (0, 3), dtype), *first, dim=1, note="empty")
            yield case(arr(rng, (3, 0), dtype), *first, dim=1, note="empty")
        if corners:
            for kwargs in calls or ({},):
                yield case(given(extremes(dtype), dtype), *first, dim=0, note="extremes", **kwargs)
            yield case(given([[1, 3, 3, 2], [0, 0, 0, 0]], dtype), *first, dim=1, note="ties")

    return make


def grads(*calls: dict, first: tuple = (), scalar: bool = True) -> Callable:
    def make(rng: np.random.Generator) -> Iterable[Case]:
        for kwargs in calls or ({},):
            yield case(distinct(rng, (2, 3), "float64"), *first, dim=1, **kwargs)
            yield case(distinct(rng, (3, 2), "float64", "transposed"), *first, dim=0, **kwargs)
        if scalar:
            yield case(distinct(rng, (), "float64"), *first, dim=0)

    return make


def untied(*calls: dict, first: tuple = ()) -> Cases:
    """Items that differ, along each dim: which of equal ones gets a gradient is anyone's choice."""

    def make(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
        for shape, layout in (((2, 3, 4), "transposed"), ((5, 7), "stepped"), ((67,), "shifted")):
            for kwargs in calls or ({},):
                for dim in sorted({0, -1}) if kwargs is not NO_DIM else ():
                    yield case(distinct(rng, shape, dtype, layout), *first, dim=dim, **kwargs)
                if kwargs is NO_DIM:
                    yield case(distinct(rng, shape, dtype, layout), *first)

    return make


def with_untied(spec: Spec, cases: Cases) -> list[Spec]:
    """The row for values alone, and one of items that differ for gradients too."""
    return [
        replace(spec, grad=False, grad_cases=None, gradgrad=False),
        replace(spec, name=spec.name + "_untied", fn=spec.fn or spec.name, cases=cases, dtypes=tuple(d for d in spec.dtypes if d in FLOATS), bad=(), large=None),
    ]  # fmt: skip


def picks(name: str) -> Callable[[Any], Callable]:
    """Values, and what the indices pick: equal items may be picked in any order."""

    def of(lib: Any) -> Callable:
        def call(x: Any, *args: Any, **kwargs: Any) -> tuple:
            result = getattr(lib, name)(x, *args, **kwargs)
            dim = kwargs.get("dim", -1)
            places = result.indices
            if x.dim() == 0 or x.numel() == 0:
                return result.values, places
            if places.dim() < x.dim():
                places = places.unsqueeze(dim)
            return result.values, x.gather(dim, places)

        return call

    return of


def values_of(name: str) -> Callable[[Any], Callable]:
    return lambda lib: lambda *args, **kwargs: getattr(lib, name)(*args, **kwargs).values


def _large(dim: int = -1, first: tuple = (), **kwargs: Any) -> Callable:
    return lambda rng: case(arr(rng, LARGE, "float32"), *first, dim=dim, **kwargs)


ORDERS = ({}, {"descending": True})
ORDER = [
    Spec("sort", along(*({**o, "stable": True} for o in ORDERS)), ALL, method="sort", grad=True,
         grad_cases=grads(*ORDERS), large=_large(), bad=(*BAD_DIM, Bad(case(X, "x"), "TypeError"))),
    Spec("sort_long", lambda d, r: [case(arr(r, (200_000,), d), stable=True),
                                    case(arr(r, (200_000,), d, "stepped"), stable=True, descending=True),
                                    case(arr(r, (5, 3000), d, low=-100, high=100), dim=1, stable=True)],
         ALL, fn="sort", large=lambda rng: case(arr(rng, (1_000_000,), "float32"))),
    Spec("sort_values", along(*ORDERS), ALL, fn=picks("sort")),
    Spec("argsort", along(*({**o, "stable": True} for o in ORDERS)), ALL, method="argsort", out=True, bad=BAD_DIM,
         large=_large()),
    *with_untied(Spec("msort", lambda d, r: [case(arr(r, s, d, lay)) for s, lay in SHAPES], ALL, method="msort", out=True,
         grad=True, grad_cases=lambda rng: [case(distinct(rng, (3, 2), "float64"))], large=lambda rng: case(arr(rng, LARGE, "float32"))),
                  untied(NO_DIM)),
    *with_untied(Spec("topk", along({"largest": True}, {"largest": False}, first=(1,), empty=False), NUMBERS, fn=picks("topk"),
         grad=True, grad_cases=grads({}, {"largest": False}, first=(2,), scalar=False), large=_large(first=(7,)),
         bad=(Bad(case(X, 4, dim=1), "RuntimeError"), Bad(case(X, -1, dim=1), "RuntimeError"), Bad(case(X, 1, dim=2), "IndexError"),
              Bad(case(X, 1.5), "TypeError"))),
                  untied({}, {"largest": False}, first=(1,))),
    Spec("topk_many", lambda d, r: [case(arr(r, (3, 5000), d), k, dim=1, largest=b) for k in (0, 1, 3, 40, 2400, 5000)
                                    for b in (True, False)] +
         [case(given(np.arange(4000), d), 3, dim=0), case(given(extremes(d), d), 3, dim=0, note="extremes")],
         ("float32", "float64", "bfloat16", "int64"), fn=picks("topk"), large=lambda rng: case(arr(rng, (16, 50_000), "float32"), 50)),
    *with_untied(Spec("kthvalue", along({"keepdim": True}, {}, first=(1,), empty=False), NUMBERS, fn=picks("kthvalue"),
         grad=True, grad_cases=grads({}, {"keepdim": True}, first=(2,), scalar=False), large=_large(first=(300,)),
         bad=(Bad(case(X, 4, dim=1), "RuntimeError"), Bad(case(X, 0, dim=1), "RuntimeError"), Bad(case(X, 1, dim=2), "IndexError"))),
                  untied({}, {"keepdim": True}, first=(2,))),
    # Of an expanded tensor PyTorch's medians along a dim are what happened to lie in memory.
    *with_untied(Spec("median", along({"keepdim": True}, {}, empty=False, expanded=False), NUMBERS, fn=picks("median"),
         grad=True, grad_cases=grads({}, {"keepdim": True}), large=_large(),
         bad=(*BAD_DIM, Bad(case(EMPTY, dim=1), "IndexError"))),
                  untied({}, {"keepdim": True})),
    *with_untied(Spec("nanmedian", along({"keepdim": True}, {}, empty=False, expanded=False), NUMBERS, fn=picks("nanmedian"),
         grad=True, grad_cases=grads({}, {"keepdim": True}), large=_large(),
         bad=(*BAD_DIM, Bad(case(EMPTY, dim=1), "IndexError"))),
                  untied({}, {"keepdim": True})),
    *(Spec(name + "_all", lambda d, r: [*(case(arr(r, s, d, lay)) for s, lay in SHAPES), case(arr(r, (), d)),
                                        *([case(given([1, np.nan, 3, 2], d)), case(given([np.nan] * 3, d)),
                                           case(arr(r, (0,), d), note="empty")] if d in FLOATS else [])],
           NUMBERS, fn=name, method=name, grad=True,
           grad_cases=lambda rng: [case(distinct(rng, (2, 3), "float64"))],
           large=lambda rng: case(arr(rng, LARGE, "float32"))) for name in ("median", "nanmedian")),
    *with_untied(Spec("mode", along({"keepdim": True}, {}, empty=False, corners=False), ALL, fn=picks("mode"), grad=True, grad_cases=grads({}, {"keepdim": True}),
         large=lambda rng: case(arr(rng, LARGE, "int32"), dim=-1), bad=(*BAD_DIM, Bad(case(EMPTY, dim=1), "IndexError"))),
                  untied({}, {"keepdim": True})),
]  # fmt: skip


def _quantile(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    levels = given([0.0, 0.3, 0.5, 1.0], dtype, grad=False)
    for mode in ("linear", "lower", "higher", "midpoint", "nearest"):
        for shape, layout in SHAPES[:6]:
            x = arr(rng, shape, dtype, layout)
            yield case(x, 0.4, interpolation=mode)
            yield case(x, levels, dim=0, interpolation=mode)
            yield case(x, levels, dim=-1, keepdim=True, interpolation=mode)
    yield case(arr(rng, (3, 4), dtype), levels, keepdim=True)
    yield case(arr(rng, (3, 4), dtype), given(0.5, dtype, grad=False), 1)
    yield case(arr(rng, (), dtype), 0.5)
    yield case(given([[1, np.nan, 3], [4, 5, 6]], dtype), levels, 1)
    yield case(given([[np.nan] * 3, [4, 5, 6]], dtype), 0.5, 1)


def _quantile_grads(rng: np.random.Generator) -> Iterable[Case]:
    levels = given([0.1, 0.6], "float64", grad=False)
    yield case(distinct(rng, (2, 3), "float64"), levels, 1)
    yield case(distinct(rng, (2, 3), "float64"), 0.3)


def _quantile_rows(name: str) -> list[Spec]:
    spec = Spec(
        name, _quantile, ("float32", "float64"), method=name, out=True, grad=True, grad_cases=_quantile_grads,
        tol=ulps(4, "a rank and an interpolation, of items no larger than 4",
                 lambda lib, x, *a, **k: abs(x).double().nan_to_num(0).max() * max(x.numel(), 1)),
        strides=False, large=lambda rng: case(arr(rng, LARGE, "float32"), 0.9, -1),
        bad=(Bad(case(X, 1.5), "RuntimeError"), Bad(case(X, -0.5), "RuntimeError"), Bad(case(X, 0.5, 2), "IndexError"),
             Bad(case(I2, 0.5), "RuntimeError"), Bad(case(X, given([[0.5]], "float32")), "RuntimeError"),
             Bad(case(X, given(0.5, "float64")), "RuntimeError"), Bad(case(X, 0.5, interpolation="up"), "RuntimeError"),
             Bad(case(given(np.ones((0,)), "float32"), 0.5), "RuntimeError")),
    )  # fmt: skip
    return with_untied(spec, untied(NO_DIM, {}, {"keepdim": True}, first=(0.4,)))


# ---- Uniqueness and counts

ASKED = ({}, {"return_inverse": True}, {"return_counts": True},
         {"return_inverse": True, "return_counts": True})  # fmt: skip


def _unique(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    for shape, layout in SHAPES:
        x = given(rng.integers(0, 4, shape), dtype, layout)
        for kwargs in ASKED:
            yield case(x, **kwargs)
        if len(shape) < 4:
            for dim in sorted({0, len(shape) - 1}):
                yield case(x, dim=dim, **ASKED[3])
    rows = given([[1, 0], [1, 1], [1, 0], [0, 1]], dtype)
    for kwargs in ASKED:
        yield case(rows, dim=0, **kwargs)
        yield case(rows, dim=-1, **kwargs)
    yield case(arr(rng, (0,), dtype), **ASKED[3], note="empty")
    yield case(arr(rng, (), dtype), **ASKED[3])
    if dtype in FLOATS:
        yield case(given([1, np.nan, np.inf, np.nan, -np.inf, 1], dtype), **ASKED[3])


def _isin(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    for shape, layout in SHAPES[:7]:
        yield case(arr(rng, shape, dtype, layout), arr(rng, (3,), dtype))
        yield case(arr(rng, shape, dtype, layout), arr(rng, (2, 40), dtype), invert=True)
    yield case(arr(rng, (5,), dtype), arr(rng, (0,), dtype), note="empty")
    yield case(arr(rng, (0,), dtype), arr(rng, (3,), dtype), note="empty")
    yield case(arr(rng, (5,), dtype), 1)
    yield case(1, arr(rng, (5,), dtype))
    yield case(arr(rng, (5,), dtype), arr(rng, (2,), dtype), assume_unique=True)


def _search(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    rows = np.sort(arr(rng, (3, 9), dtype).data, -1)
    row = given(np.sort(arr(rng, (50,), dtype).data), dtype)
    for right in (False, True):
        for shape, layout in SHAPES[:7]:
            yield case(row, arr(rng, shape, dtype, layout), right=right)
        yield case(given(rows, dtype), arr(rng, (3, 4), dtype), right=right, out_int32=True)
        yield case(
            given(rows, dtype),
            arr(rng, (3, 4), dtype, "transposed"),
            side="right" if right else "left",
        )
        yield case(row, 2, right=right)
        yield case(row, arr(rng, (), dtype), right=right)
    shuffled = arr(rng, (3, 9), dtype)
    order = index(np.argsort(shuffled.data, -1, kind="stable"))
    yield case(shuffled, arr(rng, (3, 4), dtype), sorter=order)
    yield case(row, arr(rng, (5,), "float32"))
    yield case(row, 1.5)
    yield case(given(np.zeros((0,)), dtype), arr(rng, (3,), dtype), note="empty")
    yield case(row, arr(rng, (0, 3), dtype), note="empty")
    if dtype in FLOATS:
        yield case(row, given([np.nan, np.inf, -np.inf], dtype))
        yield case(row, given([np.nan, np.inf, -np.inf], dtype), right=True)


def _bucket(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    row = given(np.sort(arr(rng, (9,), dtype).data), dtype)
    for right in (False, True):
        for shape, layout in SHAPES[:7]:
            yield case(arr(rng, shape, dtype, layout), row, right=right)
        yield case(2, row, right=right, out_int32=True)


def _bincount(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    for layout in ("plain", "stepped"):
        x = arr(rng, (50,), dtype, layout, 0, 9, role="index")
        yield case(x)
        yield case(x, minlength=20)
        for kind in ("float32", "float64", "int64", "float16"):
            yield case(x, given(rng.integers(0, 9, 50), kind, grad=False))
    yield case(arr(rng, (0,), dtype, role="index"), minlength=3, note="empty")
    yield case(arr(rng, (0,), dtype, role="index"), note="empty")


def _histc(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    for shape, layout in SHAPES:
        x = arr(rng, shape, dtype, layout)
        yield case(x)
        yield case(x, 10)
        yield case(x, bins=7, min=-2, max=2)
        yield case(x, 4, 0.5, 3)
    yield case(given([1, 1, 1], dtype), 5)
    yield case(given([1, 2, np.nan, np.inf], dtype), 5, 0, 3)
    yield case(arr(rng, (0,), dtype), 3, note="empty")


CONSECUTIVE = lambda d, r: [c for c in _unique(d, r) if c.args]  # noqa: E731
COUNTS = [
    Spec("unique", _unique, ALL, method="unique", strides=False,
         large=lambda rng: case(arr(rng, LARGE, "int32", low=0, high=1000)), bad=(Bad(case(X, dim=2), "IndexError"),)),
    Spec("unique_consecutive", CONSECUTIVE, ALL, method="unique_consecutive", strides=False,
         large=lambda rng: case(arr(rng, LARGE, "int32", low=0, high=3)), bad=(Bad(case(X, dim=2), "IndexError"),)),
    Spec("isin", _isin, NUMBERS, large=lambda rng: case(arr(rng, LARGE, "int64"), arr(rng, (100,), "int64")),
         bad=(Bad(case(X, "x"), "TypeError|ValueError|RuntimeError"),)),
    Spec("searchsorted", _search, NUMBERS, out=True,
         large=lambda rng: case(given(np.sort(rng.uniform(size=1000)), "float32"), arr(rng, LARGE, "float32", low=0, high=1)),
         bad=(Bad(case(X, given(np.ones((2, 2)), "float32")), "RuntimeError"), Bad(case(S, V), "RuntimeError"),
              Bad(case(V, V, side="up"), "RuntimeError"), Bad(case(V, V, side="left", right=True), "RuntimeError"),
              Bad(case(V, V, sorter=index([0, 1])), "RuntimeError"), Bad(case(V, V, sorter=index([0, 1, 9])), "RuntimeError|IndexError"))),
    Spec("bucketize", _bucket, NUMBERS, out=True, large=lambda rng: case(arr(rng, LARGE, "float32"), V),
         bad=(Bad(case(V, X), "RuntimeError"),)),
    Spec("bincount", _bincount, INTS, method="bincount", large=lambda rng: case(arr(rng, (300_000,), "int64", low=0, high=99)),
         bad=(Bad(case(I2), "RuntimeError"), Bad(case(V), "RuntimeError"), Bad(case(index([-1])), "RuntimeError"),
              Bad(case(index([1]), minlength=-1), "RuntimeError"), Bad(case(index([1]), V), "RuntimeError"),
              Bad(case(index([2**62])), "RuntimeError"))),
    Spec("histc", _histc, ("float32", "float64"), method="histc", out=True, large=lambda rng: case(arr(rng, LARGE, "float32"), 20),
         bad=(Bad(case(V, 0), "RuntimeError"), Bad(case(V, 3, 2, 1), "RuntimeError"), Bad(case(I2), "RuntimeError"),
              Bad(case(given([np.nan], "float32")), "RuntimeError"))),
]  # fmt: skip

# ---- Running results


def _magnitude(lib: Any, x: Any, dim: int, **kwargs: Any) -> Any:
    return lib.cumsum(abs(x).double(), dim)


def _running(
    *, low: float = -4, high: float = 4, dtypes: bool = False, corners: bool = True
) -> Cases:
    def make(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
        for shape, layout in (
            *SHAPES,
            ((20, 300), "plain"),
            ((300, 20), "plain"),
            ((0, 3), "plain"),
            ((3, 0), "plain"),
        ):
            for dim in sorted({0, -1, len(shape) // 2}):
                yield case(arr(rng, shape, dtype, layout, low, high), dim)
        yield case(arr(rng, (), dtype, "plain", low, high), 0)
        if dtypes:
            for d in ("float64", "float32", "int32", "uint8"):
                yield case(arr(rng, (3, 4), dtype, "plain", 0, high), 1, dtype=DType(d))
        if corners and dtype in FLOATS:
            yield case(given([1, np.inf, 2, -np.inf, 3], dtype), 0)
            yield case(given([1, np.nan, 2], dtype), 0)
        elif corners:
            yield case(given(extremes(dtype), dtype), 0, note="extremes")

    return make  # fmt: skip


def _dims(*arrays: list, low: float = -3, high: float = 3) -> Callable:
    def make(rng: np.random.Generator) -> Iterable[Case]:
        yield case(arr(rng, (2, 3), "float64", "plain", low, high), 1)
        yield case(arr(rng, (3, 2), "float64", "transposed", low, high), 0)
        yield case(arr(rng, (), "float64", "plain", low, high), 0)
        for data in arrays:
            yield case(given(data, "float64"), -1)

    return make


def _diff(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    for shape, layout in SHAPES[:7]:
        x = arr(rng, shape, dtype, layout)
        yield case(x)
        yield case(x, 2, 0)
        yield case(x, n=0)
        yield case(x, 99)
    yield case(
        arr(rng, (3, 4), dtype), prepend=arr(rng, (3, 1), dtype), append=arr(rng, (3, 2), dtype)
    )
    yield case(arr(rng, (0, 3), dtype), dim=0, note="empty")


def _trapezoid(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    for shape, layout in SHAPES[:6]:
        y = arr(rng, shape, dtype, layout)
        yield case(y)
        yield case(y, dx=3, dim=0)
        yield case(y, dx=0.5)
        yield case(y, arr(rng, (shape[-1],), dtype))
        yield case(y, arr(rng, shape, dtype), dim=0)
    yield case(arr(rng, (3, 0), dtype), note="empty")


def _trapezoid_row(name: str) -> Spec:
    scale = lambda lib, y, *a, **k: abs(y).double().sum() * 24 + 1  # noqa: E731
    return Spec(
        name, _trapezoid, ("float32", "float64", "int32"), grad=True,
        tol=ulps(8, "products of widths and heights, summed", scale), strides=False,
        grad_cases=lambda rng: [case(arr(rng, (2, 3), "float64")), case(arr(rng, (2, 3), "float64"), dx=0.5, dim=0),
                                case(arr(rng, (2, 3), "float64"), arr(rng, (3,), "float64"))],
        bad=(Bad(case(V, given([1.0, 2.0], "float32")), "RuntimeError"), Bad(case(V, S), "RuntimeError"),
             Bad(case(V, dim=1), "IndexError"), Bad(case(given([True], "bool")), "RuntimeError")),
    )  # fmt: skip


def _extreme(name: str) -> Spec:
    return Spec(
        name, _running(), ALL, method=name, grad=True, grad_cases=_dims(), large=lambda rng: case(arr(rng, LARGE, "float32"), 1),
        bad=(Bad(case(X, 2), "IndexError"), Bad(case(X), "TypeError")),
    )  # fmt: skip


BAD_RUN = (Bad(case(X, 2), "IndexError"), Bad(case(X), "TypeError"), Bad(case(X, "x"), "TypeError"))
RUNNING = [
    Spec("cumsum", _running(dtypes=True), ALL, method="cumsum", inplace="cumsum_", out=True, grad=True,
         grad_cases=_dims(), large=lambda rng: case(arr(rng, LARGE, "float32"), 1), bad=BAD_RUN,
         tol=ulps(4, "one rounding a result, and float64's own sums", _magnitude), strides=False),
    Spec("cumsum_outer", _running(), ("float32", "int32"), fn="cumsum", tol=ulps(4, "as cumsum", _magnitude), strides=False,
         large=lambda rng: case(arr(rng, LARGE, "float32"), 0)),
    Spec("cumprod", _running(low=0.9, high=1.1, dtypes=True), ALL, method="cumprod", inplace="cumprod_", out=True, grad=True,
         grad_cases=_dims([[1.0, 0.0, 2.0, 3.0], [0.0, 2.0, 0.0, 4.0]], [0.0, 1.0, 2.0], low=0.5),
         large=lambda rng: case(arr(rng, LARGE, "float32", low=0.99, high=1.01), 1), bad=BAD_RUN,
         tol=ulps(2200, "every factor rounds once in float64"), strides=False),
    Spec("logcumsumexp", _running(), FLOATS, method="logcumsumexp", out=True, grad=True,
         grad_cases=_dims(), large=lambda rng: case(arr(rng, LARGE, "float32"), 1), bad=BAD_RUN,
         tol=ulps(2100, "each step rounds once, in float64", lambda lib, x, *a, **k: 4.0), strides=False),
    _extreme("cummax"),
    _extreme("cummin"),
    Spec("diff", _diff, ALL, method="diff", out=True, grad=True, strides=False,
         tol=ulps(200, "differences of differences, each of which rounds",
                  lambda lib, x, *a, **k: abs(x).double().sum() + 4.0, steps=200),
         grad_cases=lambda rng: [case(arr(rng, (2, 4), "float64"), n, dim) for n in (1, 2, 0, 9) for dim in (0, 1)]
         + [case(arr(rng, (2, 3), "float64"), prepend=arr(rng, (2, 1), "float64"))],
         bad=(Bad(case(S), "RuntimeError"), Bad(case(X, -1), "RuntimeError"), Bad(case(X, 1, 2), "IndexError"), Bad(case(X, prepend=V), "RuntimeError"))),
    _trapezoid_row("trapezoid"),
    _trapezoid_row("cumulative_trapezoid"),
]  # fmt: skip

SPECS = [*ORDER, *_quantile_rows("quantile"), *_quantile_rows("nanquantile"), *COUNTS, *RUNNING]
