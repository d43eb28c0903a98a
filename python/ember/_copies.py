"""Functions that copy what others view, and views that autograd does not track as such."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import _C
from ._lapack import deliver

Tensor = _C.Tensor


def _slice(input: Tensor, dim: int = 0, start: int | None = None, end: int | None = None,
           step: int = 1) -> Tensor:  # fmt: skip
    if step < 1:
        raise RuntimeError(f"slice_copy: step must be positive, got {step}")
    (d,) = [d % input.dim() for d in (dim,) if -input.dim() <= d < input.dim()] or [None]
    if d is None:
        raise IndexError(f"slice_copy: dim {dim} is out of range for {input.dim()} dims")
    return input[(slice(None),) * d + (slice(start, end, step),)]


def _copying(name: str, view: Callable) -> Callable:
    def function(input: Tensor, *args: Any, out: Any = None, **kwargs: Any) -> Any:
        if not isinstance(input, Tensor):
            raise TypeError(f"{name}: expected a tensor, got {type(input).__name__}")
        viewed = view(input, *args, **kwargs)
        if isinstance(viewed, Tensor):
            return deliver(viewed.clone(), out)
        return deliver(tuple(v.clone() for v in viewed), out)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"Return what ``{name.removesuffix('_copy')}`` views, in memory of its own."
    return function


_VIEWS = (
    "as_strided ccol_indices col_indices crow_indices diagonal expand indices permute "
    "row_indices select split split_with_sizes squeeze t transpose unbind unfold unsqueeze values "
    "view"
)
NAMES = {f"{name}_copy": getattr(Tensor, name) for name in _VIEWS.split()}
NAMES |= {
    "alias_copy": lambda input: input,
    "detach_copy": lambda input: input,  # as PyTorch, whose has a gradient
    "slice_copy": _slice,
    "view_as_complex_copy": _C.view_as_complex,
    "view_as_real_copy": _C.view_as_real,
}
globals().update({name: _copying(name, view) for name, view in NAMES.items()})


def unsafe_chunk(input: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """Split as `chunk` does."""
    return _C.chunk(input, chunks, dim)


def unsafe_split(input: Tensor, split_size: int, dim: int = 0) -> tuple[Tensor, ...]:
    """Split as `split` does."""
    return _C.split(input, split_size, dim)


def unsafe_split_with_sizes(input: Tensor, split_sizes: Any, dim: int = 0) -> tuple[Tensor, ...]:
    """Split as `split_with_sizes` does."""
    return _C.split_with_sizes(input, split_sizes, dim)
