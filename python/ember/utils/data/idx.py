"""IDX files, in which MNIST and its relatives come."""

from __future__ import annotations

import math
import os
import struct
from typing import IO, Any

import numpy as np

import ember

_DTYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_PARTS = (
    ("train-images", "idx3-ubyte"),
    ("train-labels", "idx1-ubyte"),
    ("t10k-images", "idx3-ubyte"),
    ("t10k-labels", "idx1-ubyte"),
)


def read_idx(path: str | os.PathLike) -> Any:
    """Read an IDX file, compressed with gzip or not.

    The format is LeCun's: two zero bytes, a type, the number of dimensions, the big-endian sizes,
    the data in C order.

    Parameters
    ----------
    path : path
        The file; whether it is compressed is seen from its first bytes.

    Returns
    -------
    Tensor
        Of the file's shape and type.

    Raises
    ------
    ValueError
        The magic number is wrong, or the file is shorter or longer than its header says.
    """
    import gzip
    import zlib

    name = os.fspath(path)
    with open(path, "rb") as raw:
        packed = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        if not packed:
            return _read(raw, name)
        try:
            with gzip.GzipFile(fileobj=raw) as file:
                return _read(file, name)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise ValueError(
                f"read_idx: {name}: the compressed file is damaged: {error}"
            ) from error


def _read(file: IO[bytes], name: str) -> Any:
    magic = file.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in _DTYPES or magic[3] == 0:
        raise ValueError(
            f"read_idx: {name}: not an IDX file: expected a magic number 00 00 type dims, got "
            f"{magic.hex(' ') or 'an empty file'}"
        )
    dtype, dims = np.dtype(_DTYPES[magic[2]]), magic[3]
    header = file.read(4 * dims)
    if len(header) < 4 * dims:
        raise ValueError(f"read_idx: {name}: the file ends in its header of {dims} sizes")
    shape = struct.unpack(f">{dims}I", header)
    expected = math.prod(shape) * dtype.itemsize
    # In pieces: a header that promises too much must not reserve memory for it.
    pieces, left = [], expected + 1
    while left and (piece := file.read(min(left, 1 << 24))):
        pieces.append(piece)
        left -= len(piece)
    data = b"".join(pieces)
    if len(data) != expected:
        raise ValueError(
            f"read_idx: {name}: shape {shape} needs {expected} bytes after the header, got "
            f"{'more' if len(data) > expected else len(data)}"
        )
    array = np.frombuffer(data, dtype).reshape(shape)
    return ember.from_numpy(array.astype(dtype.newbyteorder("=")))


def load_idx_folder(folder: str | os.PathLike) -> tuple[Any, Any, Any, Any]:
    """Read a folder in MNIST's layout.

    Parameters
    ----------
    folder : path
        Holds ``train-images-idx3-ubyte``, ``train-labels-idx1-ubyte`` and the same with
        ``t10k``, each possibly with ``.gz`` and with a dot for the second hyphen.

    Returns
    -------
    tuple of Tensor
        Training images, training labels, test images, test labels.

    Raises
    ------
    FileNotFoundError
        A file is missing.
    ValueError
        A file is damaged, or images and labels do not belong together.
    """
    out = [read_idx(_find(folder, *part)) for part in _PARTS]
    for images, labels, what in ((out[0], out[1], "train"), (out[2], out[3], "t10k")):
        if images.dim() != 3 or labels.dim() != 1 or len(images) != len(labels):
            raise ValueError(
                f"load_idx_folder: {os.fspath(folder)}: expected {what} images (n, height, width) "
                f"and labels (n,), got {tuple(images.shape)} and {tuple(labels.shape)}"
            )
    return tuple(out)


def _find(folder: str | os.PathLike, stem: str, kind: str) -> str:
    for name in (f"{stem}-{kind}", f"{stem}.{kind}"):
        for suffix in ("", ".gz"):
            path = os.path.join(folder, name + suffix)
            if os.path.exists(path):
                return path
    raise FileNotFoundError(f"load_idx_folder: no {stem}-{kind} or .gz in {os.fspath(folder)}")
