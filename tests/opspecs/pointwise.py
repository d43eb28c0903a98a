"""Rows of pointwise operations: one, two and three operands."""

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
    LAYOUTS,
    NUMBERS,
    ULP2,
    Arr,
    Bad,
    Case,
    Spec,
    Tol,
    arr,
    case,
    extremes,
    given,
    mask,
    ulps,
)

# ---- One operand


def unary_cases(
    low: float = -4, high: float = 4, *, corners: bool = True, **kwargs: Any
) -> Callable[[str, np.random.Generator], Iterable[Case]]:
    def make(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
        for shape, layout in LAYOUTS:
            yield case(arr(rng, shape, dtype, layout, low, high), **kwargs)
        yield case(arr(rng, (301,), dtype, "plain", low, high), **kwargs)
        if corners:
            yield case(given(extremes(dtype), dtype), note="extremes", **kwargs)
            yield case(given(extremes(dtype), dtype, "stepped"), note="extremes", **kwargs)

    return make


def unary_grads(
    low: float, high: float, **kwargs: Any
) -> Callable[[np.random.Generator], Iterable[Case]]:
    def make(rng: np.random.Generator) -> Iterable[Case]:
        yield case(arr(rng, (2, 3), "float64", "plain", low, high), **kwargs)
        yield case(arr(rng, (3, 2), "float64", "transposed", low, high), **kwargs)
        yield case(arr(rng, (), "float64", "plain", low, high), **kwargs)
        yield case(arr(rng, (0, 2), "float64", "plain", low, high), **kwargs)

    return make


def unary(
    name: str,
    low: float = -4,
    high: float = 4,
    *,
    dtypes: tuple[str, ...] = ALL,
    tol: Tol = ULP2,
    ref: Callable | None = None,
    grad: bool = True,
    corners: bool = True,
    kwargs: dict | None = None,
    label: str = "",
    **more: Any,
) -> Spec:
    kwargs = kwargs or {}
    return Spec(
        name=label or name,
        fn=more.pop("fn", name),
        cases=unary_cases(low, high, corners=corners, **kwargs),
        dtypes=dtypes,
        tol=tol,
        numpy=ref,
        method=more.pop("method", name),
        inplace=more.pop("inplace", name + "_"),
        out=more.pop("out", True),
        grad=grad,
        grad_cases=unary_grads(low, high, **kwargs),
        large=lambda rng: case(arr(rng, LARGE, "float32", "plain", low, high), **kwargs),
        **more,
    )


def functional(name: str, low: float = -4, high: float = 4, **more: Any) -> Spec:
    """An activation: flat in Ember, in nn.functional in PyTorch."""
    more.setdefault("method", "")
    more.setdefault("out", False)
    more.setdefault("inplace", "")
    more.setdefault("dtypes", FLOATS)
    return unary(name, low, high, torch_fn=f"nn.functional.{name}", **more)


def _erf(x: np.ndarray) -> np.ndarray:
    from scipy.special import erf

    return erf(x)


def _gelu(x: np.ndarray, approximate: str = "none") -> np.ndarray:
    if approximate == "tanh":
        return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))
    return 0.5 * x * (1 + _erf(x / np.sqrt(2)))


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


BOOL = (Bad(case(mask([True, False])), "RuntimeError"),)
# A product of factors that round by themselves, one of which goes through 1 + tanh or 1 + erf: close
# to cancellation the error is relative to the input.
ACTIVATION = ulps(
    4, "x times a factor in [0, 1] that rounds at 1's scale", lambda lib, x, **_: abs(x)
)


def _no_bool_ints(name: str) -> tuple[Bad, ...]:
    return (Bad(case(given([1, 2], "int64")), "RuntimeError|NotImplementedError"),)


# A negative bound means nothing to uint8: PyTorch wraps it, Ember compares.
SIGNED = tuple(d for d in NUMBERS if d != "uint8")

