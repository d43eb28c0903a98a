"""Rows of the losses that are composed of other operations."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from .base import FLOATS, Arr, Bad, Case, Spec, Tol, arr, case, given, index, ulps
from .network import PAIRS, REDUCTIONS

F = "nn.functional."
WIDE = ("float32", "float64")
A = given(np.ones((2, 3)), "float32")
V3 = given([1.0, 2, 3], "float32")
I2 = index([0, 1])


def _terms(lib: Any, x: Any, *more: Any, **kwargs: Any) -> Any:
    """Of the terms before they cancel, summed if they are."""
    size = float(abs(x).max()) * 8 + 8 if x.numel() else 8.0
    return size * (x.numel() if kwargs.get("reduction") == "sum" else 1)


LOSS = ulps(32, "a handful of rounded terms, and a mean", _terms, steps=6)


def _signs(rng: np.random.Generator, shape: tuple, dtype: str) -> Arr:
    return given(rng.choice([-1.0, 1.0], shape), dtype, grad=False)


def pairs(
    low: float, high: float, target: Callable | None, *options: dict, reductions: tuple = REDUCTIONS
) -> tuple[Callable, Callable]:
    """Samples and gradient samples of losses of (input, target), each with these options."""

    def make_target(rng: np.random.Generator, shape: tuple, dtype: str) -> Arr:
        return target(rng, shape, dtype) if target else arr(rng, shape, dtype)

    def make(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
        for shape, layout in PAIRS:
            x, t = arr(rng, shape, dtype, layout, low, high), make_target(rng, shape, dtype)
            for reduction in reductions:
                yield case(x, t, reduction=reduction)
            for option in options:
                yield case(x, t, **option)
        if not reductions:
            return
        yield case(arr(rng, (0, 3), dtype), make_target(rng, (0, 3), dtype), reduction="sum")
        x = arr(rng, (2, 3), dtype, low=low, high=high)
        yield case(x, make_target(rng, (2, 3), dtype), size_average=False)
        yield case(x, make_target(rng, (2, 3), dtype), reduce=False)

    def grads(rng: np.random.Generator) -> Iterable[Case]:
        plain = ({}, {"reduction": "none"}) if reductions else ()
        for option in (*plain, *options):
            x = arr(rng, (2, 3), "float64", "plain", low, high)
            yield case(x, make_target(rng, (2, 3), "float64"), **option)

    return make, grads


def loss(
    name: str,
    samples: tuple[Callable, Callable],
    dtypes: tuple = FLOATS,
    tol: Tol = LOSS,
    **more: Any,
) -> Spec:
    make, grads = samples
    return Spec(
        more.pop("label", name), make, dtypes, fn=more.pop("fn", F + name), tol=tol, grad=True,
        grad_cases=grads, strides=False, **more,
    )  # fmt: skip


REDUCTION = (Bad(case(A, A, reduction="most"), "ValueError"),)
ELEMENTWISE = [
    loss("l1_loss", pairs(-4, 4, None), bad=REDUCTION),
    loss(
        "smooth_l1_loss", pairs(-4, 4, None, {"beta": 0.3}, {"beta": 0.0}),
        bad=(*REDUCTION, Bad(case(A, A, beta=-1.0), "RuntimeError")),
    ),
    loss(
        "kl_div",
        pairs(-4, 0, lambda rng, s, d: arr(rng, s, d, low=0.05, high=1), {"reduction": "batchmean"}),
        bad=REDUCTION,
    ),
    loss(
        "kl_div", pairs(-4, 0, lambda rng, s, d: arr(rng, s, d, low=-4, high=0), {"log_target": True}, reductions=()),
        label="kl_div_log",
    ),
    loss(
        "poisson_nll_loss",
        pairs(-2, 2, lambda rng, s, d: given(rng.integers(0, 5, s), d, grad=False), {"full": True}),
        bad=REDUCTION,
    ),
    loss(
        "poisson_nll_loss",
        pairs(0.2, 4, lambda rng, s, d: given(rng.integers(0, 5, s), d, grad=False),
              {"log_input": False}, {"log_input": False, "full": True, "eps": 0.1}, reductions=()),
        label="poisson_nll_loss_rates",
    ),
    loss("hinge_embedding_loss", pairs(-4, 4, _signs, {"margin": 0.3}), bad=REDUCTION),
    loss("soft_margin_loss", pairs(-4, 4, _signs), bad=REDUCTION),
]  # fmt: skip


def _huber(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    for shape, layout in PAIRS:
        x, t = arr(rng, shape, dtype, layout), arr(rng, shape, dtype)
        for reduction in REDUCTIONS:
            yield case(x, t, reduction, 0.7)
        yield case(x, t)


def _huber_grads(rng: np.random.Generator) -> Iterable[Case]:
    yield case(arr(rng, (2, 3), "float64"), arr(rng, (2, 3), "float64"), delta=1.5)


def _gaussian(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    for shape, layout in (((3, 4), "plain"), ((3, 4), "transposed"), ((2, 3, 4), "stepped")):
        x, t = arr(rng, shape, dtype, layout), arr(rng, shape, dtype)
        for size in (shape, shape[:-1], (*shape[:-1], 1)):
            var = arr(rng, size, dtype, low=0.2, high=3)
            for reduction in REDUCTIONS:
                yield case(x, t, var, reduction=reduction)
            yield case(x, t, var, True, 0.5)
        yield case(x, t, 0.7)


def _gaussian_grads(rng: np.random.Generator) -> Iterable[Case]:
    x, t = arr(rng, (2, 3), "float64"), arr(rng, (2, 3), "float64")
    yield case(x, t, arr(rng, (2, 3), "float64", low=0.3))
    yield case(x, t, arr(rng, (2,), "float64", low=0.3), True, reduction="none")


def _cosine(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    for layout in ("plain", "transposed", "stepped"):
        x, y = arr(rng, (5, 3), dtype, layout), arr(rng, (5, 3), dtype)
        for reduction in REDUCTIONS:
            yield case(x, y, _signs(rng, (5,), dtype), reduction=reduction)
        yield case(x, y, _signs(rng, (5,), dtype), 0.4)
    yield case(arr(rng, (3,), dtype), arr(rng, (3,), dtype), _signs(rng, (), dtype))


def _cosine_grads(rng: np.random.Generator) -> Iterable[Case]:
    x, y = arr(rng, (4, 3), "float64"), arr(rng, (4, 3), "float64")
    yield case(x, y, given([1.0, -1, 1, -1], "float64", grad=False), -0.9)


def _ranking(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    for shape in ((5,), (3, 4), ()):
        x, y = arr(rng, shape, dtype), arr(rng, shape, dtype)
        for reduction in REDUCTIONS:
            yield case(x, y, _signs(rng, shape, dtype), 0.3, reduction=reduction)
        yield case(x, y, _signs(rng, shape, dtype))


def _ranking_grads(rng: np.random.Generator) -> Iterable[Case]:
    x, y = arr(rng, (4,), "float64"), arr(rng, (4,), "float64")
    yield case(x, y, given([1.0, -1, 1, -1], "float64", grad=False), 0.5)


def _multi_margin(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    for shape, layout in (((5, 4), "plain"), ((5, 4), "transposed"), ((1, 3), "plain")):
        x, t = arr(rng, shape, dtype, layout), index(rng.integers(0, shape[1], shape[:1]))
        w = arr(rng, shape[1:], dtype, low=0.2, grad=False)
        for reduction in REDUCTIONS:
            yield case(x, t, reduction=reduction)
            yield case(x, t, 2, 0.5, w, reduction=reduction)
    yield case(arr(rng, (4,), dtype), index(2))
    yield case(arr(rng, (4,), dtype), index([2]), reduction="none")
    yield case(arr(rng, (4,), dtype), index(2), reduction="none")


def _multi_margin_grads(rng: np.random.Generator) -> Iterable[Case]:
    x = arr(rng, (3, 4), "float64")
    yield case(x, index([0, 3, 1]), 1, 0.7)
    yield case(x, index([0, 3, 1]), 2, 0.7, arr(rng, (4,), "float64", low=0.2, grad=False))


LABELS = [[0, 2, -1, 1], [3, -1, 0, 0], [-1, 1, 2, 3], [1, 1, 3, -1], [3, 2, 1, 0]]


def _multilabel(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    for layout in ("plain", "transposed", "stepped"):
        for reduction in REDUCTIONS:
            yield case(arr(rng, (5, 4), dtype, layout), index(LABELS), reduction=reduction)
    for reduction in REDUCTIONS:
        yield case(arr(rng, (4,), dtype), index(LABELS[0]), reduction=reduction)


def _multilabel_grads(rng: np.random.Generator) -> Iterable[Case]:
    yield case(arr(rng, (5, 4), "float64"), index(LABELS))
    yield case(arr(rng, (4,), "float64"), index(LABELS[0]))


def _multilabel_soft(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    for shape in ((5, 4), (2, 3, 4), (4,)):
        x, t = arr(rng, shape, dtype), given(rng.integers(0, 2, shape), dtype, grad=False)
        for reduction in REDUCTIONS:
            yield case(x, t, reduction=reduction)
        yield case(x, t, arr(rng, shape[-1:], dtype, low=0.2, grad=False))


def _multilabel_soft_grads(rng: np.random.Generator) -> Iterable[Case]:
    yield case(arr(rng, (2, 3), "float64"), given([[0, 1, 1], [1, 0, 0]], "float64", grad=False))


def _triplet(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    for shape, layout in (((5, 4), "plain"), ((5, 4), "transposed"), ((4,), "plain")):
        a, p, n = (arr(rng, shape, dtype, layout) for _ in range(3))
        for reduction in REDUCTIONS:
            yield case(a, p, n, reduction=reduction)
        yield case(a, p, n, margin=3.0, swap=True)
        yield case(a, p, n, 2.0, 1.0, 1e-3)


def _triplet_distance(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    for c in _triplet(dtype, rng):
        if len(c.args) == 3:
            yield c


def _triplet_grads(rng: np.random.Generator) -> Iterable[Case]:
    a, p, n = (arr(rng, (3, 4), "float64") for _ in range(3))
    yield case(a, p, n, margin=4.0)
    yield case(a, p, n, margin=4.0, swap=True)


MANY = (*REDUCTION, Bad(case(A, V3), "RuntimeError"))
TRIPLET_BAD = (
    Bad(case(A, A, A, margin=0.0), "ValueError"),
    Bad(case(A, A, V3), "RuntimeError"),
    Bad(case(A, A, A, reduction="most"), "ValueError"),
)
OTHERS = [
    loss("huber_loss", (_huber, _huber_grads),
         bad=(*REDUCTION, Bad(case(A, A, delta=0.0), "RuntimeError"))),
    loss("gaussian_nll_loss", (_gaussian, _gaussian_grads),
         tol=ulps(64, "squares over variances",
                  lambda lib, x, *a, **k: 25 * _terms(lib, x, **k), steps=6),
         bad=(Bad(case(A, A, V3), "ValueError"), Bad(case(A, A, -1.0), "ValueError"),
              Bad(case(A, A, given([[1.0], [-1.0]], "float32")), "ValueError"),
              Bad(case(A, A, A, reduction="most"), "ValueError"))),
    loss("cosine_embedding_loss", (_cosine, _cosine_grads),
         tol=ulps(32, "sums of products", lambda lib, *a, **k: 8.0, steps=16),
         bad=(Bad(case(A, A, A), "RuntimeError"), Bad(case(A, A, given(1.0, "float32")), "RuntimeError"),
              Bad(case(V3, A, given(1.0, "float32")), "RuntimeError"),
              Bad(case(A, A, given([1.0, 1.0], "float32"), reduction="most"), "ValueError"))),
    loss("margin_ranking_loss", (_ranking, _ranking_grads),
         bad=(Bad(case(A, V3, A), "RuntimeError"), Bad(case(A, A, A, reduction="most"), "ValueError"))),
    loss("multi_margin_loss", (_multi_margin, _multi_margin_grads), WIDE,
         bad=(Bad(case(A, I2, 3), "ValueError"), Bad(case(A, index([0, 3])), "RuntimeError"),
              Bad(case(A, index([0, -1])), "RuntimeError"), Bad(case(A, index([0])), "RuntimeError"),
              Bad(case(A, I2, weight=given([1.0], "float32")), "RuntimeError"),
              Bad(case(A, given([0.0, 1.0], "float32")), "RuntimeError"),
              Bad(case(A, I2, reduction="most"), "ValueError"))),
    loss("multilabel_margin_loss", (_multilabel, _multilabel_grads), WIDE,
         bad=(Bad(case(A, index([[0, 3, -1], [0, 1, 2]])), "RuntimeError"),
              Bad(case(A, I2), "RuntimeError"), Bad(case(A, A), "RuntimeError"),
              Bad(case(A, index(np.zeros((2, 3))), reduction="most"), "ValueError"))),
    loss("multilabel_soft_margin_loss", (_multilabel_soft, _multilabel_soft_grads), bad=REDUCTION),
    loss("triplet_margin_loss", (_triplet, _triplet_grads), bad=TRIPLET_BAD),
    loss("triplet_margin_with_distance_loss", (_triplet_distance, _triplet_grads), bad=TRIPLET_BAD),
]  # fmt: skip

# ---- CTC: through log_softmax, where PyTorch's gradient is the function's


def _ctc_of(lib: Any) -> Callable:
    functional = lib.nn.functional

    def ctc(x: Any, *args: Any, **kwargs: Any) -> Any:
        if x.is_floating_point() and x.dim() > 1:
            x = functional.log_softmax(x, -1)
        return functional.ctc_loss(x, *args, **kwargs)

    return ctc


def _ctc(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    x = arr(rng, (9, 3, 5), dtype)
    matrix = index([[1, 2, 2, 4], [3, 3, 1, 1], [4, 1, 2, 3]])
    for reduction in REDUCTIONS:
        yield case(x, matrix, (9, 8, 9), (3, 4, 1), reduction=reduction)
        yield case(
            x, index([1, 2, 2, 3, 3, 4]), index([9, 5, 7]), index([3, 2, 1]), reduction=reduction
        )
    yield case(x, matrix, (9, 9, 9), (0, 2, 4))
    yield case(arr(rng, (9, 3, 5), dtype, "transposed"), index([[0, 1], [1, 1], [3, 2]]), (9, 9, 4),
               (2, 2, 1), blank=4)  # fmt: skip
    yield case(x, matrix, (2, 9, 9), (4, 2, 2), zero_infinity=True)
    yield case(x, matrix, (3, 9, 9), (4, 2, 2), reduction="none", note="edges")
    yield case(arr(rng, (6, 5), dtype), index([1, 1, 2]), index(6), index(3))
    yield case(arr(rng, (6, 5), dtype), index([1, 2, 2]), index(6), index(3), reduction="none")


def _ctc_grads(rng: np.random.Generator) -> Iterable[Case]:
    x = arr(rng, (5, 2, 4), "float64")
    yield case(x, index([[1, 2], [3, 3]]), (5, 4), (2, 2))
    yield case(x, index([1, 2, 3]), (5, 4), (2, 1), reduction="none")


X = given(np.zeros((4, 2, 3)), "float32")
CTC = [
    loss("ctc_loss", (_ctc, _ctc_grads), WIDE, fn=_ctc_of,
         tol=ulps(128, "sums of exponentials, a step after the other", lambda lib, x, *a, **k: 64.0),
         bad=(Bad(case(X, index([[1, 2], [1, 2]]), (4, 4), (2,)), "RuntimeError"),
              Bad(case(X, index([[1, 2], [1, 2]]), (4, 4), (2, 3)), "RuntimeError"),
              Bad(case(X, index([[1, 2], [1, 2]]), (4, 5), (2, 2)), "RuntimeError"),
              Bad(case(X, index([[1, 2], [1, 2]]), (4, 4), (2, 2), 3), "RuntimeError"),
              Bad(case(X, index([1, 2, 2]), (4, 4), (2, 2)), "RuntimeError"),
              Bad(case(X, index([[1, 2], [1, 2]]), (4, 4), (2, 2), reduction="most"), "ValueError"))),
]  # fmt: skip

SPECS = [*ELEMENTWISE, *OTHERS, *CTC]
