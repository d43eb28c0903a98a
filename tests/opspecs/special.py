"""Rows of elementary and special functions beyond arithmetic."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from .base import (
    ALL,
    EXACT,
    FLOATS,
    INTS,
    LARGE,
    ULP2,
    Bad,
    Case,
    Spec,
    arr,
    case,
    given,
    index,
    ulps,
)
from .pointwise import A, binary, unary, unary_cases, unary_grads

ONE = lambda lib, x, *a, **k: abs(x) * 0 + 1  # noqa: E731
NEAR = ulps(8, "elementary functions, each within a few ULP")
NEAR_ZERO = ulps(32, "sums that cancel near a zero of the function, at a scale of 1", ONE)


def special(name: str, low: float = -4, high: float = 4, **more: Any) -> Spec:
    more.setdefault("dtypes", ALL)
    more.setdefault("method", "")
    return unary(
        "special_" + name, low, high, fn="special." + name, inplace="",
        label="special." + name, **more,
    )  # fmt: skip


def _ndtri(x: np.ndarray) -> np.ndarray:
    from scipy.special import ndtri

    return ndtri(x)


UNARY = [
    unary("tan", -1.4, 1.4, ref=np.tan, tol=NEAR, corners=False),
    unary("asin", -0.9, 0.9, ref=np.arcsin, tol=NEAR),
    unary("acos", -0.9, 0.9, ref=np.arccos, tol=NEAR),
    unary("atan", ref=np.arctan, tol=NEAR),
    unary("sinh", ref=np.sinh, tol=NEAR),
    unary("cosh", ref=np.cosh, tol=NEAR),
    unary("asinh", ref=np.arcsinh, tol=NEAR),
    unary("acosh", 1.2, 6, ref=np.arccosh, tol=NEAR),
    unary("atanh", -0.9, 0.9, ref=np.arctanh, tol=NEAR),
    unary("frac", dtypes=FLOATS, tol=EXACT, ref=lambda x: x - np.trunc(x),
          bad=(Bad(case(given([1], "int64")), "RuntimeError|NotImplementedError"),)),
    unary("deg2rad", -200, 200, ref=np.deg2rad, tol=ULP2, corners=False),
    unary("rad2deg", ref=np.rad2deg, tol=ULP2, corners=False),
    unary("erfc", tol=ulps(64, "the exponent's rounding in the tail")),
    unary("erfinv", -0.95, 0.95, tol=ulps(16, "one step of Halley")),
    unary("lgamma", 0.2, 6, tol=NEAR_ZERO, corners=False),
    unary("lgamma", -3.9, -3.1, tol=NEAR_ZERO, label="lgamma_negative", corners=False,
          dtypes=FLOATS, grad=False),
    # In float64 PyTorch's trigamma, the gradient, is off by 1e-9; finite differences check ours.
    unary("digamma", 0.2, 6, tol=NEAR_ZERO, corners=False,
          dtypes=("float32", "float16", "bfloat16", *INTS)),
    unary("digamma", 0.2, 6, tol=NEAR_ZERO, corners=False, label="digamma_float64",
          dtypes=("float64",), grad=False),
    unary("digamma", -3.9, -3.1, tol=ulps(256, "reflection", ONE), label="digamma_negative",
          corners=False, dtypes=("float32", "float64"), grad=False),
    # At infinity PyTorch has NaN.
    unary("i0", tol=NEAR, corners=False),
    unary("sinc", 0.1, 3, tol=ulps(16, "the sine of a rounded product", ONE), corners=False),
    unary("sinc", tol=ulps(16, "the sine of a rounded product", ONE), label="sinc_integers",
          dtypes=(*INTS, "bool"), grad=False, corners=False),
    unary("logit", 0.1, 0.9, tol=NEAR_ZERO, corners=False, dtypes=FLOATS),
    unary("logit", -0.5, 1.5, tol=NEAR_ZERO, kwargs={"eps": 0.2}, label="logit_eps",
          dtypes=FLOATS, grad=False),
    unary("sgn", grad=False, tol=EXACT, ref=np.sign),
    unary("nan_to_num", tol=EXACT, ref=np.nan_to_num),
    unary("nan_to_num", tol=EXACT, kwargs={"nan": 1.5, "posinf": 2.0, "neginf": -3.0},
          label="nan_to_num_given"),
    unary("round", dtypes=("float32", "float64"), kwargs={"decimals": 2}, label="round_decimals",
          tol=ULP2, corners=False),
    unary("round", -400, 400, dtypes=("float32", "float64"), kwargs={"decimals": -1},
          label="round_tens", tol=ULP2, corners=False),
    unary("signbit", tol=EXACT, ref=np.signbit, grad=False, inplace=""),
    unary("isposinf", tol=EXACT, ref=np.isposinf, grad=False, inplace=""),
    unary("isneginf", tol=EXACT, ref=np.isneginf, grad=False, inplace=""),
    unary("isreal", tol=EXACT, ref=np.isreal, grad=False, inplace="", out=False),
    unary("frexp", tol=EXACT, dtypes=FLOATS, inplace="", out=False, corners=False),
    unary("mvlgamma", 2, 6, tol=NEAR_ZERO, kwargs={"p": 3}, corners=False,
          dtypes=("float32", "float64"), strides=False),
]  # fmt: skip


def _polygamma(n: int) -> Spec:
    def swapped(make: Callable) -> Callable:
        return lambda *a: (Case((n, *c.args), c.kwargs, c.note) for c in make(*a))

    return Spec(
        f"polygamma_{n}", swapped(unary_cases(0.3, 6, corners=False)),
        # PyTorch's trigamma is off by 1e-9.
        ("float32", *INTS) if n < 2 else ("float32", "float64", *INTS), fn="polygamma",
        tol=NEAR_ZERO if n == 0 else ulps(64, "a sum of positive terms and a factorial"), out=True,
        grad=True, grad_cases=swapped(unary_grads(0.5, 4)),
        bad=(Bad(case(-1, A), "RuntimeError"),),
    )  # fmt: skip


WIDE = ("float32", "float64", *INTS, "bool")
ROUGH = ("float32", *INTS, "bool")  # PyTorch's are off by 1e-9

SPECIAL = [
    special("erfcx", dtypes=WIDE, tol=ulps(64, "e to a square", None)),
    special("ndtr", tol=NEAR_ZERO),
    special("ndtri", dtypes=WIDE, low=0.05, high=0.95, tol=NEAR_ZERO, ref=_ndtri),
    special(
        "log_ndtr", -6, 3, corners=False, dtypes=WIDE, tol=ulps(64, "a logarithm of e to a square")
    ),
    special("i0e", tol=ulps(16, "a sum of positive terms")),
    special("i1", 0.1, 4, corners=False, dtypes=WIDE, tol=ulps(16, "a sum of positive terms")),
    special("i1e", 0.1, 4, corners=False, dtypes=WIDE, tol=ulps(16, "a sum of positive terms")),
    special("bessel_j0", dtypes=ROUGH, tol=NEAR_ZERO, grad=False, corners=False),
    special("bessel_j1", dtypes=ROUGH, tol=NEAR_ZERO, grad=False, corners=False),
    special("bessel_y0", 0.2, 6, dtypes=ROUGH, tol=NEAR_ZERO, grad=False, corners=False),
    special(
        "bessel_y1",
        0.2,
        6,
        out=False,
        dtypes=ROUGH,
        tol=ulps(64, "a pole at 0", ONE),
        grad=False,
        corners=False,
    ),
    *(special("modified_bessel_" + name, 0.1, 4, dtypes=ROUGH, tol=NEAR_ZERO, grad=False, corners=False)
      for name in ("i0", "i1", "k0", "k1")),
    *(special("scaled_modified_bessel_" + name, 0.1, 4, dtypes=ROUGH, tol=NEAR_ZERO, grad=False,
              corners=False) for name in ("k0", "k1")),
    # PyTorch's in float64 is off by 1e-6.
    special("airy_ai", 0.1, 4, dtypes=ROUGH, tol=NEAR_ZERO, grad=False, corners=False, out=False),
    special("spherical_bessel_j0", dtypes=ROUGH, tol=NEAR_ZERO, grad=False, corners=False),
    special("entr", 0.1, 3, tol=ULP2),
]  # fmt: skip


def _degrees(low: float, high: float) -> Callable[[str, np.random.Generator], Iterable[Case]]:
    def make(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
        for shape in ((4, 9), (3, 0), ()):
            for layout in ("plain", "transposed", "stepped"):
                x = arr(rng, shape, dtype, layout, low, high)
                # From 7 on by angles, exact to the dtype's last digit of 1.
                yield case(x, given(rng.integers(-1, 12 if x.is_float else 6, shape), dtype))
                yield case(x, 3)
                yield case(x, index(rng.integers(0, 6, (2, *shape))))
        yield case(1.5, arr(rng, (5,), dtype, low=0, high=6))
        yield case(given([0.5, 2.0], "float32"), given([3.0, 4.0], "float64"))

    return make


# In multiples of the largest value that a recurrence meets.
GROWING = ulps(512, "recurrences of up to 11 steps, whose rounding errors grow with the value",
               lambda lib, x, n: abs(x if isinstance(x, lib.Tensor) else n * 0 + x) ** 4 * 1e3 + 1)  # fmt: skip


def polynomial(name: str, low: float = -2, high: float = 2) -> Spec:
    return Spec(
        f"special.{name}", _degrees(low, high), ("float32", "float64", "int64", "int32"), tol=GROWING,
        fn=f"special.{name}", out=True, large=lambda r: case(arr(r, LARGE, "float32", low=low, high=high), 5),
        bad=(Bad(case("x", A), "TypeError"), Bad(case(A), "TypeError")),
    )  # fmt: skip


POLYNOMIALS = [
    *(polynomial(f"chebyshev_polynomial_{kind}") for kind in "tuvw"),
    *(polynomial(f"shifted_chebyshev_polynomial_{kind}", -0.5, 1.5) for kind in "tuvw"),
    *(polynomial(f"{name}_polynomial_{kind}") for name, kind in
      (("hermite", "h"), ("hermite", "he"), ("laguerre", "l"), ("legendre", "p"))),
]  # fmt: skip

MIXED = ulps(16, "inputs of two dtypes, a logarithm and a product")


def pairs(name: str, *ranges: Any, **more: Any) -> Spec:
    more.setdefault("numbers", ())
    return binary(name, *ranges, **more)


def special_pairs(name: str, *ranges: Any, **more: Any) -> Spec:
    spec = binary(name, *ranges, method="", inplace=False, label="special." + name, **more)
    return Spec(**{**spec.__dict__, "fn": "special." + name})


WHOLE = {"dtypes": INTS, "grad": False, "large_dtype": "int32"}

BINARY = [
    pairs("atan2", (0.5, 4), tol=NEAR, ref=np.arctan2),
    pairs("hypot", (0.5, 4), tol=NEAR, dtypes=FLOATS, ref=np.hypot),
    binary("copysign", (0.5, 4), (0.5, 4), ref=np.copysign, numbers=(2, -3.0), corners=False),
    # PyTorch's gradient divides infinities.
    binary("copysign", label="copysign_extremes", ref=np.copysign, numbers=(), grad=False),
    pairs("nextafter", dtypes=("float32", "float64", "bfloat16"), ref=np.nextafter, grad=False,
          mixed=False),
    # In bfloat16 PyTorch's prefer the other zero.
    pairs("fmax", ref=np.fmax, inplace=False, dtypes=tuple(d for d in ALL if d != "bfloat16")),
    pairs("fmin", ref=np.fmin, inplace=False, dtypes=tuple(d for d in ALL if d != "bfloat16")),
    pairs("logaddexp", tol=ulps(16, "a maximum plus a small term", ONE), dtypes=FLOATS, inplace=False,
          ref=np.logaddexp),
    pairs("logaddexp2", tol=ulps(16, "a maximum plus a small term", ONE), dtypes=FLOATS, inplace=False,
          ref=np.logaddexp2),
    pairs("heaviside", ref=np.heaviside, grad=False, mixed=False),
    pairs("ldexp", (-4, 4), (-3, 3), tol=NEAR, corners=False, mixed=False,
          dtypes=("float32", "float64", *INTS)),
    binary("xlogy", (0.3, 3), (0.3, 3), tol=ulps(16, "a logarithm times a factor",
           lambda lib, a, b: abs(a if isinstance(a, lib.Tensor) else b * 0 + a) + 1),
           numbers=(2, 1.5)),
    binary("float_power", (0.3, 3), (0, 3), tol=ULP2, numbers=(0, 1, 2, 0.5), corners=False),
    pairs("gcd", corners=False, **WHOLE, ref=np.gcd),
    pairs("lcm", corners=False, **WHOLE),
    binary("bitwise_left_shift", (-4, 4), (0, 6), numbers=(2, 1), mixed=False, **WHOLE),
    binary("bitwise_right_shift", (-100, 100), (0, 6), numbers=(2, 1), mixed=False, **WHOLE),
    special_pairs("xlog1py", (0.3, 3), (0.3, 3), tol=MIXED, numbers=()),  # PyTorch takes numbers in float32
    special_pairs("zeta", (2, 5), (1, 6), dtypes=WIDE[:-1], tol=ulps(64, "a sum of powers"), numbers=(2,),
                  corners=False, grad=False),
]  # fmt: skip

SPECS = [*POLYNOMIALS, *UNARY, *map(_polygamma, (0, 1, 2, 4)), *SPECIAL, *BINARY]
