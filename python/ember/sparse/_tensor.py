"""Sparse tensors: strided tensors of indices and of values under the face of one tensor."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

from .. import _C

Tensor = _C.Tensor
coo, csr, csc = _C.sparse_coo, _C.sparse_csr, _C.sparse_csc

# What functions do with sparse arguments, by their names; see _operations.
FUNCTIONS: dict[str, Callable] = {}
# Functions that look at no items.
_HARMLESS = frozenset(
    "device dtype ndim shape is_cuda is_cpu is_meta is_quantized itemsize dim size numel nelement "
    "ndimension get_device element_size is_floating_point is_complex is_signed is_same_size "
    "is_inference stride result_type is_pinned __len__ __deepcopy__".split()
)


class SparseTensor(Tensor):
    """A tensor of layout sparse_coo, sparse_csr or sparse_csc.

    Gradients flow through the values, so that the gradient with respect to a sparse tensor has its
    pattern. Functions of dense tensors that have no meaning here raise ``NotImplementedError``.
    """

    # sparse_coo: indices (sparse dims, items) int64. Compressed: the plain indices (items,), with
    # `_pointers` (n + 1,) into them.
    _index: Tensor
    _pointers: Tensor | None
    _items: Tensor  # (items, *dense dims)
    _layout: Any
    _size: Any
    _coalesced: bool
    _plans: dict  # what products need of the pattern

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        name = func.__name__
        if name == "__get__":
            name = func.__self__.__name__
        if name in _HARMLESS:
            with _C.DisableTorchFunctionSubclass():
                return func(*args, **(kwargs or {}))
        own = FUNCTIONS.get(name) or getattr(func, "__wrapped__", None)  # composed of others
        if own is None:
            raise NotImplementedError(
                f"{name}: not implemented for tensors of layout {_layout_among(args)}"
            )
        return own(*args, **(kwargs or {}))

    # ---- Attributes

    layout = property(lambda self: self._layout)
    shape = property(lambda self: self._size)
    is_sparse = property(lambda self: self.layout is coo)
    is_sparse_csr = property(lambda self: self.layout is csr)
    is_leaf = property(lambda self: self._items.is_leaf)
    grad_fn = property(lambda self: self._items.grad_fn)
    _version = property(lambda self: self._items._version)
    retains_grad = property(lambda self: self._items.retains_grad)
    output_nr = property(lambda self: 0)
    dtype = property(lambda self: self._items.dtype)
    device = property(lambda self: self._items.device)
    T = property(lambda self: FUNCTIONS["t"](self))
    mT = property(lambda self: FUNCTIONS["transpose"](self, -2, -1))

    @property
    def data(self) -> SparseTensor:
        return self._like(self._items.data)

    @data.setter
    def data(self, value: SparseTensor) -> None:
        if not isinstance(value, SparseTensor) or value.layout is not self.layout:
            raise RuntimeError(f"data: expected a tensor of layout {self.layout}")
        self._items.data = value._items.detach()
        self._index, self._pointers, self._size = value._index, value._pointers, value._size
        self._coalesced, self._plans = value._coalesced, value._plans

    @property
    def requires_grad(self) -> bool:
        return self._items.requires_grad

    @requires_grad.setter
    def requires_grad(self, on: bool) -> None:
        self._items.requires_grad = on

    def requires_grad_(self, requires_grad: bool = True) -> SparseTensor:
        self._items.requires_grad_(requires_grad)
        return self

    @property
    def grad(self) -> SparseTensor | None:
        grad = self._items.grad
        return None if grad is None else self._like(grad)

    @grad.setter
    def grad(self, value: Tensor | None) -> None:
        self._items.grad = None if value is None else self._aligned(value)

    def retain_grad(self) -> None:
        self._items.retain_grad()

    def register_hook(self, hook: Callable) -> Any:
        def of_items(grad):
            changed = hook(self._like(grad))
            return None if changed is None else self._aligned(changed)

        return self._items.register_hook(of_items)

    def register_post_accumulate_grad_hook(self, hook: Callable) -> Any:
        return self._items.register_post_accumulate_grad_hook(lambda items: hook(self))

    def backward(self, gradient=None, retain_graph=None, create_graph=False, inputs=None) -> None:
        if gradient is not None:
            gradient = self._aligned(gradient)
        self._items.backward(gradient, retain_graph, create_graph, inputs)

    def __repr__(self, *, tensor_contents: str | None = None) -> str:
        from .._tensor_str import _sparse_str

        return _sparse_str(self)

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return object.__format__(self, spec)

    def __hash__(self) -> int:
        return id(self) >> 4

    def __iter__(self):
        return iter(FUNCTIONS["unbind"](self))

    def __matmul__(self, other: Any) -> Tensor:
        return FUNCTIONS["matmul"](self, other)

    def __rmatmul__(self, other: Any) -> Tensor:
        return FUNCTIONS["matmul"](other, self)

    def __copy__(self) -> SparseTensor:
        return self._like(self._items)

    def __deepcopy__(self, memo: dict) -> SparseTensor:
        if not self.is_leaf:
            raise RuntimeError(
                "__deepcopy__: only tensors created by the user (graph leaves) can be copied "
                "deeply; detach this one first"
            )
        if id(self) not in memo:
            copy = self._like(self._items.detach().clone().requires_grad_(self.requires_grad))
            copy._index = self._index.clone()
            if self._pointers is not None:
                copy._pointers = self._pointers.clone()
            copy._plans = {}
            if getattr(self, "_is_param", False):
                copy._is_param = True
            memo[id(self)] = copy
        return memo[id(self)]

    def __reduce_ex__(self, protocol: int):
        return rebuild, (self.layout, components(self), self.requires_grad)

    # ---- Parts

    def _like(self, items: Tensor) -> SparseTensor:
        """Another tensor of this pattern."""
        return make(
            self.layout, self._index, items, self._size, self._pointers, self._coalesced,
            self._plans,
        )  # fmt: skip

    def _aligned(self, other: Tensor) -> Tensor:
        """The items of `other` at this pattern."""
        if isinstance(other, SparseTensor) and other._index is self._index:
            return other._items
        return FUNCTIONS["sparse_mask"](other, self)._items

    def _assign(self, other: SparseTensor) -> SparseTensor:
        """Become `other`, as operations in place do."""
        if self.requires_grad and self.is_leaf and _C.is_grad_enabled():
            raise RuntimeError(
                "a leaf sparse tensor that requires grad is being used in an in-place operation"
            )
        if other.layout is not self.layout or other._size != self._size:
            raise RuntimeError(
                f"a tensor of size {tuple(self._size)} and layout {self.layout} cannot become one "
                f"of size {tuple(other._size)} and layout {other.layout}"
            )
        if other.dtype is not self.dtype:
            if not _C.can_cast(other.dtype, self.dtype):
                raise RuntimeError(
                    f"result type {other.dtype} can't be cast to the desired output type "
                    f"{self.dtype}"
                )
            other = other._like(other._items.to(self.dtype))
        self._index, self._items, self._pointers = other._index, other._items, other._pointers
        self._coalesced, self._plans = other._coalesced, other._plans
        return self

    def _plan(self, by_columns: bool) -> tuple:
        """The arguments of the product kernel that say where items stand."""
        plan = self._plans.get(by_columns)
        if plan is None:
            plan = self._plans[by_columns] = make_plan(self, by_columns)
        return plan


def make(
    layout: Any,
    index: Tensor,
    items: Tensor,
    size: Sequence[int],
    pointers: Tensor | None = None,
    coalesced: bool = False,
    plans: dict | None = None,
) -> SparseTensor:
    """A sparse tensor of parts that fit."""
    t = _C._make_wrapper_subclass(SparseTensor, size, dtype=items.dtype, device=items.device)
    t._size = _C.Size(size)
    t._layout, t._index, t._pointers, t._items = layout, index, pointers, items
    t._coalesced = coalesced
    t._plans = {} if plans is None else plans
    return t


def make_coo(indices: Tensor, items: Tensor, size: Sequence[int], coalesced=False) -> SparseTensor:
    """A COO tensor of parts that fit; without items it is coalesced."""
    return make(coo, indices, items, size, None, coalesced or items.shape[0] == 0)


def _offsets(sorted_index: Tensor, n: int) -> Tensor:
    return _C.searchsorted(sorted_index, _C.arange(n + 1, device=sorted_index.device))


def make_plan(t: SparseTensor, by_columns: bool) -> tuple:
    """Offsets, indices and order of the items by rows, and the same by columns or None."""
    m, k = t._size
    if t.layout is coo:
        rows, columns = t._index[0].contiguous(), t._index[1].contiguous()
        if t._coalesced:
            plan = (_offsets(rows, m), columns, None)
        else:
            order = rows.argsort(stable=True)
            plan = (_offsets(rows[order], m), columns[order], order)
        if not by_columns:
            return (*plan, None, None, None)
        order = columns.argsort(stable=True)
        return (*plan, _offsets(columns[order], k), rows[order], order)
    own = (t._pointers.long().contiguous(), t._index.long().contiguous(), None)
    plain = make_coo(coo_index(t), t._items, t._size)
    rows = own if t.layout is csr else make_plan(plain, False)[:3]
    if not by_columns:
        return (*rows, None, None, None)
    return (*rows, *(own if t.layout is csc else make_plan(plain, True)[3:]))


def coo_index(t: SparseTensor) -> Tensor:
    """The indices (2, items) of the items of a compressed tensor, in their order."""
    n = t._pointers.shape[0] - 1
    counts = t._pointers.long().diff()
    compressed = _C.repeat_interleave(_C.arange(n, device=counts.device), counts)
    if compressed.shape[0] != t._items.shape[0]:
        raise RuntimeError(
            f"the pointers of a {t.layout} tensor give {compressed.shape[0]} items, but it has "
            f"{t._items.shape[0]}"
        )
    plain = t._index.long()
    return _C.stack([compressed, plain] if t.layout is csr else [plain, compressed])


def components(t: SparseTensor) -> tuple:
    """What PyTorch's checkpoints hold of a sparse tensor."""
    items = t._items.detach()
    if t.layout is coo:
        return t._index, items, t._size, t._coalesced
    return t._pointers, t._index, items, t._size


