"""Rows of convolutions, pools and rearrangements over 1 to 3 spatial dims."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from .base import FLOATS, INTS, Bad, Case, Spec, arr, case, given, ulps
from .products import conv, product_tol

F = "nn.functional."
SIZES = (9, 8, 7)
SMALL = (4, 3, 3)


def ones(*shape: int, dtype: str = "float32") -> Any:
    return given(np.ones(shape), dtype)


# ---- convolution


def _conv(rank: int) -> Callable:
    def make(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
        s = SIZES[:rank]
        k, uneven, mixed = (3,) * rank, (2, 3, 1)[:rank], (2, 1, 3)[:rank]

        def c(x: tuple, w: tuple, **kwargs: Any) -> Case:
            return conv(rng, dtype, x, w, **kwargs)

        yield c((2, 3, *s), (4, 3, *k))
        yield c((2, 3, *s), (4, 3, *k), bias=False, stride=2)
        yield c((2, 3, *s), (4, 3, *uneven), stride=mixed, padding=(1, 2, 0)[:rank])
        yield c((2, 3, *s), (4, 3, *uneven), padding=1, dilation=mixed)
        yield c((1, 4, *s), (6, 2, *k), groups=2, padding=1)
        yield c((2, 4, *s), (8, 1, *k), groups=4, stride=2, padding=1)
        yield c((2, 3, *s), (4, 3, *[1] * rank))
        yield c((3, *s), (4, 3, *k))  # no batch
        yield c((0, 3, *s), (4, 3, *k))
        yield c((2, 3, *s), (4, 3, *uneven), padding="same", dilation=2)
        yield c((2, 3, *s), (4, 3, *k), padding="valid")
        for layout in ("transposed", "stepped", "expanded"):
            yield c((2, 3, *s), (4, 3, *k), layout=layout)
        yield c((2, 20, *s), (17, 20, *k), padding=1)
        yield c((2, 3, *[2] * rank), (4, 3, *k), bias=False)  # too small

    return make


def _conv_grads(rank: int) -> Callable:
    def make(rng: np.random.Generator) -> Iterable[Case]:
        s, k = (4, 3, 2)[:rank], (2, 2, 1)[:rank]
        yield conv(rng, "float64", (1, 2, *s), (2, 2, *k))
        yield conv(rng, "float64", (1, 2, *s), (2, 1, *k), groups=2, stride=2, padding=1)

    return make


def _conv_bad(rank: int) -> tuple[Bad, ...]:
    x, w = ones(1, 2, *[4] * rank), ones(3, 2, *[2] * rank)
    return (
        Bad(case(x, ones(3, 3, *[2] * rank)), "RuntimeError"),
        Bad(case(x, ones(3, 2, *[2] * (rank + 1))), "RuntimeError"),
        Bad(case(ones(4), w), "RuntimeError"),
        Bad(case(x, w, ones(2)), "RuntimeError"),
        Bad(case(x, w, stride=0), "RuntimeError"),
        Bad(case(x, w, padding=-1), "RuntimeError"),
        Bad(case(x, w, dilation=0), "RuntimeError"),
        Bad(case(x, w, groups=2), "RuntimeError"),
        Bad(case(x, w, padding="up"), "RuntimeError"),
        Bad(case(x, w, stride=2, padding="same"), "RuntimeError"),
        Bad(case(x, ones(3, 2, *[5] * rank)), "RuntimeError"),
        Bad(case(x, ones(3, 2, *[2] * rank, dtype="float64")), "RuntimeError"),
        Bad(case(x, w, "x"), "TypeError"),
    )


def _transposed(rank: int) -> Callable:
    def make(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
        s = SMALL[:rank]
        k, uneven = (3,) * rank, (2, 3, 1)[:rank]

        def c(x: tuple, w: tuple, bias: int = 0, layout: str = "plain", **kwargs: Any) -> Case:
            args = [arr(rng, x, dtype, layout), arr(rng, w, dtype)]
            if bias:
                args.append(arr(rng, (bias,), dtype))
            return case(*args, **kwargs)

        yield c((2, 3, *s), (3, 4, *k), 4)
        yield c((2, 3, *s), (3, 4, *k), stride=2)
        yield c((2, 3, *s), (3, 4, *uneven), 4, stride=(3, 1, 2)[:rank], padding=(1, 1, 0)[:rank])
        yield c((2, 3, *s), (3, 4, *k), 4, stride=2, padding=1, output_padding=1)
        yield c((2, 4, *s), (4, 3, *k), 6, stride=2, groups=2, dilation=2)
        yield c((2, 4, *s), (4, 1, *k), 4, groups=4)
        yield c((2, 3, *s), (3, 4, *[1] * rank), 4)
        yield c((2, 3, *s), (3, 4, *[2] * rank), 4, stride=2)
        yield c((2, 3, *s), (3, 4, *[1] * rank), 4, stride=3)  # pixels that no tap reaches
        yield c((3, *s), (3, 4, *k), 4)
        yield c((0, 3, *s), (3, 4, *k), 4)
        for layout in ("transposed", "stepped", "expanded"):
            yield c((2, 3, *s), (3, 4, *k), 4, layout=layout)
        yield c((2, 20, *s), (20, 17, *k), 17, padding=1)
        yield c((2, 3, *[1] * rank), (3, 4, *k), padding=2)  # nothing left

    return make


def _transposed_grads(rank: int) -> Callable:
    def make(rng: np.random.Generator) -> Iterable[Case]:
        s, k = (3, 2, 2)[:rank], (2, 2, 1)[:rank]
        x, w = arr(rng, (1, 2, *s), "float64"), arr(rng, (2, 2, *k), "float64")
        yield case(x, w, arr(rng, (2,), "float64"), stride=2, padding=1, output_padding=1)
        yield case(x, arr(rng, (2, 1, *k), "float64"), groups=2)

    return make


def _transposed_bad(rank: int) -> tuple[Bad, ...]:
    x, w = ones(1, 2, *[4] * rank), ones(2, 3, *[2] * rank)
    return (
        Bad(case(x, ones(3, 2, *[2] * rank)), "RuntimeError"),
        Bad(case(ones(4), w), "RuntimeError"),
        Bad(case(x, w, ones(2)), "RuntimeError"),
        Bad(case(x, w, stride=0), "RuntimeError"),
        Bad(case(x, w, padding=-1), "RuntimeError"),
        Bad(case(x, w, output_padding=1), "RuntimeError"),
        Bad(case(x, w, output_padding=-1), "RuntimeError"),
        Bad(case(x, w, groups=3), "RuntimeError"),
        Bad(case(x, ones(2, 3, *[2] * rank, dtype="float64")), "RuntimeError"),
    )


CONVOLUTIONS = []
for _rank in (1, 2, 3):
    _image = {1: (8, 16, 500), 2: (8, 16, 28, 28), 3: (2, 8, 10, 12, 14)}[_rank]
    if _rank != 2:
        CONVOLUTIONS.append(
            Spec(
                f"conv{_rank}d", _conv(_rank), FLOATS, torch_fn=f"{F}conv{_rank}d", grad=True,
                tol=product_tol(f"{F}conv{_rank}d"), grad_cases=_conv_grads(_rank), strides=False,
                bad=_conv_bad(_rank),
                large=lambda rng, s=_image, r=_rank: conv(
                    rng, "float32", s, (32, s[1], *[3] * r), padding=1),
            )
        )  # fmt: skip
    CONVOLUTIONS.append(
        Spec(
            f"conv_transpose{_rank}d", _transposed(_rank), FLOATS, grad=True, strides=False,
            torch_fn=f"{F}conv_transpose{_rank}d", grad_cases=_transposed_grads(_rank),
            tol=product_tol(f"{F}conv_transpose{_rank}d"), bad=_transposed_bad(_rank),
            large=lambda rng, s=_image, r=_rank: case(
                arr(rng, s, "float32"), arr(rng, (s[1], 12, *[4] * r), "float32"), stride=2,
                padding=1),
        )
    )  # fmt: skip


def _whole_conv(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    yield conv(rng, dtype, (2, 4, 6, 5), (6, 2, 3, 2), groups=2, stride=2, padding=1)
    yield conv(rng, dtype, (4, 6, 5), (3, 4, 3, 3), dilation=2, padding="same")
    yield conv(rng, dtype, (0, 4, 6, 5), (3, 4, 3, 3))


def _whole_conv3(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    yield conv(rng, dtype, (2, 4, 6, 5, 4), (6, 2, 3, 2, 2), groups=2, stride=2, padding=1)


def _whole_transposed(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    x, w = arr(rng, (2, 4, 5, 4), dtype), arr(rng, (4, 3, 3, 2), dtype)
    yield case(x, w, arr(rng, (6,), dtype), 2, 1, 1, 2)
    yield case(x, arr(rng, (4, 3, 3, 2), dtype))


WHOLE = [
    Spec("conv2d of integers", _whole_conv, INTS, F + "conv2d", F + "conv2d", strides=False),
    Spec("conv3d of integers", _whole_conv3, INTS, F + "conv3d", F + "conv3d", strides=False),
    Spec("conv_transpose2d of integers", _whole_transposed, ("int64",), F + "conv_transpose2d",
         F + "conv_transpose2d", strides=False),
    Spec("avg_pool2d of integers",
         lambda dtype, rng: [case(arr(rng, (2, 3, 7, 6), dtype), 3, 2, 1, *more)
                             for more in ((), (True,), (True, False), (False, True, 4))],
         ("int64",), F + "avg_pool2d", F + "avg_pool2d", strides=False),
]  # fmt: skip

# ---- pooling


def _pool(rank: int) -> Callable:
    def make(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
        s = SIZES[:rank]

        def c(shape: tuple, *args: Any, layout: str = "plain", **kwargs: Any) -> Case:
            return case(arr(rng, shape, dtype, layout), *args, **kwargs)

        for layout in ("plain", "transposed", "stepped", "expanded"):
            yield c((2, 3, *s), 2, layout=layout)
        yield c((3, *s), 2)
        yield c((2, 3, *s), 3, 1)
        yield c((2, 3, *s), (3, 2, 3)[:rank], (2, 1, 3)[:rank], (1, 1, 0)[:rank])
        yield c((2, 3, *s), 3, 2, padding=1)
        yield c((2, 3, *s), 2, ceil_mode=True)
        yield c((2, 3, *s), 3, 2, 1, ceil_mode=True)
        yield c((0, 3, *s), 2)
        yield c((2, 3, *[20] * rank), 2)

    return make


def _max_pool(rank: int) -> Callable:
    def make(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
        yield from _pool(rank)(dtype, rng)
        s = SIZES[:rank]
        yield case(arr(rng, (2, 3, *s), dtype), 2, dilation=2)
        yield case(arr(rng, (2, 3, *s), dtype), 3, 2, 1, 2, True)
        yield case(arr(rng, (2, 3, *s), dtype), 3, 2, 1, return_indices=True)
        yield case(arr(rng, (2, 3, *s), dtype), 2, return_indices=True, ceil_mode=True)
        yield case(given(np.ones((1, 1, *s)), dtype), 2, return_indices=True, note="ties")
        nan = np.zeros((1, 1, *s))
        nan.flat[5], nan.flat[-3] = np.nan, -np.inf
        yield case(given(nan, dtype), 2, return_indices=True, note="NaN")

    return make


def _avg_pool(rank: int) -> Callable:
    def make(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
        yield from _pool(rank)(dtype, rng)
        x = arr(rng, (2, 3, *SIZES[:rank]), dtype)
        yield case(x, 3, 2, 1, count_include_pad=False)
        yield case(x, 3, 2, 1, True, False)
        if rank > 1:
            yield case(x, 3, 2, 1, True, divisor_override=5)

    return make


def distinct(*shape: int) -> Any:
    """Values further apart than a finite difference."""
    n = int(np.prod(shape))
    return given(np.random.default_rng(5).permutation(n).reshape(shape) / 8, "float64")


def _pool_grads(*sizes: int) -> Callable:
    def make(rng: np.random.Generator) -> Iterable[Case]:
        yield case(distinct(1, 2, *sizes), 2)
        yield case(distinct(1, 1, *sizes), 3, 2, 1)

    return make


def _pool_bad(rank: int) -> tuple[Bad, ...]:
    x = ones(1, 2, *[4] * rank)
    return (
        Bad(case(x, 0), "RuntimeError"),
        Bad(case(x, 2, 0), "RuntimeError"),
        Bad(case(x, 2, padding=2), "RuntimeError"),
        Bad(case(x, 2, padding=-1), "RuntimeError"),
        Bad(case(x, 5), "RuntimeError"),
        Bad(case(x, (2,) * (rank + 1)), "RuntimeError"),
        Bad(case(ones(4), 2), "RuntimeError", "RuntimeError|IndexError"),
        Bad(case(ones(1, 0, *[4] * rank), 2), "RuntimeError"),
    )


def _mean_scale(fn: str) -> Callable:
    def scale(lib: Any, x: Any, *args: Any, **kwargs: Any) -> Any:
        return getattr(lib.nn.functional, fn)(abs(x), *args, **kwargs)

    return scale


def _large(rank: int) -> tuple:
    return {1: (32, 16, 2000), 2: (32, 8, 56, 56), 3: (4, 8, 12, 40, 40)}[rank]


POOLS = []
for _rank in (1, 3):
    _grads = _pool_grads(*(5, 4, 4)[:_rank])
    POOLS += [
        Spec(f"max_pool{_rank}d", _max_pool(_rank), FLOATS, torch_fn=f"{F}max_pool{_rank}d",
             grad=True, strides=False, grad_cases=_grads, bad=_pool_bad(_rank),
             large=lambda rng, r=_rank: case(arr(rng, _large(r), "float32"), 3, 2, 1)),
        Spec(f"avg_pool{_rank}d", _avg_pool(_rank), FLOATS if _rank == 1 else FLOATS[:2], torch_fn=f"{F}avg_pool{_rank}d",
             grad=True, strides=False, grad_cases=_grads, bad=_pool_bad(_rank),
             tol=ulps(12, "sums of few terms and divisions, of planes and of depths",
                      _mean_scale(f"avg_pool{_rank}d"), steps=2),
             large=lambda rng, r=_rank: case(arr(rng, _large(r), "float32"), 3, 2, 1)),
    ]  # fmt: skip


def _adaptive(rank: int, indices: bool) -> Callable:
    def make(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
        s = SIZES[:rank]
        uneven: Any = (4, 3, 5)[:rank]
        for layout in ("plain", "transposed", "stepped", "expanded"):
            yield case(arr(rng, (2, 3, *s), dtype, layout), uneven)
        for out in (1, 3, s, 20, (3, 4, 7)[:rank], (0, 2, 2)[:rank]):
            yield case(arr(rng, (2, 3, *s), dtype), out)
        yield case(arr(rng, (3, *s), dtype), uneven)
        yield case(arr(rng, (0, 3, *s), dtype), uneven)
        if rank > 1:
            yield case(arr(rng, (2, 3, *s), dtype), (None, *uneven[1:]))
        if indices:
            for out in (uneven, 3, 1):
                yield case(arr(rng, (2, 3, *s), dtype), out, return_indices=True)
            nan = np.zeros((1, 1, *s))
            nan.flat[5] = np.nan
            yield case(given(nan, dtype), uneven, return_indices=True, note="NaN")

    return make


def _adaptive_grads(rank: int) -> Callable:
    def make(rng: np.random.Generator) -> Iterable[Case]:
        yield case(distinct(1, 2, *(5, 4, 3)[:rank]), (3, 2, 2)[:rank])
        yield case(distinct(2, *(4, 4, 2)[:rank]), (2, 2, 1)[:rank])

    return make


for _rank in (1, 2, 3):
    _bad = (
        Bad(case(ones(1, 2, *[4] * _rank), -1), "RuntimeError"),
        Bad(case(ones(1, 2, *[4] * _rank), (2,) * (_rank + 1)), "RuntimeError"),
        Bad(case(ones(1, 2, *[0] * _rank), 2), "RuntimeError"),
        Bad(case(ones(4), 2), "RuntimeError"),
        Bad(case(ones(1, 2, *[4] * _rank), "x"), "TypeError"),
    )
    POOLS += [
        Spec(f"adaptive_avg_pool{_rank}d", _adaptive(_rank, False), FLOATS, F + f"adaptive_avg_pool{_rank}d",
             F + f"adaptive_avg_pool{_rank}d", grad=True, strides=False, bad=_bad,
             tol=ulps(16, "a mean of the window's items", _mean_scale(f"adaptive_avg_pool{_rank}d")),
             grad_cases=_adaptive_grads(_rank),
             large=lambda rng, r=_rank: case(arr(rng, _large(r), "float32"), 7)),
        Spec(f"adaptive_max_pool{_rank}d", _adaptive(_rank, True), FLOATS, F + f"adaptive_max_pool{_rank}d",
             F + f"adaptive_max_pool{_rank}d", grad=True, strides=False, bad=_bad,
             grad_cases=_adaptive_grads(_rank),
             large=lambda rng, r=_rank: case(arr(rng, _large(r), "float32"), 7)),
    ]  # fmt: skip


def _lp(rank: int) -> Callable:
    def make(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
        s = SIZES[:rank]
        for p in (1.0, 2.0, 3):
            yield case(arr(rng, (2, 3, *s), dtype, low=0.5), p, 2)
        yield case(arr(rng, (2, 3, *s), dtype), 2.0, 3, 2, True)
        yield case(arr(rng, (3, *s), dtype, low=0.5), 2.0, (3, 2, 1)[:rank] if rank > 1 else 3)

    return make


def _unpool(rank: int) -> Callable:
    def make(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
        s = (3, 2, 2)[:rank]
        items = int(np.prod(s)) * 2**rank
        for lead in ((2, 3), (3,)):
            n = int(np.prod(s))
            places = np.stack(
                [rng.permutation(items)[:n].reshape(s) for _ in range(int(np.prod(lead)))]
            ).reshape(*lead, *s)
            indices = given(places, "int64", role="index", grad=False)
            yield case(arr(rng, (*lead, *s), dtype), indices, 2)
            yield case(arr(rng, (*lead, *s), dtype, "transposed"), indices, 2, 2)
            sizes = tuple(2 * n + 1 for n in s)
            yield case(arr(rng, (*lead, *s), dtype), indices, 2, output_size=sizes)
            yield case(arr(rng, (*lead, *s), dtype), indices, 2, output_size=(1, 1, *sizes))

    return make


def _unpool_grads(rank: int) -> Callable:
    def make(rng: np.random.Generator) -> Iterable[Case]:
        s = (2, 1, 2)[:rank]
        places = np.arange(np.prod(s)).reshape(1, 1, *s)
        yield case(
            arr(rng, (1, 1, *s), "float64"), given(places, "int64", role="index", grad=False), 2
        )

    return make


for _rank in (1, 2, 3):
    _x = ones(1, 1, *[2] * _rank)
    POOLS += [
        Spec(f"lp_pool{_rank}d", _lp(_rank), FLOATS[: 2 if _rank == 3 else 4], F + f"lp_pool{_rank}d",
             F + f"lp_pool{_rank}d", grad=True, strides=False,
             tol=ulps(32, "powers, a mean and a power of it", steps=12),
             grad_cases=lambda rng, r=_rank: [
                 case(arr(rng, (1, 2, *(4, 3, 2)[:r]), "float64", low=0.5), 2.0, 2)],
             bad=_pool_bad(_rank)[4:5] and (
                 Bad(case(ones(1, 2, *[4] * _rank), 2.0, 5), "RuntimeError"),)),
        Spec(f"max_unpool{_rank}d", _unpool(_rank), FLOATS, F + f"max_unpool{_rank}d",
             F + f"max_unpool{_rank}d", grad=True, strides=False, grad_cases=_unpool_grads(_rank),
             bad=(Bad(case(_x, given(np.full([1, 1] + [2] * _rank, 99), "int64"), 2), "RuntimeError"),
                  Bad(case(_x, given(np.zeros([1, 1] + [1] * _rank), "int64"), 2), "RuntimeError"),
                  Bad(case(_x, given(np.zeros([1, 1] + [2] * _rank), "int32"), 2), "RuntimeError"),
                  Bad(case(_x, given(np.zeros([1, 1] + [2] * _rank), "int64"), 2,
                           output_size=[9] * _rank), "ValueError"))),
    ]  # fmt: skip


def _fractional(rank: int) -> Callable:
    def make(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
        s = SIZES[:rank]
        for kwargs in (
            {"output_size": (3, 4, 2)[:rank]},
            {"output_size": 1},
            {"output_ratio": (0.5,) * rank},
        ):
            for indices in (False, True):
                yield case(arr(rng, (2, 3, *s), dtype), 2, return_indices=indices, **kwargs)
        yield case(arr(rng, (3, *s), dtype, "transposed"), (3, 2, 1)[:rank], 4)
        samples = given(rng.uniform(0, 1, (2, 3, rank)), dtype, grad=False)
        yield case(arr(rng, (2, 3, *s), dtype), 3, 3, _random_samples=samples)

    return make


POOLS += [
    Spec(f"fractional_max_pool{rank}d", _fractional(rank), FLOATS[:2], F + f"fractional_max_pool{rank}d",
         F + f"fractional_max_pool{rank}d", grad=True, strides=False, seeded=True,
         grad_cases=lambda rng, r=rank: [case(distinct(1, 1, *(5, 4, 3)[:r]), 2, 2)],
         bad=(Bad(case(ones(1, 1, *[4] * rank), 2), "ValueError"),
              Bad(case(ones(1, 1, *[4] * rank), 2, 4), "RuntimeError")))
    for rank in (2, 3)
]  # fmt: skip

SPECS = [*CONVOLUTIONS, *WHOLE, *POOLS]
