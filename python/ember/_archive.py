"""The zip archives of `ember.save` and `ember.load`: stored members, data aligned for mapping."""

from __future__ import annotations

import os
import struct
import sys
import zlib
from typing import IO, Any

import numpy as np

import ember

ALIGNMENT = 64
_LOCAL = struct.Struct("<4s5H3L2H")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_END = struct.Struct("<4s4H2LH")
_END64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR64 = struct.Struct("<4sLQL")
_ELSEWHERE = 0xFFFFFFFF  # says that the number stands in a zip64 field
_LIMIT = _ELSEWHERE
_MIDNIGHT = (0, 0x21)  # 1 January 1980, so that equal contents give equal files
_PADDING_ID = 0x4246


class ArchiveWriter:
    """Writes members one after the other to a file that need not be able to seek."""

    def __init__(self, file: IO[bytes], stem: str) -> None:
        self._file = file
        self._stem = stem
        self._offset = 0
        self._central: list[bytes] = []

    def _write(self, data: Any) -> None:
        self._file.write(data)
        self._offset += len(data)

    def add(self, name: str, data: bytes | memoryview) -> None:
        """Append a member whose bytes begin at a multiple of 64."""
        path = f"{self._stem}/{name}".encode("utf-8", "replace")
        size, crc, start = len(data), zlib.crc32(data), self._offset
        large = size >= _LIMIT
        sizes = struct.pack("<2H2Q", 1, 16, size, size) if large else b""
        shown = _ELSEWHERE if large else size

        head = start + _LOCAL.size + len(path) + len(sizes) + 4
        padding = -head % ALIGNMENT
        extra = sizes + struct.pack("<2H", _PADDING_ID, padding) + b"Z" * padding
        flags = 0x800  # the name is UTF-8
        version = 45 if large else 20
        self._write(
            _LOCAL.pack(
                b"PK\3\4", version, flags, 0, *_MIDNIGHT, crc, shown, shown, len(path), len(extra)
            )
            + path
            + extra
        )
        self._write(data)

        far = start >= _LIMIT
        wide = ([size, size] if large else []) + ([start] if far else [])
        extra = struct.pack(f"<2H{len(wide)}Q", 1, 8 * len(wide), *wide) if wide else b""
        self._central.append(
            _CENTRAL.pack(
                b"PK\1\2",
                45 if wide else 20,
                45 if wide else 20,
                flags,
                0,
                *_MIDNIGHT,
                crc,
                shown,
                shown,
                len(path),
                len(extra),
                0,
                0,
                0,
                0,
                _ELSEWHERE if far else start,
            )
            + path
            + extra
        )

    def close(self) -> None:
        """Write the directory."""
        start = self._offset
        for entry in self._central:
            self._write(entry)
        count, size = len(self._central), self._offset - start
        if count >= 0xFFFF or start + size >= _LIMIT:
            end = self._offset
            self._write(_END64.pack(b"PK\6\6", 44, 45, 45, 0, 0, count, count, size, start))
            self._write(_LOCATOR64.pack(b"PK\6\7", 0, end, 1))
        shown = min(count, 0xFFFF)
        if start + size >= _LIMIT:
            size = start = _ELSEWHERE
        self._write(_END.pack(b"PK\5\6", 0, 0, shown, shown, size, start, 0))