def rebuild(layout: Any, parts: tuple, requires_grad: bool = False) -> SparseTensor:
    """Make a tensor of its `components`, which are checked."""
    if layout is coo:
        indices, items, size, *rest = parts
        t = sparse_coo_tensor(indices, items, size, check_invariants=True)
        t._coalesced = t._coalesced or bool(rest and rest[0])
    else:
        t = sparse_compressed_tensor(*parts, layout=layout, check_invariants=True)
    return t.requires_grad_(requires_grad)


def _layout_among(args: Any) -> Any:
    for a in args:
        if isinstance(a, SparseTensor):
            return a.layout
        if isinstance(a, (tuple, list)):
            found = _layout_among(a)
            if found is not None:
                return found
    return None


# ---- Making them


class check_sparse_tensor_invariants:
    """Whether constructors check the indices they are given: a switch and a context manager."""

    _state = threading.local()

    def __init__(self, enable: bool = True) -> None:
        self._on, self._before = enable, []

    @classmethod
    def is_enabled(cls) -> bool:
        """Whether constructors check by default."""
        return getattr(cls._state, "on", False)

    @classmethod
    def enable(cls) -> None:
        """Check from now on."""
        cls._state.on = True

    @classmethod
    def disable(cls) -> None:
        """Do not check from now on."""
        cls._state.on = False

    def __enter__(self) -> None:
        self._before.append(self.is_enabled())
        self._state.on = self._on

    def __exit__(self, *exception: object) -> None:
        self._state.on = self._before.pop()

    def __call__(self, function: Callable) -> Callable:
        import functools

        @functools.wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            with type(self)(self._on):
                return function(*args, **kwargs)

        return wrapped


