"""Storages: the memory that tensors share, as bytes or as items of a dtype."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from . import _C

Tensor = _C.Tensor

_DTYPES = {
    "BFloat16Storage": _C.bfloat16,
    "BoolStorage": _C.bool,
    "ByteStorage": _C.uint8,
    "CharStorage": _C.int8,
    "ComplexDoubleStorage": _C.complex128,
    "ComplexFloatStorage": _C.complex64,
    "DoubleStorage": _C.float64,
    "FloatStorage": _C.float32,
    "HalfStorage": _C.float16,
    "IntStorage": _C.int32,
    "LongStorage": _C.int64,
    "ShortStorage": _C.int16,
}
_CASTS = {
    "bfloat16": _C.bfloat16,
    "bool": _C.bool,
    "byte": _C.uint8,
    "char": _C.int8,
    "double": _C.float64,
    "float": _C.float32,
    "half": _C.float16,
    "int": _C.int32,
    "long": _C.int64,
    "short": _C.int16,
}

__all__ = ["TypedStorage", "UntypedStorage", *_DTYPES]


class _Storage:
    """What both kinds do with the vector of their items."""

    _items: Tensor

    def __len__(self) -> int:
        return self._items.numel()

    size = __len__

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return self._like(self._items[index])
        return self._items[index].item()

    def __setitem__(self, index: int | slice, value: Any) -> None:
        self._items[index] = value

    def __iter__(self) -> Iterator[Any]:
        return iter(self._items.tolist())

    def __copy__(self) -> Any:
        return self.clone()

    def __deepcopy__(self, memo: dict) -> Any:
        copied = memo[id(self)] = self.clone()
        return copied

    def __sizeof__(self) -> int:
        return object.__sizeof__(self) + self.nbytes()

    def _like(self, items: Tensor) -> Any:
        raise NotImplementedError

    @property
    def device(self) -> _C.device:
        """Where the memory is."""
        return self._items.device

    @property
    def is_cuda(self) -> bool:
        """Whether the memory is on a CUDA device."""
        return self._items.is_cuda

    @property
    def _cdata(self) -> int:
        return self._items._storage_id()

    def tolist(self) -> list:
        """Return the items."""
        return self._items.tolist()

    def nbytes(self) -> int:
        """Return the number of bytes."""
        return self._items.numel() * self._items.element_size()

    def element_size(self) -> int:
        """Return the bytes of an item."""
        return self._items.element_size()

    def data_ptr(self) -> int:
        """Return the address of the first byte."""
        return self._items.data_ptr()

    def get_device(self) -> int:
        """Return the number of the CUDA device, -1 on the CPU."""
        return self._items.get_device()

    def clone(self) -> Any:
        """Return a copy."""
        return self._like(self._items.clone())

    def copy_(self, source: _Storage, non_blocking: bool | None = None) -> Any:
        """Take over the items of another storage of the same size."""
        if len(source) != len(self):
            raise RuntimeError(f"copy_: expected a storage of size {len(self)}, got {len(source)}")
        self._items.copy_(source._items)
        return self

    def fill_(self, value: Any) -> Any:
        """Set all items to one value."""
        self._items.fill_(value)
        return self

    def to(self, *, device: Any, non_blocking: bool = False) -> Any:
        """Return this storage, or a copy on the device where that is another."""
        moved = self._items.to(device)
        return self if moved is self._items else self._like(moved)

    def cpu(self) -> Any:
        """Return this storage, or a copy on the CPU."""
        return self.to(device="cpu")

    def cuda(self, device: Any = None, non_blocking: bool = False) -> Any:
        """Return this storage, or a copy on a CUDA device."""
        return self.to(device="cuda" if device is None else device)

    def is_pinned(self, device: Any = None) -> bool:
        """Whether the memory is pinned."""
        return self._items.is_pinned()

    def is_shared(self) -> bool:
        """Whether other processes see the memory: never."""
        return False


class UntypedStorage(_Storage):
    """Bytes that tensors share.

    Parameters
    ----------
    source : int or sequence of int
        How many bytes, or which.
    device : device, optional
        Where they are.
    """

    def __init__(self, source: int | Sequence[int] = 0, *, device: Any = None) -> None:
        if isinstance(source, int):
            self._items = _C.empty(source, dtype=_C.uint8, device=device)
        else:
            self._items = _C.tensor(list(source), dtype=_C.uint8, device=device)

    def _like(self, items: Tensor) -> UntypedStorage:
        return _over(UntypedStorage, items)

    def __repr__(self) -> str:
        lines = "".join(f" {item}\n" for item in self._items.tolist())
        kind = f"ember.storage.UntypedStorage(device={self.device})"
        return f"{lines}[{kind} of size {len(self)}]"

    @property
    def filename(self) -> None:
        """The file that is mapped here, if that is known."""
        return None

    @classmethod
    def from_buffer(cls, buffer: Any, *args: Any, dtype: Any, **kwargs: Any) -> UntypedStorage:
        """Copy items of ``dtype`` from a buffer; see `TypedStorage.from_buffer`."""
        return _from_buffer(buffer, dtype, *args, **kwargs).untyped()

    def untyped(self) -> UntypedStorage:
        """Return this storage."""
        return self


class TypedStorage(_Storage):
    """Items of one dtype that tensors share.

    Parameters
    ----------
    source : int or sequence of numbers, optional
        How many items, or which.
    wrap_storage : UntypedStorage, optional
        Whose bytes are the items, in place of `source`.
    dtype : dtype, optional
        Of the items; the default dtype otherwise.
    device : device, optional
        Where they are.
    """

    def __init__(
        self,
        source: int | Sequence[Any] = 0,
        *,
        wrap_storage: UntypedStorage | None = None,
        dtype: Any = None,
        device: Any = None,
    ) -> None:
        dtype = _C.get_default_dtype() if dtype is None else dtype
        if wrap_storage is not None:
            if not isinstance(wrap_storage, UntypedStorage):
                raise TypeError(
                    "TypedStorage: wrap_storage must be an UntypedStorage, got "
                    f"{type(wrap_storage).__name__}"
                )
            count = len(wrap_storage) // dtype.itemsize
            self._items = _C._tensor_from_storage(wrap_storage._items, dtype, 0, (count,), (1,))
        elif isinstance(source, int):
            self._items = _C.empty(source, dtype=dtype, device=device)
        else:
            self._items = _C.tensor(list(source), dtype=dtype, device=device)

    def _like(self, items: Tensor) -> TypedStorage:
        return _over(TypedStorage, items)

    def __repr__(self) -> str:
        lines = "".join(f" {item}\n" for item in self._items.tolist())
        kind = f"ember.storage.TypedStorage(dtype={self.dtype}, device={self.device})"
        return f"{lines}[{kind} of size {len(self)}]"

    @property
    def dtype(self) -> _C.dtype:
        """The items' dtype."""
        return self._items.dtype

    def untyped(self) -> UntypedStorage:
        """Return the bytes, shared."""
        return _over(UntypedStorage, _C._storage_tensor(self._items))

    def pickle_storage_type(self) -> str:
        """Return the name that files give this storage's type."""
        return next(name for name, dtype in _DTYPES.items() if dtype == self.dtype)

    @classmethod
    def from_buffer(
        cls,
        buffer: Any,
        byte_order: str = "native",
        count: int = -1,
        offset: int = 0,
        *,
        dtype: Any = None,
    ) -> TypedStorage:
        """Copy items from a buffer.

        Parameters
        ----------
        buffer : bytes-like
            What is read.
        byte_order : {"native", "little", "big"}
            The items' order of bytes.
        count : int
            How many items; all by default.
        offset : int
            Bytes before the first one.
        dtype : dtype, optional
            Of the items; `FloatStorage` and its like have theirs.
        """
        dtype = getattr(cls, "_fixed", None) if dtype is None else dtype
        if dtype is None:
            raise TypeError("from_buffer: TypedStorage needs the dtype")
        return _from_buffer(buffer, dtype, byte_order, count, offset)


