"""The files of ``torch.save`` before PyTorch 1.6: five pickles, then the storages' bytes.

The pickles are a magic number, the format's version, facts about the machine, the object, and the
list of storage keys. After them comes each storage in the order of that list: the number of
elements as a little-endian int64, and the elements.
"""

from __future__ import annotations

import io
import mmap
import struct
from collections.abc import Callable
from typing import IO, Any

import ember

from ._unpickle import Decoder, _damaged

_MAGIC = 0x1950A86A20F9469CFC6C
_VERSION = 1001
# The magic number as a pickle of any protocol has it.
_MARK = b"\x8a\x0a" + _MAGIC.to_bytes(10, "little")


def is_legacy(file: IO[bytes]) -> bool:
    """Say whether a file begins as such a file does."""
    file.seek(0)
    return _MARK in file.read(32)


class _NoStorages:
    """What pickles without tensors refer to."""

    def size(self, key: str) -> int | None:
        return None


class _Survey(Decoder):
    """Decodes the object once to learn the types of its storages; tensors stay empty."""

    def __init__(self, admitted: dict[str, Any]) -> None:
        super().__init__(_NoStorages(), lambda storage, location: storage, admitted)
        self.item_sizes: dict[str, tuple[int, int]] = {}  # key: bytes an element, elements

    def storage_size(self, key: str, item_size: int, numel: int) -> int:
        if self.item_sizes.setdefault(key, (item_size, numel)) != (item_size, numel):
            raise _damaged(f"storage {key!r:.60} is referred to with two types or sizes")
        return item_size * numel

    def tensor(self, *args: Any, **kwargs: Any) -> Any:
        return ember.empty(0)


class LegacyFile:
    """Reads such a file; all storages were found to lie inside it before one is read.

    Parameters
    ----------
    file : file object
        Open for reading in binary mode.
    admitted : dict
        Classes and functions by name that the program lets files make and call.
    """

    def __init__(self, file: IO[bytes], admitted: dict[str, Any]) -> None:
        self._admitted = admitted
        if type(file) is io.BufferedReader and type(file.raw) is io.FileIO:
            self._data: Any = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        else:
            file.seek(0)
            self._data = file.read()
        position = 0
        facts = []
        for _ in range(3):
            decoder = Decoder(_NoStorages(), lambda storage, location: storage)
            facts.append(decoder.decode(self._data, position))
            position = decoder.position
        magic, version, machine = facts
        if magic != _MAGIC or type(version) is not int or version != _VERSION:
            raise RuntimeError(f"load: expected version {_VERSION} of the legacy format")
        if not isinstance(machine, dict) or machine.get("little_endian") is not True:
            raise RuntimeError("load: the file was written on a big-endian machine")
        self._start = position
        survey = _Survey(admitted)
        survey.decode(self._data, position)
        keys = Decoder(_NoStorages(), lambda storage, location: storage)
        self._index(keys.decode(self._data, survey.position), survey.item_sizes, keys.position)

    def _index(self, keys: Any, item_sizes: dict[str, tuple[int, int]], position: int) -> None:
        if not isinstance(keys, list) or not all(type(key) is str for key in keys):
            raise _damaged("the storages' keys are no list of strings")
        if len(set(keys)) != len(keys):
            raise _damaged("a storage comes twice")
        self._places: dict[str, tuple[int, int]] = {}  # key: offset, bytes
        length = len(self._data)
        for key in keys:
            if key not in item_sizes:
                raise _damaged(f"storage {key!r:.60} belongs to no tensor")
            if position + 8 > length:
                raise RuntimeError(f"load: the file ends before storage {key!r:.60}")
            (numel,) = struct.unpack("<q", self._data[position : position + 8])
            item_size, expected = item_sizes[key]
            if numel != expected:
                raise RuntimeError(
                    f"load: storage {key!r:.60} has {numel} elements, but its tensors refer to "
                    f"{expected}"
                )
            position += 8
            size = numel * item_size
            if numel < 0 or position + size > length:
                raise RuntimeError(
                    f"load: storage {key!r:.60} has {size} bytes from {position}, but the file "
                    f"ends at {length}; it is truncated"
                )
            self._places[key] = position, size
            position += size

    def decode(self, place: Callable[[Any, str], Any]) -> Any:
        """Return the object; ``place`` moves a storage to its device."""
        return Decoder(self, place, self._admitted).decode(self._data, self._start)

    def size(self, key: str) -> int | None:
        """Return the number of bytes of storage ``key``, or None if there is no such storage."""
        place = self._places.get(key)
        return None if place is None else place[1]

    def storage(self, key: str) -> Any:
        """Return the bytes of storage ``key`` as a one-dimensional uint8 tensor on the CPU."""
        start, size = self._places[key]
        out = ember.empty(size, dtype=ember.uint8)
        if size:
            memoryview(out.numpy())[:] = memoryview(self._data)[start : start + size]
        return out
