"""Sparse tensors: constructors and what stands in ``torch.sparse``."""

from __future__ import annotations

from typing import Any

from .. import _C
from . import _operations
from ._convert import _nnz, as_coo, coalesced, is_sparse, to_coo, to_sparse
from ._products import addmm as _addmm
from ._products import mm as _mm
from ._shaping import softmax as _softmax
from ._shaping import sum_ as _sum
from ._tensor import (
    SparseTensor,
    check_sparse_tensor_invariants,
    make_coo,
    sparse_compressed_tensor,
    sparse_coo_tensor,
    sparse_csc_tensor,
    sparse_csr_tensor,
)

Tensor = _C.Tensor

__all__ = [
    "addmm",
    "check_sparse_tensor_invariants",
    "log_softmax",
    "mm",
    "sampled_addmm",
    "softmax",
    "spdiags",
    "sum",
]


def mm(mat1: Tensor, mat2: Tensor) -> Tensor:
    """Multiply matrices of which one or both are sparse.

    The result is sparse where both are. Gradients with respect to a sparse matrix have its
    pattern.

    Parameters
    ----------
    mat1, mat2 : Tensor
        (m, k) and (k, n), of one dtype.
    """
    return _mm(mat1, mat2, name="sparse.mm")


def addmm(mat: Tensor, mat1: Tensor, mat2: Tensor, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
    """``beta * mat + alpha * (mat1 @ mat2)`` for a sparse mat1; see `mm`."""
    return _addmm(mat, mat1, mat2, beta=beta, alpha=alpha)


def sampled_addmm(
    input: Tensor, mat1: Tensor, mat2: Tensor, *, beta: Any = 1, alpha: Any = 1
) -> Tensor:
    """``beta * input + alpha * (mat1 @ mat2)`` at the pattern of the sparse `input` alone."""
    if not is_sparse(input):
        raise RuntimeError("sampled_addmm: expected a sparse input, got layout strided")
    rows, columns = as_coo(input)._index
    product = (mat1[rows] * mat2.t()[columns]).sum(1)
    return input._like(beta * input._items + alpha * product)


def sum(input: Tensor, dim: Any = None, dtype: Any = None) -> Tensor:
    """Sum over all items of a sparse tensor, or over dims.

    The result is strided where no sparse dim is left, else sparse.
    """
    return _sum(input, dim, dtype=dtype)


def softmax(input: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
    """Softmax along a dim of a sparse_coo tensor over the items alone.

    What is not there counts as -inf and stays away.
    """
    return _softmax(input, dim, dtype)


def log_softmax(input: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
    """The logarithm of `softmax`."""
    return _softmax(input, dim, dtype, log=True)


def spdiags(
    diagonals: Tensor, offsets: Tensor, shape: tuple[int, int], layout: Any = None
) -> Tensor:
    """Make a sparse matrix of diagonals.

    Parameters
    ----------
    diagonals : Tensor
        (n, length) or (length,): what stands in column j is at place j.
    offsets : Tensor
        (n,) or a number: 0 is the main diagonal, positive ones lie above.
    shape : tuple of int
        Of the result.
    """
    rows_of = diagonals if diagonals.dim() == 2 else diagonals.unsqueeze(0)
    steps = offsets.reshape(-1)
    if rows_of.dim() != 2 or steps.shape[0] != rows_of.shape[0]:
        raise RuntimeError("spdiags: expected one offset a diagonal")
    if len(steps.unique()) < steps.shape[0]:
        raise RuntimeError("spdiags: offsets must be different")
    columns = _C.arange(min(rows_of.shape[1], shape[1]))
    rows = columns.unsqueeze(0) - steps.unsqueeze(1)
    inside = (rows >= 0) & (rows < shape[0])
    which, column = inside.nonzero().t()
    index = _C.stack([rows[which, column], column])
    result = make_coo(index, rows_of[which, column], shape)
    return result if layout is None else to_sparse(result, layout=layout)


# ---- What stands in `torch` itself


def spmm(input: Tensor, mat2: Tensor) -> Tensor:
    """`mm` by its old name."""
    return _mm(input, mat2, name="spmm")


dsmm = spmm


def smm(input: Tensor, mat: Tensor) -> Tensor:
    """A sparse times a strided matrix as a sparse one: a row for each that is not empty."""
    rows = hspmm(input, mat)
    n = mat.shape[1]
    columns = _C.arange(n).repeat(rows._index.shape[1])
    index = _C.stack([_C.repeat_interleave(rows._index[0], n), columns])
    return make_coo(index, rows._items.reshape(-1), rows._size)


def hspmm(mat1: Tensor, mat2: Tensor) -> Tensor:
    """A sparse times a strided matrix as a tensor of one sparse dim: the rows that have items."""
    if not is_sparse(mat1) or is_sparse(mat2):
        raise RuntimeError("hspmm: expected a sparse and a strided matrix")
    product = _mm(mat1, mat2, name="hspmm")
    rows = as_coo(mat1)._index[0].unique()
    return make_coo(rows.unsqueeze(0), product[rows], product.shape)


def sspaddmm(input: Tensor, mat1: Tensor, mat2: Tensor, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
    """``beta * input + alpha * (mat1 @ mat2)`` as a sparse matrix, for sparse input and mat1."""
    product = smm(mat1, mat2)
    if not is_sparse(input) or input.shape != product.shape:
        raise RuntimeError("sspaddmm: expected a sparse input of the product's size")
    x = as_coo(input)
    items = _C.cat([x._items * beta, product._items * alpha])
    return make_coo(_C.cat([x._index, product._index], 1), items, x._size)


# ---- Old constructors


def _legacy(name: str, dtype: Any) -> type:
    """``torch.sparse.FloatTensor(indices, values, size)`` and its like."""

    class Meta(type):
        def __instancecheck__(cls, x: object) -> bool:
            return is_sparse(x) and x.dtype is dtype

        def __call__(cls, *args: Any) -> SparseTensor:
            if len(args) >= 2 and isinstance(args[0], Tensor):
                return sparse_coo_tensor(*args)
            size = args[0] if len(args) == 1 and not isinstance(args[0], int) else args
            return sparse_coo_tensor(size or (0,), dtype=dtype)

    return Meta(name, (), {"dtype": dtype, "__module__": __name__})


FloatTensor = _legacy("FloatTensor", _C.float32)
DoubleTensor = _legacy("DoubleTensor", _C.float64)
HalfTensor = _legacy("HalfTensor", _C.float16)
BFloat16Tensor = _legacy("BFloat16Tensor", _C.bfloat16)
LongTensor = _legacy("LongTensor", _C.int64)
IntTensor = _legacy("IntTensor", _C.int32)
ShortTensor = _legacy("ShortTensor", _C.int16)
CharTensor = _legacy("CharTensor", _C.int8)
ByteTensor = _legacy("ByteTensor", _C.uint8)
