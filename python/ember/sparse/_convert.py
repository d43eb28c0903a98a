"""Sparse tensors from strided ones and back, between layouts, and their parts."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from .. import _C
from ._tensor import (
    FUNCTIONS,
    SparseTensor,
    Tensor,
    coo,
    coo_index,
    csc,
    csr,
    flat_index,
    make,
    make_coo,
)


def provides(*names: str) -> Callable:
    """Register what the functions of these names do with sparse arguments."""

    def register(function: Callable) -> Callable:
        for name in names:
            FUNCTIONS[name] = function
        return function

    return register


def is_sparse(x: Any) -> bool:
    return isinstance(x, SparseTensor)


def is_number(x: Any) -> bool:
    """A number, or a zero-dim strided tensor."""
    return not is_sparse(x) and (not isinstance(x, Tensor) or x.dim() == 0)


def wrap_dim(name: str, dim: int, ndim: int) -> int:
    if not -ndim <= dim < max(ndim, 1):
        raise IndexError(
            f"{name}: Dimension out of range (expected to be in range of [{-ndim}, {ndim - 1}], "
            f"but got {dim})"
        )
    return dim % ndim if ndim else 0


def as_coo(x: SparseTensor) -> SparseTensor:
    """The same items as COO, in their order."""
    if x.layout is coo:
        return x
    return make_coo(coo_index(x), x._items, x._size)


def coalesced(x: SparseTensor) -> SparseTensor:
    """The same tensor as COO with each index once, in order."""
    x = as_coo(x)
    if x._coalesced:
        return x
    sparse = x._index.shape[0]
    flat = flat_index(x._index, x._size)
    kept, place = flat.unique(return_inverse=True)
    n = kept.shape[0]
    index = []
    for size in reversed(x._size[:sparse]):
        index.append(kept % size)
        kept = kept // size
    index = _C.stack(index[::-1]) if index else x._index[:, :n]
    if x._items.dtype == _C.bool:
        sums = add_at(n, place, x._items.to(_C.uint8)).to(_C.bool)
    else:
        sums = add_at(n, place, x._items)
    return make_coo(index, sums, x._size, True)


def add_at(n: int, place: Tensor, items: Tensor) -> Tensor:
    """n sums of the items that have the same place."""
    return items.new_zeros((n, *items.shape[1:])).index_add(0, place, items)


def to_coo(x: Tensor, sparse_dim: int | None = None) -> SparseTensor:
    if is_sparse(x):
        if x.layout is csc:
            return coalesced(x)
        return x if x.layout is coo else make_coo(coo_index(x), x._items, x._size, True)
    dims = x.dim() if sparse_dim is None else sparse_dim
    if not (0 <= dims <= x.dim()) or (dims == 0 and x.dim() > 0):
        raise RuntimeError(f"to_sparse: sparse_dim must lie in [1, {x.dim()}], got {dims}")
    kept = x.detach() != 0
    if dims < x.dim():
        kept = kept.flatten(dims).any(dims)
    index = kept.nonzero().t().contiguous()
    items = x[tuple(index)] if dims else x.reshape(1)[: index.shape[1]]
    return make_coo(index, items, x.shape, True)


def to_compressed(x: Tensor, layout: Any) -> SparseTensor:
    if is_sparse(x) and x.layout is layout:
        return x
    if x.dim() != 2 or (is_sparse(x) and x.dense_dim() > 0):
        raise NotImplementedError(
            f"to_sparse: layout {layout} is implemented for matrices, got size {tuple(x.shape)}"
        )
    x = coalesced(to_coo(x))
    index, items = x._index, x._items
    rows, columns = index[0], index[1]
    if layout is csc:
        order = columns.argsort(stable=True)
        rows, columns, items = columns[order], rows[order], items[order]
    n = x._size[0 if layout is csr else 1]
    pointers = _C.searchsorted(rows.contiguous(), _C.arange(n + 1, device=rows.device))
    return make(layout, columns.contiguous(), items, x._size, pointers)


def to_sparse(x: Tensor, sparse_dim: int | None = None, *, layout: Any = None) -> SparseTensor:
    """As a sparse tensor, of all dims or the first `sparse_dim`; sparse_coo by default."""
    if layout not in (None, coo, csr, csc, _C.strided):
        raise TypeError(f"to_sparse: expected a layout, got {layout!r}")
    if layout is _C.strided:
        raise RuntimeError("to_sparse: expected a sparse layout, got strided")
    if layout in (None, coo):
        return to_coo(x, sparse_dim)
    if sparse_dim is not None:
        raise RuntimeError("to_sparse: sparse_dim and a compressed layout exclude each other")
    return to_compressed(x, layout)


def to_sparse_coo(x: Tensor) -> SparseTensor:
    """As a sparse_coo tensor."""
    return to_coo(x)


def to_sparse_csr(x: Tensor, dense_dim: int | None = None) -> SparseTensor:
    """As a sparse_csr matrix."""
    return to_compressed(x, csr)


def to_sparse_csc(x: Tensor, dense_dim: int | None = None) -> SparseTensor:
    """As a sparse_csc matrix."""
    return to_compressed(x, csc)


@provides("to_dense")
def to_dense(x: Tensor, dtype: Any = None, *, masked_grad: bool | None = None) -> Tensor:
    """As a strided tensor."""
    if not is_sparse(x):
        return x if dtype is None else x.to(dtype)
    x = as_coo(x)
    items = x._items if dtype is None else x._items.to(dtype)
    sparse = x._index.shape[0]
    n = math.prod(x._size[:sparse])
    wide = items.to(_C.uint8) if items.dtype == _C.bool else items
    return add_at(n, flat_index(x._index, x._size), wide).to(items.dtype).reshape(x._size)


def expect_coo(name: str, x: Tensor) -> SparseTensor:
    if not is_sparse(x) or x.layout is not coo:
        raise RuntimeError(
            f"{name} expected sparse coordinate tensor layout but got "
            f"{str(x.layout).removeprefix('ember.')}"
        )
    return x


def coalesce(x: Tensor) -> SparseTensor:
    """Each index once, in order, with the sum of its values. sparse_coo only."""
    return coalesced(expect_coo("coalesce", x))


def is_coalesced(x: Tensor) -> bool:
    """Whether each index stands once, in order. sparse_coo only."""
    return expect_coo("is_coalesced", x)._coalesced


def _coalesced_(x: Tensor, coalesced: bool) -> Tensor:
    """Say that this tensor is coalesced."""
    expect_coo("_coalesced_", x)._coalesced = coalesced
    return x


def indices(x: Tensor) -> Tensor:
    """(sparse dims, items) of a coalesced sparse_coo tensor."""
    if not expect_coo("indices", x)._coalesced:
        raise RuntimeError(
            "Cannot get indices on an uncoalesced tensor, please call .coalesce() first"
        )
    return x._index


def _indices(x: Tensor) -> Tensor:
    """(sparse dims, items), whether coalesced or not."""
    return expect_coo("_indices", x)._index


def values(x: Tensor) -> Tensor:
    """(items, *dense dims), differentiable; of a coalesced tensor."""
    if not is_sparse(x):
        expect_coo("values", x)
    if x.layout is coo and not x._coalesced:
        raise RuntimeError(
            "Cannot get values on an uncoalesced tensor, please call .coalesce() first"
        )
    return x._items.view_as(x._items) if x._items.requires_grad else x._items


def _values(x: Tensor) -> Tensor:
    """(items, *dense dims), whether coalesced or not, without gradients."""
    return expect_coo("_values", x)._items.detach()


def _nnz(x: Tensor) -> int:
    """The number of items, repetitions included."""
    if not is_sparse(x):
        raise RuntimeError("_nnz: expected a sparse tensor, got layout strided")
    return x._items.shape[0]


def sparse_dim(x: Tensor) -> int:
    """How many dims are indexed; 0 of a strided tensor."""
    if not is_sparse(x):
        return 0
    return x._index.shape[0] if x.layout is coo else 2


def dense_dim(x: Tensor) -> int:
    """How many dims the values have behind the first."""
    return x.dim() - sparse_dim(x)


def _compressed_part(name: str, layout: Any, part: str) -> Callable:
    def get(x: Tensor) -> Tensor:
        if x.layout is not layout:
            raise RuntimeError(
                f"{name} expected layout {str(layout).removeprefix('ember.')}, but got "
                f"{str(x.layout).removeprefix('ember.')}"
            )
        return getattr(x, part)

    get.__name__ = get.__qualname__ = name
    return get


crow_indices = _compressed_part("crow_indices", csr, "_pointers")
col_indices = _compressed_part("col_indices", csr, "_index")
ccol_indices = _compressed_part("ccol_indices", csc, "_pointers")
row_indices = _compressed_part("row_indices", csc, "_index")


@provides("sparse_mask")
def sparse_mask(x: Tensor, mask: Tensor) -> SparseTensor:
    """The items of x at the indices of `mask`."""
    if not is_sparse(mask):
        raise RuntimeError("sparse_mask: expected a sparse mask, got layout strided")
    if x.shape != mask.shape:
        raise RuntimeError(
            f"sparse_mask: operands have incompatible sizes; self has size {tuple(x.shape)} but "
            f"mask has size {tuple(mask.shape)}"
        )
    index = as_coo(mask)._index
    if not is_sparse(x):
        return mask._like(x[tuple(index)])
    x = coalesced(x)
    if x._index.shape[0] != index.shape[0]:
        raise RuntimeError(
            f"sparse_mask: expected {index.shape[0]} sparse dims as the mask has, got "
            f"{x._index.shape[0]}"
        )
    found, there = find(flat_index(index, x._size), x)
    items = x._items[found] if x._items.shape[0] else x._items.new_zeros(
        (index.shape[1], *x._items.shape[1:])
    )  # fmt: skip
    there = there.reshape([-1] + [1] * (items.dim() - 1))
    return mask._like(_C.where(there, items, _C.zeros((), dtype=items.dtype)))


def find(flat: Tensor, x: SparseTensor) -> tuple[Tensor, Tensor]:
    """Where each place stands among the items of a coalesced tensor, and whether it does."""
    own = flat_index(x._index, x._size)
    if own.shape[0] == 0:
        return flat, _C.zeros_like(flat, dtype=_C.bool)
    found = _C.searchsorted(own, flat).clamp(max=own.shape[0] - 1)
    return found, own[found] == flat
