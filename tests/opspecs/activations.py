"""Rows of the activations beside those in pointwise.py, of distances and of noise."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np

from .base import (
    EXACT,
    FLOATS,
    LARGE,
    LAYOUTS,
    NUMBERS,
    Bad,
    Case,
    Spec,
    arr,
    case,
    extremes,
    given,
    mask,
    ulps,
)
from .pointwise import ACTIVATION, functional

F = "nn.functional."
A = given(np.ones((2, 4)), "float32")
NO_INTEGERS = (
    Bad(case(given([1, 2], "int64")), "NotImplementedError", "RuntimeError|NotImplementedError"),
    Bad(case(mask([True, False])), "NotImplementedError", "RuntimeError|NotImplementedError"),
)
NEAR_ONE = ulps(2, "a sum that rounds at 1's scale", lambda lib, x, *a, **k: 0 * x + 1)


def activation(name: str, label: str = "", **more: Any) -> Spec:
    """A function of the module for which PyTorch has one in nn.functional."""
    more.setdefault("bad", NO_INTEGERS)
    return functional(name, label=label, corners=False, **more)


def corners(row: Spec) -> Spec:
    """Its values at the corners of a dtype. Not its gradients: at NaN PyTorch's vectors give other
    ones than its scalars."""

    def make(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
        (sample, *_) = row.cases(dtype, rng)
        yield case(given(extremes(dtype), dtype), note="extremes", **sample.kwargs)
        yield case(given(extremes(dtype), dtype, "stepped"), note="extremes", **sample.kwargs)

    return replace(row, name=f"{row.name}_corners", fn=row.fn, cases=make, grad=False, bad=())


def composed(name: str, label: str = "", **more: Any) -> Spec:
    """The same, composed in Python."""
    return functional(name, label=label, fn=F + name, **more)


SHRUNK = ulps(1, "one step; of PyTorch's zeros some are negative")
EXPONENTIAL = ulps(4, "expm1 within 2 ULP of a rounded product, times a factor")

ACTIVATIONS = [
    activation("elu", tol=EXPONENTIAL),
    activation("elu", "elu_alpha", tol=EXPONENTIAL, kwargs={"alpha": 0.3}),
    activation("celu", tol=EXPONENTIAL),
    activation(
        "celu", "celu_alpha",
        tol=ulps(8, "expm1 of an argument that a product with 1 / alpha rounded twice"),
        kwargs={"alpha": 0.5},
        bad=(Bad(case(A, 0.0), "RuntimeError"), *NO_INTEGERS),
    ),
    activation("selu", tol=EXPONENTIAL),
    activation("hardsigmoid", tol=NEAR_ONE, grad=False),
    # In float64 PyTorch's gradient has the sixth of float32.
    activation(
        "hardsigmoid", "hardsigmoid_slope", tol=NEAR_ONE, dtypes=("float32", "bfloat16"), bad=(),
    ),
    activation("hardswish", tol=ACTIVATION),
    activation(
        "hardtanh", tol=EXACT, dtypes=(*FLOATS, "int8", "int16", "int32", "int64"),
        bad=(Bad(case(mask([True])), "RuntimeError"), Bad(case(A, 2, 1), "ValueError"),
             Bad(case(given([1], "uint8")), "RuntimeError")),
    ),
    activation(
        "hardtanh", "hardtanh_limits", tol=EXACT, dtypes=NUMBERS,
        kwargs={"min_val": 1.0, "max_val": 3.0}, bad=(),
    ),
    activation(
        "relu6", tol=EXACT, dtypes=NUMBERS, bad=(Bad(case(mask([True])), "RuntimeError"),),
    ),
    activation("mish", tol=ACTIVATION),
    activation("hardshrink", tol=EXACT),
    activation("hardshrink", "hardshrink_bound", tol=EXACT, kwargs={"lambd": 1.25}),
    activation("softshrink", tol=SHRUNK),
    activation(
        "softshrink", "softshrink_bound", tol=SHRUNK, kwargs={"lambd": 1.25},
        bad=(Bad(case(A, -1.0), "RuntimeError"), *NO_INTEGERS),
    ),
    composed("softsign", tol=ulps(2, "a sum and a quotient", steps=3)),
    composed(
        "tanhshrink",
        tol=ulps(4, "a difference of a number and its tanh", lambda lib, x, **k: abs(x), steps=2),
    ),
    composed("softmin", tol=ulps(12, "as softmax", steps=2), kwargs={"dim": -1}, corners=False),
]  # fmt: skip


def _threshold(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    for shape, layout in LAYOUTS:
        x = arr(rng, shape, dtype, layout)
        yield case(x, 1, 3)
        if dtype in FLOATS:
            yield case(x, -0.5, 20.25)
    yield case(given(extremes(dtype), dtype), 1, 2, note="extremes")


def _threshold_grads(rng: np.random.Generator) -> Iterable[Case]:
    yield case(arr(rng, (3, 4), "float64"), 0.3, 7)


def _glu(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    for shape, layout, dim in (
        ((4, 6), "plain", -1), ((4, 6), "transposed", 0), ((2, 3, 4), "stepped", 2),
        ((2, 4, 3, 5), "channels_last", 1), ((8,), "plain", 0), ((0, 2), "plain", 1),
        ((3, 0), "plain", 1),
    ):  # fmt: skip
        yield case(arr(rng, shape, dtype, layout), dim)
    yield case(arr(rng, (5, 2), dtype))


def _glu_grads(rng: np.random.Generator) -> Iterable[Case]:
    yield case(arr(rng, (3, 4), "float64"))
    yield case(arr(rng, (4, 2), "float64", "transposed"), 0)


def _prelu(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    one = arr(rng, (1,), dtype)
    for shape, layout in LAYOUTS:
        x = arr(rng, shape, dtype, layout)
        yield case(x, one)
        if len(shape) > 1:
            yield case(x, arr(rng, (shape[1],), dtype))
    yield case(arr(rng, (3, 2), dtype), given(0.25, dtype))


def _prelu_grads(rng: np.random.Generator) -> Iterable[Case]:
    yield case(arr(rng, (3, 4), "float64"), arr(rng, (4,), "float64"))
    yield case(arr(rng, (2, 3, 2), "float64", "transposed"), arr(rng, (1,), "float64"))


def _rrelu(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    for shape, layout in LAYOUTS:
        x = arr(rng, shape, dtype, layout)
        yield case(x)
        yield case(x, 0.2, 0.3, True)
        yield case(x, training=True)


def _rrelu_grads(rng: np.random.Generator) -> Iterable[Case]:
    yield case(arr(rng, (3, 4), "float64"), training=True)
    yield case(arr(rng, (3, 4), "float64"))


def _gumbel(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    for shape, layout in (((3, 5), "plain"), ((3, 5), "transposed"), ((2, 3, 4), "plain")):
        x = arr(rng, shape, dtype, layout)
        yield case(x)
        yield case(x, 0.7, True)
        yield case(x, tau=2.0, dim=0)


def _gumbel_grads(rng: np.random.Generator) -> Iterable[Case]:
    yield case(arr(rng, (3, 4), "float64"), 0.7)


def _alpha_dropout(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    for shape, layout in (((40, 5), "plain"), ((5, 7), "transposed"), ((0, 3), "plain")):
        x = arr(rng, shape, dtype, layout)
        for p in (0.5, 0.1, 0.0, 1.0):
            yield case(x, p, True)
        yield case(x, 0.5)


def _alpha_grads(rng: np.random.Generator) -> Iterable[Case]:
    yield case(arr(rng, (3, 4), "float64"), 0.4, True)


def _feature_dropout(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    for shape, layout in (((6, 5, 2), "plain"), ((5, 7), "transposed"), ((3, 4, 2, 2), "plain")):
        yield case(arr(rng, shape, dtype, layout), 0.5, True)
    yield case(arr(rng, (6, 5), dtype), 0.5)


DROPS = (Bad(case(A, 1.5, True), "ValueError"), Bad(case(A, -0.1, True), "ValueError"))
MORE = [
    Spec(
        "threshold", _threshold, NUMBERS, torch_fn=F + "threshold", grad=True,
        grad_cases=_threshold_grads, large=lambda rng: case(arr(rng, LARGE, "float32"), 0.1, 20),
        bad=(Bad(case(mask([True]), 0, 1), "NotImplementedError", "RuntimeError"),
             Bad(case(A, "x", 1), "TypeError")),
    ),
    Spec(
        "glu", _glu, FLOATS, torch_fn=F + "glu", grad=True, grad_cases=_glu_grads, strides=False,
        tol=ulps(3, "sigmoid within 2 ULP, times a number"),
        large=lambda rng: case(arr(rng, (700, 1500), "float32")),
        bad=(Bad(case(given(np.ones(3), "float32")), "RuntimeError"),
             Bad(case(given(1.0, "float32")), "RuntimeError"), Bad(case(A, 2), "IndexError"),
             Bad(case(given([1, 2], "int64")), "NotImplementedError", "RuntimeError")),
    ),
    Spec(
        "prelu", _prelu, FLOATS, torch_fn=F + "prelu", method="prelu", grad=True,
        grad_cases=_prelu_grads, strides=False,
        large=lambda rng: case(arr(rng, LARGE, "float32"), arr(rng, LARGE[1:], "float32")),
        bad=(Bad(case(A, given([1.0, 2], "float32")), "RuntimeError"),
             Bad(case(A, A), "RuntimeError"), Bad(case(A, given([1.0], "float64")), "RuntimeError"),
             Bad(case(given(1.0, "float32"), given([1.0, 2], "float32")), "RuntimeError")),
    ),
    Spec(
        "rrelu", _rrelu, FLOATS, fn=F + "rrelu", seeded=True, grad=True, grad_cases=_rrelu_grads,
        tol=ulps(2, "a drawn slope rounds, and a product", steps=2), strides=False,
        bad=(Bad(case(A, 0.5, 0.2, True), "RuntimeError"),),
    ),
    Spec(
        "gumbel_softmax", _gumbel, FLOATS, fn=F + "gumbel_softmax", seeded=True, grad=True,
        grad_cases=_gumbel_grads, strides=False,
        tol=ulps(64, "logarithms, a sum and a softmax", lambda lib, x, *a, **k: 1.0, steps=12),
        bad=(Bad(case(A, dim=2), "IndexError"),),
    ),
    Spec(
        "alpha_dropout", _alpha_dropout, FLOATS, fn=F + "alpha_dropout", seeded=True, grad=True,
        grad_cases=_alpha_grads, strides=False,
        tol=ulps(4, "a product and a sum", lambda lib, x, *a, **k: 0 * x + 8, steps=3), bad=DROPS,
    ),
    Spec(
        "feature_alpha_dropout", _feature_dropout, FLOATS, fn=F + "feature_alpha_dropout",
        seeded=True, strides=False,
        tol=ulps(4, "a product and a sum", lambda lib, x, *a, **k: 0 * x + 8, steps=3), bad=DROPS,
    ),
]  # fmt: skip

# ---- distances


def _pairs(dtype: str, rng: np.random.Generator, *shapes: tuple) -> Iterable[tuple]:
    for a, b in shapes:
        yield arr(rng, a, dtype), arr(rng, b, dtype)
        yield arr(rng, a, dtype, "transposed"), arr(rng, b, dtype, "stepped")


def _normalize(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    for shape, layout in (((3, 4), "plain"), ((4, 3), "transposed"), ((2, 3, 4), "stepped")):
        x = arr(rng, shape, dtype, layout)
        yield case(x)
        yield case(x, 1.0, 0)
        yield case(x, p=3.0, dim=-1, eps=1e-3)
    yield case(given(np.zeros((2, 3)), dtype))
    yield case(arr(rng, (0, 3), dtype))


def _normalize_grads(rng: np.random.Generator) -> Iterable[Case]:
    yield case(arr(rng, (3, 4), "float64"))
    yield case(arr(rng, (3, 4), "float64", low=0.5), 3.0, 0)


def _cosine(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    for x, y in _pairs(dtype, rng, ((3, 4), (3, 4)), ((3, 4), (1, 4)), ((2, 3, 4), (2, 3, 4))):
        yield case(x, y)
        yield case(x, y, -1, 1e-3)
    yield case(arr(rng, (3,), dtype), arr(rng, (3,), dtype), dim=0)
    yield case(given(np.zeros((2, 3)), dtype), arr(rng, (2, 3), dtype))


def _cosine_grads(rng: np.random.Generator) -> Iterable[Case]:
    yield case(arr(rng, (3, 4), "float64"), arr(rng, (3, 4), "float64"))


def _pairwise(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    for x, y in _pairs(dtype, rng, ((3, 4), (3, 4)), ((3, 4), (4,)), ((2, 3, 4), (2, 3, 4))):
        yield case(x, y)
        yield case(x, y, 1.0)
        yield case(x, y, p=3.0, eps=1e-3, keepdim=True)
        yield case(x, y, float("inf"))
    yield case(arr(rng, (0, 3), dtype), arr(rng, (0, 3), dtype))


def _pairwise_grads(rng: np.random.Generator) -> Iterable[Case]:
    yield case(arr(rng, (3, 4), "float64"), arr(rng, (3, 4), "float64"))
    yield case(arr(rng, (3, 4), "float64"), arr(rng, (4,), "float64"), 3.0)


def _pdist(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    for shape, layout in (((5, 3), "plain"), ((4, 6), "transposed")):
        x = arr(rng, shape, dtype, layout)
        for p in (2.0, 1.0, 3.0, 0.0, float("inf")):
            yield case(x, p)
        yield case(x)


def _pdist_empty(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    yield case(arr(rng, (1, 3), dtype))
    yield case(arr(rng, (0, 3), dtype), 1.0)


def _pdist_grads(rng: np.random.Generator) -> Iterable[Case]:
    yield case(arr(rng, (4, 3), "float64"))
    yield case(arr(rng, (3, 2), "float64"), 3.0)


DISTANCE = ulps(16, "a norm of differences", lambda lib, *a, **k: 8.0, steps=6)
DISTANCES = [
    Spec(
        "normalize", _normalize, FLOATS, fn=F + "normalize", grad=True, grad_cases=_normalize_grads,
        tol=ulps(16, "a norm and a quotient", steps=4), strides=False,
        bad=(Bad(case(A, dim=2), "IndexError"),),
    ),
    Spec(
        "cosine_similarity", _cosine, FLOATS, fn=F + "cosine_similarity", grad=True,
        grad_cases=_cosine_grads, strides=False,
        tol=ulps(16, "products of quotients, summed", lambda lib, *a, **k: 1.0, steps=12),
        bad=(Bad(case(A, given(np.ones((2, 3)), "float32")), "RuntimeError"),),
    ),
    Spec(
        "pairwise_distance", _pairwise, FLOATS, fn=F + "pairwise_distance", grad=True,
        grad_cases=_pairwise_grads, strides=False, tol=DISTANCE,
        bad=(Bad(case(A, given(np.ones((2, 3)), "float32")), "RuntimeError"),),
    ),
    Spec(
        "pdist", _pdist, ("float32", "float64"), fn=F + "pdist", grad=True,
        grad_cases=_pdist_grads, strides=False, tol=DISTANCE,
        bad=(Bad(case(given([1.0], "float32")), "RuntimeError"), Bad(case(A, -1.0), "RuntimeError")),
    ),
]  # fmt: skip

# PyTorch's gradient of no distances reads outside of its memory.
DISTANCES.append(Spec("pdist_empty", _pdist_empty, ("float32", "float64"), fn=F + "pdist"))
PIECES = [
    row
    for row in ACTIVATIONS
    if row.name not in ("softsign", "tanhshrink", "softmin", "hardsigmoid_slope")
]
SPECS = [*ACTIVATIONS, *map(corners, PIECES), *MORE, *DISTANCES]