UNARY = [
    unary("neg", dtypes=NUMBERS, tol=EXACT, ref=np.negative, bad=BOOL),
    unary("abs", dtypes=NUMBERS, tol=EXACT, ref=np.abs),
    unary("sign", tol=EXACT, ref=np.sign),
    unary("square", tol=EXACT, ref=np.square),
    unary("reciprocal", 0.2, 4, tol=EXACT, ref=np.reciprocal),
    unary("floor", dtypes=NUMBERS, tol=EXACT, ref=np.floor),
    unary("ceil", dtypes=NUMBERS, tol=EXACT, ref=np.ceil),
    unary("round", dtypes=NUMBERS, tol=EXACT, ref=np.round),
    unary("trunc", dtypes=NUMBERS, tol=EXACT, ref=np.trunc),
    unary("exp", ref=np.exp),
    unary("exp2", ref=np.exp2),
    unary("expm1", ref=np.expm1),
    unary("log", 0.1, 9, ref=np.log),
    unary("log2", 0.1, 9, ref=np.log2),
    unary("log10", 0.1, 9, ref=np.log10),
    unary("log1p", -0.9, 4, ref=np.log1p),
    unary("sqrt", 0.1, 9, tol=ulps(1, "correctly rounded; PyTorch's within 1 ULP"), ref=np.sqrt),
    unary("rsqrt", 0.1, 9, ref=lambda x: 1 / np.sqrt(x)),
    unary("sin", ref=np.sin, corners=False),
    unary("cos", ref=np.cos, corners=False),
    unary("erf", ref=_erf),
    unary("tanh", ref=np.tanh),
    unary("sigmoid", ref=_sigmoid),
    unary("relu", dtypes=NUMBERS, tol=EXACT, ref=lambda x: np.maximum(x, 0), out=False, bad=BOOL),
    functional("silu", tol=ACTIVATION, ref=lambda x: x * _sigmoid(x), inplace=""),
    functional("gelu", tol=ACTIVATION, ref=_gelu),
    functional(
        "gelu",
        tol=ACTIVATION,
        ref=_gelu,
        kwargs={"approximate": "tanh"},
        label="gelu_tanh",
        bad=(
            Bad(case(given([1.0], "float32"), approximate="tan"), "RuntimeError"),
            Bad(case(given([1], "int64")), "RuntimeError", "NotImplementedError"),
        ),
    ),
    functional("leaky_relu", tol=EXACT),
    functional(
        "leaky_relu",
        tol=EXACT,
        label="leaky_relu_slope",
        kwargs={"negative_slope": 0.3},
    ),
    functional("softplus", tol=ULP2),
    functional(
        "softplus",
        tol=ulps(
            4,
            "ULP2 of an argument that a product by beta rounded, and a rounded division",
            lambda lib, x, **k: lib.nn.functional.softplus(x, **k) * (1 + abs(x)),
        ),
        label="softplus_beta",
        kwargs={"beta": 0.7, "threshold": 2.0},
    ),
    # PyTorch's logsigmoid and masked_fill give up the input's layout, Ember keeps it.
    functional("logsigmoid", tol=ULP2, strides=False),
    unary("isnan", tol=EXACT, ref=np.isnan, grad=False, inplace="", out=False),
    unary("isinf", tol=EXACT, ref=np.isinf, grad=False, inplace="", out=False),
    unary("isfinite", tol=EXACT, ref=np.isfinite, grad=False, inplace="", out=False),
    unary("logical_not", tol=EXACT, ref=np.logical_not, grad=False),
    unary(
        "bitwise_not",
        tol=EXACT,
        ref=np.bitwise_not,
        grad=False,
        dtypes=(*INTS, "bool"),
        bad=(Bad(case(given([1.0], "float32")), "RuntimeError", "NotImplementedError"),),
    ),
    unary("clamp", tol=EXACT, dtypes=SIGNED, kwargs={"min": -1, "max": 2}, label="clamp_ints"),
    unary("clamp", tol=EXACT, dtypes=NUMBERS, kwargs={"min": 0.5}, label="clamp_low"),
    unary(
        "clamp",
        tol=EXACT,
        dtypes=NUMBERS,
        kwargs={"max": 1.5},
        label="clamp_high",
        bad=(
            Bad(case(given([1.0], "float32")), "RuntimeError"),
            Bad(case(mask([True]), 0, 1), "RuntimeError"),
        ),
    ),
    unary("clamp", tol=EXACT, dtypes=SIGNED, kwargs={"min": 2, "max": -1}, label="clamp_crossed"),
    unary("clamp_min", tol=EXACT, dtypes=NUMBERS, kwargs={"min": 1}),
    unary("clamp_max", tol=EXACT, dtypes=NUMBERS, kwargs={"max": 1}),
]

