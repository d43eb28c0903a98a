"""Arguments for generated calls: plausible ones by a parameter's name, and hostile ones.

Everything is drawn from one `random.Random`, so that a call can be made again from its seed.
"""

import inspect
import io
import math
import random
import re
from dataclasses import dataclass
from typing import Any

import numpy as np

FLOATS = ["float32", "float64", "float16", "bfloat16"]
COMPLEX = ["complex64", "complex128"]
INTEGERS = ["int64", "int32", "int16", "int8", "uint8"]

CHOICES = {
    "reduction": ["mean", "sum", "none"],
    "approximate": ["none", "tanh"],
    "rounding_mode": [None, "floor", "trunc"],
    "mode": ["constant", "reflect", "replicate", "circular", "nearest", "fan_in", "fan_out"],
    "nonlinearity": ["relu", "leaky_relu", "tanh", "linear"],
    "indexing": ["ij", "xy"],
    "reduce": ["sum", "prod", "mean", "amax", "amin"],
    "device": ["cpu", None],
    "side": ["left", "right"],
    "ord": [None, 1, 2, math.inf, -math.inf, "fro"],
}
FLAGS = re.compile(
    r"keepdim|training|inplace|train|requires_grad|unbiased|descending|largest|sorted|stable|copy"
    r"|non_blocking|ceil_mode|count_include_pad|return_\w+|accumulate|create_graph|retain_graph"
    r"|allow_unused|log_target|right|pin_memory|sparse|full|equal_nan|enabled|foreach|as_tuple|bool"
)
DIMS = re.compile(r"dim\d?|axis\d?|start_dim|end_dim|destination|dims")
SIZES = re.compile(r"size|shape|sizes|repeats|reps|output_size|normalized_shape")
WINDOWS = re.compile(r"kernel_size|stride|padding|dilation|output_padding|pad")
COUNTS = re.compile(
    r"n|k|m|steps|chunks|groups|sections|diagonal|offset|length|num_\w+|split_size\w*|indices_or\w*"
    r"|start|end|step|shifts|seed|threads|correction|decimals|storage_offset|low|high|priority"
)
NUMBERS = re.compile(
    r"p|eps|alpha|beta|momentum|min|max|value|fill_value|std|mean|lambd|lambda_\w*|gain|a|b"
    r"|negative_slope|threshold|rtol|atol|label_smoothing|exponent|norm_type|max_norm|gamma|sigma"
    r"|clip_value|margin|temperature|max_val|min_val|scalar|number|nan|posinf|neginf"
)
SEQUENCES = re.compile(r"tensors|parameters|inputs|outputs|grad_outputs|args")
INDICES = re.compile(r"index|indices|ignore_index|padding_idx")
MASKS = re.compile(r"mask|condition|attn_mask")

HOSTILE_NUMBERS = [0, -1, 1, 2**31, -(2**31) - 1, 2**62, 2**63, -(2**63), 10**30, 1 << 40, 0.5]
HOSTILE_NUMBERS += [
    math.nan,
    math.inf,
    -math.inf,
    1e308,
    -0.0,
    True,
    1j,
    np.float32(1),
    np.int64(3),
]


@dataclass(frozen=True)
class Parameter:
    name: str
    required: bool = True
    keyword_only: bool = False
    variadic: bool = False


def parse_parameters(text: str) -> list[Parameter]:
    """Parameters of a signature's text such as `input, dim=None, *, dtype=None`."""
    depth, parts = 0, [""]
    for char in text:
        depth += (char in "([{") - (char in ")]}")
        if char == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += char
    parameters, keyword_only = [], False
    for part in filter(None, (part.strip() for part in parts)):
        if part == "*":
            keyword_only = True
        elif part != "/" and not part.startswith("**"):
            name = re.match(r"\*?\w*", part)[0]
            variadic = name.startswith("*")
            parameters.append(Parameter(name.lstrip("*"), "=" not in part, keyword_only, variadic))
            keyword_only |= variadic
    return parameters


def documented(function: Any) -> list[str]:
    """What stands between the parentheses of `name(input, dim)` lines that open the docstring."""
    found = []
    for line in (function.__doc__ or "").strip().split("\n"):
        opening = re.match(r"\s*[\w.]+\(", line)
        if not opening:
            break
        depth, end = 1, opening.end()
        while depth and end < len(line):
            depth += (line[end] in "([{") - (line[end] in ")]}")
            end += 1
        found.append(line[opening.end() : end - 1])
    return found


