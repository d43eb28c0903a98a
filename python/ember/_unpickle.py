"""The decoder of the pickles inside saved files: it builds plain values and runs nothing.

The values are those of the encoder (`_pickle`), under the names that PyTorch's files use. An
honest file costs memory and time in proportion to its size; every other one is refused on the
way.
"""

from __future__ import annotations

import struct
from collections import Counter, OrderedDict
from collections.abc import Callable
from typing import Any

import ember
from ember import _C

from ._pickle import STORAGE_OF
from ._unpickle_values import (
    _INTERNAL,
    _Admitted,
    _Arguments,
    _check_values,
    _damaged,
    _Global,
    _refuse,
    _Storage,
)

_MAX_DIM = 64


_KEY_TYPES = (str, bytes, int, float, complex, type(None), ember.dtype, ember.device, ember.Tensor)


class Decoder:
    """Decodes one pickle.

    Parameters
    ----------
    archive : Archive
        Gives the storages: ``size(key)`` and ``storage(key)``.
    place : callable
        Moves a storage: (uint8 tensor on the CPU, device it was saved on) to a tensor.
    admitted : dict, optional
        Classes and functions by name that the program lets files make and call.
    """

    def __init__(
        self,
        archive: Any,
        place: Callable[[Any, str], Any],
        admitted: dict[str, Any] | None = None,
    ) -> None:
        self._admitted = admitted or {}
        self._made: dict[int, Any] = {}  # by admitted names, and so free to be given attributes
        self._archive = archive
        self._place = place
        self._loaded: dict[str, Any] = {}
        self._stack: list[Any] = []
        self._marks: list[list[Any]] = []
        self._memo: dict[int, Any] = {}

    @property
    def position(self) -> int:
        """Where in the data the pickle ended."""
        return self._pos

    def decode(self, data: Any, start: int = 0) -> Any:
        """Return the object that ``data``, bytes or a mapped file, encodes from ``start`` on."""
        self._data = data
        self._pos = start
        self._budget = 16 * len(data) + 10_000
        handlers = _HANDLERS
        if data[start : start + 1] != b"\x80":
            raise _damaged("it does not begin with a protocol")
        try:
            while True:
                opcode = data[self._pos]
                self._pos += 1
                if opcode == 0x2E:
                    break
                handler = handlers.get(opcode)
                if handler is None:
                    raise _damaged(f"opcode {bytes([opcode])!r} is not supported")
                handler(self)
            result = self._stack.pop()
        except (IndexError, KeyError, struct.error) as error:
            raise _damaged(f"it ends or its stack is empty too early ({error!r})") from error
        except (AttributeError, OverflowError, TypeError, ValueError) as error:
            raise _damaged(str(error)) from error
        if self._stack or self._marks:
            raise _damaged("more than one object is left on the stack")
        _check_values([result])
        return result

    # Reading

    def _read(self, count: int) -> bytes:
        end = self._pos + count
        if end > len(self._data):
            left = len(self._data) - self._pos
            raise _damaged(f"{count} bytes are announced at {self._pos}, {left} are left")
        out = self._data[self._pos : end]
        self._pos = end
        return out

    def _number(self, layout: str) -> int:
        return struct.unpack(layout, self._read(struct.calcsize(layout)))[0]

    def _line(self) -> str:
        end = self._data.find(b"\n", self._pos)
        if end < 0:
            raise _damaged("a name without an end")
        out = self._data[self._pos : end].decode()
        self._pos = end + 1
        return out

    def _charge(self, amount: int) -> None:
        """Account for work that a few opcodes may ask for again and again.

        An honest file spends some bytes on each part of a key and of an argument; one that
        copies a long string, or hashes a nested tuple, many times over runs out.
        """
        self._budget -= amount
        if self._budget < 0:
            raise _damaged("it multiplies its contents")

    def _check_key(self, key: Any) -> None:
        """Refuse keys that are not hashable, or take exponential time to hash."""
        pending = [key]
        while pending:
            part = pending.pop()
            self._charge(1)
            if isinstance(part, _INTERNAL):
                _check_values([part])
            if isinstance(part, tuple):
                pending.extend(part)
            elif not isinstance(part, (*_KEY_TYPES, frozenset)):
                raise _damaged(f"a {type(part).__name__} is a dict key or set element")

    def _push(self, value: Any) -> None:
        self._stack.append(value)

    def _pop_mark(self) -> list[Any]:
        items = self._stack
        self._stack = self._marks.pop()
        return items

    # Containers

    def _mark(self) -> None:
        self._marks.append(self._stack)
        self._stack = []

    def _push_tuple(self, items: list[Any]) -> None:
        internal = any(isinstance(item, _INTERNAL) for item in items)
        self._push(_Arguments(items) if internal else tuple(items))

    def _small_tuple(self, count: int) -> None:
        items = self._stack[-count:]
        if len(items) < count:
            raise IndexError("tuple")
        del self._stack[-count:]
        self._push_tuple(items)

    def _append(self, items: list[Any]) -> None:
        target = self._stack[-1]
        if type(target) is not list:
            raise _damaged(f"append to a {type(target).__name__}")
        _check_values(items)
        target.extend(items)

    def _add(self, items: list[Any]) -> None:
        target = self._stack[-1]
        if type(target) is not set:
            raise _damaged(f"add to a {type(target).__name__}")
        target.update(self._elements(items))

    def _set_items(self, items: list[Any]) -> None:
        target = self._stack[-1]
        if type(target) not in (dict, OrderedDict, Counter):
            raise _damaged(f"items set on a {type(target).__name__}")
        if len(items) % 2:
            raise _damaged("a key without a value")
        for key, value in zip(items[::2], items[1::2], strict=True):
            self._check_key(key)
            _check_values((value,))
            target[key] = value

    def _elements(self, items: Any) -> Any:
        if not isinstance(items, list | tuple | set | frozenset):
            raise _damaged(f"a set is made from a {type(items).__name__}")
        for item in items:
            self._check_key(item)
        return items

    # Names and calls

    def _find(self, module: str, name: str) -> None:
        if module == "__builtin__":
            module = "builtins"
        full = f"{module}.{name}"
        if full in _GLOBALS:
            self._push(_GLOBALS[full])
        elif module == "torch" and name in STORAGE_OF and hasattr(ember, name):
            self._push(getattr(ember, name))
        elif module == "torch" and name in _STORAGES:
            dtype = _STORAGES[name]
            if not hasattr(ember, dtype):
                raise _refuse(f"tensors of {dtype}, which Ember does not have")
            self._push(_Global(full, dtype=getattr(ember, dtype)))
        elif full in self._admitted:
            self._push(_Admitted(full, self._admitted[full]))
        else:
            raise _refuse(full)

    def _stack_global(self) -> None:
        name, module = self._stack.pop(), self._stack.pop()
        if type(name) is not str or type(module) is not str:
            raise _damaged("a name that is not a string")
        self._find(module, name)

    def _reduce(self) -> None:
        args, function = self._stack.pop(), self._stack.pop()
        if not isinstance(args, tuple):
            raise _damaged(f"arguments that are a {type(args).__name__}")
        if isinstance(function, _Admitted):
            _check_values(args)
            self._push(self._make(function.value(*args)))
            return
        if not isinstance(function, _Global) or function.build is None:
            name = getattr(function, "name", type(function).__name__)
            raise _refuse(f"a call of {name}")
        for argument in args:
            if isinstance(argument, str | bytes | tuple | list | dict | set | frozenset):
                self._charge(8 * len(argument))
        self._push(function.build(self, *args))

    def _new_object(self) -> None:
        if isinstance(self._stack[-2], _Admitted) and isinstance(self._stack[-1], tuple):
            args, kind = self._stack.pop(), self._stack.pop().value
            _check_values(args)
            self._push(self._make(kind.__new__(kind, *args)))
        else:
            self._reduce()  # of a name that the decoder knows: the same

    def _make(self, value: Any) -> Any:
        self._made[id(value)] = value
        return value

    def _build(self) -> None:
        state, target = self._stack.pop(), self._stack[-1]
        if id(target) in self._made:
            _check_values((state,))
            if hasattr(target, "__setstate__"):
                target.__setstate__(state)
            else:
                target.__dict__.update(state)
            return
        if type(target) is not OrderedDict:
            raise _refuse(f"a {type(target).__name__} with attributes")
        _set_attributes(target, state)

    def _persistent(self) -> None:
        pid = self._stack.pop()
        if not isinstance(pid, _Arguments) or len(pid) not in (5, 6) or pid[0] != "storage":
            raise _damaged("a reference that is not to a storage")
        _, kind, key, location, numel = pid[:5]
        if pid[5:] not in ((), (None,)):
            raise _refuse("a view of a storage, as PyTorch wrote before 0.4")
        known = isinstance(kind, _Global) and (kind.dtype or kind.name in _UNTYPED)
        if not known or type(key) is not str or type(location) is not str or type(numel) is not int:
            raise _damaged("a reference to a storage of unknown type")
        item_size = 1 if kind.dtype is None else kind.dtype.itemsize
        size = self.storage_size(key, item_size, numel)
        if size is None:
            raise _damaged(f"storage {key!r:.60} is not in the archive")
        if numel < 0 or numel * item_size != size:
            raise _damaged(
                f"storage {key!r} is said to have {numel} elements of {item_size} bytes, the "
                f"archive has {size} bytes"
            )
        self._push(_Storage(key, location, kind.dtype, size))

    def storage_size(self, key: str, item_size: int, numel: int) -> int | None:
        """Return the bytes of a storage that the pickle refers to, None where there is none."""
        return self._archive.size(key)

    # Tensors

    def _bytes_of(self, storage: _Storage) -> Any:
        if storage.key not in self._loaded:
            contents = self._archive.storage(storage.key)
            try:
                placed = self._place(contents, storage.location)
            except (AttributeError, LookupError, TypeError, ValueError) as error:
                raise RuntimeError(
                    f"load: map_location failed for device {storage.location!r:.40}: {error!r}"
                ) from error
            if not isinstance(placed, ember.Tensor) or placed.numel() != storage.size:
                raise RuntimeError(
                    "load: map_location must return the storage's bytes as a tensor, got "
                    f"{type(placed).__name__}"
                )
            self._loaded[storage.key] = placed
        return self._loaded[storage.key]

    def tensor(
        self,
        storage: Any,
        offset: Any,
        size: Any,
        stride: Any,
        requires_grad: Any = False,
        hooks: Any = None,
        dtype: Any = None,
        metadata: Any = None,
    ) -> Any:
        """Rebuild a tensor after checking it against its storage."""
        if not isinstance(storage, _Storage):
            raise _damaged("a tensor without a storage")
        dtype = storage.dtype if dtype is None else dtype
        if not isinstance(dtype, ember.dtype):
            raise _damaged("a tensor of unknown dtype")
        if metadata:
            raise _refuse("a tensor with a conjugate or negative bit")
        if not isinstance(size, tuple) or not isinstance(stride, tuple):
            raise _damaged("a tensor whose size or stride is not a tuple")
        numbers = (offset, *size, *stride)
        if len(size) != len(stride) or len(size) > _MAX_DIM:
            raise _damaged(f"a tensor of {len(size)} sizes and {len(stride)} strides")
        if any(type(n) is not int or not 0 <= n < 2**63 for n in numbers):
            raise _damaged("a tensor with a size, stride or offset that is no count")
        numel, last = 1, offset
        for n, step in zip(size, stride, strict=True):
            numel *= n
            last += (n - 1) * step
        needed = offset if numel == 0 else last + 1
        if numel >= 2**63 or needed * dtype.itemsize > storage.size:
            raise _damaged(
                f"a tensor of size {size}, stride {stride} and offset {offset} does not fit into "
                f"the {storage.size} bytes of storage {storage.key!r}"
            )
        differentiable = dtype.is_floating_point or dtype.is_complex
        if type(requires_grad) is not bool or (requires_grad and not differentiable):
            raise _damaged(f"a tensor of {dtype} that requires a gradient")
        out = _C._tensor_from_storage(self._bytes_of(storage), dtype, offset, size, stride)
        return out.requires_grad_() if requires_grad else out

    def _parameter(self, data: Any, requires_grad: Any, hooks: Any, state: Any = None) -> Any:
        if not isinstance(data, ember.Tensor) or type(requires_grad) is not bool:
            raise _damaged("a parameter without a tensor")
        if requires_grad and not (data.is_floating_point() or data.is_complex()):
            raise _damaged(f"a parameter of {data.dtype} with requires_grad=True")
        out = ember.nn.Parameter(data, requires_grad)
        if state:
            _set_attributes(out, state)
        return out

    def _typed(self, function: Any, kind: Any, args: Any, state: Any) -> Any:
        """A tensor with attributes of its own."""
        if not (isinstance(function, _Global) and isinstance(kind, _Global)):
            raise _damaged("a tensor of unknown type")
        if kind.name not in ("torch.Tensor", "torch.nn.parameter.Parameter"):
            raise _refuse(kind.name)
        if "_rebuild" not in function.name or not isinstance(args, tuple):
            raise _refuse(f"a call of {function.name}")
        out = function.build(self, *args)
        if state:
            _set_attributes(out, state)
        return out


