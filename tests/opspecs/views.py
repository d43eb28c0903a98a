"""Rows of views, shapes, joins, padding, copies and casts."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from .base import ALL, FLOATS, LARGE, NUMBERS, Arr, Bad, Case, DType, Format, Spec, arr, case, given

# Views move no values: a few dtypes stand for all.
SOME = ("float32", "float64", "bfloat16", "int16", "bool")
SHAPES = (
    ((2, 3, 4), "plain"), ((2, 3, 4), "transposed"), ((6, 4), "stepped"), ((4, 6), "expanded"),
    ((2, 3, 4, 5), "channels_last"), ((5,), "shifted"), ((0, 3), "plain"), ((), "plain"),
    ((1, 3, 1), "plain"),
)  # fmt: skip


def over(
    *calls: tuple[tuple, dict] | tuple, ndim: int = -1, least: int = 0
) -> Callable[[str, np.random.Generator], Iterable[Case]]:
    """Each of the calls' arguments on each shape (of `ndim` dims, of at least `least`)."""

    def make(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
        for shape, layout in SHAPES:
            if (ndim >= 0 and len(shape) != ndim) or len(shape) < least:
                continue
            for call in calls:
                kwargs = call[-1] if call and isinstance(call[-1], dict) else {}
                args = call[:-1] if kwargs else call
                yield case(arr(rng, shape, dtype, layout), *args, **kwargs)

    return make


def listed(*calls: tuple) -> Callable[[str, np.random.Generator], Iterable[Case]]:
    """Calls that give their own shape first: (shape, layout, *args)."""

    def make(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
        for shape, layout, *args in calls:
            yield case(arr(rng, shape, dtype, layout), *args)

    return make


def grads(*calls: tuple) -> Callable[[np.random.Generator], Iterable[Case]]:
    made = listed(*calls)
    return lambda rng: made("float64", rng)


X = given(np.ones((2, 3)), "float32")
S = given(1.0, "float32")
V = given([1.0, 2, 3], "float32")


def view(name: str, cases: Callable, *grad: tuple, **more: Any) -> Spec:
    more.setdefault("method", name)
    more.setdefault("fn", f"Tensor.{name}")
    return Spec(name, cases, SOME, grad=bool(grad), grad_cases=grads(*grad), **more)


VIEWS = [
    view(
        "view",
        listed(((2, 3, 4), "plain", 6, 4), ((2, 3, 4), "plain", (4, -1)), ((2, 3, 4), "plain", -1),
               ((6, 4), "stepped", 2, 3, 4), ((4, 6), "expanded", (4, 2, 3)), ((2, 3, 4), "transposed", 2, 3, 2, 2),
               ((0, 3), "plain", 0, 5), ((), "plain", 1, 1), ((1,), "plain", ()), ((2, 3, 4), "transposed", 24)),
        ((2, 3), "plain", (3, 2)), ((2, 4), "stepped", (2, 2, 2)),
        bad=(Bad(case(X, 4, 2), "RuntimeError"), Bad(case(X, -1, -1), "RuntimeError"),
             Bad(case(X, -2, 3), "RuntimeError"), Bad(case(X, -1, 4), "RuntimeError"),
             Bad(case(X, "x"), "TypeError"), Bad(case(X), "TypeError"),
             Bad(case(given(np.ones((0,)), "float32"), -1, 0), "RuntimeError"),
             Bad(case(given(np.ones((2, 3)), "float32", "transposed"), 6), "RuntimeError"),
             Bad(case(X, 2**40, 2**40), "RuntimeError")),
    ),
    view(
        "reshape",
        listed(((2, 3, 4), "plain", 6, 4), ((2, 3, 4), "transposed", 6, 4), ((6, 4), "stepped", -1),
               ((4, 6), "expanded", (24,)), ((2, 3, 4, 5), "channels_last", (2, -1)), ((0, 3), "plain", 3, 0)),
        ((2, 3), "transposed", (6,)), ((2, 3), "plain", (3, -1)),
        bad=(Bad(case(X, 4, 2), "RuntimeError"), Bad(case(X, -1, -1), "RuntimeError"),
             Bad(case(X, 1.5), "TypeError")),
    ),
    view("flatten", over((), (0, -1), ({"start_dim": -1},)), ((2, 3), "transposed"),
         bad=(Bad(case(X, 1, 0), "RuntimeError"), Bad(case(X, 0, 2), "IndexError"))),
    view("unflatten", listed(((6, 4), "plain", 0, (2, 3)), ((6, 4), "stepped", -2, (-1, 2)),
                             ((6, 4), "plain", 1, [2, 2])), ((4, 2), "plain", 0, (2, 2)),
         bad=(Bad(case(X, 1, (2, 2)), "RuntimeError"), Bad(case(X, 2, (1,)), "IndexError"),
              Bad(case(X, 0, ()), "RuntimeError"))),
    view("permute", over((2, 0, 1), ((-1, 0, 1),), ndim=3), ((2, 3), "plain", (1, 0)),
         bad=(Bad(case(X, 0), "RuntimeError"), Bad(case(X, 0, 0), "RuntimeError"),
              Bad(case(X, 0, 2), "IndexError"))),
    view("transpose", over((0, 1), (-1, 0), (1, 1), least=2), ((2, 3), "plain", 0, 1),
         bad=(Bad(case(X, 0, 2), "IndexError"), Bad(case(X, 0), "TypeError"))),
    view("t", over((), ndim=2), ((2, 3), "plain"),
         bad=(Bad(case(given(np.ones((1, 1, 1)), "float32")), "RuntimeError"),)),
    view("movedim", over((0, -1), ((0, 1), (-1, 0)), least=2), ((2, 3), "plain", 0, 1),
         bad=(Bad(case(X, (0, 1), (0,)), "RuntimeError"), Bad(case(X, (0, 0), (0, 1)), "RuntimeError"))),
    view(
        "expand",
        listed(((3, 1), "plain", 3, 4), ((3, 1), "plain", (2, -1, 4)), ((), "plain", 2, 2), ((1, 3), "transposed", 0, 3),
               ((5,), "shifted", 5), ((1, 0), "plain", 3, 0)),
        ((2, 1), "plain", (2, 3)), ((2,), "plain", (3, 2)),
        bad=(Bad(case(X, 2, 4), "RuntimeError"), Bad(case(X, 3), "RuntimeError"),
             Bad(case(X, -1, 2, 3), "RuntimeError"), Bad(case(given(np.ones((1,)), "float32"), -2), "RuntimeError"),
             Bad(case(given(np.ones((1, 1)), "float32"), 2**40, 2**40), "RuntimeError")),
    ),
    view("repeat", listed(((2, 3), "plain", 2, 1), ((2, 3), "transposed", (3, 2, 2)), ((), "plain", 3),
                          ((2, 3), "stepped", 0, 2)), ((2, 2), "plain", (2, 3)),
         bad=(Bad(case(X, 2), "RuntimeError"), Bad(case(X, -1, 2), "RuntimeError"))),
    view("broadcast_to", listed(((3, 1), "plain", (2, 3, 4)), ((1,), "plain", (0,))), ((2, 1), "plain", (2, 2)),
         bad=(Bad(case(X, (2, 4)), "RuntimeError"),)),
    view("squeeze", over((), (0,), ({"dim": -1},), ((0, -1),)), ((1, 2, 1), "plain"), ((1, 2), "plain", 0),
         bad=(Bad(case(X, 2), "IndexError"),)),
    view("unsqueeze", over((0,), (-1,)), ((2, 3), "transposed", 1),
         bad=(Bad(case(X, 3), "IndexError"), Bad(case(X, -4), "IndexError"))),
    view("select", over((0, 0), (-1, -1), ({"dim": 0, "index": 0},), least=1), ((2, 3), "plain", 1, -1),
         bad=(Bad(case(X, 0, 2), "IndexError"), Bad(case(X, 0, -3), "IndexError"), Bad(case(X, 2, 0), "IndexError"),
              Bad(case(S, 0, 0), "IndexError"))),
    view("narrow", over((0, 0, 1), (-1, 1, 0), (0, 0, 0), least=1), ((2, 3), "plain", 1, 1, 2),
         bad=(Bad(case(X, 0, 1, 2), "RuntimeError"), Bad(case(X, 0, 0, -1), "RuntimeError"),
              Bad(case(X, 0, 3, 0), "IndexError"), Bad(case(S, 0, 0, 1), "RuntimeError"))),
    view("split", listed(((6, 4), "plain", 4), ((6, 4), "stepped", 2, 1), ((6, 4), "transposed", [1, 2, 3]),
                         ((6, 4), "plain", (4, 0), 1), ((0, 3), "plain", 2), ((0, 3), "plain", 0)),
         ((4, 2), "plain", 3), ((3, 2), "plain", [1, 2]),
         bad=(Bad(case(X, 0), "RuntimeError"), Bad(case(X, -1), "RuntimeError"), Bad(case(X, [1, 2]), "RuntimeError"),
              Bad(case(X, [-1, 3]), "RuntimeError"), Bad(case(S, 1), "RuntimeError"), Bad(case(X, 1, 2), "IndexError"))),
    view("chunk", listed(((6, 4), "plain", 4), ((6, 4), "stepped", 3, 1), ((0, 3), "plain", 2), ((5,), "shifted", 9)),
         ((5,), "plain", 2), bad=(Bad(case(X, 0), "RuntimeError"), Bad(case(S, 1), "RuntimeError"))),
    view("unbind", over((), (-1,), least=1), ((2, 3), "plain", 1),
         bad=(Bad(case(S), "RuntimeError|IndexError"), Bad(case(X, 2), "IndexError"))),
    view("diagonal", over((), (1,), (-1, 0, 1), ({"offset": 9},), ({"dim1": -1, "dim2": 0},), least=2),
         ((2, 3), "plain"), ((3, 3), "plain", -1),
         bad=(Bad(case(X, 0, 0, 0), "RuntimeError"), Bad(case(V), "IndexError|RuntimeError"))),
    view("as_strided", listed(((2, 3, 4), "plain", (3, 2), (2, 1)), ((2, 3, 4), "plain", (2, 2), (1, 1), 3),
                              ((6,), "plain", (2, 3), (0, 2), 1)),
         ((6,), "plain", (2, 3), (1, 1)), ((2, 3), "plain", (3,), (2,), 1),
         bad=(Bad(case(X, (9,), (1,)), "RuntimeError"), Bad(case(X, (2,), (1, 1)), "RuntimeError"),
              Bad(case(X, (2,), (-1,)), "RuntimeError"), Bad(case(X, (2,), (1,), -1), "RuntimeError"),
              Bad(case(X, (2,), (2**62,)), "RuntimeError"), Bad(case(X, (-1,), (1,)), "RuntimeError"))),
    view("detach", over(())),
    view("tril", over((), (1,), (-1,), least=2), ((2, 3), "plain"), strides=False, out=True, bad=(Bad(case(V), "RuntimeError"),)),
    view("triu", over((), (1,), (-9,), (9,), least=2), ((3, 2), "plain", -1), strides=False, out=True,
         bad=(Bad(case(V), "RuntimeError"),)),
]  # fmt: skip


# ---- Joins and padding


def _cat(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    def t(shape: tuple, layout: str = "plain", d: str = dtype) -> Arr:
        return arr(rng, shape, d, layout)

    for layout in ("plain", "transposed", "stepped", "expanded"):
        yield case([t((2, 3), layout), t((4, 3), layout)])
        yield case([t((2, 3), layout), t((2, 1), layout), t((2, 3))], 1)
        yield case((t((2, 3, 4), layout), t((2, 3, 2))), dim=-1)
    yield case([t((2, 3, 4, 5), "channels_last"), t((2, 2, 4, 5), "channels_last")], 1)
    yield case([t((0,)), t((2, 3))], 0, note="legacy empty")
    yield case([t((0, 3)), t((2, 3))])
    yield case([t((0,)), t((0,))])
    yield case([t((3,))])
    yield case([t((2, 3)), t((2, 3), d="float64"), t((1, 3), d="int32")])


def _stack(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    for layout in ("plain", "transposed", "stepped"):
        parts = [arr(rng, (2, 3), dtype, layout) for _ in range(3)]
        for dim in (0, 1, 2, -1):
            yield case(parts, dim)
    yield case([arr(rng, (), dtype), arr(rng, (), dtype)])
    yield case([arr(rng, (0, 2), dtype), arr(rng, (0, 2), dtype)], 1)


def _pad(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    for shape, layout in (((2, 3, 4, 5), "plain"), ((2, 3, 4, 5), "channels_last"), ((2, 3, 5), "stepped"),
                          ((3, 5), "transposed")):  # fmt: skip
        x = arr(rng, shape, dtype, layout)
        yield case(x, (1, 2))
        yield case(x, (1, 2, 0, 3))
        yield case(x, [0, -1], value=1)
        yield case(x, (-1, 1, 2, -1), "constant", 2.0 if dtype in FLOATS else 2)
        if dtype in FLOATS:
            for mode in ("reflect", "replicate", "circular"):
                if len(shape) > 2:
                    yield case(x, (1, 2), mode)
                if len(shape) > 3:
                    yield case(x, (1, 2, 2, 0), mode=mode)


def _pad_grads(rng: np.random.Generator) -> Iterable[Case]:
    x = arr(rng, (1, 2, 3), "float64")
    yield case(x, (1, 2))
    yield case(x, (-1, 1), value=2.0)
    for mode in ("reflect", "replicate", "circular"):
        yield case(x, (2, 1), mode)
    yield case(x, (2, 1), "reflect", 0.0)


JOINS = [
    Spec("cat", _cat, ALL, grad=True, out=True,
         grad_cases=lambda rng: [
             case([arr(rng, (2, 2), "float64"), arr(rng, (1, 2), "float64", "transposed")]),
             case([arr(rng, (2, 1), "float64"), arr(rng, (0,), "float64"), arr(rng, (2, 2), "float64")], 1)],
         large=lambda rng: case([arr(rng, LARGE, "float32"), arr(rng, LARGE, "float32")], 1),
         bad=(Bad(case([]), "RuntimeError|ValueError"), Bad(case([X, V]), "RuntimeError"), Bad(case([S, S]), "RuntimeError"),
              Bad(case([X, given(np.ones((2, 4)), "float32")]), "RuntimeError"), Bad(case([X, X], 2), "IndexError"),
              Bad(case(X), "TypeError"), Bad(case([X, 1]), "TypeError"))),
    Spec("stack", _stack, ALL, grad=True, out=True,
         grad_cases=lambda rng: [case([arr(rng, (2,), "float64"), arr(rng, (2,), "float64")], 1)],
         large=lambda rng: case([arr(rng, LARGE, "float32"), arr(rng, LARGE, "float32")], 2),
         bad=(Bad(case([]), "RuntimeError"), Bad(case([X, V]), "RuntimeError"), Bad(case([X, X], 3), "IndexError"))),
    Spec("pad", _pad, ("float32", "float64", "bfloat16", "int64"), torch_fn="nn.functional.pad", grad=True,
         grad_cases=_pad_grads, strides=False,
         large=lambda rng: case(arr(rng, (7, 301, 503), "float32"), (3, 5, 1, 2)),
         bad=(Bad(case(X, (1,)), "RuntimeError"), Bad(case(X, (-2, -2)), "RuntimeError"),
              Bad(case(X, (-4, 5)), "RuntimeError"), Bad(case(X, (5, -4)), "RuntimeError"),
              Bad(case(X, (1, 1, 1, 1, 1, 1)), "RuntimeError"), Bad(case(X, (1, 1), "up"), "NotImplementedError|RuntimeError"),
              Bad(case(given(np.ones((1, 2, 3)), "float32"), (3, 0), "reflect"), "RuntimeError"),
              Bad(case(given(np.ones((1, 2, 3)), "float32"), (1, 0), "reflect", 2.0), "RuntimeError"),
              Bad(case(given(np.ones((1, 2, 3)), "float32"), (4, 0), "circular"), "RuntimeError"))),
]  # fmt: skip

# ---- Copies and casts


def _to(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    for to in ALL:
        for shape, layout in SHAPES[:5]:
            # Only what both can hold: a float outside an integer's range is undefined in PyTorch.
            low = 0 if "uint8" in (to, dtype) else -4
            yield case(arr(rng, shape, dtype, layout, low), DType(to, fixed=True))
    yield case(arr(rng, (2, 3, 4, 5), dtype), memory_format=Format("channels_last"))
    yield case(arr(rng, (2, 3), dtype, "transposed"), DType("float32", fixed=True), copy=True)


def _halves(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    """Rounding to halves: ties to even, overflow, subnormals."""
    top = {"float16": 65504.0, "bfloat16": 3.3895313892515355e38}
    for half in ("float16", "bfloat16"):
        step = 2.0**-10 if half == "float16" else 2.0**-7
        ties = [1 + step / 2, 1 + 3 * step / 2, 1 + step / 2 + 1e-7, 2.0**-24, 2.0**-25, 3 * 2.0**-25, 2.0**-14,
                top[half], 65519.0, 65520.0, 1e-45, 0.0, np.inf, np.nan]  # fmt: skip
        yield case(
            given([*ties, *(-t for t in ties)], dtype), DType(half, fixed=True), note="rounding"
        )


def _copy_(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    for shape, layout in SHAPES:
        if layout != "expanded":
            yield case(arr(rng, shape, dtype, layout), arr(rng, shape, dtype, "transposed"))
    yield case(arr(rng, (3, 4), dtype), arr(rng, (4,), dtype))
    yield case(arr(rng, (3, 4), dtype), arr(rng, (3, 4), "float64", "stepped", 0))
    yield case(arr(rng, (3, 4), dtype, "stepped"), arr(rng, (), "int32", low=0))
    yield case(arr(rng, (3, 4), dtype, "stepped"), 2)


def _like(name: str) -> Spec:
    return Spec(
        name, lambda dtype, rng: [*over(())(dtype, rng), *over(({"memory_format": Format("contiguous_format")},))(dtype, rng),
                                  case(arr(rng, (2, 3, 4, 5), dtype), memory_format=Format("channels_last"))],
        SOME, fn=f"Tensor.{name}", grad=True, grad_cases=grads(((2, 3), "transposed")),
        method=name,
    )  # fmt: skip


COPIES = [
    Spec("to", lambda d, r: [*_to(d, r), *(_halves(d, r) if d in ("float32", "float64") else ())], ALL, fn="Tensor.to",
         grad=True, gradgrad=True,
         grad_cases=lambda rng: [case(arr(rng, (2, 2), "float64"), DType("float64"), copy=True)],
         large=lambda rng: case(arr(rng, LARGE, "float32"), DType("float64", fixed=True)),
         bad=(Bad(case(X, "cuda:x"), "RuntimeError"), Bad(case(X, "nowhere"), "RuntimeError"))),
    Spec("copy_", _copy_, NUMBERS, fn="Tensor.copy_", changes=(0,),
         bad=(Bad(case(X, given(np.ones((3, 3)), "float32")), "RuntimeError"), Bad(case(X, "x"), "TypeError"),
              Bad(case(given(np.ones((2, 3)), "float32", "expanded"), X), "RuntimeError"),
              Bad(case(V, X), "RuntimeError"))),
    _like("clone"),
    Spec("contiguous", over((), ({"memory_format": Format("contiguous_format")},)), SOME, fn="Tensor.contiguous",
         method="contiguous", grad=True, grad_cases=grads(((2, 3), "transposed")),
         bad=(Bad(case(X, memory_format=Format("channels_last")), "RuntimeError"),)),
    Spec("fill_", lambda d, r: [case(arr(r, s, d, lay), v) for s, lay in SHAPES if lay != "expanded"
                                for v in (1, True, 2)] + [case(arr(r, (3,), d), arr(r, (), d))],
         ALL, fn="Tensor.fill_", changes=(0,),
         bad=(Bad(case(X, V), "RuntimeError"), Bad(case(given([1], "uint8"), 300), "RuntimeError"),
              Bad(case(X, "x"), "TypeError"))),
    Spec("zero_", lambda d, r: [case(arr(r, s, d, lay)) for s, lay in SHAPES if lay != "expanded"], ALL,
         fn="Tensor.zero_", changes=(0,)),
    Spec("type_as", lambda d, r: [case(arr(r, (2, 3), d, low=0), arr(r, (1,), t)) for t in ALL], NUMBERS,
         fn="Tensor.type_as", method="type_as"),
]  # fmt: skip


def _cast(name: str, to: str) -> Spec:
    low = 0 if to == "uint8" else -4  # a negative float in uint8 is undefined in PyTorch
    return Spec(
        f"cast_{name}", lambda d, r: [case(arr(r, s, d, lay, low)) for s, lay in SHAPES[:6]],
        NUMBERS, fn=f"Tensor.{name}",
    )  # fmt: skip


CASTS = [
    _cast(*pair)
    for pair in (
        ("float", "float32"), ("double", "float64"), ("half", "float16"), ("bfloat16", "bfloat16"), ("long", "int64"),
        ("int", "int32"), ("short", "int16"), ("char", "int8"), ("byte", "uint8"), ("bool", "bool"),
    )
]  # fmt: skip


def _as(name: str, *pairs: tuple[tuple, tuple]) -> Spec:
    return Spec(
        name, lambda d, r: [case(arr(r, a, d), arr(r, b, "float32", grad=False)) for a, b in pairs], SOME,
        fn=f"Tensor.{name}", grad=True, bad=(Bad(case(X, 1), "TypeError"), Bad(case(X, V), "RuntimeError")),
        grad_cases=lambda rng: [case(arr(rng, a, "float64"), arr(rng, b, "float64", grad=False)) for a, b in pairs[:1]],
    )  # fmt: skip


OTHERS = [
    _as("view_as", ((2, 3), (3, 2)), ((4,), (2, 2))),
    _as("reshape_as", ((2, 3), (6,))),
    _as("expand_as", ((2, 1), (2, 3)), ((3,), (2, 3))),
    Spec("equal", lambda d, r: [case(given([1, 2], d), given(v, d)) for v in ([1, 2], [1, 3], [[1, 2]])], ALL, method="equal",
         bad=(Bad(case(X, 1), "TypeError"),)),
    Spec("isclose", lambda d, r: [case(given([1, 2, 100], d), given([1, 3, 100], d), *more) for more in ((), (0.1, 1.0))]
         + ([case(given([np.nan, np.inf, -np.inf, 1e-9], d), given([np.nan, np.inf, np.inf, 0], d), equal_nan=e) for e in (True, False)]
            if d in FLOATS else []), ALL, method="isclose",
         bad=(Bad(case(X, given(np.ones((2, 3)), "float64")), "RuntimeError"), Bad(case(X, X, -1.0), "RuntimeError"))),
    Spec("allclose", lambda d, r: [case(given([1, 2], d), given(v, d)) for v in ([1, 2], [1, 3])], FLOATS, method="allclose"),
]  # fmt: skip

SPECS = [*VIEWS, *JOINS, *COPIES, *CASTS, *OTHERS]
