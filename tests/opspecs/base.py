"""What a row of the operation table is made of.

A row (``Spec``) names an operation and gives its samples. A sample (``Case``) is written with
``Arr``, a description of a tensor that any library can build: values, dtype and the strides they lie
in memory with. So the same sample runs on Ember, on PyTorch, and in a process that has neither at
another instruction-set level.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

FLOATS = ("float32", "float64", "float16", "bfloat16")
INTS = ("uint8", "int8", "int16", "int32", "int64")
COMPLEX = ("complex64", "complex128")
ALL = (*FLOATS, *INTS, "bool")
NUMBERS = (*FLOATS, *INTS)

# Where Ember's tensors lie: conftest.py sets it from pytest's --device. References stay on the CPU.
DEVICE = os.environ.get("EMBER_TEST_DEVICE", "cpu")

# The distance from 1 to the next number, the smallest normal number, the largest.
EPS = {"float64": 2.0**-52, "float32": 2.0**-23, "float16": 2.0**-10, "bfloat16": 2.0**-7}
TINY = {"float64": 2.0**-1074, "float32": 2.0**-149, "float16": 2.0**-24, "bfloat16": 2.0**-133}
LARGEST = {
    "float64": float(np.finfo(np.float64).max),
    "float32": float(np.finfo(np.float32).max),
    "float16": 65504.0,
    "bfloat16": 3.3895313892515355e38,
}


for table in (EPS, TINY, LARGEST):  # of the parts
    table["complex64"], table["complex128"] = table["float32"], table["float64"]


def exact_dtype(dtype: str) -> str:
    """The dtype in which a value's exact result is computed."""
    return "complex128" if dtype in COMPLEX else "float64"


def to_bfloat16(values: np.ndarray) -> np.ndarray:
    """The nearest bfloat16 (halves to even) of float32 values, as its 16 bits."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    nan = np.isnan(values)
    rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16
    return np.where(nan, 0x7FC0, rounded).astype(np.uint16)


def from_bfloat16(bits: np.ndarray) -> np.ndarray:
    return (bits.astype(np.uint32) << 16).view(np.float32)


def from_numpy(lib: Any, values: np.ndarray) -> Any:
    """A tensor of `lib` with these values, Ember's on the device under test."""
    tensor = lib.from_numpy(values)
    return tensor.to(DEVICE) if lib.__name__ == "ember" and DEVICE != "cpu" else tensor


def _strides(shape: Sequence[int], layout: str) -> tuple[list[int], int]:
    """Element strides and offset of a layout."""
    ndim = len(shape)
    order = list(range(ndim))[::-1]  # innermost first
    gap, offset = 1, 0
    if layout == "transposed":
        order = order[::-1]
    elif layout == "channels_last" and ndim == 4:
        order = [1, 3, 2, 0]
    elif layout == "stepped":
        gap, offset = 2, 1
    elif layout == "shifted":  # dense, but not where the allocator puts things
        offset = 3
    strides = [0] * ndim
    step = gap
    for d in order:
        strides[d] = step
        step *= max(shape[d], 1)
    if layout == "expanded" and ndim:
        strides[0] = 0
    return strides, offset


@dataclass(frozen=True, eq=False)
class Arr:
    """A tensor to be: values in numpy (bfloat16 ones as float32), dtype and memory layout."""

    data: np.ndarray
    dtype: str
    layout: str = "plain"
    # "value" takes part in the mathematics; "index" and "mask" keep their dtype in every run.
    role: str = "value"
    grad: bool = True
    on_host: bool = False  # on the CPU whatever the device under test

    @property
    def shape(self) -> tuple[int, ...]:
        return self.data.shape

    @property
    def is_float(self) -> bool:
        return self.dtype in FLOATS or self.dtype in COMPLEX

    def values(self) -> np.ndarray:
        """The values as the tensor will hold them: repeated along an expanded dim."""
        if self.layout == "expanded" and self.data.ndim and self.data.shape[0]:
            return np.broadcast_to(self.data[:1], self.data.shape)
        return self.data

    def build(self, lib: Any, dtype: str | None = None) -> Any:
        """The tensor in `lib` (ember or torch), in `dtype` where given."""
        kind = dtype or self.dtype
        values = self.values()
        if kind == "bfloat16":
            stored = to_bfloat16(values).view(np.int16)
        else:
            with np.errstate(over="ignore", invalid="ignore"):
                stored = values.astype(kind)
        if self.on_host:
            return lib.from_numpy(np.array(stored, order="C"))
        if self.layout == "plain":
            tensor = from_numpy(lib, np.array(stored, order="C"))
            return tensor.view(lib.bfloat16) if kind == "bfloat16" else tensor
        strides, offset = _strides(self.shape, self.layout)
        reach = (
            offset + 1 + sum(max(n - 1, 0) * s for n, s in zip(self.shape, strides, strict=True))
        )
        memory = np.full(reach, 1, stored.dtype)  # gaps hold something that would show in a sum
        if values.size:
            np.lib.stride_tricks.as_strided(
                memory[offset:], self.shape, [s * memory.itemsize for s in strides]
            )[...] = stored
        base = from_numpy(lib, memory)
        if kind == "bfloat16":
            base = base.view(lib.bfloat16)
        return base.as_strided(self.shape, strides, offset)