def _set_attributes(target: Any, state: Any) -> None:
    """Set what the instance may carry without changing how it behaves."""
    if not isinstance(state, dict):
        raise _damaged(f"attributes that are a {type(state).__name__}")
    for name, value in state.items():
        if type(name) is not str or name.startswith("__") or hasattr(type(target), name):
            shown = name if type(name) is str else type(name).__name__
            raise _refuse(f"a {type(target).__name__} whose attribute {shown:.60} is changed")
        _check_values((value,))
        setattr(target, name, value)


# How each callable of the allowlist builds its value from (decoder, *arguments).


def _build_bytes(decoder: Decoder, text: str, encoding: str = "latin1") -> bytes:
    if type(text) is not str or encoding not in ("latin1", "latin-1"):
        raise _refuse("text in another encoding than latin1")
    return text.encode("latin1")


def _build_bytearray(decoder: Decoder, data: Any = b"", encoding: str = "latin1") -> bytearray:
    if isinstance(data, str):
        data = _build_bytes(decoder, data, encoding)
    if not isinstance(data, bytes):
        raise _damaged(f"a bytearray of a {type(data).__name__}")
    return bytearray(data)


def _build_complex(decoder: Decoder, real: Any, imag: Any = 0.0) -> complex:
    if not all(isinstance(x, int | float) for x in (real, imag)):
        raise _damaged("a complex number of something else than numbers")
    return complex(real, imag)


