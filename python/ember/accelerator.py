"""The GPU, if there is one, under the names that serve any accelerator in PyTorch."""

from __future__ import annotations

from . import _C, cuda
from .cuda import (
    current_device,
    current_stream,
    device_count,
    is_available,
    set_device,
    set_stream,
    synchronize,
)

__all__ = [
    "current_accelerator",
    "current_device_index",
    "current_stream",
    "device_count",
    "is_available",
    "set_device_index",
    "set_stream",
    "synchronize",
]

current_device_index, set_device_index = current_device, set_device


def current_accelerator(check_available: bool = False) -> _C.device | None:
    """Return ``device("cuda")`` where the CUDA library finds a GPU, None elsewhere."""
    return _C.device("cuda") if cuda.is_available() else None
