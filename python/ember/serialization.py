"""`save` and `load` in PyTorch's file format, and `load` in the one before PyTorch 1.6.

A file is an uncompressed zip archive: ``data.pkl`` holds the object as a pickle (protocol 2) in
which every storage is a reference, and ``data/N`` hold the storages' bytes. What PyTorch saves
Ember loads, and the other way round, also with ``torch.load(weights_only=True)``.

Reading never runs code from a file. The pickle is decoded by `_unpickle.Decoder`, which admits
tensors, plain containers, strings, bytes and numbers; every size is checked against the bytes
that are there before memory is allocated.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import IO, Any

import ember

__all__ = [
    "add_safe_globals",
    "clear_safe_globals",
    "get_safe_globals",
    "load",
    "safe_globals",
    "save",
]

DEFAULT_PROTOCOL = 2  # the pickle protocol of files
_admitted: dict[str, Any] = {}


def save(
    obj: Any,
    f: str | os.PathLike | IO[bytes],
    pickle_module: Any = None,
    pickle_protocol: int = DEFAULT_PROTOCOL,
    _use_new_zipfile_serialization: bool = True,
) -> None:
    """Write an object to a file that `load` and ``torch.load`` read.

    Parameters
    ----------
    obj : object
        Tensors, parameters, numbers, strings, bytes, None, dtypes, devices and sizes, in lists,
        tuples, dicts, ordered dicts, counters and sets. Tensors that share memory share it in
        the file.
    f : path or file object
        Where to. A path is written beside and renamed when it is complete, so that an
        interrupted call leaves the file that was there.
    pickle_module, pickle_protocol, _use_new_zipfile_serialization
        Accepted for PyTorch's sake; there is one format.

    Raises
    ------
    TypeError
        `load` would refuse a part of ``obj``; the message says which.
    """
    del pickle_module, pickle_protocol, _use_new_zipfile_serialization
    from ._pickle import Encoder

    encoder = Encoder()
    pickled = encoder.encode(obj)
    if isinstance(f, str | os.PathLike):
        stem = os.path.splitext(os.path.basename(os.fsdecode(f)))[0] or "archive"
        with replacing(f) as file:
            _write_archive(file, stem, pickled, encoder.storages)
    elif hasattr(f, "write"):
        _write_archive(f, "archive", pickled, encoder.storages)
    else:
        raise TypeError(f"save: f must be a path or a file object, got {type(f).__name__}")


def load(
    f: str | os.PathLike | IO[bytes],
    map_location: Any = None,
    pickle_module: Any = None,
    *,
    weights_only: bool | None = True,
    mmap: bool | None = False,
    **pickle_load_args: Any,
) -> Any:
    """Read what `save` or ``torch.save``, of any version, wrote.

    Parameters
    ----------
    f : path or file object
        A file object must be able to seek.
    map_location : device, str, dict or callable, optional
        Where tensors go: a device for all; a dict from the device they were saved on to
        another; or a function of (bytes of the storage as a uint8 tensor, device they were
        saved on) that returns the tensor to use, or None. By default they go where they were.
    weights_only : bool
        Accepted for PyTorch's sake. No value makes `load` run code from the file.
    mmap : bool
        Map the file instead of reading it; needs a path. Changes stay in memory. The checksums
        are not verified.
    pickle_module, **pickle_load_args
        Accepted for PyTorch's sake (``encoding="latin1"``, say).

    Raises
    ------
    pickle.UnpicklingError
        The file holds something else than tensors, plain containers, strings and numbers, and
        what `safe_globals` admits.
    RuntimeError
        The file is damaged or not such an archive.
    """
    del pickle_module, weights_only, pickle_load_args
    if isinstance(f, str | os.PathLike):
        with open(f, "rb") as file:
            return _load(file, os.fspath(f) if mmap else None, mmap, map_location)
    if not (hasattr(f, "read") and hasattr(f, "seek")):
        raise TypeError(f"load: f must be a path or a file object, got {type(f).__name__}")
    if mmap:
        raise ValueError("load: mmap=True needs a path, got a file object")
    return _load(f, None, mmap, map_location)


def _load(file: IO[bytes], path: str | None, mmap: bool | None, map_location: Any) -> Any:
    from ._archive import Archive
    from ._legacy_file import LegacyFile, is_legacy
    from ._unpickle import Decoder

    place = _placement(map_location)
    if is_legacy(file):
        if mmap:
            raise RuntimeError("load: mmap=True needs a file in the format since PyTorch 1.6")
        return LegacyFile(file, _admitted).decode(place)
    archive = Archive(file, path)
    return Decoder(archive, place, _admitted).decode(archive.pickle())


def add_safe_globals(safe_globals: list) -> None:
    """Let files that `load` reads make instances of these classes, and call these functions.

    Parameters
    ----------
    safe_globals : list
        Classes and functions, or pairs of one and the full name that files have for it.
    """
    for entry in safe_globals:
        value, name = entry if isinstance(entry, tuple) else (entry, None)
        if not callable(value):
            raise TypeError(
                f"add_safe_globals: expected classes and functions, got {type(value).__name__}"
            )
        _admitted[name or f"{value.__module__}.{value.__qualname__}"] = value


def get_safe_globals() -> list:
    """Return what was admitted."""
    return list(_admitted.values())


def clear_safe_globals() -> None:
    """Admit nothing but tensors, plain containers, strings and numbers again."""
    _admitted.clear()


class safe_globals:
    """Admit classes and functions, as `add_safe_globals` does, inside a ``with`` block."""

    def __init__(self, safe_globals: list) -> None:
        self._safe_globals = safe_globals

    def __enter__(self) -> None:
        self._before = dict(_admitted)
        add_safe_globals(self._safe_globals)

    def __exit__(self, kind: Any, value: Any, traceback: Any) -> None:
        _admitted.clear()
        _admitted.update(self._before)


def _placement(map_location: Any) -> Callable[[Any, str], Any]:
    """Turn `map_location` into a function of (storage bytes on the CPU, saved device)."""

    def to_device(storage: Any, location: Any) -> Any:
        device = ember.device(location)
        return storage if device.type == "cpu" else storage.to(device)

    def to_saved(storage: Any, location: str) -> Any:
        try:
            return to_device(storage, location)
        except (RuntimeError, AssertionError) as error:
            raise RuntimeError(
                f"load: the file holds tensors of device {location!r}, which is not available; "
                "pass map_location='cpu'"
            ) from error

    if map_location is None:
        return to_saved
    if isinstance(map_location, dict):
        return lambda storage, location: to_saved(storage, map_location.get(location, location))
    if callable(map_location):

        def by_function(storage: Any, location: str) -> Any:
            placed = map_location(storage, location)
            return to_saved(storage, location) if placed is None else placed

        return by_function
    return lambda storage, location: to_device(storage, map_location)


class replacing:
    """Open a file beside ``path`` and rename it to ``path`` when the block ends without error.

    The bytes are on the disk before the rename, so that ``path`` is at every moment either the
    old file or the whole new one.
    """

    def __init__(self, path: str | os.PathLike) -> None:
        self._path = os.path.realpath(os.fsdecode(path))

    def __enter__(self) -> IO[bytes]:
        import tempfile

        folder, name = os.path.split(self._path)
        handle, self._beside = tempfile.mkstemp(prefix=f".{name}.", suffix=".tmp", dir=folder)
        self._file = os.fdopen(handle, "wb")
        return self._file

    def __exit__(self, kind: Any, value: Any, traceback: Any) -> None:
        try:
            with self._file:
                if kind is None:
                    self._file.flush()
                    os.fsync(self._file.fileno())
            if kind is None:
                os.chmod(self._beside, _usual_mode(self._path))
                os.replace(self._beside, self._path)
        finally:
            if os.path.exists(self._beside):
                os.unlink(self._beside)
        if kind is None and hasattr(os, "O_DIRECTORY"):
            folder = os.open(os.path.dirname(self._path), os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)


def _usual_mode(path: str) -> int:
    """The mode of the file that is replaced, or what `open` would give a new one."""
    try:
        return os.stat(path).st_mode & 0o777
    except FileNotFoundError:
        mask = os.umask(0)
        os.umask(mask)
        return 0o666 & ~mask


def _write_archive(file: IO[bytes], stem: str, pickled: bytes, storages: list) -> None:
    from ._archive import ArchiveWriter

    writer = ArchiveWriter(file, stem)
    writer.add("data.pkl", pickled)
    writer.add(".format_version", b"1")
    writer.add(".storage_alignment", b"64")
    writer.add("byteorder", b"little")
    for i, storage in enumerate(storages):
        writer.add(f"data/{i}", memoryview(storage.detach().cpu().numpy()))
    writer.add("version", b"3\n")
    writer.close()
