"""What functions and methods of tensors do with sparse ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .. import _C
from ._convert import (
    as_coo,
    coalesced,
    expect_coo,
    find,
    is_number,
    is_sparse,
    provides,
    to_compressed,
    to_dense,
)
from ._products import matmul
from ._shaping import t
from ._tensor import FUNCTIONS, SparseTensor, Tensor, coo, flat_index, make, make_coo

# ---- Item by item


def _unary(name: str, in_any_order: bool) -> None:
    base = getattr(_C.Tensor, name)

    def run(x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        if not in_any_order and x.layout is coo:
            x = coalesced(x)
        return x._like(base(x._items, *args, **kwargs))

    FUNCTIONS[name] = run


# Functions of 0 that are 0. Linear ones work on each of the values that add up.
for (
    _name
) in "neg clone detach float double half bfloat16 cpu cuda to pin_memory positive __pos__".split():
    if hasattr(_C.Tensor, _name):
        _unary(_name, True)
for _name in (
    "abs sign sgn sin sinh asin asinh tan tanh atan atanh sqrt expm1 log1p ceil floor trunc round "
    "frac relu erf erfinv deg2rad rad2deg isnan isinf isposinf isneginf signbit nan_to_num square "
    "int long short char byte bool".split()
):
    if hasattr(_C.Tensor, _name):
        _unary(_name, False)
FUNCTIONS["__abs__"] = FUNCTIONS["abs"]


@provides("type")
def type_(x: SparseTensor, dtype: Any = None, non_blocking: bool = False) -> Any:
    if dtype is None:
        name = x._items.type()
        return name.replace("ember.", "ember.sparse.") if x.layout is coo else name
    return FUNCTIONS["to"](x, getattr(dtype, "dtype", dtype))


@provides("is_contiguous")
def is_contiguous(x: SparseTensor, memory_format: Any = None) -> bool:
    return False


@provides("numpy", "__array__", "__dlpack__")
def numpy(x: SparseTensor, *args: Any, **kwargs: Any) -> Any:
    raise TypeError("can't convert Sparse layout tensor to numpy. Use Tensor.to_dense() first.")


@provides("zeros_like", "empty_like")
def zeros_like(x: SparseTensor, *, dtype: Any = None, device: Any = None, layout: Any = None,
               requires_grad: bool = False, memory_format: Any = None) -> Tensor:  # fmt: skip
    """Without items."""
    options = {"dtype": dtype or x.dtype, "device": device or x.device}
    if layout is _C.strided:
        return _C.zeros(x._size, requires_grad=requires_grad, **options)
    items = _C.empty((0, *x._items.shape[1:]), requires_grad=requires_grad, **options)
    if x.layout is coo:
        return make_coo(x._index[:, :0], items, x._size, True)
    return make(x.layout, x._index[:0], items, x._size, _C.zeros_like(x._pointers))


def _as_layout(x: SparseTensor, layout: Any) -> SparseTensor:
    return x if layout is coo else to_compressed(x, layout)


@provides("add")
def add(input: Any, other: Any, *, alpha: Any = 1) -> Tensor:
    """input + alpha * other, both sparse or input alone strided."""
    if not is_sparse(input) and is_sparse(other):
        if not isinstance(input, Tensor):
            raise RuntimeError("add: a sparse tensor cannot be added to a number")
        return _add_to_dense(input, other, alpha)
    if not is_sparse(other):
        if isinstance(other, Tensor) and input.layout is not coo:
            return _add_to_dense(other if alpha == 1 else other * alpha, input, 1)
        raise RuntimeError("add(sparse, dense) is not supported. Use add(dense, sparse) instead.")
    if input.shape != other.shape:
        raise RuntimeError(
            f"add: expected sparse tensors of one size, got {tuple(input.shape)} and "
            f"{tuple(other.shape)}"
        )
    a, b = as_coo(input), as_coo(other)
    if a._index.shape[0] != b._index.shape[0]:
        raise RuntimeError(
            f"add: expected the same number of sparse dims, got {a._index.shape[0]} and "
            f"{b._index.shape[0]}"
        )
    dtype = _C.promote_types(a.dtype, b.dtype)
    items = b._items if alpha == 1 else b._items * alpha
    both = make_coo(
        _C.cat([a._index, b._index], 1), _C.cat([a._items.to(dtype), items.to(dtype)]), a._size
    )
    if input.layout is coo and not (a._coalesced and b._coalesced):
        return both
    return _as_layout(coalesced(both), input.layout)


def _add_to_dense(dense: Tensor, x: SparseTensor, alpha: Any) -> Tensor:
    if dense.shape != x.shape:
        raise RuntimeError(
            f"add: expected a strided tensor of the sparse one's size {tuple(x.shape)}, got "
            f"{tuple(dense.shape)}"
        )
    x = as_coo(x)
    dtype = _C.promote_types(dense.dtype, x.dtype)
    sparse = x._index.shape[0]
    rows = dense.to(dtype).reshape(-1, *x._size[sparse:])
    place = flat_index(x._index, x._size)
    return rows.index_add(0, place, x._items.to(dtype), alpha=alpha).reshape(x._size)


@provides("sub")
def sub(input: Any, other: Any, *, alpha: Any = 1) -> Tensor:
    """input - alpha * other; see `add`."""
    return add(input, other, alpha=-alpha)


@provides("mul")
def mul(input: Any, other: Any) -> Tensor:
    """By a number, or item by item: the pattern of the product is the common one."""
    if is_number(other):
        return input._like(input._items * other)
    if is_number(input):
        return other._like(input * other._items)
    if not (is_sparse(input) and is_sparse(other)):
        x, dense = (input, other) if is_sparse(input) else (other, input)
        if dense.dim() > x.dim():
            raise RuntimeError(
                f"mul: a strided tensor of {dense.dim()} dims does not broadcast to a sparse one "
                f"of {x.dim()}"
            )
        picked = dense.expand(x.shape)[tuple(as_coo(x)._index)]
        return x._like(x._items * picked if x is input else picked * x._items)
    if input.shape != other.shape:
        raise RuntimeError(
            f"mul: expected sparse tensors of one size, got {tuple(input.shape)} and "
            f"{tuple(other.shape)}"
        )
    a, b = coalesced(input), coalesced(other)
    found, there = find(flat_index(a._index, a._size), b)
    keep = there.nonzero()[:, 0]
    product = make_coo(a._index[:, keep], a._items[keep] * b._items[found[keep]], a._size, True)
    return _as_layout(product, input.layout)


def _divide(name: str) -> Callable:
    base = getattr(_C.Tensor, name)

    def run(input: Any, other: Any, **kwargs: Any) -> Tensor:
        if not is_number(other) or not is_sparse(input):
            raise RuntimeError(
                f"{name}: Sparse division requires a scalar or zero-dim dense tensor divisor"
            )
        exact = kwargs.get("rounding_mode") is None and name == "div"
        x = input if exact or input.layout is not coo else coalesced(input)
        return x._like(base(x._items, other, **kwargs))

    return run


FUNCTIONS["div"] = FUNCTIONS["__truediv__"] = _divide("div")
FUNCTIONS["floor_divide"] = FUNCTIONS["__floordiv__"] = _divide("floor_divide")


@provides("pow")
def pow_(input: Any, exponent: Any) -> Tensor:
    """To a power other than 0."""
    if not is_sparse(input) or isinstance(exponent, Tensor) or exponent == 0:
        raise RuntimeError("pow: a sparse tensor takes an exponent that is a number other than 0")
    x = coalesced(input) if input.layout is coo else input
    return x._like(x._items**exponent)


# ---- In place


def _in_place(name: str) -> Callable:
    def run(input: Any, *args: Any, **kwargs: Any) -> Tensor:
        result = FUNCTIONS[name](input, *args, **kwargs)
        if is_sparse(input):
            return input._assign(result)
        if is_sparse(result):
            raise RuntimeError(f"{name}_: a strided tensor cannot hold a sparse result")
        return input.copy_(result)

    return run


for _name in "sub mul div pow neg abs sin tanh relu sqrt floor ceil round trunc".split():
    FUNCTIONS[_name + "_"] = _in_place(_name)


@provides("add_")
def add_(input: Tensor, other: Any, *, alpha: Any = 1) -> Tensor:
    if is_sparse(input):
        return input._assign(add(input, other, alpha=alpha))
    if input.is_contiguous() and input.shape == other.shape and not input.requires_grad:
        x = as_coo(other)
        rows = input.view(-1, *x._size[x._index.shape[0] :])
        rows.index_add_(0, flat_index(x._index, x._size), x._items.to(input.dtype), alpha=alpha)
        return input
    return input.copy_(add(input, other, alpha=alpha))


@provides("zero_")
def zero_(input: SparseTensor) -> SparseTensor:
    return input._assign(zeros_like(input))


@provides("copy_")
def copy_(input: Tensor, src: Tensor, non_blocking: bool = False) -> Tensor:
    if not is_sparse(input):
        return input.copy_(to_dense(src))
    if not is_sparse(src):
        raise RuntimeError("copy_: a sparse tensor takes the items of a sparse one, got strided")
    return input._assign(src._like(src._items.to(input.dtype).clone()))


def sparse_resize_(x: Tensor, size: Sequence[int], sparse_dim: int, dense_dim: int) -> Tensor:
    """Change the size in place; of a tensor with items no dim may shrink."""
    expect_coo("sparse_resize_", x)
    now = x._index.shape[0]
    fits = sparse_dim == now and dense_dim == x.dim() - now and len(size) == x.dim()
    fits = (
        fits
        and all(n >= m for n, m in zip(size, x._size, strict=True))
        and size[now:] == x._size[now:]
    )
    if x._items.shape[0] == 0 and len(size) == sparse_dim + dense_dim:
        x._index = _C.empty(sparse_dim, 0, dtype=_C.int64)
        x._items = x._items.new_empty((0, *size[sparse_dim:]))
    elif not fits:
        raise RuntimeError(
            f"sparse_resize_: size {tuple(x._size)} with {now} sparse dims cannot become "
            f"{tuple(size)} with {sparse_dim}"
        )
    x.__dict__.update(make_coo(x._index, x._items, size, x._coalesced).__dict__)
    return x


@provides("_grad")
def grad(outputs: Any, inputs: Any, grad_outputs: Any = None, *options: Any) -> tuple:
    """`autograd.grad` with sparse tensors among the outputs or inputs."""
    outputs, inputs = (
        [given] if isinstance(given, Tensor) else list(given) for given in (outputs, inputs)
    )
    if grad_outputs is not None:
        given = [grad_outputs] if isinstance(grad_outputs, Tensor) else grad_outputs
        grad_outputs = [
            x._aligned(g) if is_sparse(x) and g is not None else g
            for x, g in zip(outputs, given, strict=True)
        ]
    outputs = [x._items if is_sparse(x) else x for x in outputs]
    found = _C._grad(
        outputs, [x._items if is_sparse(x) else x for x in inputs], grad_outputs, *options
    )
    return tuple(
        x._like(g) if is_sparse(x) and g is not None else g
        for x, g in zip(inputs, found, strict=True)
    )


@provides("_fused_sgd_")
def fused_sgd_(
    params: Any, grads: Any, buffers: Any, lr: Any, momentum: float, dampening: float,
    weight_decay: float, nesterov: bool, maximize: bool, first: bool,
) -> None:  # fmt: skip
    """SGD's step where some gradients are sparse."""
    if momentum != 0 or weight_decay != 0:
        raise RuntimeError("SGD: sparse gradients take neither momentum nor weight_decay")
    dense = [(p, g) for p, g in zip(params, grads, strict=True) if not is_sparse(g)]
    with _C.DisableTorchFunctionSubclass():
        _C._fused_sgd_(
            [p for p, _ in dense], [g for _, g in dense], [], lr, momentum, dampening,
            weight_decay, nesterov, maximize, first,
        )  # fmt: skip
    for p, g in zip(params, grads, strict=True):
        if is_sparse(g):
            add_(p.detach(), g, alpha=float(lr) if maximize else -float(lr))


@provides("linear")
def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    product = matmul(input, t(weight) if is_sparse(weight) else weight.t())
    return product if bias is None else product + bias
