"""The encoder of the pickles inside saved files.

It knows a closed set, the same as the decoder (`_unpickle`): tensors and parameters, dtypes,
devices and sizes, None, numbers, strings, bytes, lists, tuples, dicts, ordered dicts, counters
and sets. The opcodes are those of Python's pickletools, the names those that PyTorch's files use.
"""

from __future__ import annotations

import struct
from collections import Counter, OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np

import ember
from ember import _C

STORAGE_OF = {
    "bool": "BoolStorage",
    "uint8": "ByteStorage",
    "int8": "CharStorage",
    "int16": "ShortStorage",
    "int32": "IntStorage",
    "int64": "LongStorage",
    "float16": "HalfStorage",
    "bfloat16": "BFloat16Storage",
    "float32": "FloatStorage",
    "float64": "DoubleStorage",
    "complex64": "ComplexFloatStorage",
    "complex128": "ComplexDoubleStorage",
}


def _dtype_name(dtype: Any) -> str:
    return str(dtype).rsplit(".", 1)[-1]


class _Unsupported(Exception):
    """Found on the way down; the containers add where it is on the way up."""

    def __init__(self, value: Any) -> None:
        self.value = value
        self.path: list[str] = []


class Encoder:
    """Encodes one object; `storages` are then the bytes that it refers to, by number."""

    def __init__(self) -> None:
        self.storages: list[Any] = []
        self._out = bytearray(b"\x80\x02")
        self._memo: dict[int, int] = {}
        self._alive: list[Any] = []  # what the memo's addresses belong to
        self._globals: dict[str, int] = {}
        self._storage_keys: dict[int, tuple[int, str]] = {}
        self._writers: dict[type, Callable[[Any], None]] = {
            type(None): lambda x: self._emit(b"N"),
            bool: lambda x: self._emit(b"\x88" if x else b"\x89"),
            int: self._int,
            float: self._float,
            complex: lambda x: self._call("__builtin__ complex", x.real, x.imag),
            str: self._str,
            bytes: self._bytes,
            bytearray: self._bytearray,
            tuple: self._tuple,
            list: self._list,
            dict: self._dict,
            OrderedDict: self._ordered_dict,
            Counter: lambda x: self._call("collections Counter", dict(x)),
            set: lambda x: self._call("__builtin__ set", list(x)),
            frozenset: lambda x: self._call("__builtin__ frozenset", list(x)),
            ember.Size: lambda x: self._call("torch Size", tuple(x)),
            ember.dtype: lambda x: self._global(f"torch {_dtype_name(x)}"),
            ember.device: self._device,
            ember.Tensor: self._tensor,
            ember.nn.Parameter: self._parameter,
        }
        self._immutable = {type(None), bool, int, float, complex, ember.dtype}

    def encode(self, obj: Any) -> bytes:
        """Return the pickle of ``obj``."""
        try:
            self._write(obj)
        except _Unsupported as found:
            place = "obj" + "".join(reversed(found.path))
            raise TypeError(
                f"save: {place} is a {type(found.value).__module__}."
                f"{type(found.value).__qualname__}; only tensors, numbers, strings and plain "
                "containers of them can be saved (of a module, save its state_dict())"
            ) from None
        self._emit(b".")
        return bytes(self._out)

    def _emit(self, data: bytes) -> None:
        self._out += data

    def _write(self, obj: Any) -> None:
        index = self._memo.get(id(obj))
        if index is not None:
            self._get(index)
            return
        kind = type(obj)
        writer = self._writers.get(kind)
        if writer is None and isinstance(obj, ember.Tensor) and obj.layout is not ember.strided:
            writer = self._writers[kind] = self._sparse
        if writer is None:
            obj = self._plain_number(obj)
            kind = type(obj)
            writer = self._writers[kind]
        writer(obj)
        if kind not in self._immutable and id(obj) not in self._memo:
            self._remember(obj)

    @staticmethod
    def _plain_number(obj: Any) -> Any:
        """A number or string of a derived type (numpy's scalars, say) as Python's own."""
        if isinstance(obj, np.generic) and obj.dtype.kind in "biufc":
            return obj.item()
        for base in (int, float, complex, str):
            if isinstance(obj, base):
                return base(obj)
        raise _Unsupported(obj)

    # Memo

    def _remember(self, obj: Any) -> None:
        self._memo[id(obj)] = self._put()
        self._alive.append(obj)

    def _put(self) -> int:
        index = len(self._memo) + len(self._globals)
        self._emit(b"q" + bytes([index]) if index < 256 else b"r" + struct.pack("<I", index))
        return index

    def _get(self, index: int) -> None:
        self._emit(b"h" + bytes([index]) if index < 256 else b"j" + struct.pack("<I", index))

    # Values

    def _int(self, x: int) -> None:
        if 0 <= x < 256:
            self._emit(b"K" + bytes([x]))
        elif 0 <= x < 65536:
            self._emit(b"M" + struct.pack("<H", x))
        elif -(2**31) <= x < 2**31:
            self._emit(b"J" + struct.pack("<i", x))
        else:
            data = x.to_bytes(x.bit_length() // 8 + 1, "little", signed=True)
            size = len(data)
            self._emit(b"\x8a" + bytes([size]) if size < 256 else b"\x8b" + struct.pack("<i", size))
            self._emit(data)

    def _float(self, x: float) -> None:
        self._emit(b"G" + struct.pack(">d", x))

    def _str(self, x: str) -> None:
        data = x.encode("utf-8", "surrogatepass")
        self._emit(b"X" + struct.pack("<I", len(data)) + data)

    def _bytes(self, x: bytes) -> None:
        # Protocol 2 has no bytes: each byte travels as the character of the same number.
        self._call("_codecs encode", x.decode("latin1"), "latin1")

    def _bytearray(self, x: bytearray) -> None:
        self._call("__builtin__ bytearray", x.decode("latin1"), "latin-1")

    def _tuple(self, x: tuple) -> None:
        if not x:
            self._emit(b")")
            return
        if len(x) > 3:
            self._emit(b"(")
        self._items(x)
        if id(x) in self._memo:
            # The tuple contains itself by way of a list, and stands complete in the memo now.
            self._emit(b"1" if len(x) > 3 else b"0" * len(x))
            self._get(self._memo[id(x)])
        else:
            self._emit((b"\x85", b"\x86", b"\x87")[len(x) - 1] if len(x) <= 3 else b"t")

    def _list(self, x: list) -> None:
        self._emit(b"]")
        self._remember(x)
        if x:
            self._emit(b"(")
            self._items(x)
            self._emit(b"e")

    def _items(self, x: list | tuple) -> None:
        item = None
        try:
            for item in x:
                self._write(item)
        except _Unsupported as found:
            place = next(i for i, other in enumerate(x) if other is item)
            found.path.append(f"[{place}]")
            raise

    def _dict(self, x: dict) -> None:
        self._emit(b"}")
        self._remember(x)
        self._entries(x)

    def _entries(self, x: dict) -> None:
        if not x:
            return
        self._emit(b"(")
        key = None
        try:
            for key, value in x.items():
                self._write(key)
                self._write(value)
        except _Unsupported as found:
            found.path.append(f"[{key!r:.60}]")
            raise
        self._emit(b"u")

    def _ordered_dict(self, x: OrderedDict) -> None:
        self._global("collections OrderedDict")
        self._emit(b")R")
        self._remember(x)
        self._entries(x)
        if vars(x):  # the versions that Module.state_dict() notes in `_metadata`
            self._dict(dict(vars(x)))
            self._emit(b"b")

    def _device(self, x: Any) -> None:
        self._call("torch device", x.type, *([] if x.index is None else [x.index]))

    # Names and calls

    def _global(self, name: str) -> None:
        index = self._globals.get(name)
        if index is not None:
            self._get(index)
            return
        module, attribute = name.split(" ")
        self._emit(f"c{module}\n{attribute}\n".encode())
        self._globals[name] = self._put()

    def _call(self, name: str, *args: Any) -> None:
        self._global(name)
        self._arguments(args)
        self._emit(b"R")

    def _arguments(self, args: tuple) -> None:
        self._emit(b"(")
        self._items(args)
        self._emit(b"t")

    # Tensors

    def _tensor(self, x: Any, requires_grad: bool | None = None) -> None:
        self._global("torch._utils _rebuild_tensor_v2")
        self._emit(b"(")
        self._storage(x)
        for part in (x.storage_offset(), tuple(x.shape), tuple(x.stride())):
            self._write(part)
        self._write(x.requires_grad if requires_grad is None else requires_grad)
        self._ordered_dict(OrderedDict())
        self._emit(b"tR")

    def _parameter(self, x: Any) -> None:
        self._global("torch._utils _rebuild_parameter")
        self._emit(b"(")
        self._tensor(x, requires_grad=False)
        self._write(x.requires_grad)
        self._ordered_dict(OrderedDict())
        self._emit(b"tR")

    def _sparse(self, x: Any) -> None:
        self._global("torch._utils _rebuild_sparse_tensor")
        self._emit(b"(")
        self._call("torch.serialization _get_layout", str(x.layout).replace("ember", "torch"))
        parts = x.__reduce_ex__(2)[1][1]
        self._write(parts)
        self._emit(b"tR")

    def _storage(self, x: Any) -> None:
        dtype, item_size = _dtype_name(x.dtype), x.element_size()
        identity = x._storage_id()
        if identity not in self._storage_keys:
            storage = _C._storage_tensor(x)
            self._storage_keys[identity] = len(self.storages), dtype
            self.storages.append(storage[: storage.numel() // item_size * item_size])
        key, first_dtype = self._storage_keys[identity]
        if dtype != first_dtype:
            raise RuntimeError(
                "save: tensors that view the same memory as different dtypes "
                f"({first_dtype}, {dtype}) cannot be saved together; clone one of them"
            )
        self._emit(b"(")
        self._write("storage")
        self._global(f"torch {STORAGE_OF[dtype]}")
        self._str(str(key))
        self._str(str(x.device))
        self._int(self.storages[key].numel() // item_size)
        self._emit(b"tQ")