@dataclass(frozen=True)
class DType:
    """A dtype argument, by name. `fixed`: the same in runs that compute in float64."""

    name: str
    fixed: bool = False


@dataclass(frozen=True)
class Format:
    """A memory format argument, by name."""

    name: str


@dataclass(frozen=True, eq=False)
class Case:
    args: tuple
    kwargs: dict = field(default_factory=dict)
    note: str = ""

    def arrays(self) -> list[Arr]:
        found: list[Arr] = []

        def visit(x: Any) -> None:
            if isinstance(x, Arr):
                found.append(x)
            elif isinstance(x, (list, tuple)):
                for item in x:
                    visit(item)

        visit(self.args)
        visit(list(self.kwargs.values()))
        return found

    def build(self, lib: Any, exact: bool = False) -> tuple[list, dict]:
        """Arguments for `lib`; with `exact` all value arrays are float64 or complex128."""

        def make(x: Any) -> Any:
            if isinstance(x, Arr):
                return x.build(lib, exact_dtype(x.dtype) if exact and x.role == "value" else None)
            if isinstance(x, DType):
                floating = x.name in FLOATS or x.name in COMPLEX
                name = exact_dtype(x.name) if exact and floating and not x.fixed else x.name
                return getattr(lib, name)
            if isinstance(x, Format):
                return getattr(lib, x.name)
            if type(x) in (list, tuple):
                return type(x)(make(item) for item in x)
            return x

        return [make(a) for a in self.args], {k: make(v) for k, v in self.kwargs.items()}

    def plain(self) -> Case:
        """The same values, all contiguous."""

        def make(x: Any) -> Any:
            if isinstance(x, Arr):
                return replace(x, data=np.array(x.values()), layout="plain")
            if type(x) in (list, tuple):
                return type(x)(make(item) for item in x)
            return x

        return Case(make(self.args), {k: make(v) for k, v in self.kwargs.items()}, self.note)

    def __str__(self) -> str:
        def show(x: Any) -> str:
            if isinstance(x, Arr):
                return f"{x.dtype}{list(x.shape)}:{x.layout}"
            if isinstance(x, (list, tuple)):
                return "[" + ", ".join(map(show, x)) + "]"
            return repr(x)

        parts = [show(a) for a in self.args] + [f"{k}={show(v)}" for k, v in self.kwargs.items()]
        return f"({', '.join(parts)}){' ' + self.note if self.note else ''}"


def case(*args: Any, note: str = "", **kwargs: Any) -> Case:
    return Case(args, kwargs, note)


@dataclass(frozen=True)
class Tol:
    """How far a floating point result may lie from the exact one.

    The bound is ``ulps * eps(dtype) * scale``: ``scale`` is the size of the numbers that were
    rounded on the way, by default the result's own. float16 and bfloat16 compute in float32 and
    round once, so their bound is half an ULP plus float32's, unless ``steps`` says how many results
    are rounded to the dtype on the way.
    """

    ulps: float
    why: str
    scale: Callable[..., Any] | None = None
    steps: int = 1
    exact_in: tuple[str, ...] = ()  # dtypes in which results are PyTorch's to the bit

    def bound(self, dtype: str, size: np.ndarray, result: np.ndarray) -> np.ndarray:
        size = np.maximum(np.abs(result), size)
        if dtype in ("float16", "bfloat16"):
            slack = (
                0.5 * EPS[dtype] * self.steps * np.abs(result) + self.ulps * EPS["float32"] * size
            )
            if self.steps > 1:
                slack = 0.5 * EPS[dtype] * self.steps * size
            return slack * 1.01 + TINY[dtype]
        return self.ulps * EPS[dtype] * size + TINY[dtype] * max(1.0, self.ulps)


EXACT = Tol(0, "one correctly rounded step, or no arithmetic at all")
ULP2 = Tol(2, "elementary functions are within 2 ULP")


def ulps(n: float, why: str, scale: Callable[..., Any] | None = None, steps: int = 1) -> Tol:
    return Tol(n, why, scale, steps)


@dataclass(frozen=True)
class Bad:
    """Input that must raise: the exception's type and a word of its message besides the name."""

    case: Case
    error: str
    torch_error: str | None = None  # where PyTorch's type is another one on purpose
    word: str = ""
    method: str = ""  # calls a method (say, in place) on the first argument instead