def _values_of(name: str, values: Any, dtype: Any, device: Any, requires_grad: bool) -> Tensor:
    if isinstance(values, SparseTensor):
        raise TypeError(f"{name}: values must be a strided tensor, got layout {values.layout}")
    items = _C.as_tensor(values, dtype=dtype, device=device)
    # The flag of a user's leaf stays its own.
    items = items.view_as(items) if items.requires_grad and not requires_grad else items.detach()
    return items.requires_grad_() if requires_grad else items


def sparse_coo_tensor(
    indices: Any,
    values: Any = None,
    size: Sequence[int] | None = None,
    *,
    dtype: Any = None,
    device: Any = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
    check_invariants: bool | None = None,
    is_coalesced: bool | None = None,
) -> SparseTensor:
    """Make a sparse tensor of the indices and values of its items.

    Parameters
    ----------
    indices : array_like
        (sparse dims, items); the same index may stand several times: their values add up.
        ``sparse_coo_tensor(size)`` alone makes one without items.
    values : array_like
        (items, *dense dims).
    size : sequence of int, optional
        By default the smallest that holds all indices.
    check_invariants : bool, optional
        Whether to check that the indices lie within the size (and are in order without
        repetitions where `is_coalesced` says so).
    """
    name = "sparse_coo_tensor"
    if values is None:
        shape = _C.Size(size if size is not None else indices)
        items = _C.empty(0, dtype=dtype, device=device)
        items.requires_grad_(requires_grad)
        return make_coo(_C.empty(len(shape), 0, dtype=_C.int64, device=device), items, shape, True)
    items = _values_of(name, values, dtype, device, requires_grad)
    index = _C.as_tensor(indices, device=items.device).detach().long()
    if index.dim() != 2:
        raise RuntimeError(f"{name}: indices must be sparse_dim x nnz, but got: {index.dim()} dims")
    if items.dim() == 0:
        items = items.expand(index.shape[1])
    if index.shape[1] != items.shape[0]:
        raise RuntimeError(
            f"{name}: indices and values must have same nnz, but got nnz from indices: "
            f"{index.shape[1]}, nnz from values: {items.shape[0]}"
        )
    if size is None:
        if index.shape[1] == 0 and index.shape[0] > 0:
            least = [0] * index.shape[0]
        else:
            least = (index.amax(1) + 1).tolist() if index.shape[0] else []
        size = [*least, *items.shape[1:]]
    size = _C.Size([int(n) for n in size])
    if len(size) != index.shape[0] + items.dim() - 1 or size[index.shape[0] :] != items.shape[1:]:
        raise RuntimeError(
            f"{name}: size {tuple(size)} does not fit {index.shape[0]} sparse dims and values of "
            f"shape {tuple(items.shape)}"
        )
    checked = check_sparse_tensor_invariants.is_enabled()
    if checked if check_invariants is None else check_invariants:
        _check_coo(name, index, size, bool(is_coalesced))
    return make_coo(index, items, size, bool(is_coalesced))


