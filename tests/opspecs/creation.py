"""Rows of creation and random functions. Random rows are compared draw by draw: for the same seed
Ember's numbers are PyTorch's."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from .base import ALL, FLOATS, INTS, NUMBERS, Bad, Case, DType, Format, Spec, arr, case, given, ulps

SIZES = ((2, 3), (), (0, 3), (17,), (40, 9))
X = given(np.ones((2, 3)), "float32")


def sized() -> Callable:
    def make(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
        for size in SIZES:
            yield case(size, dtype=DType(dtype))
        yield case(3, 2, dtype=DType(dtype))

    return make


BAD_SIZES = (
    Bad(case(-1), "RuntimeError"),
    Bad(case((2, -3)), "RuntimeError"),
    Bad(case((2**40, 2**40)), "RuntimeError"),
    Bad(case((2**62, 4)), "RuntimeError"),
    Bad(case(1.5), "TypeError"),
    Bad(case("x"), "TypeError"),
    Bad(case((2, 3), dtype="float32"), "TypeError"),
    Bad(case((2, 3), device="nowhere"), "RuntimeError"),
    Bad(case((2, 3), dtype=DType("int64"), requires_grad=True), "RuntimeError"),
)


def _full(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    for value in (0, 1, 3, True, -0.0 if dtype in FLOATS else 2):
        for size in SIZES:
            yield case(size, value, dtype=DType(dtype))
    for value in (1, 1.5, True, False):
        yield case((2, 3), value, note="dtype from the number")
    if dtype in FLOATS:
        for value in (float("nan"), float("inf"), 0.1, 1e300):
            yield case((3,), value, dtype=DType(dtype))


def _like(name: str, *args: Any) -> Spec:
    def make(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
        for shape, layout in (((2, 3), "plain"), ((2, 3, 4), "transposed"), ((5, 7), "stepped"), ((4, 6), "expanded"),
                              ((2, 3, 4, 5), "channels_last"), ((), "plain"), ((0, 3), "plain")):  # fmt: skip
            x = arr(rng, shape, dtype, layout)
            yield case(x, *args)
            yield case(x, *args, dtype=DType("float64"))
            yield case(x, *args, memory_format=Format("contiguous_format"))
        yield case(arr(rng, (2, 3, 4, 5), dtype), *args, memory_format=Format("channels_last"))

    return Spec(
        name,
        make,
        ALL,
        bad=(Bad(case(1, *args), "TypeError"), Bad(case(X, *args, dtype="x"), "TypeError")),
    )


def _arange(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    yield case(7, dtype=DType(dtype))
    yield case(2, 9, dtype=DType(dtype))
    yield case(2, 9, 3, dtype=DType(dtype))
    yield case(0, dtype=DType(dtype))
    yield case(100, dtype=DType(dtype))
    if dtype != "uint8":
        yield case(5, -6, -2, dtype=DType(dtype))
    if dtype in FLOATS:
        yield case(0.5, 3, 0.25, dtype=DType(dtype))
        yield case(0, 1, 0.1, dtype=DType(dtype))
        yield case(start=1, end=2, step=0.5, dtype=DType(dtype))
    yield case(1, 4)
    yield case(1.0, 4)
    yield case(1, 4, 0.5)


def _linspace(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    for start, end, steps in (
        (0, 1, 5),
        (-3, 7, 11),
        (2, 2, 3),
        (5, -5, 4),
        (0, 1, 1),
        (0, 1, 0),
        (0, 100, 37),
    ):
        if dtype != "uint8" or (start >= 0 and end >= 0):
            yield case(start, end, steps, dtype=DType(dtype))
    yield case(0, 1, steps=3)


def _eye(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    for args in ((3,), (2, 4), (4, 2), (0,), (0, 3)):
        yield case(*args, dtype=DType(dtype))


def _bad_range(*cases: Case, error: str = "RuntimeError") -> tuple[Bad, ...]:
    return tuple(Bad(c, error) for c in cases)


CREATION = [
    Spec("zeros", sized(), ALL, bad=BAD_SIZES),
    Spec("ones", sized(), ALL, bad=BAD_SIZES),
    Spec("full", _full, ALL, bad=(Bad(case((2, -3), 1), "RuntimeError"), Bad(case((2,), 300, dtype=DType("uint8")), "RuntimeError"),
                                  Bad(case((2,), "x"), "TypeError"), Bad(case((2,),), "TypeError"), Bad(case(2, 3), "TypeError"))),
    _like("zeros_like"), _like("ones_like"), _like("full_like", 2),
    Spec("arange", _arange, (*FLOATS, "int16", "int32", "int64", "uint8"),
         tol=ulps(2, "start + i * step, computed in double or in steps of the dtype",
                  lambda lib, *a, **k: 4.0, steps=2),
         bad=_bad_range(case(0, 5, 0), case(0, 5, -1), case(5, 0), case(0, float("inf")), case(0, float("nan")),
                        case(0, 1e18, 1e-3))),
    Spec("linspace", _linspace, (*FLOATS, "int32", "int64"),
         tol=ulps(4, "start + i * step from both ends, step rounded", lambda lib, a, b, *r, **k: abs(a) + abs(b), steps=2),
         bad=(*_bad_range(case(0, 1, -1)), Bad(case(0, 1, 1.5), "TypeError"))),
    Spec("eye", _eye, ALL, bad=_bad_range(case(-1), case(2, -1), case(2**40))),
]  # fmt: skip


def drawn(name: str, cases: Callable, dtypes: tuple = FLOATS, **more: Any) -> Spec:
    return Spec(name, cases, dtypes, seeded=True, **more)


def _randint(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    if dtype in ("float32", "bfloat16"):  # bounds that the dtype rounds outwards
        yield case(2**24 - 2, 2**24 + 4, (40,), dtype=DType(dtype, fixed=True))
        yield case(0, 2**24 + 2, (40,), dtype=DType(dtype, fixed=True))
    for size in SIZES:
        yield case(10, size, dtype=DType(dtype, fixed=True))
        yield case(3, 100, size, dtype=DType(dtype, fixed=True))
    if dtype == "int64":
        yield case(-(2**40), 2**40, (40,))
        yield case(0, 2**33, (40,))


def _changed(*args: tuple) -> Callable:
    def make(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
        for shape, layout in (((2, 3), "plain"), ((40, 9), "plain"), ((9, 7), "transposed"), ((5, 7), "stepped"), ((0,), "plain"),
                              ((), "plain"), ((16,), "plain"), ((15,), "shifted")):  # fmt: skip
            for a in args:
                yield case(arr(rng, shape, dtype, layout), *a)

    return make


def in_place(name: str, *args: tuple, dtypes: tuple = FLOATS, bad: tuple = (), **more: Any) -> Spec:
    # Uncopied dense permutations are drawn in memory order by both.
    return drawn(name, _changed(*args), dtypes, fn=f"Tensor.{name}", changes=(0,),
                 bad=tuple(Bad(case(X, *b), e) for *b, e in bad), **more)  # fmt: skip


# Draws pass a logarithm, a cosine or a division on their way.
NORMAL = ulps(8, "a logarithm, a root, a sine or cosine within 2 ULP each, scaled and shifted",
              lambda lib, *a, **k: 8.0, steps=3)  # fmt: skip


def _bernoulli(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    for shape in SIZES:
        yield case(arr(rng, shape, dtype, low=0, high=1))
        yield case(arr(rng, shape, dtype), 0.3)


RANDOM = [
    drawn("rand", sized(), bad=(*BAD_SIZES[:3], Bad(case(2, dtype=DType("int64")), "RuntimeError"))),
    drawn("randn", sized(), tol=NORMAL, bad=(*BAD_SIZES[:3], Bad(case(2, dtype=DType("int64")), "RuntimeError"))),
    drawn("rand_like", lambda d, r: [case(arr(r, s, d)) for s in SIZES]),
    drawn("randn_like", lambda d, r: [case(arr(r, s, d)) for s in SIZES], tol=NORMAL),
    drawn("randint", _randint, NUMBERS,
          bad=(Bad(case(0, (2,)), "RuntimeError"), Bad(case(5, 2, (2,)), "RuntimeError"), Bad(case(5), "TypeError"),
               Bad(case(0, 300, (2,), dtype=DType("uint8")), "RuntimeError"), Bad(case(5, (-1,)), "RuntimeError"))),
    drawn("randperm", lambda d, r: [case(n, dtype=DType(d)) for n in (0, 1, 10, 100)], ("int64", "int32", "int16", "float32"),
          bad=(Bad(case(-1), "RuntimeError"), Bad(case(300, dtype=DType("uint8")), "RuntimeError"))),
    drawn("bernoulli", _bernoulli,
          bad=(Bad(case(given([1.5], "float32")), "RuntimeError"), Bad(case(X, 1.5), "RuntimeError"))),
    drawn("multinomial", lambda d, r: [case(arr(r, s, d, low=0.1, high=1), n, rep) for s in ((6,), (3, 6)) for n in (1, 4)
                                       for rep in (False, True)], ("float32", "float64"),
          bad=(Bad(case(X, 4), "RuntimeError"), Bad(case(X, 0), "RuntimeError"), Bad(case(given([-1.0], "float32"), 1), "RuntimeError"),
               Bad(case(given([0.0], "float32"), 1), "RuntimeError"), Bad(case(given([[[1.0]]], "float32"), 1), "RuntimeError"))),
    drawn("normal", lambda d, r: [case(arr(r, s, d), arr(r, s, d, low=0.1)) for s in SIZES]
          + [case(arr(r, (3, 4), d), 0.5), case(2.0, arr(r, (3, 4), d, low=0.1)), case(1.0, 2.0, (3, 5))],
          tol=ulps(16, "a normal draw, scaled and shifted", lambda lib, *a, **k: 32.0, steps=3),
          bad=(Bad(case(0.0, -1.0, (3,)), "RuntimeError"), Bad(case(X, given([-1.0], "float32")), "RuntimeError"))),
    drawn("randint_like", lambda d, r: [case(arr(r, s, d), *b) for s in SIZES for b in ((7,), (-3, 50))],
          ("float32", "float64", "int16", "int32", "int64"),
          bad=(Bad(case(X, 0), "RuntimeError"), Bad(case(X, 3, 2), "RuntimeError"))),
    in_place("uniform_", (), (-2.0, 3.0), bad=((3.0, 2.0, "RuntimeError"),)),
    in_place("normal_", (), (1.0, 2.5), tol=NORMAL, bad=((0.0, -1.0, "RuntimeError"),)),
    in_place("exponential_", (), (2.0,), tol=NORMAL, bad=((0.0, "RuntimeError"), (-1.0, "RuntimeError"))),
    in_place("random_", (), (10,), (-5, 100), dtypes=("float32", "float64", "int16", "int32", "int64"),
             bad=((0, "RuntimeError"), (5, 2, "RuntimeError"))),
    in_place("bernoulli_", (), (0.3,), dtypes=(*FLOATS, *INTS), bad=((1.5, "RuntimeError"), (-0.5, "RuntimeError"))),
]  # fmt: skip

SPECS = [*CREATION, *RANDOM]