def _over(kind: type, items: Tensor) -> Any:
    storage = object.__new__(kind)
    storage._items = items
    return storage


def _from_buffer(
    buffer: Any, dtype: Any, byte_order: str = "native", count: int = -1, offset: int = 0
) -> TypedStorage:
    import sys

    if byte_order not in ("native", "little", "big"):
        raise ValueError(
            f"from_buffer: byte_order must be 'native', 'little' or 'big', got {byte_order!r}"
        )
    data = memoryview(buffer).cast("B")
    size = dtype.itemsize
    left = len(data) - offset
    if offset < 0 or left < 0 or count < -1 or (count == -1 and left % size):
        raise ValueError(
            f"from_buffer: offset {offset} and count {count} do not fit items of {size} bytes in "
            f"a buffer of {len(data)} bytes"
        )
    count = left // size if count == -1 else count
    if count * size > left:
        raise ValueError(
            f"from_buffer: {count} items of {size} bytes do not fit into the {left} bytes behind "
            f"offset {offset}"
        )
    chosen = bytearray(data[offset : offset + count * size])
    part = size // 2 if dtype.is_complex else size
    if byte_order not in ("native", sys.byteorder) and part > 1:
        for start in range(0, len(chosen), part):
            chosen[start : start + part] = chosen[start : start + part][::-1]
    if not chosen:
        return TypedStorage(0, dtype=dtype)
    return _over(TypedStorage, _C.frombuffer(chosen, dtype=dtype))