@dataclass(frozen=True, eq=False)
class Spec:
    name: str
    cases: Callable[[str, np.random.Generator], Iterable[Case]]
    dtypes: tuple[str, ...] = FLOATS
    # Dotted names on the module, or a function of the module that returns the callable.
    fn: str | Callable[[Any], Callable] = ""
    torch_fn: str | Callable[[Any], Callable] = ""
    numpy: Callable[..., Any] | None = None
    tol: Tol = EXACT
    method: str = ""  # method form; its first argument is self
    inplace: str = ""  # in-place method
    out: bool = False
    grad: bool = False
    grad_cases: Callable[[np.random.Generator], Iterable[Case]] | None = None
    gradgrad: bool = True
    bad: tuple[Bad, ...] = ()
    strides: bool = True  # results have PyTorch's strides
    large: Callable[[np.random.Generator], Case] | None = None  # of benchmark size
    seeded: bool = False  # draws random numbers
    changes: tuple[int, ...] = ()  # arguments that change in place and are compared too

    def function(self, lib: Any, reference: bool = False) -> Callable:
        found = (self.torch_fn if reference and self.torch_fn else self.fn) or self.name
        if callable(found):
            return found(lib)
        for part in found.split("."):
            lib = getattr(lib, part)
        return lib

    def __str__(self) -> str:
        return self.name


def seed_of(name: str) -> int:
    return sum(ord(c) * 31**i for i, c in enumerate(name)) % 2**32


def rng_of(spec: Spec, dtype: str) -> np.random.Generator:
    return np.random.default_rng(seed_of(spec.name + dtype))


# ---- Sample values


def values(
    rng: np.random.Generator, shape: Sequence[int], dtype: str, low: float = -4, high: float = 4
) -> np.ndarray:
    """Random values that the dtype holds exactly, in [low, high] (whole numbers for integers)."""
    if dtype == "bool":
        return rng.integers(0, 2, shape).astype(bool)
    if dtype in INTS:
        info = np.iinfo(dtype)
        floor, ceiling = max(int(np.floor(low)), info.min), min(int(np.ceil(high)), info.max)
        return rng.integers(floor, max(ceiling, floor), shape, endpoint=True).astype(dtype)
    drawn = rng.uniform(low, high, shape)
    if dtype in COMPLEX:
        drawn = drawn + 1j * rng.uniform(low, high, shape)
    if dtype == "bfloat16":
        return from_bfloat16(to_bfloat16(np.asarray(drawn, np.float32)))
    return np.asarray(drawn).astype(dtype)


def arr(
    rng: np.random.Generator,
    shape: Sequence[int],
    dtype: str,
    layout: str = "plain",
    low: float = -4,
    high: float = 4,
    **more: Any,
) -> Arr:
    return Arr(values(rng, tuple(shape), dtype, low, high), dtype, layout, **more)


def index(data: Any, layout: str = "plain", dtype: str = "int64", on_host: bool = False) -> Arr:
    return Arr(np.asarray(data, dtype), dtype, layout, "index", False, on_host)


def mask(data: Any, layout: str = "plain") -> Arr:
    return Arr(np.asarray(data, bool), "bool", layout, role="mask", grad=False)


def given(data: Any, dtype: str, layout: str = "plain", **more: Any) -> Arr:
    """An array of these values."""
    data = np.asarray(data)
    if dtype == "bfloat16":
        data = from_bfloat16(to_bfloat16(data.astype(np.float32)))
    else:
        with np.errstate(over="ignore", invalid="ignore"):
            data = data.astype(dtype)
    return Arr(data, dtype, layout, **more)


def extremes(dtype: str) -> np.ndarray:
    """The corners of a dtype: infinities, NaN, both zeros, subnormals, largest and smallest."""
    if dtype == "bool":
        return np.array([True, False, True])
    if dtype in INTS:
        info = np.iinfo(dtype)
        return np.array([info.min, info.max, 0, 1, info.max - 1, info.min + 1], dtype)
    top, tiny = LARGEST[dtype], TINY[dtype]
    wide = np.array([0.0, 1.0, 0.5, tiny, tiny * 3, top, top / 2, EPS[dtype], 1 - EPS[dtype], 2.5,
                     3.5, 1e-3, 88.0, 20.0, np.inf, np.nan])  # fmt: skip
    both = np.concatenate([wide, -wide])
    return both.astype(np.float32 if dtype == "bfloat16" else dtype)


LAYOUTS = (
    ((2, 3, 4), "plain"),
    ((2, 3, 4), "transposed"),
    ((5, 7), "stepped"),
    ((4, 6), "expanded"),
    ((2, 3, 4, 5), "channels_last"),
    ((67,), "shifted"),
    ((9, 35), "transposed"),
    ((0, 3), "plain"),
    ((3, 0, 2), "transposed"),
    ((), "plain"),
    ((1, 1, 3), "transposed"),
)

LARGE = (701, 1503)
