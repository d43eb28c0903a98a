"""Rows of copies of views, and of functions that are a line or two of others."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from .base import ALL, EXACT, NUMBERS, Bad, Case, DType, Spec, arr, case, given, index, ulps
from .matrices import around

WIDE = ("float32", "float64")
A = given(np.arange(6.0).reshape(2, 3), "float32")

Cases = Callable[[str, np.random.Generator], Iterable[Case]]


def _of(shape: tuple, *calls: tuple) -> Cases:
    def make(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
        for layout in ("plain", "transposed", "stepped"):
            for args, kwargs in calls:
                yield case(arr(rng, shape, dtype, layout), *args, **kwargs)

    return make


def _copy(name: str, *calls: tuple, shape: tuple = (4, 3), out: bool = True, **more: Any) -> Spec:
    cases = _of(shape, *calls)
    more.setdefault("bad", (Bad(case(1.5), "TypeError"),))
    return Spec(
        f"{name}_copy", cases, ALL, out=out, grad=True, strides=False,
        grad_cases=lambda rng: cases("float64", rng), **more,
    )  # fmt: skip


ONE = ((), {})
COPIES = [
    _copy("alias", ONE),
    _copy("as_strided", (((2, 2), (1, 2)), {}), (((3,), (2,), 1), {})),
    _copy("detach", ONE),
    _copy("diagonal", ONE, ((1,), {}), ((), {"offset": -1, "dim1": 1, "dim2": 0})),
    _copy("expand", (((2, 4, 3),), {})),
    _copy("permute", (((1, 0),), {})),
    _copy("select", ((0, 1), {}), ((-1, -1), {})),
    _copy("slice", ONE, ((1, 1), {}), ((0, -3, 9, 2), {}), bad=(Bad(case(A, 2), "IndexError"), Bad(case(A, 0, 0, 1, 0), "RuntimeError"))),
    _copy("split", ((2,), {}), ((2, 1), {}), out=False),
    _copy("split_with_sizes", (([1, 3],), {}), out=False),
    _copy("squeeze", ONE, ((1,), {}), shape=(4, 1, 3)),
    _copy("t", ONE),
    _copy("transpose", ((0, 1), {})),
    _copy("unbind", ONE, ((1,), {}), out=False),
    _copy("unfold", ((0, 2, 1), {})),
    _copy("unsqueeze", ((0,), {}), ((-1,), {})),
    _copy("view", (((4, 3, 1),), {})),
]  # fmt: skip


def _ranges(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    for low, high, step in ((0, 5, 1), (1, 4, 2), (5, -2, -3), (2, 2, 1)):
        yield case(low, high, step, dtype=DType(dtype))
    yield case(1, 4)
    if dtype in WIDE:
        yield case(-1.5, 2.25, 0.5, dtype=DType(dtype))


def _segments(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    for reduce in ("sum", "mean", "max", "min", "prod"):
        for layout in ("plain", "transposed"):
            x = arr(rng, (6, 2), dtype, layout, low=0.5)
            yield case(x, reduce, lengths=index([2, 1, 3]), unsafe=True)
            yield case(x, reduce, offsets=index([0, 4, 4, 6]), initial=1)
            yield case(arr(rng, (2, 4), dtype), reduce, lengths=index([[1, 3], [2, 2]]), axis=1)


def _segment_grads(rng: np.random.Generator) -> Iterable[Case]:
    for c in _segments("float64", rng):
        if "lengths" in c.kwargs:
            yield c


def _tbc(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    for pad in (0, 1):
        yield case(
            arr(rng, (5, 2, 3), dtype), arr(rng, (2, 3, 4), dtype), arr(rng, (4,), dtype), pad
        )


def _norms(dim: tuple | None) -> Cases:
    def make(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
        for keepdim in (False, True):
            x = arr(rng, (2, 3), dtype, "transposed")
            yield case(x, *(() if dim is None else (dim,)), keepdim=keepdim)

    return make


NORM = around(64, "sums, roots and singular values", 16.0)


def _filled(lib: Any) -> Callable:
    return lambda *a, **k: lib.empty_permuted(*a, **k).zero_()


OTHERS = [
    Spec("range", _ranges, (*WIDE, "int64", "int32"), tol=ulps(2, "a product and a sum"),
         bad=(Bad(case(1, 0), "RuntimeError"), Bad(case(0, 1, 0), "RuntimeError"),
              Bad(case(0, float("inf")), "RuntimeError"))),
    Spec("scalar_tensor", lambda d, r: [case(3, dtype=DType(d)), case(0.5), case(True)], ALL, tol=EXACT),
    Spec("frobenius_norm", _norms((0, 1)), WIDE, tol=NORM, grad=True, strides=False,
         grad_cases=lambda r: _norms((0,))("float64", r)),
    Spec("nuclear_norm", _norms((0, 1)), WIDE, tol=NORM, strides=False, grad=True,
         grad_cases=lambda r: _norms((0, 1))("float64", r)),
    Spec("norm_except_dim", lambda d, r: [case(arr(r, (3, 4, 2), d, layout), 2, dim) for dim in (-1, 0, 2)
                                          for layout in ("plain", "stepped")], WIDE, tol=NORM, strides=False,
         grad=True, grad_cases=lambda r: [case(arr(r, (3, 4), "float64"), 2, 0)], bad=(Bad(case(A, 2, 5), "IndexError", "RuntimeError|IndexError"),)),
    Spec("nonzero_static", lambda d, r: [case(arr(r, (3, 4), d, layout, -1, 1), size=n) for n in (0, 2, 12)
                                         for layout in ("plain", "transposed")] + [case(arr(r, (5,), d), size=9, fill_value=7)],
         ALL, method="nonzero_static", out=True, strides=False, bad=(Bad(case(A, size=-1), "RuntimeError"),)),
    Spec("empty_permuted", lambda d, r: [case((2, 3, 4), (1, 2, 0), dtype=DType(d)), case((), ()), case((2, 0), (1, 0))],
         ("float32", "int64"), fn=_filled, bad=(Bad(case((2, 3), (0, 0)), "RuntimeError"),)),
    Spec("constant_pad_nd", _of((4, 3), (((1, 2),), {}), (((0, -1, 2, 0), 1.0), {})), NUMBERS, strides=False, grad=True,
         grad_cases=lambda r: _of((4, 3), (((1, 2),), {}))("float64", r)),
    Spec("conv_tbc", _tbc, WIDE, tol=around(64, "sums of products", 64.0), strides=False, grad=True,
         grad_cases=lambda r: _tbc("float64", r), bad=(Bad(case(A, A, A), "RuntimeError"),)),
    Spec("segment_reduce", _segments, WIDE, tol=ulps(64, "sums and products of a few numbers", lambda lib, *a, **k: 64.0), strides=False,
         grad=True, grad_cases=_segment_grads, gradgrad=False,
         bad=(Bad(case(A, "sum"), "RuntimeError"), Bad(case(A, "sum", lengths=index([1])), "RuntimeError"),
              Bad(case(A, "median", lengths=index([2])), "RuntimeError", "RuntimeError|IndexError"))),
]  # fmt: skip


def _reflected(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    for shape, k in (((4, 3), 3), ((4, 3), 2), ((2, 3, 3), 3), ((5, 2), 1)):
        for layout in ("plain", "transposed"):
            yield case(arr(rng, shape, dtype, layout, -1, 1), arr(rng, (*shape[:-2], k), dtype))


def _by_reflected(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    for c in _reflected(dtype, rng):
        a, tau = c.args
        if tau.shape[-1] < a.shape[-1]:
            continue
        batch, m = a.shape[:-2], a.shape[-2]
        for transpose in (False, True):
            yield case(a, tau, arr(rng, (*batch, m, 2), dtype), True, transpose)
            yield case(a, tau, arr(rng, (*batch, 2, m), dtype), False, transpose)


def _lowrank(name: str) -> Callable:
    def of(lib: Any) -> Callable:
        def f(a: Any, *args: Any, **kwargs: Any) -> Any:
            u, s, v = getattr(lib, name)(a, *args, **kwargs)
            return (u * s.unsqueeze(-2)) @ v.mH, s

        return f

    return of


def _rectangles(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    for shape in ((6, 4), (3, 5), (2, 4, 3)):
        yield case(arr(rng, shape, dtype), q=min(shape[-2:]))


CLOSE = around(512, "products of a few reflectors of vectors of length up to 3", 256.0)
REFLECTORS = [
    *(Spec(name, _reflected, WIDE, fn=name, tol=CLOSE, out=True, strides=False, grad=True, gradgrad=name == "orgqr",
           method="" if "." in name else name,
           grad_cases=lambda r: list(_reflected("float64", r))[:4],
           bad=(Bad(case(A, A), "RuntimeError"), Bad(case(A, given([1.0], "float64")), "RuntimeError")))
      for name in ("linalg.householder_product", "orgqr")),
    Spec("ormqr", _by_reflected, WIDE, method="ormqr", tol=CLOSE, out=True, strides=False, grad=True,
         grad_cases=lambda r: list(_by_reflected("float64", r))[:6],
         bad=(Bad(case(A, given([1.0], "float32"), given(np.ones((3, 2)), "float32")), "RuntimeError"),)),
    Spec("geqrf", lambda d, r: [case(arr(r, s, d, "transposed")) for s in ((4, 3), (3, 4), (2, 3, 3))], WIDE,
         method="geqrf", tol=CLOSE, strides=False, bad=(Bad(case(given([1.0], "float32")), "RuntimeError"),)),
    Spec("svd_lowrank", _rectangles, WIDE, fn=_lowrank("svd_lowrank"), tol=CLOSE, strides=False, seeded=True),
    Spec("pca_lowrank", lambda d, r: list(_rectangles(d, r))[:2], WIDE, fn=_lowrank("pca_lowrank"), tol=CLOSE, strides=False, seeded=True,
         bad=(Bad(case(A, 9), "ValueError"),)),
]  # fmt: skip

SPECS = [*COPIES, *OTHERS, *REFLECTORS]
