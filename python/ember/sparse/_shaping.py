"""Shapes, parts and reductions of sparse tensors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from .. import _C
from ._convert import (
    add_at,
    as_coo,
    coalesced,
    expect_coo,
    is_sparse,
    provides,
    to_compressed,
    wrap_dim,
)
from ._tensor import FUNCTIONS, SparseTensor, Tensor, coo, csc, csr, flat_index, make, make_coo

# ---- Dims in another order


@provides("t")
def t(x: SparseTensor) -> SparseTensor:
    if x.dim() > 2:
        raise RuntimeError(f"t() expects a tensor with <= 2 dimensions, but self is {x.dim()}D")
    return transpose(x, 0, 1) if x.dim() == 2 else x


@provides("transpose")
def transpose(x: SparseTensor, dim0: int, dim1: int) -> SparseTensor:
    d0, d1 = (wrap_dim("transpose", d, x.dim()) for d in (dim0, dim1))
    order = list(range(x.dim()))
    order[d0], order[d1] = d1, d0
    return permute(x, order)


@provides("permute")
def permute(x: SparseTensor, *dims: Any) -> SparseTensor:
    given = dims[0] if len(dims) == 1 and not isinstance(dims[0], int) else dims
    order = [wrap_dim("permute", d, x.dim()) for d in given]
    if sorted(order) != list(range(x.dim())):
        raise RuntimeError(f"permute: expected {x.dim()} different dims, got {tuple(given)}")
    if order == sorted(order):
        return x._like(x._items)
    size = [x._size[d] for d in order]
    if x.layout is not coo:
        return make(csc if x.layout is csr else csr, x._index, x._items, size, x._pointers)
    sparse = x._index.shape[0]
    if sorted(order[:sparse]) != list(range(sparse)):
        raise RuntimeError(
            f"permute: sparse dims and dense dims cannot change places: {sparse} sparse dims, "
            f"order {tuple(order)}"
        )
    index = x._index[order[:sparse]]
    items = x._items.permute([0, *(d - sparse + 1 for d in order[sparse:])])
    return make_coo(index, items, size, x._coalesced and order[:sparse] == list(range(sparse)))


@provides("unsqueeze")
def unsqueeze(x: SparseTensor, dim: int) -> SparseTensor:
    expect_coo("unsqueeze", x)
    d = wrap_dim("unsqueeze", dim, x.dim() + 1)
    size = [*x._size[:d], 1, *x._size[d:]]
    sparse = x._index.shape[0]
    if d > sparse:
        return make_coo(x._index, x._items.unsqueeze(d - sparse + 1), size, x._coalesced)
    zeros = _C.zeros_like(x._index[:1]) if sparse else _C.zeros(1, len(x._items), dtype=_C.int64)
    return make_coo(_C.cat([x._index[:d], zeros, x._index[d:]]), x._items, size)


# ---- Several tensors


@provides("cat")
def cat(tensors: Sequence[Tensor], dim: int = 0) -> SparseTensor:
    for x in tensors:
        if not is_sparse(x) or x.layout is not coo:
            raise RuntimeError(f"cat: all tensors must be sparse_coo, got one of layout {x.layout}")
    first = tensors[0]
    d, sparse = wrap_dim("cat", dim, first.dim()), first._index.shape[0]
    for i, x in enumerate(tensors):
        rest = [n for k, n in enumerate(x._size) if k != d]
        if rest != [n for k, n in enumerate(first._size) if k != d] or len(x._index) != sparse:
            raise RuntimeError(
                f"cat: tensor {i} of size {tuple(x._size)} and {len(x._index)} sparse dims does "
                f"not fit the first of size {tuple(first._size)} and {sparse}"
            )
    if d >= sparse:
        return _cat_dense(tensors, d, sparse)
    indices, n = [], 0
    for x in tensors:
        index = x._index.clone()
        index[d] += n
        indices.append(index)
        n += x._size[d]
    size = [*first._size[:d], n, *first._size[d + 1 :]]
    return make_coo(_C.cat(indices, 1), _C.cat([x._items for x in tensors]), size)


def _cat_dense(tensors: Sequence[SparseTensor], d: int, sparse: int) -> SparseTensor:
    """Along a dense dim: each item stands between zeros."""
    n = sum(x._size[d] for x in tensors)
    items, before = [], 0
    for x in tensors:
        after = n - before - x._size[d]
        padding = [0, 0] * (x.dim() - 1 - d) + [before, after]
        items.append(_C.pad(x._items, padding))
        before += x._size[d]
    size = [*tensors[0]._size[:d], n, *tensors[0]._size[d + 1 :]]
    return make_coo(_C.cat([x._index for x in tensors], 1), _C.cat(items), size)


@provides("stack")
def stack(tensors: Sequence[Tensor], dim: int = 0) -> SparseTensor:
    for x in tensors:
        if not is_sparse(x):
            raise RuntimeError(f"stack: all tensors must be sparse_coo, got layout {x.layout}")
    d = wrap_dim("stack", dim, tensors[0].dim() + 1)
    return cat([unsqueeze(x, d) for x in tensors], d)


# ---- Parts


@provides("select")
def select(x: SparseTensor, dim: int, index: int) -> Tensor:
    x = as_coo(x)
    d, sparse = wrap_dim("select", dim, x.dim()), x._index.shape[0]
    n = x._size[d]
    if not -n <= index < n:
        raise IndexError(
            f"select(): index {index} out of range for tensor of size {tuple(x._size)} at "
            f"dimension {d}"
        )
    index %= n
    size = [*x._size[:d], *x._size[d + 1 :]]
    if d >= sparse:
        return make_coo(x._index, x._items.select(d - sparse + 1, index), size, x._coalesced)
    keep = (x._index[d] == index).nonzero()[:, 0]
    items = x._items[keep]
    if sparse == 1:
        return items.sum(0).to(items.dtype)
    rest = _C.cat([x._index[:d], x._index[d + 1 :]])
    return make_coo(rest[:, keep], items, size, x._coalesced and len(keep) < 2)


@provides("index_select")
def index_select(x: SparseTensor, dim: int, index: Tensor) -> SparseTensor:
    x = as_coo(x)
    d, sparse = wrap_dim("index_select", dim, x.dim()), x._index.shape[0]
    if index.dim() != 1 or index.dtype not in (_C.int32, _C.int64):
        raise IndexError("index_select: index must be a vector of int32 or int64")
    size = [*x._size[:d], index.shape[0], *x._size[d + 1 :]]
    if d >= sparse:
        items = x._items.index_select(d - sparse + 1, index)
        return make_coo(x._index, items, size, x._coalesced)
    index, n = index.long(), x._size[d]
    if index.shape[0] and not (-n <= int(index.min()) and int(index.max()) < n):
        raise IndexError(f"index_select: index out of range for a dim of size {n}")
    index = index.remainder(n) if n else index
    order = x._index[d].argsort(stable=True)
    there = x._index[d][order]
    begin = _C.searchsorted(there, index)
    counts = _C.searchsorted(there, index, right=True) - begin
    place = _C.repeat_interleave(_C.arange(index.shape[0]), counts)
    taken = order[_C.arange(place.shape[0]) + (begin - (counts.cumsum(0) - counts))[place]]
    rows = [place if k == d else x._index[k][taken] for k in range(sparse)]
    return make_coo(_C.stack(rows), x._items[taken], size)


@provides("narrow")
def narrow(x: SparseTensor, dim: int, start: Any, length: int) -> SparseTensor:
    """The items whose index along a dim lies in [start, start + length)."""
    x = as_coo(x)
    d, sparse = wrap_dim("narrow", dim, x.dim()), x._index.shape[0]
    n, start = x._size[d], int(start)
    start += n if start < 0 else 0
    if not (0 <= start <= n and 0 <= length <= n - start):
        raise RuntimeError(
            f"narrow: start ({start}) + length ({length}) exceeds dimension size ({n})."
        )
    size = [*x._size[:d], length, *x._size[d + 1 :]]
    if d >= sparse:
        items = x._items.narrow(d - sparse + 1, start, length)
        return make_coo(x._index, items, size, x._coalesced)
    keep = ((x._index[d] >= start) & (x._index[d] < start + length)).nonzero()[:, 0]
    index = x._index[:, keep]
    index[d] -= start
    return make_coo(index, x._items[keep], size, x._coalesced)


FUNCTIONS["narrow_copy"] = narrow


@provides("__getitem__")
def getitem(x: SparseTensor, key: Any) -> Tensor:
    """Integers, whole slices, `...` and one vector of indices a dim."""
    key = list(key) if isinstance(key, tuple) else [key]
    if Ellipsis in [k for k in key if not isinstance(k, Tensor)]:
        at = [k is Ellipsis for k in key].index(True)
        key[at : at + 1] = [slice(None)] * (x.dim() - len(key) + 1)
    if len(key) > x.dim():
        raise IndexError(f"too many indices for tensor of dimension {x.dim()}")
    d = 0
    for k in key:
        if isinstance(k, slice):
            start, stop, step = k.indices(x.shape[d])
            if step != 1:
                raise NotImplementedError("index: a sparse tensor takes slices of step 1 alone")
            if (start, stop) != (0, x.shape[d]):
                x = x.narrow(d, start, max(stop - start, 0))
            d += 1
        elif isinstance(k, Tensor) and k.dim() == 1 and k.dtype in (_C.int32, _C.int64):
            x = x.index_select(d, k)
            d += 1
        elif hasattr(k, "__index__") and not isinstance(k, bool):
            x = x.select(d, k.__index__())
        else:
            raise NotImplementedError(
                f"index: a sparse tensor cannot be indexed by {type(k).__name__}"
            )
    return x


@provides("unbind")
def unbind(x: SparseTensor, dim: int = 0) -> tuple[Tensor, ...]:
    return tuple(select(x, dim, i) for i in range(x.shape[wrap_dim("unbind", dim, x.dim())]))


# ---- Reductions


@provides("sum")
def sum_(
    input: SparseTensor, dim: Any = None, keepdim: bool = False, *, dtype: Any = None
) -> Tensor:
    """Over all items, or over dims: sparse while a sparse dim is left."""
    x = coalesced(input) if dim is not None and input.layout is coo else as_coo(input)
    items = x._items if dtype is None else x._items.to(dtype)
    if dim is None or (not isinstance(dim, int) and len(dim) == 0):
        return items.sum(dtype=dtype)
    dims = sorted(wrap_dim("sum", d, x.dim()) for d in ([dim] if isinstance(dim, int) else dim))
    if len(set(dims)) < len(dims):
        raise RuntimeError("sum: dim appears multiple times in the list of dims")
    if input.layout is not coo:
        return _sum_compressed(input, dims, keepdim, dtype)
    sparse = x._index.shape[0]
    inner = [d - sparse + 1 for d in dims if d >= sparse]
    if inner:
        items = items.sum(inner, keepdim=keepdim)
    kept = [d for d in range(sparse) if d not in dims]
    size = [x._size[d] for d in range(x.dim()) if d not in dims]
    if not kept:
        total = items.sum(0)
        return total.reshape([1] * sparse + list(total.shape)) if keepdim else total
    if items.dtype != x.dtype or x.dtype == _C.bool or not x.dtype.is_floating_point:
        items = items.to(dtype or _C.int64)
    if len(kept) == sparse:
        if keepdim:
            size = [1 if d in dims else n for d, n in enumerate(x._size)]
        return make_coo(x._index, items, size, x._coalesced)
    result = coalesced(make_coo(x._index[kept], items, size))
    if keepdim:
        for d in dims:
            if d < sparse:
                result = unsqueeze(result, d)
        result._coalesced = True
    return result


def _sum_compressed(x: SparseTensor, dims: list[int], keepdim: bool, dtype: Any) -> Tensor:
    if not keepdim:
        raise RuntimeError("reduction operations on CSR tensors with keepdim=False is unsupported")
    total = sum_(coalesced(x), dims, True, dtype=dtype)
    if not is_sparse(total):
        return total.to_sparse(layout=x.layout)
    return to_compressed(total, x.layout)


@provides("norm")
def norm(x: SparseTensor, p: Any = 2, dim: Any = None, keepdim: bool = False, dtype: Any = None):
    """Of all items."""
    if dim is not None and sorted(dim) != list(range(x.dim())):
        raise RuntimeError("norm_sparse currently only supports full reductions")
    items = coalesced(x)._items
    return _C.norm(items.flatten(), 2 if p == "fro" else p, dtype=dtype)


@provides("any")
def any_(x: SparseTensor) -> Tensor:
    return coalesced(x)._items.any()


@provides("item", "__bool__", "__float__", "__int__")
def item(x: SparseTensor) -> Any:
    if math.prod(x.shape) != 1:
        raise RuntimeError(
            f"a Tensor with {math.prod(x.shape)} elements cannot be converted to Scalar"
        )
    return as_coo(x)._items.sum().item()


def softmax(input: SparseTensor, dim: int, dtype: Any = None, log: bool = False) -> SparseTensor:
    """Along a dim, over the items alone: what is not there counts as -inf."""
    x = coalesced(expect_coo("log_softmax" if log else "softmax", input))
    items = x._items if dtype is None else x._items.to(dtype)
    if not items.dtype.is_floating_point:
        raise NotImplementedError(f"softmax: expected a floating point tensor, got {items.dtype}")
    d, sparse = wrap_dim("softmax", dim, x.dim()), x._index.shape[0]
    if d >= sparse:
        inner = d - sparse + 1
        return x._like(items.log_softmax(inner) if log else items.softmax(inner))
    others = [k for k in range(sparse) if k != d]
    flat = flat_index(x._index[others], [x._size[k] for k in others])
    groups, place = flat.unique(return_inverse=True)
    n = groups.shape[0]
    wide = place.reshape([-1] + [1] * (items.dim() - 1)).expand(items.shape)
    shape = (n, *items.shape[1:])
    largest = items.detach().new_full(shape, -math.inf)
    largest = largest.scatter_reduce(0, wide, items.detach(), "amax")
    shifted = items - largest[place]
    powers = shifted.exp()
    sums = add_at(n, place, powers)[place]
    return x._like(shifted - sums.log() if log else powers / sums)