# ---- Two operands

PAIRS = (
    ((2, 3, 4), "plain", (2, 3, 4), "plain"),
    ((2, 3, 4), "plain", (2, 3, 4), "transposed"),
    ((2, 3, 4), "transposed", (2, 3, 4), "transposed"),
    ((5, 7), "stepped", (5, 7), "stepped"),
    ((5, 7), "stepped", (7,), "plain"),
    ((3, 1, 4), "plain", (5, 1), "plain"),
    ((4, 6), "expanded", (4, 6), "plain"),
    ((4, 1), "plain", (4, 6), "expanded"),
    ((2, 3, 4, 5), "channels_last", (3, 1, 1), "plain"),
    ((2, 3, 4, 5), "channels_last", (2, 3, 4, 5), "channels_last"),
    ((67,), "shifted", (67,), "plain"),
    ((33, 70), "plain", (33, 1), "plain"),
    ((33, 70), "plain", (70,), "plain"),
    ((0, 3), "plain", (1, 3), "plain"),
    ((4, 1), "plain", (1, 0), "plain"),
    ((), "plain", (), "plain"),
    ((3, 4), "transposed", (), "plain"),
    ((), "plain", (3,), "plain"),
)


def _partner(dtype: str) -> str:
    """Another dtype, so that mixed pairs are among the samples."""
    return {
        "float32": "float64", "float64": "float16", "float16": "float32", "bfloat16": "float16",
        "uint8": "int8", "int8": "int64", "int16": "uint8", "int32": "float16", "int64": "float32",
        "bool": "int16",
    }[dtype]  # fmt: skip


