"""Rows of complex dtypes: every operation that takes them, and what only they have."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from .base import (
    COMPLEX,
    EXACT,
    LAYOUTS,
    Bad,
    Case,
    DType,
    Spec,
    Tol,
    arr,
    case,
    given,
    index,
    mask,
    ulps,
)

Make = Callable[[str, np.random.Generator], Iterable[Case]]

# Parts of both signs; the bound is relative to the magnitude.
STEP = ulps(4, "one or two roundings of each part, relative to the magnitude")
FUNCTION = ulps(16, "parts are composed of several rounded functions, PyTorch's in double as well")
REAL = {"complex64": "float32", "complex128": "float64"}
SMALL = (((2, 3), "plain"), ((3, 2), "transposed"), ((), "plain"), ((0, 2), "plain"))


def apart(c: Case) -> bool:
    return all(a.layout != "expanded" for a in c.arrays())


def row(name: str, cases: Make, *, small: Make | None = None, **more: Any) -> Spec:
    """A row whose gradients are checked on the samples of `small` where that is given."""
    more.setdefault("fn", name)
    more.setdefault("dtypes", COMPLEX)
    more.setdefault("tol", STEP)
    if small is not None:
        more.update(grad=True, grad_cases=lambda rng: filter(apart, small("complex128", rng)))
    return Spec(name=f"complex {name}", cases=cases, **more)


def corners() -> np.ndarray:
    ends = [0.0, -0.0, 1.0, -2.5, np.inf, -np.inf, np.nan]
    return np.array([complex(a, b) for a in ends for b in ends])


# ---- One operand


def one(low: float, high: float, layouts: Iterable = LAYOUTS, **kwargs: Any) -> Make:
    def make(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
        for shape, layout in layouts:
            yield case(arr(rng, shape, dtype, layout, low, high), **kwargs)

    return make


def exact_one(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    yield from one(-4, 4)(dtype, rng)
    yield case(given(corners(), dtype), note="extremes")


def unary(name: str, low: float = -2, high: float = 2, **more: Any) -> Spec:
    more.setdefault("tol", FUNCTION)
    more.setdefault("inplace", name + "_")
    more.setdefault("out", True)
    more.setdefault("method", name)
    cases = exact_one if more["tol"] is EXACT else one(low, high)
    small = one(low, high, SMALL) if more.pop("grad", True) else None
    return row(name, cases, small=small, **more)


UNARY = [
    unary("neg", tol=EXACT),
    unary("conj_physical", tol=EXACT),
    unary("conj", tol=EXACT, inplace="", out=False, strides=False),
    unary("square", tol=STEP),
    unary("reciprocal", 0.2, 2, tol=STEP),
    unary("abs", tol=STEP, inplace=""),
    unary("angle", tol=STEP, inplace="", strides=False),
    unary("sgn", tol=STEP),
    unary("isnan", tol=EXACT, grad=False, inplace="", out=False),
    unary("isinf", tol=EXACT, grad=False, inplace="", out=False),
    unary("isfinite", tol=EXACT, grad=False, inplace="", out=False),
    unary("isreal", tol=EXACT, grad=False, inplace="", out=False),
    unary("logical_not", tol=EXACT, grad=False),
    *(unary(name) for name in (
        "exp", "exp2", "expm1", "sin", "cos", "sinh", "cosh", "tanh", "sigmoid",
    )),
    unary("tan", -1, 1),
    # Away from the cuts along the real axis.
    *(unary(name, 0.25, 2) for name in (
        "log", "log2", "log10", "log1p", "sqrt", "rsqrt", "asin", "acos", "asinh", "acosh",
        "atanh",
    )),
    unary("atan", 1.25, 2),
    row("real", exact_one, small=one(-2, 2, SMALL), tol=EXACT),
    row("imag", exact_one, small=one(-2, 2, SMALL), tol=EXACT),
    row("view_as_real", exact_one, small=one(-2, 2, SMALL), tol=EXACT),
]  # fmt: skip

# ---- Two and three operands

PAIRS = (
    ((2, 3, 4), (2, 3, 4), "plain", "plain"),
    ((2, 3, 4), (4,), "plain", "plain"),
    ((3, 1), (1, 5), "plain", "plain"),
    ((4, 6), (4, 6), "transposed", "stepped"),
    ((4, 6), (), "expanded", "plain"),
    ((), (3, 2), "plain", "transposed"),
    ((0, 3), (3,), "plain", "plain"),
)
FEW_PAIRS = PAIRS[1:3] + PAIRS[5:]


def two(
    pairs: Iterable = PAIRS, numbers: Iterable = (2, 0.5, 1.5 - 0.5j), low: float = 0.25, **kw: Any
) -> Make:
    """Both complex, one real, one a number."""

    def make(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
        for a, b, first, second in pairs:
            for x, y in ((dtype, dtype), (dtype, REAL[dtype]), (REAL[dtype], dtype)):
                left = arr(rng, a, x, first, low, 2)
                yield case(left, arr(rng, b, y, second, low, 2), **kw)
        for n in numbers:
            yield case(arr(rng, (3, 2), dtype, "plain", low, 2), n, **kw)

    return make


def real_beside_number(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    yield case(arr(rng, (3, 2), REAL[dtype]), 1.5 - 0.5j)
    yield case(arr(rng, (3, 2), "int64"), 1.5 - 0.5j)


def binary(name: str, tol: Tol = STEP, grad: bool = True, **more: Any) -> Spec:
    kw = more.pop("kwargs", {})

    def cases(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
        yield from two(**kw)(dtype, rng)
        if not kw:
            yield from real_beside_number(dtype, rng)

    more.setdefault("method", name)
    more.setdefault("inplace", name + "_")
    small = two(FEW_PAIRS, **kw) if grad else None
    return row(name, cases, small=small, tol=tol, out=True, **more)


def equal_pairs(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    for a, b, first, second in PAIRS:
        some = given(rng.integers(0, 2, a) + 1j * rng.integers(0, 2, a), dtype, first)
        yield case(some, given(rng.integers(0, 2, b) + 0j, dtype, second))
    yield case(given([1 + 2j, 0.1, 3], dtype), 0.1)
    yield case(given([1 + 2j, 0.1, 3], dtype), 1 + 2j)
    yield case(given(corners(), dtype), given(corners(), dtype), note="extremes")


def three(**kw: Any) -> Make:
    def make(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
        for a, b, first, second in FEW_PAIRS:
            x = arr(rng, np.broadcast_shapes(a, b), dtype, "plain", 0.25, 2)
            y, z = arr(rng, a, dtype, first, 0.25, 2), arr(rng, b, dtype, second, 0.25, 2)
            yield case(x, y, z, **kw)

    return make


def parts(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    for a, b, first, second in PAIRS:
        real = REAL.get(dtype, dtype)
        yield case(arr(rng, a, real, first), arr(rng, b, real, second))


def polars(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    """Sizes that are not negative: there PyTorch's gradient has the other sign."""
    for a, b, first, second in PAIRS:
        real = REAL.get(dtype, dtype)
        yield case(arr(rng, a, real, first, 0.25, 2), arr(rng, b, real, second))