def _build_ordered_dict(decoder: Decoder, items: Any = ()) -> OrderedDict:
    if not isinstance(items, list | tuple):
        raise _damaged(f"an ordered dict of a {type(items).__name__}")
    out = OrderedDict()
    for item in items:
        if not isinstance(item, list | tuple) or len(item) != 2:
            raise _damaged("an ordered dict of something else than pairs")
        decoder._check_key(item[0])
        _check_values(item[1:])
        out[item[0]] = item[1]
    return out


def _build_counter(decoder: Decoder, counts: Any = None) -> Counter:
    if counts is not None and type(counts) is not dict:
        raise _damaged(f"a counter of a {type(counts).__name__}")
    out = Counter()
    for key, value in (counts or {}).items():
        out[key] = value
    return out


def _build_size(decoder: Decoder, sizes: Any = ()) -> Any:
    if not isinstance(sizes, list | tuple) or any(
        type(n) is not int or not 0 <= n < 2**63 for n in sizes
    ):
        raise _damaged("a size of something else than counts")
    return ember.Size(sizes)


def _build_device(decoder: Decoder, kind: Any, index: Any = None) -> Any:
    if type(kind) is not str or type(index) not in (int, type(None)):
        raise _damaged("a device of something else than a name and a number")
    try:
        return ember.device(kind) if index is None else ember.device(kind, index)
    except RuntimeError as error:
        raise _damaged(str(error)) from error