def binary_cases(
    left: tuple[float, float],
    right: tuple[float, float],
    *,
    numbers: tuple = (2, -3, 1.5, True),
    mixed: bool = True,
    corners: bool = True,
    nonzero: bool = False,
    moderate: bool = False,
    **kwargs: Any,
) -> Callable[[str, np.random.Generator], Iterable[Case]]:
    def make(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
        def second(shape: tuple, d: str, layout: str) -> Arr:
            drawn = arr(rng, shape, d, layout, *right)
            if nonzero:
                drawn = given(np.where(drawn.data == 0, 1, drawn.data), d, layout)
            return drawn

        for a, la, b, lb in PAIRS:
            yield case(arr(rng, a, dtype, la, *left), second(b, dtype, lb), **kwargs)
        for number in numbers:
            yield case(arr(rng, (3, 4), dtype, "transposed", *left), number, **kwargs)
            yield case(arr(rng, (), dtype, "plain", *left), number, **kwargs)
        if mixed:
            other = _partner(dtype)
            yield case(
                arr(rng, (3, 4), dtype, "plain", *left), second((4,), other, "plain"), **kwargs
            )
            # A zero-dim float64 is rounded to a half that it stands beside: one that is exact there.
            single = second((), dtype, "plain")
            if dtype in FLOATS:
                single = given(np.round(single.data * 4) / 4 + 0.5, dtype)
            yield case(arr(rng, (3, 4), other, "plain", *left), single, **kwargs)
        if corners:
            edge = extremes(dtype)
            second_edge = edge[edge != 0] if nonzero and dtype not in FLOATS else edge
            if moderate and dtype in FLOATS:
                # Quotients that overflow: PyTorch's vectors give NaN where its scalars do not.
                second_edge = edge[(abs(edge) > 0.1) | np.isnan(edge) | (edge == 0)]
                edge = edge[(abs(edge) < 1e3) | ~np.isfinite(edge)]
            if second_edge.size:
                yield case(
                    given(edge[:, None], dtype),
                    given(second_edge, dtype),
                    note="extremes",
                    **kwargs,
                )

    return make


def binary_grads(
    left: tuple[float, float], right: tuple[float, float], **kwargs: Any
) -> Callable[[np.random.Generator], Iterable[Case]]:
    def make(rng: np.random.Generator) -> Iterable[Case]:
        for a, la, b, lb in (
            ((2, 3), "plain", (2, 3), "transposed"),
            ((2, 1), "plain", (3,), "stepped"),
            ((), "plain", (2, 2), "plain"),
            ((0, 2), "plain", (1, 2), "plain"),
        ):
            yield case(
                arr(rng, a, "float64", la, *left), arr(rng, b, "float64", lb, *right), **kwargs
            )

    return make


A = given([1.0, 2.0, 3.0], "float32")
I3 = given([1, 2, 3], "int64")


def _bad_binary(name: str, *, inplace: bool = True, number: bool = True) -> tuple[Bad, ...]:
    found = [
        Bad(case(A, given([1.0, 2.0], "float32")), "RuntimeError"),
        Bad(case(A, "x"), "TypeError"),
        Bad(case(A, None), "TypeError"),
        Bad(case(A), "TypeError"),
        Bad(case(A, A, A, A, A), "TypeError"),
        Bad(case(A, A, nonsense=1), "TypeError"),
    ]
    if inplace:
        found += [
            # A result that its own tensor cannot hold: wider kind, or larger shape.
            Bad(case(I3, A), "RuntimeError", method=name + "_"),
            Bad(case(A, given(np.ones((2, 3)), "float32")), "RuntimeError", method=name + "_"),
            Bad(
                case(given(np.ones((2, 3)), "float32", "expanded"), A),
                "RuntimeError",
                method=name + "_",
            ),
        ]
    return tuple(found)


def binary(
    name: str,
    left: tuple[float, float] = (-4, 4),
    right: tuple[float, float] = (-4, 4),
    *,
    dtypes: tuple[str, ...] = ALL,
    tol: Tol = EXACT,
    ref: Callable | None = None,
    grad: bool = True,
    inplace: bool = True,
    bad: tuple[Bad, ...] = (),
    kwargs: dict | None = None,
    label: str = "",
    large_dtype: str = "float32",
    **more: Any,
) -> Spec:
    kwargs = kwargs or {}
    sample = {
        k: more.pop(k) for k in ("numbers", "mixed", "corners", "nonzero", "moderate") if k in more
    }
    standard = () if label else _bad_binary(name, inplace=inplace)
    return Spec(
        name=label or name,
        fn=name,
        cases=binary_cases(left, right, **sample, **kwargs),
        dtypes=dtypes,
        tol=tol,
        numpy=ref,
        method=more.pop("method", name),
        inplace=more.pop("inplace_name", name + "_") if inplace else "",
        out=more.pop("out", True),
        grad=grad,
        grad_cases=binary_grads(left, right, **kwargs),
        bad=standard + bad,
        large=lambda rng: case(
            arr(rng, LARGE, large_dtype, "plain", *left),
            arr(rng, LARGE[1:], large_dtype, "plain", *right),
            **kwargs,
        ),
        **more,
    )


def logic(name: str, ref: Callable, **more: Any) -> Spec:
    return binary(name, ref=ref, grad=False, **more)


ZERO_I = given([1, 0, 2], "int32")
# A half's quotient is cut before it is rounded to the half, in PyTorch after.
FLOORED = Tol(2, "the quotient is rounded once, then cut", exact_in=("float32", "float64"))

BINARY = [
    binary("add", ref=np.add),
    binary(
        "add", label="add_alpha", kwargs={"alpha": 2}, dtypes=NUMBERS, corners=False,
        tol=ulps(1, "product and sum may fuse, or round each"),
        bad=(Bad(case(I3, I3, alpha=1.5), "RuntimeError"),
             Bad(case(A, A, alpha=None), "TypeError")),
    ),
    binary("sub", ref=np.subtract, dtypes=NUMBERS, numbers=(2, -3, 1.5),
           bad=(Bad(case(mask([True]), mask([True])), "RuntimeError"),)),
    binary(
        "sub", label="sub_alpha", kwargs={"alpha": 3}, dtypes=NUMBERS, corners=False,
        numbers=(2, -3, 1.5), tol=ulps(1, "product and sum may fuse, or round each",
                                       lambda lib, a, b, **_: abs(a) + 3 * abs(b)),
    ),
    binary("rsub", inplace=False, out=False, dtypes=NUMBERS, numbers=(2, -3, 1.5)),
    binary("mul", ref=np.multiply),
    binary("div", right=(0.5, 4), ref=np.true_divide, inplace=True),
    binary("div", label="div_trunc", right=(1, 5), kwargs={"rounding_mode": "trunc"}, tol=FLOORED,
           dtypes=NUMBERS, nonzero=True, numbers=(2, -3, 1.5),
           bad=(Bad(case(I3, ZERO_I, rounding_mode="trunc"), "RuntimeError"),
                Bad(case(A, A, rounding_mode="up"), "RuntimeError"))),
    binary("div", label="div_floor", right=(1, 5), kwargs={"rounding_mode": "floor"}, tol=FLOORED,
           dtypes=NUMBERS, nonzero=True, numbers=(2, -3, 1.5)),
    binary("floor_divide", right=(1, 5), dtypes=NUMBERS, tol=FLOORED, nonzero=True, numbers=(2, -3, 1.5),
           bad=(Bad(case(I3, ZERO_I), "RuntimeError"),)),
    binary("remainder", right=(1, 5), dtypes=NUMBERS, nonzero=True, moderate=True, numbers=(2, -3, 1.5),
           bad=(Bad(case(I3, ZERO_I), "RuntimeError"), Bad(case(I3, 0), "RuntimeError"))),
    binary("fmod", right=(1, 5), dtypes=NUMBERS, nonzero=True, moderate=True, numbers=(2, -3, 1.5),
           bad=(Bad(case(I3, ZERO_I), "RuntimeError"),)),
    binary("pow", (0.3, 3), (0, 3), dtypes=NUMBERS, tol=ULP2, numbers=(0, 1, 2, 3, 0.5), ref=np.power,
           bad=(Bad(case(I3, -1), "RuntimeError"),)),
    binary("pow", (0.3, 3), (-3, 3), label="pow_negative", dtypes=FLOATS, tol=ULP2,
           numbers=(-1, -2, -0.5, 2.0, True), ref=np.power),
    binary("maximum", ref=np.maximum, inplace=False, numbers=(), method="maximum"),
    binary("minimum", ref=np.minimum, inplace=False, numbers=(), method="minimum"),
    binary("eq", ref=np.equal, grad=False),
    binary("ne", ref=np.not_equal, grad=False),
    binary("lt", ref=np.less, grad=False),
    binary("le", ref=np.less_equal, grad=False),
    binary("gt", ref=np.greater, grad=False),
    binary("ge", ref=np.greater_equal, grad=False),
    logic("logical_and", np.logical_and, numbers=()),
    logic("logical_or", np.logical_or, numbers=()),
    logic("logical_xor", np.logical_xor, numbers=()),
    logic("bitwise_and", np.bitwise_and, dtypes=(*INTS, "bool"), numbers=(3, True), mixed=False,
          large_dtype="int32", bad=(Bad(case(A, A), "RuntimeError", "NotImplementedError"),)),
    logic("bitwise_or", np.bitwise_or, dtypes=(*INTS, "bool"), numbers=(3, True), mixed=False,
          large_dtype="int32"),
    logic("bitwise_xor", np.bitwise_xor, dtypes=(*INTS, "bool"), numbers=(3, True), mixed=False,
          large_dtype="int32"),
]  # fmt: skip

# ---- Three operands


def _ternary(
    dtype: str, rng: np.random.Generator, low: float = -4
) -> Iterable[tuple[Arr, Arr, Arr]]:
    for a, b, c, layout in (
        ((2, 3, 4), (2, 3, 4), (2, 3, 4), "plain"),
        ((2, 3, 4), (2, 3, 4), (2, 3, 4), "transposed"),
        ((5, 7), (5, 7), (7,), "stepped"),
        ((3, 1), (1, 4), (), "plain"),
        ((2, 3, 4, 5), (2, 3, 4, 5), (3, 1, 1), "channels_last"),
        ((0, 3), (1, 3), (3,), "plain"),
        ((), (), (), "plain"),
        ((67,), (67,), (67,), "shifted"),
    ):
        yield (
            arr(rng, a, dtype, layout),
            arr(rng, b, dtype, layout),
            arr(rng, c, dtype, layout, low, 4),
        )


def _ternary_grads(low: float = -4, **kwargs: Any) -> Callable:
    def make(rng: np.random.Generator) -> Iterable[Case]:
        for a, b, c in (((2, 3), (2, 3), (2, 3)), ((2, 1), (3,), ())):
            yield case(
                arr(rng, a, "float64"), arr(rng, b, "float64"), arr(rng, c, "float64", low=low),
                **kwargs,
            )  # fmt: skip

    return make


def _large3(low: float = -4, **kwargs: Any) -> Callable:
    return lambda rng: case(
        arr(rng, LARGE, "float32"), arr(rng, LARGE, "float32"), arr(rng, LARGE[1:], "float32", low=low),
        **kwargs,
    )  # fmt: skip


def _addc(name: str, low: float) -> list[Spec]:
    def plain(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
        for a, b, c in _ternary(dtype, rng, low):
            yield case(a, b, c)
            yield case(a, b, c, value=2)
            if dtype in FLOATS:
                yield case(a, b, c, value=-0.5)

    scale = (
        (lambda lib, x, a, b, value=1: abs(x) + abs(value * a * b))
        if name == "addcmul"
        else (lambda lib, x, a, b, value=1: abs(x) + abs(value * a / b))
    )
    return [
        Spec(
            name=name, cases=plain, dtypes=NUMBERS if name == "addcmul" else FLOATS,
            tol=ulps(3, "three rounded steps", scale), method=name, inplace=name + "_", out=True,
            grad=True, grad_cases=_ternary_grads(low, value=0.7), large=_large3(low),
            bad=(Bad(case(A, A, given([1.0, 2.0], "float32")), "RuntimeError"),
                 Bad(case(A, A, 1), "TypeError"),
                 *((Bad(case(I3, I3, I3), "RuntimeError"),) if name == "addcdiv" else
                   (Bad(case(I3, I3, I3, value=0.5), "RuntimeError"),))),
        )
    ]  # fmt: skip


def _lerp(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    for a, b, c in _ternary(dtype, rng, 0):
        yield case(a, b, given(c.data / 4, dtype, c.layout))
        yield case(a, b, 0.3)
        yield case(a, b, 0.8)


def _where(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    for a, b, c in _ternary(dtype, rng):
        yield case(mask(rng.random(c.shape) < 0.5, c.layout), a, b)
    chosen = mask(rng.random((3, 4)) < 0.5)
    yield case(chosen, arr(rng, (3, 4), dtype, "transposed"), 2)
    yield case(chosen, 1.5, arr(rng, (4,), dtype))
    yield case(chosen, arr(rng, (3, 4), dtype), arr(rng, (), _partner(dtype)))
    yield case(chosen, arr(rng, (3, 4), dtype), arr(rng, (4,), _partner(dtype)))
    edge = extremes(dtype)
    yield case(mask(np.arange(edge.size) % 2), given(edge, dtype), given(edge[::-1], dtype))


def _where_grads(rng: np.random.Generator) -> Iterable[Case]:
    yield case(
        mask([[True, False, True]]), arr(rng, (2, 3), "float64"), arr(rng, (2, 1), "float64")
    )


def _masked_fill(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    for a, _, c in _ternary(dtype, rng):
        if len(c.shape) <= len(a.shape):
            yield case(a, mask(rng.random(c.shape) < 0.5, c.layout), 1)
    yield case(arr(rng, (1, 4), dtype), mask(rng.random((3, 1)) < 0.5), True)
    yield case(arr(rng, (3, 4), dtype), mask(rng.random((3, 4)) < 0.5), arr(rng, (), dtype))
    if dtype in FLOATS:
        yield case(arr(rng, (3, 4), dtype), mask(rng.random((3, 4)) < 0.5), float("-inf"))
        yield case(arr(rng, (3, 4), dtype), mask(rng.random((3, 4)) < 0.5), 0.1)


def _clamp_tensor(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    for a, b, c in _ternary(dtype, rng):
        yield case(a, b, c)
        yield case(a, b)
        yield case(a, max=c)


TERNARY = [
    *_addc("addcmul", -4),
    *_addc("addcdiv", 0.5),
    Spec(
        "lerp", _lerp, FLOATS, method="lerp", inplace="lerp_", out=True, grad=True,
        tol=ulps(4, "difference, product and sum round", lambda lib, a, b, w: abs(a) + abs(b)),
        grad_cases=_ternary_grads(), large=_large3(0),
        bad=(Bad(case(A, given([1.0, 2, 3], "float64"), 0.5), "RuntimeError"),
             Bad(case(I3, I3, 0.5), "RuntimeError", "NotImplementedError")),
    ),
    Spec(
        "where", _where, ALL, fn="where",
        grad=True, grad_cases=_where_grads, out=True,
        large=lambda rng: case(mask(rng.random(LARGE) < 0.5), arr(rng, LARGE, "float32"),
                               arr(rng, LARGE[1:], "float32")),
        bad=(Bad(case(given([1.0], "float32"), A, A), "RuntimeError"),
             Bad(case(mask([True, False]), A, A), "RuntimeError")),
    ),
    Spec(
        "masked_fill", _masked_fill, ALL, method="masked_fill", inplace="masked_fill_", grad=True,
        strides=False,
        grad_cases=lambda rng: [case(arr(rng, (2, 3), "float64"), mask([True, False, True]), 1.5),
                                case(arr(rng, (2, 3), "float64"), mask([[True], [False]]),
                                     arr(rng, (), "float64"))],
        large=lambda rng: case(arr(rng, LARGE, "float32"), mask(rng.random(LARGE) < 0.5), 3.0),
        bad=(Bad(case(A, I3, 1.0), "RuntimeError"), Bad(case(A, mask([True, False]), 1.0), "RuntimeError"),
             Bad(case(A, mask([True]), A), "RuntimeError"),
             Bad(case(A, mask([[True], [False]]), 1.0), "RuntimeError", method="masked_fill_")),
    ),
    Spec(
        "clamp", _clamp_tensor, NUMBERS, method="clamp", inplace="clamp_", out=True, grad=True,
        grad_cases=_ternary_grads(), large=_large3(),
    ),
]  # fmt: skip

SPECS = [*UNARY, *BINARY, *TERNARY]
