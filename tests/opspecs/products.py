"""Rows of products: matmul in all ranks, linear, convolution, pooling."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from .base import FLOATS, INTS, Bad, Case, Spec, arr, case, given, ulps


def _absolute(fn: str) -> Callable:
    """The same product of absolute values: what the terms add up to before they cancel."""

    def scale(lib: Any, *args: Any, **kwargs: Any) -> Any:
        positive = [abs(a) if isinstance(a, lib.Tensor) else a for a in args]
        named = {k: abs(v) if isinstance(v, lib.Tensor) else v for k, v in kwargs.items()}
        found = lib
        for part in fn.split("."):
            found = getattr(found, part)
        return found(*positive, **named)

    return scale


def product_tol(fn: str) -> Any:
    return ulps(24, "a dot product of n terms, summed in registers and blocks of k: each rounding is "
                    "relative to the sum of magnitudes, about sqrt(n) of them add up", _absolute(fn))  # fmt: skip


# ---- matmul

RANKS = (
    ((5,), (5,)),
    ((1,), (1,)),
    ((3, 5), (5,)),
    ((5,), (5, 4)),
    ((3, 5), (5, 4)),
    ((1, 5), (5, 1)),
    ((17, 33), (33, 19)),
    ((64, 64), (64, 64)),
    ((2, 3, 5), (5,)),
    ((5,), (2, 5, 4)),
    ((2, 3, 5), (5, 4)),
    ((3, 5), (2, 5, 4)),
    ((2, 3, 5), (2, 5, 4)),
    ((2, 1, 3, 5), (4, 5, 2)),
    ((2, 1, 3, 5), (1, 4, 5, 2)),
    ((0, 5), (5, 4)),
    ((3, 0), (0, 4)),
    ((0,), (0,)),
    ((2, 3, 0), (0, 4)),
    ((0, 3, 5), (5, 4)),
    ((2, 3, 5), (5, 0)),
)


def _pair(rng: np.random.Generator, dtype: str, a: tuple, b: tuple, la: str, lb: str) -> Case:
    return case(arr(rng, a, dtype, la), arr(rng, b, dtype, lb))


def matmul_cases(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    for a, b in RANKS:
        yield _pair(rng, dtype, a, b, "plain", "plain")
    for a, b in RANKS[4:15]:
        yield _pair(rng, dtype, a, b, "transposed", "plain")
        yield _pair(rng, dtype, a, b, "plain", "transposed")
        yield _pair(rng, dtype, a, b, "stepped", "expanded")


def product_grads(pairs: Iterable[tuple[tuple, tuple]]) -> Callable:
    def make(rng: np.random.Generator) -> Iterable[Case]:
        for i, (a, b) in enumerate(pairs):
            yield _pair(rng, "float64", a, b, "transposed" if i % 2 else "plain", "plain")

    return make


A = given(np.ones((2, 3)), "float32")


def product(name: str, keep: Callable[[tuple, tuple], bool], pairs: tuple, **more: Any) -> Spec:
    def cases(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
        for c in matmul_cases(dtype, rng):
            a, b = c.arrays()
            if keep(a.shape, b.shape):
                yield c

    return Spec(
        name, cases, (*FLOATS, *INTS), tol=product_tol(name), method=name, out=True, grad=True,
        grad_cases=product_grads(pairs), **more,
    )  # fmt: skip


def large_pair(*shapes: tuple) -> Callable:
    return lambda rng: case(*(arr(rng, s, "float32", low=-1, high=1) for s in shapes))


def _byte_pair(rng: np.random.Generator, m: int, k: int, n: int, la: str, lb: str) -> Case:
    a, b = (arr(rng, s, "int8", layout, -128, 127) for s, layout in (((m, k), la), ((k, n), lb)))
    return case(a, b)


def _bytes(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    for m, k, n in ((1, 1, 1), (3, 5, 4), (17, 33, 19), (64, 64, 64), (40, 130, 70), (0, 5, 4)):
        for la, lb in (("plain", "plain"), ("transposed", "plain"), ("plain", "transposed")):
            yield _byte_pair(rng, m, k, n, la, lb)
        yield _byte_pair(rng, m, k, n, "stepped", "shifted")


MATMUL = [
    product(
        "matmul", lambda a, b: True,
        (((3,), (3,)), ((2, 3), (3,)), ((3,), (3, 2)), ((2, 3), (3, 2)), ((2, 2, 3), (3, 2)),
         ((2, 1, 2, 3), (2, 3, 2)), ((2, 0), (0, 3))),
        large=large_pair((301, 257), (257, 303)),
        bad=(Bad(case(A, A), "RuntimeError"), Bad(case(A, 2.0), "TypeError"),
             Bad(case(A, given(2.0, "float32")), "RuntimeError"),
             Bad(case(given(np.ones((2, 3, 4)), "float32"), given(np.ones((3, 4, 5)), "float32")),
                 "RuntimeError"),
             Bad(case(A, given(np.ones((3, 2)), "float64")), "RuntimeError")),
    ),
    product("mm", lambda a, b: len(a) == len(b) == 2, (((2, 3), (3, 2)),),
            large=large_pair((64, 900), (900, 70)),
            bad=(Bad(case(A, A), "RuntimeError"), Bad(case(A, given([1.0] * 3, "float32")), "RuntimeError"))),
    product("bmm", lambda a, b: len(a) == len(b) == 3 and a[0] == b[0], (((2, 2, 3), (2, 3, 2)),),
            large=large_pair((16, 65, 63), (16, 63, 66)),
            bad=(Bad(case(A, A), "RuntimeError"),)),
    product("mv", lambda a, b: len(a) == 2 and len(b) == 1, (((2, 3), (3,)),),
            large=large_pair((999, 1001), (1001,)),
            bad=(Bad(case(A, A), "RuntimeError"),)),
    product("dot", lambda a, b: len(a) == len(b) == 1, (((3,), (3,)),),
            large=large_pair((1000003,), (1000003,)),
            bad=(Bad(case(A, A), "RuntimeError"),)),
    Spec("_int_mm", _bytes, ("int8",), out=True,
         large=lambda rng: _byte_pair(rng, 301, 257, 303, "plain", "plain"),
         bad=(Bad(case(A, given(np.ones((3, 2)), "float32")), "RuntimeError"),
              Bad(case(given([1] * 3, "int8"), given([1] * 3, "int8")), "RuntimeError", "IndexError"))),
]  # fmt: skip


# ---- products added to something


def _plus(batched: bool) -> Callable[[str, np.random.Generator], Iterable[Case]]:
    lead = (2,) if batched else ()

    def cases(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
        a, b = arr(rng, (*lead, 3, 5), dtype), arr(rng, (*lead, 5, 4), dtype, "transposed")
        for shape in ((*lead, 3, 4), (4,), (3, 1), (1,)):
            x = arr(rng, shape, dtype)
            yield case(x, a, b)
            if dtype in FLOATS:
                yield case(x, a, b, beta=0.5, alpha=2)
        yield case(arr(rng, (4,), dtype), a, b, beta=0)
        yield case(
            arr(rng, (*lead, 3, 4), dtype),
            arr(rng, (*lead, 3, 0), dtype),
            arr(rng, (*lead, 0, 4), dtype),
        )
        yield case(arr(rng, (*lead, 0, 4), dtype), arr(rng, (*lead, 0, 5), dtype), b)
        if not lead:
            yield case(arr(rng, (3, 4), dtype, "transposed"), a, b)
            yield case(arr(rng, (3, 4), dtype, "stepped"), a, b)

    return cases


def _plus_scale(name: str) -> Callable:
    def scale(lib: Any, x: Any, a: Any, b: Any, beta: float = 1, alpha: float = 1) -> Any:
        return getattr(lib, name)(abs(x), abs(a), abs(b), beta=beta, alpha=alpha)

    return scale


def _outer(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    for n, m in ((3, 4), (1, 5), (0, 2), (70, 33)):
        yield case(arr(rng, (n,), dtype), arr(rng, (m,), dtype, "stepped"))


def plus(name: str, lead: tuple) -> Spec:
    def grads(rng: np.random.Generator) -> Iterable[Case]:
        a, b = arr(rng, (*lead, 2, 3), "float64"), arr(rng, (*lead, 3, 2), "float64")
        yield case(arr(rng, (*lead, 2, 2), "float64"), a, b, beta=0.5, alpha=2)
        yield case(arr(rng, (2,), "float64"), a, b)

    return Spec(
        name, _plus(bool(lead)), (*FLOATS, *INTS), method=name, inplace=True, out=True, grad=True, grad_cases=grads, strides=False,
        tol=ulps(24, "a product, scaled, and a sum", _plus_scale(name), steps=3),
        large=lambda rng: case(arr(rng, (*lead, 300, 200), "float32"),
                               arr(rng, (*lead, 300, 150), "float32"),
                               arr(rng, (*lead, 150, 200), "float32")),
        bad=(Bad(case(A, A, A), "RuntimeError", "RuntimeError|IndexError"),
             Bad(case(given(np.ones((*lead, 3, 3)), "float32"), given(np.ones((*lead, 2, 4)), "float32"),
                      given(np.ones((*lead, 4, 2)), "float32")), "RuntimeError"),
             Bad(case(A, given([1.0] * 3, "float32"), A), "RuntimeError", "RuntimeError|IndexError"),
             Bad(case(A, A), "TypeError")),
    )  # fmt: skip


SUMS = [
    plus("addmm", ()),
    plus("baddbmm", (2,)),
    Spec("outer", _outer, (*FLOATS, *INTS), method="outer", grad=True,
         grad_cases=lambda rng: [case(arr(rng, (2,), "float64"), arr(rng, (3,), "float64"))],
         bad=(Bad(case(A, given([1.0], "float32")), "RuntimeError"),)),
]  # fmt: skip

# ---- linear


def _linear(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    for lead in ((), (4,), (2, 3), (33,), (0,), (2, 0)):
        x = arr(rng, (*lead, 5), dtype, "transposed" if len(lead) == 2 else "plain")
        w, b = arr(rng, (7, 5), dtype), arr(rng, (7,), dtype)
        yield case(x, w)
        yield case(x, w, b)
    yield case(arr(rng, (4, 5), dtype, "stepped"), arr(rng, (7, 5), dtype, "transposed"), bias=b)
    yield case(arr(rng, (4, 5), dtype), arr(rng, (5,), dtype))


def _linear_grads(rng: np.random.Generator) -> Iterable[Case]:
    w, b = arr(rng, (2, 3), "float64"), arr(rng, (2,), "float64")
    yield case(arr(rng, (2, 3), "float64"), w, b)
    yield case(arr(rng, (3,), "float64"), w)
    yield case(arr(rng, (2, 2, 3), "float64", "transposed"), w, b)


F = "nn.functional."
LINEAR = Spec(
    "linear", _linear, FLOATS, torch_fn=F + "linear", tol=product_tol(F + "linear"), grad=True,
    grad_cases=_linear_grads, strides=False,
    large=large_pair((257, 301), (303, 301), (303,)),
    bad=(Bad(case(A, A, given([1.0, 2, 3], "float32")), "RuntimeError"),
         Bad(case(A, given(np.ones((2, 4)), "float32")), "RuntimeError")),
)  # fmt: skip


# ---- convolution


def conv(
    rng: np.random.Generator, dtype: str, x: tuple, w: tuple, *, bias: bool = True,
    layout: str = "plain", **kwargs: Any,
) -> Case:  # fmt: skip
    args = [
        arr(rng, x, dtype, layout),
        arr(rng, w, dtype, layout if layout != "stepped" else "plain"),
    ]
    if bias:
        args.append(arr(rng, (w[0],), dtype))
    return case(*args, **kwargs)


def _conv2d(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    def c(x: tuple, w: tuple, **kwargs: Any) -> Case:
        return conv(rng, dtype, x, w, **kwargs)

    yield c((2, 3, 7, 6), (4, 3, 3, 3))
    yield c((2, 3, 7, 6), (4, 3, 3, 3), bias=False)
    yield c((2, 3, 7, 6), (4, 3, 3, 3), stride=2)
    yield c((2, 3, 9, 8), (4, 3, 3, 2), stride=(2, 3), padding=(1, 2))
    yield c((2, 3, 9, 8), (4, 3, 3, 2), padding=1, dilation=2)
    yield c((2, 3, 9, 8), (4, 3, 2, 3), stride=2, padding=(2, 1), dilation=(1, 2))
    yield c((1, 4, 6, 6), (6, 2, 3, 3), groups=2, padding=1)
    yield c((2, 4, 6, 6), (4, 1, 3, 3), groups=4)  # depthwise
    yield c((2, 18, 7, 6), (18, 1, 3, 3), groups=18, stride=2, padding=1)
    yield c((2, 4, 6, 6), (8, 1, 3, 3), groups=4, stride=2, padding=1)
    yield c((2, 3, 5, 5), (4, 3, 1, 1))
    yield c((2, 3, 5, 5), (4, 3, 5, 5))
    yield c((3, 5, 5), (4, 3, 3, 3))  # no batch
    yield c((0, 3, 5, 5), (4, 3, 3, 3))
    yield c((2, 3, 5, 5), (4, 3, 3, 3), padding="same")
    yield c((2, 3, 5, 5), (4, 3, 2, 3), padding="same", dilation=2)
    yield c((2, 3, 5, 5), (4, 3, 3, 3), padding="valid")
    yield c((2, 3, 7, 6), (4, 3, 3, 3), layout="transposed")
    yield c((2, 3, 7, 6), (4, 3, 3, 3), layout="stepped")
    yield c((2, 3, 7, 6), (4, 3, 3, 3), layout="expanded")
    yield c((1, 1, 28, 28), (6, 1, 5, 5), padding=2)
    yield c((2, 20, 12, 11), (17, 20, 3, 3), padding=1)
    # Bad combinations that are easy to miss are in the samples: both must refuse.
    yield c((2, 3, 2, 2), (4, 3, 3, 3), bias=False)


def _conv_grads(rng: np.random.Generator) -> Iterable[Case]:
    def c(x: tuple, w: tuple, **kwargs: Any) -> Case:
        return conv(rng, "float64", x, w, **kwargs)

    yield c((1, 2, 4, 3), (2, 2, 2, 2))
    yield c((2, 1, 4, 4), (2, 1, 3, 2), stride=2, padding=(1, 0))
    yield c((1, 2, 4, 4), (2, 1, 2, 2), groups=2, dilation=2, bias=False)
    yield c((1, 8, 4, 3), (8, 1, 3, 3), groups=8, stride=(2, 1), padding=1, bias=False)


X = given(np.ones((1, 2, 4, 4)), "float32")
W = given(np.ones((3, 2, 2, 2)), "float32")
CONV = Spec(
    "conv2d", _conv2d, FLOATS, torch_fn=F + "conv2d", tol=product_tol(F + "conv2d"), grad=True,
    grad_cases=_conv_grads, strides=False,
    large=lambda rng: conv(rng, "float32", (32, 16, 28, 28), (32, 16, 3, 3), padding=1),
    bad=(
        Bad(case(X, given(np.ones((3, 3, 2, 2)), "float32")), "RuntimeError"),
        Bad(case(X, given(np.ones((3, 2, 2)), "float32")), "RuntimeError"),
        Bad(case(given(np.ones((2, 4)), "float32"), W), "RuntimeError"),
        Bad(case(X, W, given([1.0, 2.0], "float32")), "RuntimeError"),
        Bad(case(X, W, stride=0), "RuntimeError"),
        Bad(case(X, W, stride=-1), "RuntimeError"),
        Bad(case(X, W, padding=-1), "RuntimeError"),
        Bad(case(X, W, dilation=0), "RuntimeError"),
        Bad(case(X, W, groups=0), "RuntimeError"),
        Bad(case(X, W, groups=2), "RuntimeError"),
        Bad(case(X, W, stride=(1, 1, 1)), "RuntimeError"),
        Bad(case(X, W, padding="up"), "RuntimeError"),
        Bad(case(X, W, stride=2, padding="same"), "RuntimeError"),
        Bad(case(X, given(np.ones((3, 2, 5, 2)), "float32")), "RuntimeError"),
        Bad(case(X, given(np.ones((3, 2, 2, 2)), "float64")), "RuntimeError"),
        Bad(case(X, given(np.ones((0, 2, 2, 2)), "float32")), "RuntimeError"),
        Bad(case(X, W, "x"), "TypeError"),
    ),
)  # fmt: skip

# ---- pooling


def _pool(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    def c(shape: tuple, *args: Any, layout: str = "plain", **kwargs: Any) -> Case:
        return case(arr(rng, shape, dtype, layout), *args, **kwargs)

    for layout in ("plain", "channels_last", "transposed", "stepped", "expanded"):
        yield c((2, 3, 7, 6), 2, layout=layout)
    yield c((3, 7, 6), 2)
    yield c((2, 3, 7, 6), 3, 1)
    yield c((2, 3, 7, 6), (3, 2), (2, 1), (1, 1))
    yield c((2, 3, 7, 6), 3, 2, padding=1)
    yield c((2, 3, 7, 6), 2, ceil_mode=True)
    yield c((2, 3, 7, 7), 3, 2, 1, ceil_mode=True)
    yield c((0, 3, 7, 6), 2)
    yield c((2, 3, 40, 41), 2)


def _max_pool(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    yield from _pool(dtype, rng)
    yield case(arr(rng, (2, 3, 9, 8), dtype), 2, dilation=2)
    yield case(arr(rng, (2, 3, 9, 8), dtype), 3, 2, 1, 2, True)
    yield case(arr(rng, (2, 3, 6, 6), dtype), 2, return_indices=True)
    yield case(given(np.ones((1, 1, 4, 4)), dtype), 2, return_indices=True, note="ties")
    nan = np.zeros((1, 1, 4, 4))
    nan[0, 0, 1, 2], nan[0, 0, 3, 3] = np.nan, -np.inf
    yield case(given(nan, dtype), 2, note="NaN")
    yield case(
        given(np.full((1, 1, 4, 4), -np.inf), dtype), 3, 1, 1, return_indices=True, note="-inf"
    )


def _avg_pool(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    yield from _pool(dtype, rng)
    x = arr(rng, (2, 3, 7, 6), dtype)
    yield case(x, 3, 2, 1, count_include_pad=False)
    yield case(x, 3, 2, 1, True, False)
    yield case(x, 3, 2, 1, divisor_override=5)


def _pool_grads(*more: dict) -> Callable:
    def make(rng: np.random.Generator) -> Iterable[Case]:
        # Distinct values, further apart than a finite difference.
        grid = np.random.default_rng(5).permutation(32).reshape(1, 2, 4, 4) / 8
        yield case(given(grid, "float64"), 2)
        yield case(given(grid, "float64"), 3, 2, 1)
        for kwargs in more:
            yield case(given(grid, "float64"), 2, **kwargs)

    return make


POOL_BAD = (
    Bad(case(X, 0), "RuntimeError"),
    Bad(case(X, 2, 0), "RuntimeError"),
    Bad(case(X, 2, padding=2), "RuntimeError"),
    Bad(case(X, 2, padding=-1), "RuntimeError"),
    Bad(case(X, 5), "RuntimeError"),
    Bad(case(X, (2, 2, 2)), "RuntimeError"),
    Bad(case(given(np.ones((4, 4)), "float32"), 2), "RuntimeError", "RuntimeError|IndexError"),
    Bad(case(given(np.ones((1, 0, 4, 4)), "float32"), 2), "RuntimeError"),
)


def _large_pool(rng: np.random.Generator) -> Case:
    return case(arr(rng, (32, 8, 56, 56), "float32"), 3, 2, 1)


POOLS = [
    Spec("max_pool2d", _max_pool, FLOATS, torch_fn=F + "max_pool2d", grad=True, strides=False,
         grad_cases=_pool_grads({"dilation": 2}), large=_large_pool,
         bad=(*POOL_BAD, Bad(case(X, 2, dilation=0), "RuntimeError"))),
    Spec("avg_pool2d", _avg_pool, FLOATS, torch_fn=F + "avg_pool2d", grad=True, strides=False,
         tol=ulps(10, "a sum of at most 9 terms and a division",
                  lambda lib, x, *a, **k: lib.nn.functional.avg_pool2d(abs(x), *a, **k)),
         grad_cases=_pool_grads({"divisor_override": 3}), large=_large_pool,
         bad=(*POOL_BAD, Bad(case(X, 2, divisor_override=0), "RuntimeError"))),
]  # fmt: skip

SPECS = [*MATMUL, *SUMS, LINEAR, CONV, *POOLS]
