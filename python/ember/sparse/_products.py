"""Products with sparse matrices."""

from __future__ import annotations

from typing import Any

from .. import _C
from ._convert import as_coo, coalesced, to_compressed
from ._shaping import t
from ._tensor import FUNCTIONS, SparseTensor, Tensor, coo, make_coo

_kernel = _C._sparse_matmul
_HALVES = (_C.float16, _C.bfloat16)


def _refuse(name: str, a: Tensor, b: Tensor) -> None:
    raise RuntimeError(
        f"{name}: mat1 and mat2 shapes cannot be multiplied ({tuple(a.shape)} and {tuple(b.shape)})"
    )


def _times_dense(name: str, a: SparseTensor, dense: Tensor) -> Tensor:
    """A sparse (m, k) times a strided (k, n)."""
    items = a._items
    if len(a._size) != 2 or dense.dim() != 2 or a._size[1] != dense.shape[0] or items.dim() != 1:
        _refuse(name, a, dense)
    if items.dtype != dense.dtype:
        raise RuntimeError(
            f"{name}: both matrices must have one dtype, got {items.dtype} and {dense.dtype}"
        )
    if items.dtype.is_floating_point:
        wanted = (items.requires_grad or dense.requires_grad) and _C.is_grad_enabled()
        if items.dtype in _HALVES:
            return _kernel(*a._plan(wanted), items.float(), dense.float()).to(items.dtype)
        return _kernel(*a._plan(wanted), items, dense)
    rows, columns = as_coo(a)._index
    terms = items.unsqueeze(1) * dense[columns]
    return dense.new_zeros(a._size[0], dense.shape[1]).index_add(0, rows, terms)


def _times_sparse(name: str, a: SparseTensor, b: SparseTensor) -> SparseTensor:
    """Every item (i, k) meets the items of row k of b."""
    if len(a._size) != 2 or len(b._size) != 2 or a._size[1] != b._size[0]:
        _refuse(name, a, b)
    offsets, columns, order = b._plan(False)[:3]
    rows, inner = as_coo(a)._index
    counts = offsets.diff()[inner]
    left = _C.repeat_interleave(_C.arange(counts.shape[0]), counts)
    first = offsets[inner] - (counts.cumsum(0) - counts)
    right = _C.arange(left.shape[0]) + first[left]
    terms = a._items[left] * b._items[right if order is None else order[right]]
    index = _C.stack([rows[left], columns[right]])
    product = coalesced(make_coo(index, terms, (a._size[0], b._size[1])))
    if a.layout is coo:
        return product
    return to_compressed(product, a.layout)


def mm(input: Tensor, mat2: Tensor, *, name: str = "mm") -> Tensor:
    """(m, k) @ (k, n); sparse where both are."""
    if isinstance(input, SparseTensor):
        if isinstance(mat2, SparseTensor):
            return _times_sparse(name, input, mat2)
        return _times_dense(name, input, mat2)
    if not isinstance(mat2, SparseTensor):
        return _C.mm(input, mat2)
    if input.dim() != 2 or mat2.dim() != 2 or input.shape[1] != mat2.shape[0]:
        _refuse(name, input, mat2)
    return _times_dense(name, t(mat2), input.t()).t()


def matmul(input: Any, other: Any) -> Tensor:
    """As `ember.matmul`."""
    for x in (input, other):
        if not isinstance(x, Tensor):
            raise TypeError(f"matmul: expected tensors, got {type(x).__name__}")
    if input.dim() == 2 and other.dim() == 2:
        return mm(input, other, name="matmul")
    if input.dim() == 2 and other.dim() == 1:
        return mv(input, other)
    if input.dim() == 1 and other.dim() == 2 and isinstance(other, SparseTensor):
        return mm(input.unsqueeze(0), other, name="matmul").squeeze(0)
    if input.dim() == 3 and other.dim() == 3:
        return bmm(input, other)
    if isinstance(other, SparseTensor) and not isinstance(input, SparseTensor):
        flat = input.reshape(-1, input.shape[-1])
        return mm(flat, other, name="matmul").reshape(*input.shape[:-1], other.shape[-1])
    raise NotImplementedError(
        f"matmul: not implemented for sparse tensors of sizes {tuple(input.shape)} and "
        f"{tuple(other.shape)}"
    )


def mv(input: Tensor, vec: Tensor) -> Tensor:
    """(m, k) @ (k,)."""
    if isinstance(vec, SparseTensor) or vec.dim() != 1:
        raise RuntimeError(f"mv: expected a strided vector, got size {tuple(vec.shape)}")
    return _times_dense("mv", input, vec.unsqueeze(1)).squeeze(1)


def bmm(input: Tensor, mat2: Tensor) -> Tensor:
    """Sparse (b, m, k) @ strided (b, k, n): one product of a block-diagonal matrix."""
    if isinstance(mat2, SparseTensor) or not isinstance(input, SparseTensor):
        raise NotImplementedError("bmm: implemented for a sparse times a strided tensor")
    if input.dim() != 3 or mat2.dim() != 3 or input.shape[::2] != (mat2.shape[0], mat2.shape[1]):
        _refuse("bmm", input, mat2)
    (b, m, k), n = input.shape, mat2.shape[2]
    batch, rows, columns = input._index
    index = _C.stack([batch * m + rows, batch * k + columns])
    wide = make_coo(index, input._items, (b * m, b * k), input._coalesced)
    return _times_dense("bmm", wide, mat2.reshape(b * k, n)).reshape(b, m, n)


def addmm(input: Tensor, mat1: Tensor, mat2: Tensor, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
    """beta * input + alpha * (mat1 @ mat2)."""
    product = mm(mat1, mat2, name="addmm")
    if alpha != 1:
        product = product * alpha
    return product if beta == 0 else (input if beta == 1 else input * beta) + product


FUNCTIONS.update(mm=mm, matmul=matmul, mv=mv, bmm=bmm, addmm=addmm)
FUNCTIONS["__matmul__"] = matmul
FUNCTIONS["__rmatmul__"] = lambda self, other: matmul(other, self)