class Archive:
    """Reads an archive; every member was checked to lie inside the file before it is read.

    Parameters
    ----------
    file : file object
        Open for reading in binary mode, able to seek.
    path : str or None
        When given, storages are mapped from this path instead of read.
    """

    def __init__(self, file: IO[bytes], path: str | None) -> None:
        import zipfile

        self._file = file
        file.seek(0, os.SEEK_END)
        self._length = file.tell()
        file.seek(0)
        if file.read(4) != b"PK\3\4":
            raise RuntimeError(
                "load: not a zip archive as torch.save writes it since PyTorch 1.6; the file "
                f"has {self._length} bytes"
            )
        try:
            with zipfile.ZipFile(file) as directory:
                entries = directory.infolist()
        except (
            zipfile.BadZipFile,
            NotImplementedError,
            OverflowError,
            ValueError,
            struct.error,
        ) as error:
            # ValueError covers undecodable names and seeks before the beginning.
            raise RuntimeError(f"load: the archive's directory is damaged: {error}") from error

        self._members: dict[str, tuple[int, int, int]] = {}  # name: offset, size, checksum
        self._stem = entries[0].filename.split("/")[0] + "/" if entries else ""
        end_of_last = 0
        for entry in sorted(entries, key=lambda entry: entry.header_offset):
            member = self._locate(entry)
            # Members that share bytes would let a small file fill any memory.
            if entry.header_offset < end_of_last:
                raise RuntimeError(f"load: member {entry.filename!r:.80} overlaps another one")
            end_of_last = member[0] + member[1]
            self._members[entry.filename] = member
        self._check_header()
        self._map = None if path is None else np.memmap(path, dtype=np.uint8, mode="c")

    def _locate(self, entry: Any) -> tuple[int, int, int]:
        name = entry.filename
        if name in self._members:
            raise RuntimeError(f"load: the archive has two members {name!r:.80}")
        if entry.compress_type != 0 or entry.compress_size != entry.file_size:
            raise RuntimeError(f"load: member {name!r:.80} is compressed, expected it stored")
        if entry.flag_bits & 0x1:
            raise RuntimeError(f"load: member {name!r:.80} is encrypted")
        if not 0 <= entry.header_offset <= self._length - _LOCAL.size:
            raise RuntimeError(f"load: member {name!r:.80} lies outside the file")
        self._file.seek(entry.header_offset)
        header = _LOCAL.unpack(self._file.read(_LOCAL.size))
        if header[0] != b"PK\3\4":
            raise RuntimeError(f"load: member {name!r:.80} has no header at {entry.header_offset}")
        start = entry.header_offset + _LOCAL.size + header[9] + header[10]
        if start + entry.file_size > self._length:
            raise RuntimeError(
                f"load: member {name!r:.80} has {entry.file_size} bytes from {start}, but the file "
                f"ends at {self._length}; it is truncated"
            )
        return start, entry.file_size, entry.CRC

    def _check_header(self) -> None:
        if self._stem + "data.pkl" not in self._members:
            if self._stem + "constants.pkl" in self._members:
                raise RuntimeError("load: this is a TorchScript archive, which Ember cannot run")
            raise RuntimeError("load: the archive has no member data.pkl")
        if self._stem + "byteorder" in self._members:
            order = self._read(self._stem + "byteorder")
            if order != sys.byteorder.encode():
                raise RuntimeError(
                    f"load: the file's byte order is {order[:16]!r}, this machine's is "
                    f"{sys.byteorder}"
                )

    def _read(self, name: str) -> bytes:
        start, size, checksum = self._members[name]
        self._file.seek(start)
        data = self._file.read(size)
        self._verify(name, data, size, checksum)
        return data

    def _verify(self, name: str, data: Any, size: int, checksum: int) -> None:
        if len(data) != size:
            raise RuntimeError(f"load: member {name!r:.80}: expected {size} bytes, got {len(data)}")
        if zlib.crc32(data) != checksum:
            raise RuntimeError(f"load: member {name!r:.80} is damaged: its checksum does not match")

    def pickle(self) -> bytes:
        """Return the bytes of ``data.pkl``."""
        return self._read(self._stem + "data.pkl")

    def size(self, key: str) -> int | None:
        """Return the number of bytes of storage ``key``, or None if there is no such member."""
        entry = self._members.get(f"{self._stem}data/{key}")
        return None if entry is None else entry[1]

    def storage(self, key: str) -> Any:
        """Return the bytes of storage ``key`` as a one-dimensional uint8 tensor on the CPU."""
        name = f"{self._stem}data/{key}"
        start, size, checksum = self._members[name]
        if self._map is not None and size:
            # np.asarray: a plain array that keeps the mapping alive.
            return ember.from_numpy(np.asarray(self._map[start : start + size]))
        out = ember.empty(size, dtype=ember.uint8)
        if size:
            view = memoryview(out.numpy())
            self._file.seek(start)
            filled = 0
            while filled < size:
                count = _read_into(self._file, view[filled:])
                if not count:
                    break
                filled += count
            self._verify(name, view[:filled], size, checksum)
        return out


def _read_into(file: IO[bytes], view: memoryview) -> int:
    if hasattr(file, "readinto"):
        return file.readinto(view)
    data = file.read(min(len(view), 1 << 24))
    view[: len(data)] = data
    return len(data)