def signatures(function: Any) -> list[list[Parameter]]:
    """What the function takes, by its signature or the first lines of its docstring."""
    lines = [parse_parameters(line) for line in documented(function)]
    try:
        parameters = inspect.signature(function).parameters.values()
    except (ValueError, TypeError):
        return lines
    kinds = inspect.Parameter
    if lines and all(p.kind in (kinds.VAR_POSITIONAL, kinds.VAR_KEYWORD) for p in parameters):
        return lines
    return [
        [
            Parameter(
                p.name,
                p.default is kinds.empty and p.kind != kinds.VAR_POSITIONAL,
                p.kind == kinds.KEYWORD_ONLY,
                p.kind == kinds.VAR_POSITIONAL,
            )
            for p in parameters
            if p.kind != kinds.VAR_KEYWORD
        ]
    ]


class Arguments:
    """Draws the arguments of one call on the package `torch` (Ember, or PyTorch itself)."""

    def __init__(self, torch: Any, rng: random.Random) -> None:
        self.torch, self.rng = torch, rng
        self.values = np.random.RandomState(rng.getrandbits(32))
        kinds = [FLOATS, ["float32"], FLOATS, FLOATS, INTEGERS, COMPLEX]
        self.dtype = self.draw(kinds[min(int(rng.random() * 7), 5)])
        self.base = self.shape()

    def draw(self, options: Any) -> Any:
        return options[self.rng.randrange(len(options))]

    def chance(self, probability: float) -> bool:
        return self.rng.random() < probability

    def shape(self, ndim: int | None = None) -> list[int]:
        if ndim is None:
            ndim = self.draw([0, 1, 1, 2, 2, 2, 3, 3, 4, 5])
        size = [1, 2, 3, 4, 5, 7] if self.chance(0.9) else [0, 1, 2, 17, 33, 64]
        shape = [self.draw(size) for _ in range(ndim)]
        while math.prod(shape) > 1 << 18:  # time for more calls
            shape[shape.index(max(shape))] //= 4
        return shape

    # ---- Tensors

    def array(self, shape: list[int], dtype: str, low: int = -3, high: int = 4) -> Any:
        if dtype == "bool":
            return np.asarray(self.values.rand(*shape) < 0.5)
        if dtype in INTEGERS:
            low = max(low, 0) if dtype == "uint8" else low
            return np.asarray(self.values.randint(low, max(high, low + 1), shape)).astype(dtype)
        values = np.asarray(self.values.randn(*shape))
        if dtype in COMPLEX:
            values = values + 1j * np.asarray(self.values.randn(*shape))
        if values.size and self.chance(0.1):
            extremes = [math.nan, math.inf, -math.inf, 0.0, -0.0, 1e30, 1e-42]
            values.reshape(-1)[self.rng.randrange(values.size)] = self.draw(extremes)
        return values.astype("float32" if dtype == "bfloat16" else dtype)

    def tensor(self, shape: list[int], dtype: str | None = None, **bounds: int) -> Any:
        """A tensor of this shape, with strides of one kind or another."""
        dtype = dtype or self.dtype
        layout = self.draw(["plain"] * 5 + ["transposed", "strided", "expanded", "offset"])
        stored = list(shape)
        if layout == "transposed":
            stored = stored[::-1]
        elif layout in ("strided", "offset") and stored:
            stored[-1] = stored[-1] * 2 + 1
        elif layout == "expanded":
            stored = [1 if self.chance(0.5) else size for size in stored]
        t = self.torch.from_numpy(np.ascontiguousarray(self.array(stored, dtype, **bounds)))
        t = t.reshape(stored)
        if dtype == "bfloat16":
            t = t.to(self.torch.bfloat16)
        if layout == "transposed" and len(shape) > 1:
            t = t.permute(*range(len(shape) - 1, -1, -1))
        elif layout == "strided" and shape:
            t = t[..., : 2 * shape[-1] : 2]
        elif layout == "offset" and shape:
            t = t[..., 1 : 1 + shape[-1]]
        elif layout == "expanded":
            t = t.expand(shape)
        if dtype in (*FLOATS, *COMPLEX) and self.chance(0.2):
            t.requires_grad_(True)
        return t

    def broadcastable(self) -> Any:
        shape = list(self.base)
        if self.chance(0.4):
            shape = [1 if self.chance(0.3) else size for size in shape]
            shape = shape[self.rng.randrange(len(shape) + 1) :] if self.chance(0.3) else shape
        same = self.dtype if self.chance(0.8) else self.draw([*FLOATS, *INTEGERS, *COMPLEX, "bool"])
        return self.tensor(shape, same)

    def anything(self) -> Any:
        """A tensor that has nothing to do with the others."""
        if self.chance(0.002):  # more elements than 32 bits count
            return self.torch.ones(1, dtype=self.torch.int8).expand(2**31 + 8)
        if self.chance(0.05):
            return self.sparse()
        return self.tensor(self.shape(), self.draw([*FLOATS, *INTEGERS, *COMPLEX, "bool"]))

    def sparse(self) -> Any:
        """A sparse matrix, some of whose indices may lie outside of it."""
        count, high = self.rng.randrange(5), self.draw([3, 3, 3, 4, 2**62])
        values = self.tensor([count], self.draw([*FLOATS, *INTEGERS]))
        columns = [self.rng.randrange(high) for _ in range(count)]
        if self.chance(0.5):
            rows = [self.rng.randrange(3) for _ in range(count)]
            return self.torch.sparse_coo_tensor([rows, columns], values, (3, 3))
        pointers = [self.rng.randrange(-1, 6) for _ in range(2)] if self.chance(0.2) else [0, count]
        pointers = self.torch.tensor([0, *pointers, count])
        columns = self.torch.tensor(columns, dtype=self.torch.int64)
        return self.torch.sparse_csr_tensor(pointers, columns, values, (3, 3))

    # ---- Plausible values by a parameter's name

    def dim(self) -> int:
        ndim = max(len(self.base), 1)
        return self.rng.randrange(-ndim, ndim)

    def number(self) -> Any:
        if self.dtype in INTEGERS or self.chance(0.3):
            return self.rng.randrange(0, 4)
        return self.draw([0.0, 0.1, 0.5, 1.0, 2.0, -1.5])

    def size(self) -> Any:
        total = math.prod(self.base)
        options = [self.base, [total], [-1], [1, *self.base], self.shape()]
        return self.draw([tuple, list])(self.draw(options))

    def plausible(self, name: str) -> Any:
        if name in CHOICES:
            return self.draw(CHOICES[name])
        if name == "dtype":
            return getattr(
                self.torch, self.draw(["float32", "float64", "int64", "bool", "complex64"])
            )
        if name == "memory_format":
            return self.torch.contiguous_format
        if name == "generator":
            return None
        if FLAGS.fullmatch(name):
            return self.chance(0.5)
        if name == "dims" or (DIMS.fullmatch(name) and self.chance(0.15)):
            return self.rng.sample(range(len(self.base)), len(self.base))
        if DIMS.fullmatch(name):
            return self.dim()
        if SIZES.fullmatch(name):
            return self.size()
        if WINDOWS.fullmatch(name):
            return self.draw([1, 2, (1, 1), (2, 1)])
        if INDICES.fullmatch(name):
            return self.tensor(self.base or [2], "int64", low=0, high=max(min(self.base or [1]), 1))
        if MASKS.fullmatch(name):
            return self.tensor(self.base, "bool")
        if SEQUENCES.fullmatch(name):
            return [self.tensor(self.base) for _ in range(self.draw([1, 2, 3]))]
        if NUMBERS.fullmatch(name):
            return self.number()
        if COUNTS.fullmatch(name):
            return self.rng.randrange(0, 4)
        if name in ("other", "exponent", "divisor") and self.chance(0.3):
            return self.number()
        return self.broadcastable()

    # ---- Hostile values

    def hostile(self) -> Any:
        kind = self.rng.randrange(9)
        if kind <= 2:
            return self.draw(HOSTILE_NUMBERS)
        if kind <= 4:
            return self.anything()
        if kind == 5:
            return [self.draw(HOSTILE_NUMBERS) for _ in range(self.draw([0, 1, 2, 3, 70]))]
        if kind == 6:
            return tuple(self.anything() for _ in range(self.draw([0, 1, 3])))
        nested: list[Any] = []
        nested.append(nested)
        odd = [None, "", "mean", "none", "ellipsis\0", b"\xff", {}, nested, object(), int, Ellipsis]
        odd += [
            slice(None),
            slice(2**63, None, -1),
            self.torch.float16,
            np.zeros((2, 0)),
            io.BytesIO(),
        ]
        odd += [range(3), "float32", "cuda:99", lambda *a: None, [[1], 2], [None], ["x"], {"a": 1}]
        return self.draw(odd)
