"""Tensors in the safetensors format, by way of the ``safetensors`` package."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

import ember

__all__ = ["load_file", "save_file"]

_NAMES = {
    "BOOL": "bool",
    "U8": "uint8",
    "I8": "int8",
    "I16": "int16",
    "I32": "int32",
    "I64": "int64",
    "F16": "float16",
    "BF16": "bfloat16",
    "F32": "float32",
    "F64": "float64",
}


def save_file(
    tensors: Mapping[str, Any],
    filename: str | os.PathLike,
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write named tensors to a safetensors file.

    Parameters
    ----------
    tensors : mapping of str to Tensor
        Of any dtype the format knows; each is stored contiguous and on its own.
    filename : path
        Written beside and renamed when complete.
    metadata : mapping of str to str, optional
        Kept in the file's header.
    """
    from safetensors import TensorSpec, serialize

    from ..serialization import replacing

    entries, alive = {}, []
    for name, tensor in tensors.items():
        if not isinstance(name, str) or not isinstance(tensor, ember.Tensor):
            raise TypeError(
                "save_file: expected a mapping of names to tensors, got "
                f"{type(name).__name__}: {type(tensor).__name__}"
            )
        dtype = str(tensor.dtype).rsplit(".", 1)[-1]
        if dtype not in _NAMES.values():
            raise TypeError(f"save_file: safetensors has no dtype for {name!r} of {tensor.dtype}")
        data = _to_bytes(tensor)
        alive.append(data)
        entries[name] = TensorSpec(
            dtype=dtype,
            shape=list(tensor.shape),
            data_ptr=data.ctypes.data,
            data_len=data.nbytes,
        )
    content = serialize(entries, dict(metadata) if metadata else None)
    with replacing(filename) as file:
        file.write(content)


def load_file(filename: str | os.PathLike, device: Any = "cpu") -> dict[str, Any]:
    """Read all tensors of a safetensors file.

    Raises
    ------
    ValueError
        The file is damaged, or holds a dtype that Ember does not have.
    """
    from safetensors import SafetensorError, deserialize

    with open(filename, "rb") as file:
        data = file.read()
    try:
        entries = deserialize(data)
    except SafetensorError as error:
        raise ValueError(f"load_file: {os.fspath(filename)} is damaged: {error}") from error
    out = {}
    for name, entry in entries:
        if entry["dtype"] not in _NAMES:
            raise ValueError(f"load_file: {name!r} has dtype {entry['dtype']}, unknown to Ember")
        dtype = getattr(ember, _NAMES[entry["dtype"]])
        shape = tuple(entry["shape"])
        out[name] = _from_bytes(entry["data"], dtype, shape).to(device)
    return out


def _to_bytes(tensor: Any) -> np.ndarray:
    tensor = tensor.detach().cpu().contiguous()
    storage = ember._C._storage_tensor(tensor).numpy()
    start = tensor.storage_offset() * tensor.element_size()
    return storage[start : start + tensor.numel() * tensor.element_size()]


def _from_bytes(data: Any, dtype: Any, shape: tuple[int, ...]) -> Any:
    flat = ember.from_numpy(np.frombuffer(bytearray(data), dtype=np.uint8))
    return ember._C._tensor_from_storage(
        flat, dtype, 0, (flat.numel() // dtype.itemsize,), (1,)
    ).view(shape)
