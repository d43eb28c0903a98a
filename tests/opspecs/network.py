"""Rows of the operations of networks: normalisation, dropout, embedding, softmax, losses."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from .base import (
    FLOATS,
    LARGE,
    Arr,
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

F = "nn.functional."
A = given(np.ones((2, 3)), "float32")
I2 = given([[1, 2, 3]], "int64")

# ---- softmax


def _softmax(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    for shape, layout in (
        ((3, 5), "plain"), ((3, 5), "transposed"), ((4, 7), "stepped"), ((4, 7), "expanded"),
        ((2, 3, 4, 5), "channels_last"), ((2, 300), "plain"), ((300, 3), "plain"), ((1, 17), "plain"),
    ):  # fmt: skip
        x = arr(rng, shape, dtype, layout)
        for dim in range(len(shape)):
            yield case(x, dim)
        yield case(x, dim=-1)
    yield case(arr(rng, (), dtype), 0)
    yield case(arr(rng, (), dtype), -1)
    yield case(arr(rng, (0, 3), dtype), 1)
    yield case(arr(rng, (3, 0), dtype), 1)
    yield case(arr(rng, (3, 4), dtype), 1, dtype=DType("float64"))
    yield case(given([[88.0, 89, -100], [-1e4, -1e4, -1e4], [1e4, 0, 1e4]], dtype), 1, note="large")
    inf = float("inf")
    yield case(
        given([[-inf, 0, 1], [inf, 0, 1], [np.nan, 0, 1], [-inf, -inf, -inf]], dtype),
        1,
        note="extremes",
    )
    yield case(given(extremes(dtype), dtype), 0, note="extremes")


def _softmax_grads(rng: np.random.Generator) -> Iterable[Case]:
    yield case(arr(rng, (2, 3), "float64"), 1)
    yield case(arr(rng, (2, 3), "float64", "transposed"), 0)
    yield case(arr(rng, (2, 2, 2), "float64"), 1)
    yield case(arr(rng, (), "float64"), 0)


def _softmax_row(name: str, tol: Any) -> Spec:
    return Spec(
        name, _softmax, FLOATS, method=name, tol=tol, grad=True, grad_cases=_softmax_grads,
        large=lambda rng: case(arr(rng, LARGE, "float32"), 1),
        bad=(Bad(case(A, 2), "IndexError"), Bad(case(A, -3), "IndexError"),
             Bad(case(I2, 0), "RuntimeError", "NotImplementedError"), Bad(case(A, "x"), "TypeError")),
    )  # fmt: skip


SOFTMAX = [
    _softmax_row(
        "softmax",
        ulps(
            12,
            "exponentials within 2 ULP of an argument that a subtraction "
            "rounded (up to 8 in size), their sum, a division",
        ),
    ),
    _softmax_row(
        "log_softmax",
        ulps(
            6,
            "a difference of the row's size: relative to its largest",
            lambda lib, x, *a, **k: (
                abs(x).double().nan_to_num(0, 0, 0).max() + 4 if x.numel() else 1.0
            ),
        ),
    ),
]

# ---- normalisation


def _layer_norm(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    for shape, layout, dims in (
        ((4, 7), "plain", 1), ((4, 7), "transposed", 1), ((4, 7), "stepped", 1),
        ((2, 3, 5), "plain", 1), ((2, 3, 5), "plain", 2), ((2, 3, 5), "transposed", 3),
        ((3, 768), "plain", 1), ((0, 5), "plain", 1), ((6,), "plain", 1), ((3, 1), "plain", 1),
    ):  # fmt: skip
        x = arr(rng, shape, dtype, layout)
        tail = shape[-dims:]
        w, b = arr(rng, tail, dtype), arr(rng, tail, dtype, "transposed")
        yield case(x, tail)
        yield case(x, list(tail), w, b)
        yield case(x, tail, w, None, 1e-3)
        yield case(x, tail, bias=b)
    yield case(given(np.arange(64).reshape(2, 32) / 8 + 100, dtype), (32,), note="far from zero")


def _layer_norm_grads(rng: np.random.Generator) -> Iterable[Case]:
    w, b = arr(rng, (3,), "float64"), arr(rng, (3,), "float64")
    yield case(arr(rng, (2, 3), "float64"), (3,), w, b)
    yield case(arr(rng, (2, 3), "float64", "transposed"), (3,))
    yield case(arr(rng, (2, 2, 3), "float64"), (2, 3), arr(rng, (2, 3), "float64"))


def _norm_scale(lib: Any, x: Any, *args: Any, **kwargs: Any) -> float:
    """Rounding of x against its spread, times the weight, plus the bias."""
    if not x.numel():
        return 1.0
    return float(abs(x).max()) / max(float(x.std(-1, correction=0).min()), 1e-3) * 4 + 4


def _batch_norm(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    for shape, layout in (
        ((4, 3), "plain"), ((4, 3), "transposed"), ((4, 3, 5), "plain"), ((2, 3, 4, 5), "plain"),
        ((2, 3, 4, 5), "channels_last"), ((2, 3, 4, 5), "stepped"), ((8, 1, 6, 6), "plain"),
        ((16, 40), "plain"), ((2, 3, 2, 2, 2), "plain"), ((2, 16, 16, 17), "plain"),
    ):  # fmt: skip
        c = shape[1]
        x = arr(rng, shape, dtype, layout)
        w, b = arr(rng, (c,), dtype), arr(rng, (c,), dtype)
        mean, var = arr(rng, (c,), dtype, grad=False), arr(rng, (c,), dtype, low=0.5, grad=False)
        yield case(x, mean, var)
        yield case(x, mean, var, w, b)
        yield case(x, mean, var, w, b, True)
        yield case(x, mean, var, w, b, True, 0.3, 1e-3)
        yield case(x, None, None, w, None, True)
        yield case(x, mean, var, None, b, training=True, momentum=0.0)
    yield case(arr(rng, (1, 3), dtype), None, None, training=True, note="one value a channel")


def _batch_norm_grads(rng: np.random.Generator) -> Iterable[Case]:
    w, b = arr(rng, (2,), "float64"), arr(rng, (2,), "float64")
    mean = arr(rng, (2,), "float64", grad=False)
    var = arr(rng, (2,), "float64", low=0.5, grad=False)
    yield case(arr(rng, (3, 2), "float64"), mean, var, w, b, True)
    yield case(arr(rng, (2, 2, 2), "float64", "transposed"), mean, var, w, b)
    yield case(arr(rng, (2, 2, 2, 1), "float64"), None, None, training=True)


C3 = given([1.0, 2, 3], "float32")
NORMS = [
    Spec(
        "layer_norm", _layer_norm, FLOATS, torch_fn=F + "layer_norm", grad=True,
        grad_cases=_layer_norm_grads, strides=False,
        tol=ulps(64, "differences to a rounded mean, divided by a rounded deviation", _norm_scale),
        large=lambda rng: case(arr(rng, LARGE, "float32"), LARGE[1:], arr(rng, LARGE[1:], "float32"),
                               arr(rng, LARGE[1:], "float32")),
        bad=(Bad(case(A, (2,)), "RuntimeError"), Bad(case(A, ()), "RuntimeError"),
             Bad(case(A, (4, 2, 3)), "RuntimeError"), Bad(case(A, 3), "TypeError"),
             Bad(case(A, (3,), given([1.0, 2], "float32")), "RuntimeError"),
             Bad(case(A, (3,), None, given([1.0, 2], "float32")), "RuntimeError"),
             Bad(case(I2, (3,)), "RuntimeError", "NotImplementedError")),
    ),
    Spec(
        "batch_norm", _batch_norm, FLOATS, torch_fn=F + "batch_norm", grad=True,
        grad_cases=_batch_norm_grads, strides=False, changes=(1, 2),
        tol=ulps(64, "differences to a rounded mean, divided by a rounded deviation",
                 lambda lib, x, *a, **k: float(abs(x).max()) * 16 + 4 if x.numel() else 1.0),
        large=lambda rng: case(arr(rng, (64, 32, 24, 24), "float32"), None, None,
                               arr(rng, (32,), "float32"), arr(rng, (32,), "float32"), True),
        bad=(Bad(case(C3, C3, C3), "IndexError|RuntimeError|ValueError"),
             Bad(case(A, given([1.0, 2], "float32"), C3), "RuntimeError"),
             Bad(case(A, None, None), "RuntimeError"),
             Bad(case(A, C3, C3, given([1.0], "float32")), "RuntimeError"),
             Bad(case(A, C3, C3, None, given([1.0], "float32")), "RuntimeError"),
             Bad(case(given(np.ones((1, 3)), "float32"), C3, C3, training=True), "ValueError")),
    ),
]  # fmt: skip

# ---- dropout and embedding


def _dropout(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    for shape, layout in (
        ((40, 5), "plain"), ((40, 5), "transposed"), ((5, 7), "stepped"), ((301,), "shifted"),
        ((0, 3), "plain"), ((), "plain"),
    ):  # fmt: skip
        x = arr(rng, shape, dtype, layout)
        for p in (0.5, 0.1, 0.75, 0.0, 1.0):
            yield case(x, p)
        yield case(x, 0.5, False)
        yield case(x)


def _dropout_grads(rng: np.random.Generator) -> Iterable[Case]:
    yield case(arr(rng, (3, 4), "float64"), 0.4)
    yield case(arr(rng, (3, 4), "float64", "transposed"), 0.25)


def _embedding(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    table = arr(rng, (7, 5), dtype)
    for shape in ((4,), (2, 3), (), (0,), (2, 0), (300,)):
        yield case(index(rng.integers(0, 7, shape)), table)
    yield case(
        index(rng.integers(0, 7, (3, 4)), "transposed"), arr(rng, (7, 5), dtype, "transposed")
    )
    yield case(index(rng.integers(0, 7, (4,)), dtype="int32"), arr(rng, (7, 5), dtype, "stepped"))
    yield case(index([0, 1, 1, 6]), table, 1)
    yield case(index([0, 1, 1, 6]), table, padding_idx=-1)
    yield case(index([0, 1, 1, 6]), table, scale_grad_by_freq=True)


def _embedding_grads(rng: np.random.Generator) -> Iterable[Case]:
    table = arr(rng, (4, 2), "float64")
    # Not with padding_idx: its rows get no gradient, whatever the differences say.
    yield case(index([[0, 1], [1, 3]]), table)
    yield case(index([0, 1, 1]), table)


TABLE = given(np.ones((4, 2)), "float32")
OTHERS = [
    Spec(
        "dropout", _dropout, FLOATS, torch_fn=F + "dropout", seeded=True, grad=True,
        grad_cases=_dropout_grads, strides=False,
        large=lambda rng: case(arr(rng, LARGE, "float32"), 0.3),
        bad=(Bad(case(A, 1.5), "ValueError"), Bad(case(A, -0.1), "ValueError"),
             Bad(case(A, float("nan")), "ValueError", "RuntimeError"), Bad(case(A, "x"), "TypeError")),
    ),
    Spec(
        "embedding", _embedding, FLOATS, torch_fn=F + "embedding", grad=True,
        grad_cases=_embedding_grads,
        large=lambda rng: case(index(rng.integers(0, 500, (700, 60))), arr(rng, (500, 64), "float32")),
        bad=(Bad(case(index([4]), TABLE), "IndexError"), Bad(case(index([-1]), TABLE), "IndexError"),
             Bad(case(given([0.5], "float32"), TABLE), "RuntimeError"),
             Bad(case(index([0]), given([1.0], "float32")), "RuntimeError"),
             Bad(case(index([0]), TABLE, 4), "RuntimeError", "AssertionError"),
             Bad(case(index([0]), TABLE, -5), "RuntimeError", "AssertionError")),
    ),
]  # fmt: skip

# ---- losses

REDUCTIONS = ("mean", "sum", "none")


def _targets(rng: np.random.Generator, shape: tuple, classes: int, ignored: bool = False) -> Arr:
    drawn = rng.integers(0, classes, shape)
    if ignored and drawn.ndim:
        drawn[::3] = -100
    return index(drawn)


def _class_shapes() -> Iterable[tuple[tuple, tuple, int]]:
    """Input shape, target shape, classes."""
    yield (5, 7), (5,), 7
    yield (33, 10), (33,), 10
    yield (2, 4, 3), (2, 3), 4
    yield (2, 4, 3, 2), (2, 3, 2), 4
    yield (6,), (), 6
    yield (1, 1), (1,), 1


def _cross_entropy(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    for shape, to, classes in _class_shapes():
        x = arr(rng, shape, dtype, "transposed" if len(shape) == 3 else "plain")
        w = arr(rng, (classes,), dtype, low=0.5, grad=False)
        for reduction in REDUCTIONS:
            yield case(x, _targets(rng, to, classes), reduction=reduction)
            yield case(x, _targets(rng, to, classes, True), w, reduction=reduction)
            yield case(
                x, _targets(rng, to, classes, True), reduction=reduction, label_smoothing=0.1
            )
            yield case(
                x, _targets(rng, to, classes, True), w, reduction=reduction, label_smoothing=0.3
            )
            p = rng.random(shape)
            soft = given(p / p.sum(0 if len(shape) == 1 else 1, keepdims=True), dtype)
            yield case(x, soft, reduction=reduction)
            yield case(x, soft, w, reduction=reduction, label_smoothing=0.2)
        yield case(x, _targets(rng, to, classes), ignore_index=0)
    x = arr(rng, (5, 7), dtype)
    yield case(x, index([-100] * 5), note="all ignored")
    yield case(x, _targets(rng, (5,), 7), None, False)
    yield case(x, _targets(rng, (5,), 7), size_average=True, reduce=False)
    yield case(arr(rng, (0, 7), dtype), index(np.zeros(0)), note="empty")
    yield case(arr(rng, (0, 7), dtype), index(np.zeros(0)), reduction="sum", note="empty")
    yield case(given([[88.0, 89, -90], [-1e4, 1e4, 0]], dtype), index([2, 0]), note="large")
    yield case(arr(rng, (4, 5), dtype, "stepped"), index([0, 4, 2, 1], "stepped"))


def _cross_entropy_grads(rng: np.random.Generator) -> Iterable[Case]:
    x = arr(rng, (3, 4), "float64")
    w = arr(rng, (4,), "float64", low=0.5, grad=False)
    t = index([0, 3, -100])
    yield case(x, t, w)
    yield case(x, t, label_smoothing=0.2)
    yield case(x, t, w, reduction="none", label_smoothing=0.1)
    yield case(x, given(np.full((3, 4), 0.25), "float64"), w, reduction="sum")
    yield case(arr(rng, (2, 3, 2), "float64"), index([[0, 1], [2, 2]]), reduction="sum")


def _nll(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    for shape, to, classes in _class_shapes():
        x = arr(rng, shape, dtype, "transposed" if len(shape) == 3 else "plain", -5, -0.1)
        w = arr(rng, (classes,), dtype, low=0.5, grad=False)
        for reduction in REDUCTIONS:
            yield case(x, _targets(rng, to, classes), reduction=reduction)
            yield case(x, _targets(rng, to, classes, True), w, reduction=reduction)
    x = arr(rng, (5, 7), dtype)
    yield case(x, index([-100] * 5), note="all ignored")
    yield case(x, _targets(rng, (5,), 7), ignore_index=2)
    yield case(arr(rng, (0, 7), dtype), index(np.zeros(0)), note="empty")


def _nll_grads(rng: np.random.Generator) -> Iterable[Case]:
    x = arr(rng, (3, 4), "float64")
    w = arr(rng, (4,), "float64", low=0.5, grad=False)
    yield case(x, index([0, 3, -100]), w)
    yield case(x, index([0, 3, 1]), reduction="none")


PAIRS = (
    ((5, 7), "plain"),
    ((5, 7), "transposed"),
    ((4, 6), "stepped"),
    ((), "plain"),
    ((3000,), "plain"),
)


def _paired(low: float, high: float, t_low: float, t_high: float, extra: Callable) -> Callable:
    def make(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
        for shape, layout in PAIRS:
            x, t = (
                arr(rng, shape, dtype, layout, low, high),
                arr(rng, shape, dtype, "plain", t_low, t_high),
            )
            for reduction in REDUCTIONS:
                yield case(x, t, reduction=reduction)
        x, t = arr(rng, (0, 3), dtype), arr(rng, (0, 3), dtype)
        for reduction in REDUCTIONS:
            yield case(x, t, reduction=reduction, note="empty")
        yield from extra(dtype, rng)

    return make


def _mse_extra(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    yield case(arr(rng, (3, 4), dtype), arr(rng, (4,), dtype), note="broadcast")
    yield case(arr(rng, (3, 4), dtype), arr(rng, (3, 4), "float64"), note="mixed")
    yield case(
        arr(rng, (3, 4), dtype), arr(rng, (3, 4), dtype), weight=arr(rng, (3, 4), dtype, low=0.1)
    )


def _bce_extra(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    edge = given([0.0, 1.0, 0.0, 1.0], dtype)
    yield case(edge, given([0.0, 1.0, 1.0, 0.0], dtype), reduction="none", note="edges")
    x, t = arr(rng, (3, 4), dtype, low=0.1, high=0.9), arr(rng, (3, 4), dtype, low=0, high=1)
    yield case(x, t, arr(rng, (4,), dtype, low=0.1, grad=False))
    yield case(x, t, arr(rng, (3, 4), dtype, low=0.1, grad=False), reduction="none")


def _logits_extra(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    x, t = arr(rng, (3, 4), dtype), arr(rng, (3, 4), dtype, low=0, high=1)
    w, p = arr(rng, (4,), dtype, low=0.1, grad=False), arr(rng, (4,), dtype, low=0.1, grad=False)
    for reduction in REDUCTIONS:
        yield case(x, t, w, reduction=reduction)
        yield case(x, t, pos_weight=p, reduction=reduction)
        yield case(x, t, w, pos_weight=p, reduction=reduction)
    yield case(given([1e4, -1e4, 100, -100], dtype), given([0, 1, 1, 0], dtype), reduction="none",
               note="large")  # fmt: skip
    yield case(given([-1000, 1000, -100, 100], dtype), given([1, 0, 0, 1], dtype),
               pos_weight=given([2], dtype), reduction="none", note="large")  # fmt: skip


def _pair_grads(low: float, high: float, t_low: float, t_high: float, *more: dict) -> Callable:
    def make(rng: np.random.Generator) -> Iterable[Case]:
        for kwargs in ({}, {"reduction": "sum"}, {"reduction": "none"}, *more):
            yield case(arr(rng, (2, 3), "float64", "plain", low, high),
                       arr(rng, (2, 3), "float64", "plain", t_low, t_high), **kwargs)  # fmt: skip

    return make


def _size(lib: Any, x: Any, t: Any, *args: Any, **kwargs: Any) -> Any:
    """Of the terms before they cancel: twenty times the sizes of the inputs, summed if they are."""
    size = abs(x).nan_to_num(0, 0, 0).max() + 2 if x.numel() else 1.0
    return size * (x.numel() if kwargs.get("reduction") == "sum" else 1)


LOSS = ulps(24, "log_softmax of the row's size, smoothed and weighted, and a mean; halves round the "
                "steps of compositions", _size, steps=3)  # fmt: skip
LARGE_TARGETS = (4001, 101)


def _large_classes(rng: np.random.Generator) -> Case:
    return case(arr(rng, LARGE_TARGETS, "float32"), index(rng.integers(0, 101, 4001)))


LOGITS = given(np.ones((2, 3)), "float32")
CLASS_BAD = (
    Bad(case(LOGITS, index([0, 3])), "IndexError"),
    Bad(case(LOGITS, index([0, -1])), "IndexError"),
    Bad(case(LOGITS, index([0, 1, 2])), "ValueError"),
    Bad(case(LOGITS, index([[0], [1]])), "RuntimeError"),
    Bad(case(LOGITS, index([0, 1]), given([1.0, 2], "float32")), "RuntimeError"),
    Bad(case(LOGITS, index([0, 1]), reduction="most"), "ValueError"),
    Bad(case(LOGITS, given([0.0, 1.0], "float32")), "RuntimeError"),
    Bad(case(LOGITS, 1), "TypeError"),
)
LOSSES = [
    Spec("cross_entropy", _cross_entropy, FLOATS, torch_fn=F + "cross_entropy", tol=LOSS, grad=True,
         grad_cases=_cross_entropy_grads, large=_large_classes, strides=False,
         bad=(*CLASS_BAD, Bad(case(LOGITS, index([0, 1]), label_smoothing=1.5), "RuntimeError"),
              Bad(case(LOGITS, given(np.ones((2, 4)), "float32")), "RuntimeError"))),
    Spec("nll_loss", _nll, FLOATS, torch_fn=F + "nll_loss", tol=LOSS, grad=True,
         grad_cases=_nll_grads, large=_large_classes, strides=False, bad=CLASS_BAD),
    Spec("mse_loss", _paired(-4, 4, -4, 4, _mse_extra), FLOATS, torch_fn=F + "mse_loss", grad=True,
         tol=ulps(24, "squares of rounded differences, and a mean",
                  lambda lib, x, t, reduction="mean", **k: 2 * lib.nn.functional.mse_loss(
                      abs(x), -abs(t), reduction=reduction)),
         grad_cases=_pair_grads(-4, 4, -4, 4), strides=False,
         large=lambda rng: case(arr(rng, LARGE, "float32"), arr(rng, LARGE, "float32")),
         bad=(Bad(case(LOGITS, given([1.0, 2], "float32")), "RuntimeError"),
              Bad(case(LOGITS, LOGITS, reduction="most"), "ValueError"))),
    Spec("binary_cross_entropy", _paired(0.05, 0.95, 0, 1, _bce_extra), FLOATS, grad=True,
         torch_fn=F + "binary_cross_entropy", tol=LOSS, strides=False,
         grad_cases=_pair_grads(0.2, 0.8, 0.1, 0.9),
         large=lambda rng: case(arr(rng, LARGE, "float32", low=0.1, high=0.9),
                                arr(rng, LARGE, "float32", low=0, high=1)),
         bad=(Bad(case(given([1.5], "float32"), given([1.0], "float32")), "RuntimeError"),
              Bad(case(given([-0.5], "float32"), given([1.0], "float32")), "RuntimeError"),
              Bad(case(given([0.5, 0.5], "float32"), given([1.0], "float32")), "ValueError"),
              Bad(case(given([0.5], "float32"), given([1.0], "float32"), reduction="x"), "ValueError"))),
    Spec("binary_cross_entropy_with_logits", _paired(-4, 4, 0, 1, _logits_extra), FLOATS, grad=True,
         torch_fn=F + "binary_cross_entropy_with_logits", tol=LOSS, strides=False,
         grad_cases=_pair_grads(-3, 3, 0.1, 0.9),
         large=lambda rng: case(arr(rng, LARGE, "float32"), arr(rng, LARGE, "float32", low=0, high=1)),
         bad=(Bad(case(LOGITS, given([1.0], "float32")), "ValueError"),
              Bad(case(LOGITS, LOGITS, reduction="x"), "ValueError"),
              Bad(case(LOGITS, LOGITS, pos_weight=given([1.0, 2], "float32")), "RuntimeError"))),
]  # fmt: skip

SPECS = [*SOFTMAX, *NORMS, *OTHERS, *LOSSES]