def _cast(name: str, dtype: Any) -> Any:
    def cast(self: _Storage) -> TypedStorage:
        return _over(TypedStorage, self._items.to(dtype, copy=True))

    cast.__name__ = name
    cast.__doc__ = f"Return a copy of {dtype}."
    return cast


for _name, _dtype in _CASTS.items():
    setattr(_Storage, _name, _cast(_name, _dtype))


class _StorageType(type):
    """The class of ``FloatStorage`` and its like: names of typed storages of a dtype."""

    _fixed: _C.dtype

    def __call__(cls, *args: Any, **kwargs: Any) -> TypedStorage:
        return TypedStorage(*args, dtype=cls._fixed, **kwargs)

    def __instancecheck__(cls, instance: Any) -> bool:
        return type(instance) is TypedStorage and instance.dtype == cls._fixed


def _make(name: str, dtype: _C.dtype) -> _StorageType:
    doc = f"A `TypedStorage` of {dtype}."
    body = {"_fixed": dtype, "dtype": dtype, "__doc__": doc, "__module__": "ember"}
    return _StorageType(name, (TypedStorage,), body)


globals().update({name: _make(name, dtype) for name, dtype in _DTYPES.items()})


# ---- Methods of tensors


def untyped_storage(self: Tensor) -> UntypedStorage:
    """Return the memory this tensor lies in, as bytes."""
    return _over(UntypedStorage, _C._storage_tensor(self))


def storage(self: Tensor) -> TypedStorage:
    """Return the memory this tensor lies in, as items of its dtype."""
    return TypedStorage(wrap_storage=untyped_storage(self), dtype=self.dtype)


def set_(
    self: Tensor,
    source: Any = None,
    storage_offset: int = 0,
    size: Any = None,
    stride: Any = None,
) -> Tensor:
    """Let this tensor look at other memory of its dtype and device.

    Parameters
    ----------
    source : Tensor or storage, optional
        Whose memory it is; without it, no memory.
    storage_offset : int
        Items before the first one.
    size, stride : sequence of int, optional
        By default those of the tensor, or all items of the storage.
    """
    if source is None:
        source = _C.empty(0, dtype=self.dtype, device=self.device)
    given = source.dtype if isinstance(source, Tensor | TypedStorage) else self.dtype
    if given != self.dtype or source.device != self.device:
        raise RuntimeError(
            f"set_: expected {self.dtype} on {self.device}, got {given} on {source.device}"
        )
    if isinstance(source, Tensor) and size is None:
        self.data = source.detach()
        return self
    content = source.untyped_storage() if isinstance(source, Tensor) else source.untyped()
    if size is None:
        size = (len(content) // self.dtype.itemsize - storage_offset,)
    if stride is None:
        stride, step = [], 1
        for length in reversed(size):
            stride.insert(0, step)
            step *= max(length, 1)
    self.data = _C._tensor_from_storage(
        content._items, self.dtype, storage_offset, tuple(size), tuple(stride)
    )
    return self
