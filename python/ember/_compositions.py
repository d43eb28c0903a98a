"""Functions of ``torch`` that are a line or two of others."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any

from . import _C
from ._lapack import deliver

Tensor = _C.Tensor


def range(
    start: float, end: float, step: float = 1, *, out: Tensor | None = None,
    dtype: Any = None, device: Any = None, requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """Return the numbers from start to end, the end too, which `arange` leaves out."""
    warnings.warn("range: deprecated in favour of arange", UserWarning, stacklevel=2)
    if step == 0:
        raise RuntimeError("range: step must be nonzero")
    if not math.isfinite(start) or not math.isfinite(end):
        raise RuntimeError(f"range: unsupported range: {start} -> {end}")
    if (end - start) / step < 0:
        raise RuntimeError("range: upper bound and lower bound inconsistent with step sign")
    if dtype is None:
        dtype = _C.get_default_dtype() if out is None else out.dtype
    count = math.floor((end - start) / step) + 1
    whole = not dtype.is_floating_point
    places = _C.arange(count, dtype=_C.int64 if whole else _C.float64, device=device)
    result = (int(start) + int(step) * places if whole else start + step * places).to(dtype)
    return deliver(result.requires_grad_(requires_grad), out)


def scalar_tensor(
    s: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """Return a tensor of no dims with this number, in the default dtype."""
    dtype = dtype or (_C.complex64 if isinstance(s, complex) else _C.get_default_dtype())
    return _C.full((), s, dtype=dtype, device=device, requires_grad=requires_grad)


def frobenius_norm(
    input: Tensor, dim: Any = (), keepdim: bool = False, *, out: Tensor | None = None
) -> Tensor:
    """Return the square root of the sum of squares over `dim`, or of all; see `linalg.norm`."""
    return _C.norm(input, 2, list(dim) or None if dim is not None else None, keepdim, out=out)


def nuclear_norm(
    input: Tensor, dim: Any = (-2, -1), keepdim: bool = False, *, out: Tensor | None = None
) -> Tensor:
    """Return the sum of the singular values of matrices."""
    from . import linalg

    return linalg.matrix_norm(input, "nuc", tuple(dim), keepdim, out=out)


def norm_except_dim(v: Tensor, pow: int = 2, dim: int = 0) -> Tensor:
    """Return the norms of the slices along `dim`, kept as dims of 1; of all where it is -1."""
    if dim == -1:
        return _C.norm(v, pow)
    if not 0 <= dim < v.dim():
        raise IndexError(f"norm_except_dim: dim {dim} is out of range for {v.dim()} dims")
    others = [d for d, _ in enumerate(v.shape) if d != dim]
    return _C.norm(v, pow, others, True) if others else v.abs()


def nonzero_static(
    input: Tensor, *, size: int, fill_value: int = -1, out: Tensor | None = None
) -> Tensor:
    """Return the first `size` rows of `nonzero`, filled up with `fill_value`."""
    if size < 0:
        raise RuntimeError(f"nonzero_static: size must not be negative, got {size}")
    found = _C.nonzero(input)[:size]
    rows = _C.full((size, input.dim()), fill_value, dtype=_C.int64, device=input.device)
    rows[: found.shape[0]] = found
    return deliver(rows, out)


def empty_permuted(
    size: Sequence[int], physical_layout: Sequence[int], *, dtype: Any = None, device: Any = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """Return an uninitialised tensor whose dims lie in memory in this order, outermost first."""
    size, order = list(size), list(physical_layout)
    if sorted(order) != sorted(d for d, _ in enumerate(size)):
        raise RuntimeError(
            f"empty_permuted: expected an order of {len(size)} dims, got {tuple(order)}"
        )
    memory = _C.empty([size[d] for d in order], dtype=dtype, device=device)
    back = [order.index(d) for d, _ in enumerate(size)]
    return memory.permute(back).requires_grad_(requires_grad)


def constant_pad_nd(input: Tensor, pad: Sequence[int], value: float = 0) -> Tensor:
    """Pad with a constant; see `nn.functional.pad`."""
    from .nn import functional

    return functional.pad(input, pad, "constant", value)


def conv_tbc(input: Tensor, weight: Tensor, bias: Tensor, pad: int = 0) -> Tensor:
    """Convolve sequences ``(time, batch, channels)`` with a weight ``(width, in, out)``."""
    if input.dim() != 3 or weight.dim() != 3 or bias.dim() != 1:
        raise RuntimeError(
            f"conv_tbc: expected an input and a weight of 3 dims and a bias of 1, got "
            f"{tuple(input.shape)}, {tuple(weight.shape)} and {tuple(bias.shape)}"
        )
    kernel = weight.permute(2, 1, 0)
    return _C.conv1d(input.permute(1, 2, 0), kernel, bias, padding=pad).permute(2, 0, 1)


def segment_reduce(
    data: Tensor, reduce: str, *, lengths: Tensor | None = None, indices: Tensor | None = None,
    offsets: Tensor | None = None, axis: int = 0, unsafe: bool = False, initial: Any = None,
) -> Tensor:  # fmt: skip
    """Reduce consecutive stretches along `axis`.

    Parameters
    ----------
    data : Tensor
    reduce : str
        ``"sum"``, ``"mean"``, ``"max"``, ``"min"`` or ``"prod"``.
    lengths, offsets : Tensor
        The stretches' lengths, or the places where each begins and the last ends; `axis` dims lead.
    initial
        What an empty stretch gives, and what the others take in too.
    """
    if reduce not in ("sum", "mean", "max", "min", "prod"):
        raise RuntimeError(f"segment_reduce: unknown reduction {reduce!r}")
    if indices is not None:
        raise NotImplementedError("segment_reduce: indices are not supported")
    if (lengths is None) == (offsets is None):
        raise RuntimeError("segment_reduce: expected lengths or offsets")
    sizes = offsets.diff() if lengths is None else lengths
    if axis != sizes.dim() - 1:
        raise RuntimeError(f"segment_reduce: expected axis {sizes.dim() - 1}, got {axis}")
    lead = data.shape[:axis]
    if sizes.shape[:-1] != lead or bool((sizes < 0).any()):
        raise RuntimeError(
            f"segment_reduce: expected lengths {(*lead, 'segments')} that are not negative"
        )
    if bool((sizes.sum(-1) != data.shape[axis]).any()):
        raise RuntimeError(f"segment_reduce: lengths must sum to {data.shape[axis]} along {axis}")
    neutral = {"sum": 0, "mean": 0, "prod": 1, "max": -math.inf, "min": math.inf}[reduce]
    start = neutral if initial is None else initial
    if reduce == "mean" and initial is None:
        start = math.nan
    shape = data.shape[axis + 1 :]
    rows, counts = data.reshape(-1, *shape), sizes.reshape(-1)
    segments = _C.arange(counts.numel(), device=data.device).repeat_interleave(counts)
    options = {"dtype": data.dtype, "device": data.device}
    if reduce in ("sum", "mean"):
        first = _C.full((counts.numel(), *shape), initial or 0, **options)
        result = first.index_add(0, segments, rows)
        if reduce == "mean":
            counts = counts.reshape(-1, *[1] * len(shape))
            result = _C.where(counts == 0, start, result / counts.clamp(min=1))
    else:
        first = _C.full((counts.numel(), *shape), start, **options)
        kind = {"max": "amax", "min": "amin"}.get(reduce, reduce)
        result = first.index_reduce(0, segments, rows, kind, include_self=initial is not None)
    return result.reshape(*sizes.shape, *shape)


def gcd_(input: Tensor, other: Tensor) -> Tensor:
    """Replace by the greatest common divisors."""
    return input.gcd_(other)


def lcm_(input: Tensor, other: Tensor) -> Tensor:
    """Replace by the least common multiples."""
    return input.lcm_(other)


def ldexp_(input: Tensor, other: Tensor) -> Tensor:
    """Multiply by powers of 2 in place."""
    return input.ldexp_(other)


def dropout_(input: Tensor, p: float, train: bool) -> Tensor:
    """Drop items in place; see `dropout`."""
    return _C.dropout(input, p, train, True)


def is_inference(input: Tensor) -> bool:
    """Whether it was made in inference mode."""
    return input.is_inference()


def get_device(input: Tensor) -> int:
    """Return the index of the GPU it lies on, -1 on the CPU."""
    return input.get_device()


def is_storage(obj: Any) -> bool:
    """Whether this is a storage."""
    from .storage import TypedStorage, UntypedStorage

    return isinstance(obj, (TypedStorage, UntypedStorage))


# ---- Methods


def is_set_to(self: Tensor, tensor: Tensor) -> bool:
    """Whether both view the same memory with the same sizes and strides."""
    if not isinstance(tensor, Tensor):
        raise TypeError(f"is_set_to: expected a tensor, got {type(tensor).__name__}")

    def place(t: Tensor) -> tuple:
        return t.untyped_storage().data_ptr(), t.storage_offset(), t.shape, t.stride()

    return self.dtype == tensor.dtype and place(self) == place(tensor)


def dim_order(self: Tensor, ambiguity_check: Any = False) -> tuple[int, ...]:
    """Return the dims as they lie in memory, outermost first."""
    order = tuple(sorted(_C.arange(self.dim()).tolist(), key=lambda d: -self.stride(d)))
    strides = [self.stride(d) for d, n in enumerate(self.shape) if n > 1]
    if ambiguity_check and (len(set(strides)) < len(strides) or len(strides) < self.dim()):
        raise RuntimeError(
            f"dim_order: sizes {tuple(self.shape)} and strides {self.stride()} leave it open"
        )
    return order


def const_data_ptr(self: Tensor) -> int:
    """Return the address of the first item."""
    return self.data_ptr()


def new_empty_strided(
    self: Tensor, size: Any, stride: Any, dtype: Any = None, device: Any = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """Make an uninitialised tensor of these strides, in this dtype where none is given."""
    return _C.empty_strided(size, stride, dtype=dtype or self.dtype, device=device or self.device,
                            requires_grad=requires_grad)  # fmt: skip


def map2_(self: Tensor, x: Tensor, y: Tensor, callable: Any) -> Tensor:
    """Replace items by what a function makes of them and those of x and y."""
    for t in (x, y):
        if not isinstance(t, Tensor) or t.shape != self.shape:
            raise RuntimeError(f"map2_: expected tensors of shape {tuple(self.shape)}")
    if self.requires_grad:
        raise RuntimeError("map2_: Can't call map2_() on Variable that requires grad")
    triples = zip(self.reshape(-1).tolist(), x.reshape(-1).tolist(), y.reshape(-1).tolist(),
                  strict=True)  # fmt: skip
    values = [callable(*triple) for triple in triples]
    return self.copy_(_C.tensor(values, dtype=self.dtype).reshape(self.shape))