def _check_coo(name: str, index: Tensor, size: Sequence[int], coalesced: bool) -> None:
    if index.shape[1] == 0:
        return
    for d, (low, high) in enumerate(
        zip(index.amin(1).tolist(), index.amax(1).tolist(), strict=True)
    ):
        if low < 0:
            raise RuntimeError(f"{name}: found negative index {low} for dim {d}")
        if high >= size[d]:
            raise RuntimeError(
                f"{name}: size is inconsistent with indices: for dim {d}, size is {size[d]} but "
                f"found index {high}"
            )
    if coalesced and not bool((flat_index(index, size).diff() > 0).all()):
        raise RuntimeError(f"{name}: cannot set is_coalesced to true if indices correspond to "
                           "uncoalesced COO tensor")  # fmt: skip


def flat_index(index: Tensor, size: Sequence[int]) -> Tensor:
    """The place of each column of indices among the elements of the sparse dims."""
    flat = _C.zeros(index.shape[1], dtype=_C.int64, device=index.device)
    for d in range(index.shape[0]):
        flat = index[d] if d == 0 else flat * size[d] + index[d]
    return flat


def sparse_compressed_tensor(
    compressed_indices: Any,
    plain_indices: Any,
    values: Any,
    size: Sequence[int] | None = None,
    *,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
    check_invariants: bool | None = None,
) -> SparseTensor:
    """Make a matrix whose items stand row by row (`ember.sparse_csr`) or column by column.

    Parameters
    ----------
    compressed_indices : array_like
        (rows + 1,): where each row's (or column's) items begin.
    plain_indices : array_like
        (items,): their columns (or rows).
    values : array_like
        (items,).
    size : sequence of int, optional
        By default the smallest that holds all indices.
    """
    name = "sparse_compressed_tensor"
    if layout not in (csr, csc):
        raise NotImplementedError(f"{name}: expected layout sparse_csr or sparse_csc, got {layout}")
    items = _values_of(name, values, dtype, device, requires_grad)
    pointers, plain = (
        _C.as_tensor(i, device=items.device).detach() for i in (compressed_indices, plain_indices)
    )
    if pointers.dim() != 1 or plain.dim() != 1 or items.dim() != 1:
        raise NotImplementedError(
            f"{name}: batches and blocks are not implemented: expected vectors, got shapes "
            f"{tuple(pointers.shape)}, {tuple(plain.shape)} and {tuple(items.shape)}"
        )
    if pointers.dtype != plain.dtype or pointers.dtype not in (_C.int32, _C.int64):
        raise RuntimeError(
            f"{name}: indices must be both int32 or both int64, got {pointers.dtype} and "
            f"{plain.dtype}"
        )
    if pointers.shape[0] == 0 or plain.shape != items.shape:
        raise RuntimeError(
            f"{name}: plain indices and values must have the same number of items, got "
            f"{plain.shape[0]} and {items.shape[0]}, and at least one compressed index is needed"
        )
    n = pointers.shape[0] - 1
    if size is None:
        other = int(plain.max()) + 1 if plain.shape[0] else 0
        size = [n, other] if layout is csr else [other, n]
    size = _C.Size([int(s) for s in size])
    if len(size) != 2 or size[0 if layout is csr else 1] != n:
        raise RuntimeError(
            f"{name}: size {tuple(size)} does not fit {n + 1} compressed indices of {layout}"
        )
    checked = check_sparse_tensor_invariants.is_enabled()
    if checked if check_invariants is None else check_invariants:
        _check_compressed(name, pointers, plain, size[1 if layout is csr else 0])
    return make(layout, plain, items, size, pointers)