def _build_tensor(decoder: Decoder, storage: Any, offset: Any, size: Any, stride: Any) -> Any:
    return decoder.tensor(storage, offset, size, stride)


def _build_tensor_v2(
    decoder: Decoder,
    storage: Any,
    offset: Any,
    size: Any,
    stride: Any,
    requires_grad: Any,
    hooks: Any,
    metadata: Any = None,
) -> Any:
    return decoder.tensor(storage, offset, size, stride, requires_grad, hooks, metadata=metadata)


def _build_layout(decoder: Decoder, name: Any) -> Any:
    for layout in (ember.sparse_coo, ember.sparse_csr, ember.sparse_csc):
        if name == str(layout).replace("ember", "torch"):
            return layout
    raise _damaged(f"a tensor of layout {name!r:.60}")


def _build_sparse(decoder: Decoder, layout: Any, parts: Any) -> Any:
    if type(layout) is not ember.layout or type(parts) is not tuple or len(parts) not in (3, 4):
        raise _damaged("a sparse tensor without a layout or its parts")
    coo = layout is ember.sparse_coo
    tensors, size = parts[: 2 if coo else 3], parts[2 if coo else -1]
    if type(size) is not ember.Size or any(type(t) is not ember.Tensor for t in tensors):
        raise _damaged("a sparse tensor of something else than tensors and a size")
    from .sparse._tensor import rebuild

    try:
        return rebuild(layout, parts)
    except (RuntimeError, TypeError, IndexError) as error:
        raise _damaged(str(error)) from error