def wheres(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    for a, b, first, second in PAIRS:
        chosen = mask(rng.integers(0, 2, np.broadcast_shapes(a, b)))
        yield case(chosen, arr(rng, a, dtype, first), arr(rng, b, dtype, second))


BINARY = [
    binary("add"),
    binary("sub"),
    binary("mul"),
    binary("div", ulps(8, "a product and a quotient of each part")),
    binary("pow", FUNCTION),
    row("add alpha", two(alpha=0.5 - 2j, numbers=()), small=two(FEW_PAIRS, (), alpha=0.5 - 2j),
        fn="add", method="add"),
    row("rsub", two(numbers=(2, 1j)), small=two(FEW_PAIRS, (2, 1j)), method="rsub"),
    row("eq", equal_pairs, tol=EXACT, method="eq", out=True),
    row("ne", equal_pairs, tol=EXACT, method="ne", out=True),
    row("logical_and", equal_pairs, tol=EXACT, method="logical_and"),
    row("isclose", equal_pairs, tol=EXACT, method="isclose"),
    row("addcmul", three(value=0.5), small=three(value=0.5), method="addcmul", inplace="addcmul_",
        out=True, tol=ulps(8, "three products and a sum"), strides=False),
    row("addcdiv", three(value=0.5), small=three(value=0.5), method="addcdiv", inplace="addcdiv_",
        out=True, tol=ulps(16, "a quotient, a product and a sum"), strides=False),
    row("where", wheres, small=wheres, tol=EXACT),
    row("complex", parts, small=parts, tol=EXACT, out=True,
        bad=(Bad(case(given([1.0], "float32"), given([1.0], "float64")), "RuntimeError"),
             Bad(case(given([1], "int64"), given([1], "int64")), "RuntimeError"))),
    row("polar", polars, small=polars, out=True,
        bad=(Bad(case(given([1.0], "float32"), given([1.0], "float64")), "RuntimeError"),)),
]  # fmt: skip

# ---- Reductions

TERMS = ulps(64, "sums of up to a thousand terms", scale=lambda lib, x, *a, **k: abs(x).sum())


def reductions(dims: Iterable = (), low: float = -2, **kw: Any) -> Make:
    def make(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
        for shape, layout in (*LAYOUTS[:4], *LAYOUTS[5:7], ((), "plain")):
            yield case(arr(rng, shape, dtype, layout, low, 2), **kw)
        if dims:
            yield case(arr(rng, (), dtype, "plain", low, 2), -1, **kw)
        for dim in dims:
            for keepdim in (False, True):
                x = arr(rng, (2, 3, 4), dtype, "transposed", low, 2)
                yield case(x, dim, keepdim=keepdim, **kw)

    return make


def along(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    for shape, layout in (((2, 3, 4), "plain"), ((4, 5), "transposed"), ((6,), "stepped")):
        for dim in range(-1, len(shape)):
            yield case(arr(rng, shape, dtype, layout, -2, 2), dim)


def few(make: Make, count: int = 4) -> Make:
    def chosen(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
        # Small ones: a finite difference is taken for every element.
        found = [
            c for c in make(dtype, rng) if apart(c) and sum(a.data.size for a in c.arrays()) <= 48
        ]
        return found[-count:]

    return chosen


PRODUCT = ulps(
    256, "products of many factors", scale=lambda lib, x, *a, **k: abs(x).clamp(1).prod()
)
REDUCTIONS = [
    row("sum", reductions((0, -1, (0, 2))), small=few(reductions((0, (0, 2)))), tol=TERMS,
        method="sum"),
    row("mean", reductions((0, -1, (0, 2))), small=few(reductions((0, (0, 2)))), tol=TERMS,
        method="mean"),
    row("prod", lambda dtype, rng: [c for c in reductions((0, -1), 0.5)(dtype, rng)
                                    if c.arrays()[0].data.size < 40],
        small=few(reductions((0, 1), 0.5)), tol=PRODUCT, method="prod"),
    row("var", reductions(((0,), (0, 2))), small=few(reductions(((0,), (1, 2)))), tol=ulps(
        256, "squares of differences", scale=lambda lib, x, *a, **k: (abs(x) ** 2).sum()),
        method="var"),
    row("std", lambda dtype, rng: [case(arr(rng, (5, 7), dtype)), case(arr(rng, (5, 7), dtype), 1)],
        small=lambda dtype, rng: [case(arr(rng, (3, 4), dtype), 1)], tol=TERMS, method="std"),
    row("cumsum", along, small=few(along), tol=TERMS, method="cumsum", out=True),
    row("cumprod", along, small=few(along), tol=PRODUCT, method="cumprod", out=True),
    row("logsumexp", lambda dtype, rng: [c for c in reductions((0, -1, (0, 1)))(dtype, rng) if len(c.args) > 1],
        small=lambda dtype, rng: [case(arr(rng, (3, 4), dtype), 1)], tol=TERMS, method="logsumexp"),
    row("any", reductions((0, 1)), tol=EXACT, method="any"),
    row("all", reductions((0, 1)), tol=EXACT, method="all"),
    row("count_nonzero", reductions(), tol=EXACT, method="count_nonzero"),
    row("norm", reductions(), small=few(reductions()), tol=TERMS, method="norm"),
]  # fmt: skip

# ---- Products of matrices

PRODUCTS = ulps(
    64, "sums of products, the parts apart",
    scale=lambda lib, a, b, *r, **k: lib.matmul(abs(a), abs(b)),
)  # fmt: skip


def matrices(*shapes: tuple, **kw: Any) -> Make:
    def make(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
        for pair in shapes:
            for layout in ("plain", "transposed"):
                yield case(*(arr(rng, s, dtype, layout, -2, 2) for s in pair), **kw)

    return make


def product(name: str, *shapes: tuple, **more: Any) -> Spec:
    kw = more.pop("kwargs", {})
    more.setdefault("method", name)
    more.setdefault("strides", False)
    make = matrices(*shapes, **kw)
    return row(name, make, small=few(make), tol=more.pop("tol", PRODUCTS), **more)


LOOSE = ulps(256, "sums of products of numbers up to 2", scale=lambda lib, *a, **k: 16.0)
MATRICES = [
    product("mm", ((2, 3), (3, 4)), ((5, 0), (0, 2)), ((33, 20), (20, 17)), out=True),
    product("bmm", ((2, 2, 3), (2, 3, 2)), ((3, 4, 5), (3, 5, 2)), out=True),
    product("matmul", ((2, 3), (3,)), ((3,), (3, 2)), ((4,), (4,)), ((2, 1, 3, 2), (3, 2, 2)),
            out=True),
    product("mv", ((3, 4), (4,)), out=True),
    product("dot", ((5,), (5,)), out=True),
    product("vdot", ((5,), (5,))),
    product("outer", ((3,), (4,)), tol=STEP),
    product("addmm", ((2, 3), (2, 4), (4, 3)), ((3,), (2, 4), (4, 3)), kwargs={"beta": 0.5, "alpha": 2},
            tol=LOOSE, inplace="addmm_", out=True),
    product("baddbmm", ((2, 2, 3), (2, 2, 2), (2, 2, 3)), tol=LOOSE, out=True),
    product("linear", ((2, 3), (4, 3), (4,)), ((2, 2, 3), (4, 3)), fn="linear", method="",
            torch_fn="nn.functional.linear", tol=LOOSE),
    product("einsum", ((2, 3), (3, 2)), method="", tol=LOOSE,
            fn=lambda lib: lambda a, b: lib.einsum("ij,jk->ki", a, b)),
    row("adjoint", one(-2, 2, LAYOUTS[:3]), small=one(-2, 2, SMALL[:2]), tol=EXACT, method="adjoint", strides=False),
    row("mH", one(-2, 2, LAYOUTS[:3]), small=one(-2, 2, SMALL[:2]), tol=EXACT,
        strides=False, fn=lambda lib: lambda x: x.mH),
]  # fmt: skip

# ---- What only moves elements


def moving(name: str, make: Make, **more: Any) -> Spec:
    more.setdefault("tol", EXACT)
    more.setdefault("strides", False)
    return row(name, make, small=few(make), **more)


def lists(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    yield case([arr(rng, (2, 3), dtype), arr(rng, (2, 3), dtype, "transposed")], 1)
    yield case([arr(rng, (2, 3), dtype), arr(rng, (2, 3), REAL[dtype])], 0)


def places(*extra: Any, **kw: Any) -> Make:
    def make(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
        for layout in ("plain", "transposed", "stepped"):
            source = [arr(rng, (3, 4), dtype) for e in extra if e == "source"]
            yield case(arr(rng, (3, 4), dtype, layout), 0, index([2, 0, 2]), *source, **kw)

    return make


def grids(*extra: Any) -> Make:
    def make(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
        for layout in ("plain", "transposed", "stepped"):
            at = index([[0, 2], [1, 3], [2, 1]])
            source = [arr(rng, (3, 2), dtype) for _ in extra]
            yield case(arr(rng, (3, 4), dtype, layout), 1, at, *source)

    return make


def masks(*extra: str) -> Make:
    def make(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
        for layout in ("plain", "transposed", "stepped"):
            chosen = mask([[1, 0, 1, 0], [0, 0, 1, 1], [1, 1, 1, 0]])
            more = {"number": 0.5 - 1j, "source": arr(rng, (3, 4), dtype)}
            x = arr(rng, (3, 4), dtype, layout)
            yield case(x, chosen, *(more[e] for e in extra))

    return make


def puts(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    for accumulate in (False, True):
        for layout in ("plain", "transposed"):
            at = (index([0, 2, 1]), index([1, 3, 0]))
            yield case(arr(rng, (3, 4), dtype, layout), at, arr(rng, (3,), dtype), accumulate)
    yield case(arr(rng, (3, 4), dtype), (index([0, 2, 0]),), arr(rng, (3, 4), dtype), True)


def getitems(lib: Any) -> Callable:
    return lambda x, *key: x[key if len(key) > 1 else key[0]]


def keys(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    for key in (
        (1,),
        (slice(None), slice(1, 4, 2)),
        (index([2, 0, 2]),),
        (None, 0),
        (-1, index([1])),
    ):
        yield case(arr(rng, (3, 4), dtype), *key)


def shaped(*args: Any, **kw: Any) -> Make:
    def make(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
        for shape, layout in (((3, 4), "plain"), ((3, 4), "transposed"), ((4, 3), "stepped")):
            yield case(arr(rng, shape, dtype, layout), *args, **kw)

    return make


def casts(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    for to in ("complex64", "complex128", "float32", "float64", "int32", "bool", "float16"):
        for shape, layout in LAYOUTS[:4]:
            yield case(arr(rng, shape, dtype, layout), DType(to, fixed=True))


def casts_to(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    for source in ("float32", "float64", "float16", "bfloat16", "int32", "bool", "uint8"):
        for shape, layout in LAYOUTS[:4]:
            yield case(arr(rng, shape, source, layout), DType(dtype, fixed=True))


def interleaved(dtype: str, rng: np.random.Generator) -> Iterable[Case]:
    real = REAL.get(dtype, dtype)
    yield case(arr(rng, (3, 2), real))
    yield case(arr(rng, (2, 3, 2), real))
    yield case(arr(rng, (2,), real))


MOVING = [
    moving("cat", lists),
    moving("stack", lambda dtype, rng: list(lists(dtype, rng))[:1]),
    moving("index_select", places(), method="index_select", out=True),
    moving("index_add", places("source"), method="index_add", inplace="index_add_",
           tol=STEP, gradgrad=True),
    moving("index_fill", lambda dtype, rng: [case(arr(rng, (3, 4), dtype), 0, index([0, 2]), 1 - 2j)],
           method="index_fill"),
    moving("gather", grids(), method="gather"),
    moving("scatter", grids("source"), method="scatter", inplace="scatter_"),
    moving("scatter_add", grids("source"), method="scatter_add", inplace="scatter_add_", tol=STEP),
    moving("masked_select", masks(), method="masked_select"),
    moving("masked_fill", masks("number"), method="masked_fill", inplace="masked_fill_"),
    moving("masked_scatter", masks("source"), method="masked_scatter"),
    moving("index_put", puts, method="index_put", tol=STEP),
    moving("getitem", keys, fn=getitems),
    moving("take", lambda dtype, rng: [case(arr(rng, (3, 4), dtype), index([0, 5, 11]))],
           method="take"),
    moving("flip", shaped((0, 1)), method="flip"),
    moving("roll", shaped(2, 1), method="roll"),
    moving("tril", shaped(), method="tril"),
    moving("triu", shaped(1), method="triu"),
    moving("diagonal", shaped(), method="diagonal"),
    moving("repeat", shaped(2, 3), fn=lambda lib: lambda x, *n: x.repeat(*n)),
    moving("clone", shaped(), method="clone"),
    moving("pad", shaped((1, 2)), fn="pad", torch_fn="nn.functional.pad"),
    moving("view_as_complex", interleaved,
           bad=(Bad(case(given(np.ones((2, 3)), "float32")), "RuntimeError"),
                Bad(case(given(1.0, "float32")), "RuntimeError"),
                Bad(case(given(np.ones((2, 2)), "float32", "transposed")), "RuntimeError"),
                Bad(case(given(np.ones((2, 2)), "int64")), "RuntimeError", "RuntimeError"))),
    row("nonzero", lambda dtype, rng: [case(given([[0, 1j], [2, 0]], dtype))], tol=EXACT,
        method="nonzero", strides=False),
    row("to", casts, tol=EXACT, fn=lambda lib: lambda x, d: x.to(d)),
    row("to complex", casts_to, tol=EXACT, fn=lambda lib: lambda x, d: x.to(d)),
]  # fmt: skip

# ---- Refusals

Z = given([1 + 2j, 3], "complex64")
REFUSED = [
    row(name, one(-2, 2, LAYOUTS[:1]), fn="abs", tol=FUNCTION, bad=(
        Bad(case(Z, *more), error, word="", method=name),
    ))
    for name, error, *more in (
        ("lt", "RuntimeError", 1), ("ge", "RuntimeError", 1), ("max", "RuntimeError"),
        ("argmin", "RuntimeError"), ("sort", "RuntimeError"), ("clamp", "RuntimeError", 0),
        ("floor", "RuntimeError"), ("sign", "RuntimeError"), ("abs_", "RuntimeError"),
        ("softmax", "RuntimeError", 0), ("relu", "RuntimeError"), ("floor_divide", "RuntimeError", 1),
        ("remainder", "RuntimeError", 1), ("maximum", "RuntimeError", Z), ("median", "RuntimeError"),
        ("topk", "RuntimeError", 1), ("cummax", "RuntimeError", 0), ("erf", "RuntimeError"),
    )
]  # fmt: skip

SPECS = [*UNARY, *BINARY, *REDUCTIONS, *MATRICES, *MOVING, *REFUSED]