def _check_compressed(name: str, pointers: Tensor, plain: Tensor, n: int) -> None:
    if int(pointers[0]) != 0 or int(pointers[-1]) != plain.shape[0]:
        raise RuntimeError(
            f"{name}: compressed indices must begin with 0 and end with {plain.shape[0]}, the "
            f"number of items; they are from {int(pointers[0])} to {int(pointers[-1])}"
        )
    if bool((pointers.diff() < 0).any()):
        raise RuntimeError(f"{name}: compressed indices must not fall")
    if plain.shape[0] and (int(plain.min()) < 0 or int(plain.max()) >= n):
        raise RuntimeError(
            f"{name}: plain indices must lie in [0, {n}), found {int(plain.min())} and "
            f"{int(plain.max())}"
        )


def sparse_csr_tensor(
    crow_indices: Any, col_indices: Any, values: Any, size: Sequence[int] | None = None,
    **options: Any,
) -> SparseTensor:  # fmt: skip
    """Make a matrix whose items stand row by row; see `sparse_compressed_tensor`."""
    return sparse_compressed_tensor(crow_indices, col_indices, values, size, layout=csr, **options)


def sparse_csc_tensor(
    ccol_indices: Any, row_indices: Any, values: Any, size: Sequence[int] | None = None,
    **options: Any,
) -> SparseTensor:  # fmt: skip
    """Make a matrix whose items stand column by column; see `sparse_compressed_tensor`."""
    return sparse_compressed_tensor(ccol_indices, row_indices, values, size, layout=csc, **options)
