"""Rows of reductions."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from .base import (
    ALL,
    EXACT,
    FLOATS,
    LARGE,
    LAYOUTS,
    NUMBERS,
    Bad,
    Case,
    DType,
    Spec,
    Tol,
    arr,
    case,
    extremes,
    given,
    ulps,
)

Cases = Callable[[str, np.random.Generator], Iterable[Case]]

SHAPES = (
    *LAYOUTS[:7],
    ((300, 7), "plain"),
    ((7, 300), "plain"),
    ((5, 1, 4), "plain"),
    ((1030,), "plain"),
)


def dim_cases(
    low: float = -4,
    high: float = 4,
    *,
    several: bool = True,
    none: bool = True,
    empty: bool = True,
    corners: bool = True,
    dtypes: bool = False,
    **kwargs: Any,
) -> Cases:
    """Samples over dims: all, one, negative, several, kept or not; empty ones where allowed."""

    def make(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
        for shape, layout in SHAPES:
            x = arr(rng, shape, dtype, layout, low, high)
            last = len(shape) - 1
            if none:
                yield case(x, **kwargs)
            yield case(x, 0, **kwargs)
            yield case(x, dim=-1, keepdim=True, **kwargs)
            if several and last > 0:
                yield case(x, dim=(0, last), **kwargs)
                yield case(x, [-1, 0], True, **kwargs)
            if last > 1:
                yield case(x, 1, **kwargs)
        scalar = arr(rng, (), dtype, "plain", low, high)
        if none:
            yield case(scalar, **kwargs)
        yield case(scalar, 0, **kwargs)
        yield case(scalar, dim=-1, keepdim=True, **kwargs)
        if several and none:
            yield case(
                arr(rng, (2, 3), dtype, "plain", low, high), dim=(), note="no dims", **kwargs
            )
        for shape in ((0,), (0, 3), (3, 0, 2)):
            x = arr(rng, shape, dtype)
            yield case(x, len(shape) - 1, note="empty", **kwargs)
            if none and empty:
                yield case(x, note="empty", **kwargs)
            if empty:
                yield case(x, 0, note="empty", **kwargs)
        if dtypes:
            for d in ("float64", "float32", "int32"):
                yield case(arr(rng, (3, 4), dtype, "plain", low, high), 1, dtype=DType(d), **kwargs)
        if corners:
            edge = extremes(dtype)
            yield case(given(edge, dtype), 0, note="extremes", **kwargs)
            rows = np.stack([edge[:6], edge[-6:]])
            yield case(given(rows, dtype), -1, note="extremes", **kwargs)
            yield case(given(rows.T, dtype), 0, note="extremes", **kwargs)

    return make


def grads(
    low: float = -4, high: float = 4, *, none: bool = True, scalar: bool = True, **kwargs: Any
) -> Callable:
    def make(rng: np.random.Generator) -> Iterable[Case]:
        x = arr(rng, (2, 3), "float64", "plain", low, high)
        if none:
            yield case(x, **kwargs)
        yield case(x, 1, **kwargs)
        yield case(
            arr(rng, (3, 2), "float64", "transposed", low, high), dim=0, keepdim=True, **kwargs
        )
        if scalar:
            yield case(arr(rng, (), "float64", "plain", low, high), 0, **kwargs)

    return make


def _magnitude(lib: Any, x: Any, *args: Any, **kwargs: Any) -> Any:
    """The sum of absolute values: what the terms of a sum add up to before they cancel."""
    kwargs.pop("dtype", None)
    return lib.sum(abs(x).double(), *args, **kwargs)


SUM = ulps(16, "pairwise summation of up to 2^20 terms in blocks: log2 of the blocks roundings, each "
               "relative to the sum of magnitudes", _magnitude)  # fmt: skip
MEAN = ulps(16, "a sum and a division",
            lambda lib, x, *a, **k: lib.mean(abs(x).double(), *a, **{**k, "dtype": lib.float64}))  # fmt: skip
VARIANCE = ulps(64, "sums of squares that were rounded once more; the mean's error enters squared",
                lambda lib, x, *a, **k: lib.mean(x.double() ** 2).nan_to_num(0, 0, 0))  # fmt: skip
BAD_DIM = (
    Bad(case(given([[1.0, 2.0]], "float32"), 2), "IndexError"),
    Bad(case(given([[1.0, 2.0]], "float32"), -3), "IndexError"),
)
BAD_DIMS = (
    *BAD_DIM,
    Bad(case(given([[1.0, 2.0]], "float32"), (0, 0)), "RuntimeError"),
    Bad(case(given([[1.0, 2.0]], "float32"), (0, -2)), "RuntimeError"),
    Bad(case(given([[1.0, 2.0]], "float32"), 1.5), "TypeError"),
)
EMPTY_F = given(np.ones((3, 0)), "float32")
WHOLE = given([[1, 2]], "int64")


def reduction(
    name: str,
    *,
    dtypes: tuple[str, ...] = ALL,
    tol: Tol = EXACT,
    low: float = -4,
    high: float = 4,
    grad: bool = True,
    bad: tuple[Bad, ...] = BAD_DIMS,
    label: str = "",
    grad_range: tuple[float, float] | None = None,
    **more: Any,
) -> Spec:
    keys = ("several", "none", "empty", "corners", "dtypes")
    sample = {k: more.pop(k) for k in keys if k in more}
    if "takes_dtype" in more:
        sample["dtypes"] = more.pop("takes_dtype")
    kwargs = more.pop("kwargs", {})
    kind = {"none": sample.get("none", True)}
    return Spec(
        name=label or name,
        fn=name,
        cases=dim_cases(low, high, **sample, **kwargs),
        dtypes=dtypes,
        tol=tol,
        method=more.pop("method", name),
        out=more.pop("out", True),
        grad=grad,
        grad_cases=grads(*(grad_range or (low, high)), **kind, **kwargs),
        bad=bad,
        large=lambda rng: case(arr(rng, LARGE, "float32", "plain", low, high), -1, **kwargs),
        **more,
    )


def _sum_all(name: str, **more: Any) -> Spec:
    """Over everything and over the outer dim, at a size where several threads work."""
    return Spec(
        name=name + "_all",
        fn=name,
        cases=lambda dtype, rng: [case(arr(rng, (123, 457), dtype)), case(arr(rng, (40000,), dtype)),
                                  case(arr(rng, (2000, 31), dtype, "transposed"))],
        grad=True,
        grad_cases=grads(),
        large=lambda rng: case(arr(rng, LARGE, "float32")),
        **more,
    )  # fmt: skip


def _outer(name: str, **more: Any) -> Spec:
    return Spec(
        name=name + "_outer",
        fn=name,
        cases=lambda dtype, rng: [case(arr(rng, (1230, 45), dtype), 0),
                                  case(arr(rng, (3, 700, 5), dtype), (0, 2))],
        grad=True,
        grad_cases=grads(),
        large=lambda rng: case(arr(rng, LARGE, "float32"), 0),
        **more,
    )  # fmt: skip


def _norm_cases(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    for p in (2, 1, 0, 3, 0.5, float("inf"), float("-inf"), "fro"):
        yield case(arr(rng, (3, 5), dtype), p)
        yield case(arr(rng, (3, 5), dtype, "transposed"), p, 1)
        yield case(arr(rng, (2, 3, 4), dtype, "stepped"), p, (0, 2), True)
        yield case(arr(rng, (300,), dtype), p=p, dim=0)
    yield case(arr(rng, (3, 5), dtype))
    yield case(arr(rng, (), dtype))
    yield case(given(np.zeros((0, 3)), dtype), 2, 0, note="empty")
    yield case(given(np.zeros((0, 3)), dtype), 1, note="empty")
    yield case(given([3.0, np.nan, np.inf], dtype), 2, note="extremes")


def _norm_orders(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    for order in (2, 1, 0, 3, float("inf")):
        yield case(arr(rng, (3, 5), dtype), order)
        yield case(arr(rng, (2, 3, 4), dtype, "transposed"), order, dim=(0, 2), keepdim=True)
    yield case(arr(rng, (3, 5), dtype), dtype=DType("float64"))


def _norm_grads(rng: np.random.Generator) -> Iterable[Case]:
    for p in (2, 1, 3, 1.5, float("inf"), float("-inf")):
        yield case(arr(rng, (2, 3), "float64"), p)
        yield case(arr(rng, (2, 3), "float64"), p, 1, True)


def _extreme_cases(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    yield from dim_cases(several=False, empty=False)(dtype, rng)
    ties = given([[1, 3, 3, 2], [0, 0, 0, 0], [3, 1, 2, 3]], dtype)
    yield case(ties, 1)
    yield case(ties, 0, True)


def _index_cases(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    yield from dim_cases(several=False, empty=False)(dtype, rng)
    yield case(given([[1, 3, 3, 2], [0, 0, 0, 0]], dtype), 1)
    yield case(arr(rng, (40, 50), dtype))
    yield case(arr(rng, (40, 50), dtype), keepdim=True)


def _max_other(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    yield case(arr(rng, (3, 4), dtype), arr(rng, (4,), dtype))


EMPTY_RAISES = (
    Bad(case(EMPTY_F), "RuntimeError|IndexError"),
    Bad(case(EMPTY_F, 1), "IndexError"),
)


def _extreme(name: str) -> list[Spec]:
    return [
        Spec(
            name, _extreme_cases, ALL, method=name, grad=True, bad=(*BAD_DIM, *EMPTY_RAISES),
            grad_cases=grads(),
            large=lambda rng: case(arr(rng, LARGE, "float32"), 1),
        ),
        Spec(name + "_other", _max_other, ALL, fn=name, method=name, out=True, grad=True,
             grad_cases=lambda rng: _max_other("float64", rng)),
        reduction("a" + name, empty=False, bad=(*BAD_DIMS[:-1], *EMPTY_RAISES)),
        Spec(
            "arg" + name, _index_cases, NUMBERS, method="arg" + name,
            bad=(*BAD_DIM, *EMPTY_RAISES),
            large=lambda rng: case(arr(rng, LARGE, "float32"), 1),
        ),
    ]  # fmt: skip


def _count(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    for shape, layout in SHAPES:
        yield case(arr(rng, shape, dtype, layout, -1, 1))
        yield case(arr(rng, shape, dtype, layout, -1, 1), 0)


def _unbiased(name: str) -> Iterable[Spec]:
    def cases(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
        for shape, layout in SHAPES[:7]:
            x = arr(rng, shape, dtype, layout)
            yield case(x, False)
            yield case(x, 0, False)
            yield case(x, correction=0)
            yield case(x, dim=-1, correction=0)
            yield case(x, dim=(0, -1), correction=2, keepdim=True)
            yield case(x, 0, True, True)
        yield case(arr(rng, (1,), dtype), note="one value")
        yield case(arr(rng, (3, 1), dtype), 1, note="one value")
        yield case(given(np.full((100,), 1000.0) + np.arange(100) / 8, dtype), note="far from zero")

    tol = (
        VARIANCE
        if name == "var"
        else ulps(
            64,
            "half the variance's relative error",
            lambda lib, x, *a, **k: abs(x).double().max() if x.numel() else 0.0,
        )
    )

    def grad_cases(rng: np.random.Generator) -> Iterable[Case]:
        yield from grads(scalar=False)(rng)
        yield case(arr(rng, (3, 4), "float64"), dim=(0, 1), correction=0)

    return [
        Spec(
            name,
            lambda d, r: [*dim_cases(corners=False)(d, r), *cases(d, r)],
            FLOATS,
            tol=tol,
            method=name,
            out=False,
            grad=True,
            grad_cases=grad_cases,
            large=lambda rng: case(arr(rng, LARGE, "float32"), 1),
            bad=(
                *BAD_DIMS[:-1],
                Bad(case(WHOLE), "RuntimeError"),
                Bad(
                    case(given([[1.0]], "float32"), correction=1, unbiased=True),
                    "RuntimeError",
                    "TypeError",
                ),
            ),
        )
    ]


def _sum_to_size(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    yield case(arr(rng, (2, 3, 4), dtype), (3, 1))
    yield case(arr(rng, (2, 3, 4), dtype), 1, 3, 4)
    yield case(arr(rng, (2, 3, 4), dtype), (2, 3, 4))


SPECS = [
    reduction("sum", tol=SUM, takes_dtype=True),
    _sum_all("sum", dtypes=(*FLOATS, "int8", "bool"), tol=SUM),
    _outer("sum", dtypes=(*FLOATS, "int32"), tol=SUM),
    reduction("mean", tol=MEAN, dtypes=FLOATS,
              bad=(*BAD_DIMS, Bad(case(WHOLE), "RuntimeError"))),
    reduction("prod", low=0.85, high=1.15, several=False, takes_dtype=True, grad_range=(0.5, 2),
              tol=ulps(1100, "every factor rounds once"), bad=BAD_DIM),
    *_unbiased("var"),
    *_unbiased("std"),
    Spec("var_mean", dim_cases(corners=False), FLOATS, tol=VARIANCE, grad=True,
         grad_cases=grads(scalar=False)),
    reduction("any", grad=False, bad=BAD_DIM),
    reduction("all", grad=False, bad=BAD_DIM),
    *_extreme("max"),
    *_extreme("min"),
    reduction("logsumexp", none=False, dtypes=(*FLOATS, "int32"),
              tol=ulps(8, "a sum of positive terms within 2 ULP each, and a logarithm whose absolute "
                          "error is relative to the largest term",
                       lambda lib, x, *a, **k: abs(x).double().nan_to_num(0, 0, 0).max() + 1
                       if x.numel() else 1.0)),
    Spec("norm", _norm_cases, FLOATS, tol=ulps(16, "a sum of powers and a root"), method="norm",
         grad=True, grad_cases=_norm_grads,
         large=lambda rng: case(arr(rng, LARGE, "float32"), 2, 1),
         bad=(Bad(case(WHOLE), "RuntimeError"), Bad(case(EMPTY_F, float("inf")), "RuntimeError|IndexError"),
              Bad(case(given([[1.0]], "float32"), "up"), "RuntimeError"),
              Bad(case(given([[1.0]], "float32"), 2, 5), "IndexError"))),
    Spec("vector_norm", _norm_orders, FLOATS, fn="linalg_vector_norm", torch_fn="linalg.vector_norm",
         tol=ulps(16, "a sum of powers and a root"), grad=True, out=True,
         grad_cases=lambda rng: [case(arr(rng, (2, 3), "float64"), 3), case(arr(rng, (2, 3), "float64"), 2, -1)]),
    Spec("count_nonzero", _count, ALL, method="count_nonzero",
         bad=(Bad(case(given([1.0], "float32"), 3), "IndexError"),)),
    Spec("sum_to_size", _sum_to_size, NUMBERS, fn="Tensor.sum_to_size",
         tol=ulps(8, "sums of 8 terms", lambda lib, x, *size: abs(x).double().sum()),
         grad=True, grad_cases=lambda rng: _sum_to_size("float64", rng),
         bad=(Bad(case(given(np.ones((2, 3)), "float32"), (2, 2)), "RuntimeError"),)),
]  # fmt: skip