_UNTYPED = ("torch.storage.UntypedStorage", "torch.UntypedStorage")
_STORAGES = {storage: dtype for dtype, storage in STORAGE_OF.items()}
_BUILDERS: dict[str, Callable | None] = {
    "collections.OrderedDict": _build_ordered_dict,
    "collections.Counter": _build_counter,
    "builtins.set": lambda decoder, items=(): set(decoder._elements(items)),
    "builtins.frozenset": lambda decoder, items=(): frozenset(decoder._elements(items)),
    "builtins.complex": _build_complex,
    "builtins.bytearray": _build_bytearray,
    "builtins.bytes": lambda decoder: b"",
    "_codecs.encode": _build_bytes,
    "torch.Size": _build_size,
    "torch.device": _build_device,
    "torch._utils._rebuild_tensor": _build_tensor,
    "torch._utils._rebuild_tensor_v2": _build_tensor_v2,
    "torch._utils._rebuild_tensor_v3": Decoder.tensor,
    "torch._utils._rebuild_sparse_tensor": _build_sparse,
    "torch.serialization._get_layout": _build_layout,
    "torch._utils._rebuild_parameter": Decoder._parameter,
    "torch._utils._rebuild_parameter_with_state": Decoder._parameter,
    "torch._tensor._rebuild_from_type_v2": Decoder._typed,
    "torch.Tensor": None,
    "torch.nn.parameter.Parameter": None,
    **dict.fromkeys(_UNTYPED),
}
_GLOBALS = {name: _Global(name, build) for name, build in _BUILDERS.items()}


def _remember(decoder: Decoder, index: int) -> None:
    decoder._memo[index] = decoder._stack[-1]


def _skip(decoder: Decoder, count: int) -> None:
    decoder._read(count)


_HANDLERS: dict[int, Callable[[Decoder], Any]] = {
    ord(opcode): handler
    for opcode, handler in {
        "\x80": lambda d: _skip(d, 1),  # PROTO
        "\x95": lambda d: _skip(d, 8),  # FRAME
        "N": lambda d: d._push(None),
        "\x88": lambda d: d._push(True),
        "\x89": lambda d: d._push(False),
        "K": lambda d: d._push(d._read(1)[0]),
        "M": lambda d: d._push(d._number("<H")),
        "J": lambda d: d._push(d._number("<i")),
        "\x8a": lambda d: d._push(int.from_bytes(d._read(d._read(1)[0]), "little", signed=True)),
        "\x8b": lambda d: d._push(int.from_bytes(d._read(d._number("<I")), "little", signed=True)),
        "G": lambda d: d._push(struct.unpack(">d", d._read(8))[0]),
        "X": lambda d: d._push(str(d._read(d._number("<I")), "utf-8", "surrogatepass")),
        "\x8c": lambda d: d._push(str(d._read(d._read(1)[0]), "utf-8", "surrogatepass")),
        "\x8d": lambda d: d._push(str(d._read(d._number("<Q")), "utf-8", "surrogatepass")),
        "U": lambda d: d._push(str(d._read(d._read(1)[0]), "utf-8")),  # Python 2's strings
        "T": lambda d: d._push(str(d._read(d._number("<I")), "utf-8")),
        "C": lambda d: d._push(d._read(d._read(1)[0])),
        "B": lambda d: d._push(d._read(d._number("<I"))),
        "\x8e": lambda d: d._push(d._read(d._number("<Q"))),
        "\x96": lambda d: d._push(bytearray(d._read(d._number("<Q")))),
        "(": Decoder._mark,
        ")": lambda d: d._push(()),
        "]": lambda d: d._push([]),
        "}": lambda d: d._push({}),
        "\x8f": lambda d: d._push(set()),
        "t": lambda d: d._push_tuple(d._pop_mark()),
        "\x85": lambda d: d._small_tuple(1),
        "\x86": lambda d: d._small_tuple(2),
        "\x87": lambda d: d._small_tuple(3),
        "a": lambda d: d._append([d._stack.pop()]),
        "e": lambda d: d._append(d._pop_mark()),
        "s": lambda d: d._set_items([d._stack.pop(), d._stack.pop()][::-1]),
        "u": lambda d: d._set_items(d._pop_mark()),
        "\x90": lambda d: d._add(d._pop_mark()),
        "\x91": lambda d: d._push(frozenset(d._elements(d._pop_mark()))),
        "0": lambda d: d._stack.pop(),
        "1": Decoder._pop_mark,
        "c": lambda d: d._find(d._line(), d._line()),
        "\x93": Decoder._stack_global,
        "R": Decoder._reduce,
        "\x81": Decoder._new_object,
        "b": Decoder._build,
        "Q": Decoder._persistent,
        "q": lambda d: _remember(d, d._read(1)[0]),
        "r": lambda d: _remember(d, d._number("<I")),
        "\x94": lambda d: _remember(d, len(d._memo)),
        "h": lambda d: d._push(d._memo[d._read(1)[0]]),
        "j": lambda d: d._push(d._memo[d._number("<I")]),
    }.items()
}
