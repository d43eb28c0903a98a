"""Batches in memory that a GPU's copies reach without a detour."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import ember

from .fetch import END


def pinned(data: Any) -> Any:
    """Return a batch with its tensors in pinned memory; what else is in it stays."""
    if data is END or isinstance(data, (str, bytes)):
        return data
    if isinstance(data, ember.Tensor):
        return data.pin_memory() if data.device.type == "cpu" else data
    if hasattr(data, "pin_memory"):
        return data.pin_memory()
    if isinstance(data, Mapping):
        return type(data)({key: pinned(value) for key, value in data.items()})
    if isinstance(data, tuple) and hasattr(data, "_fields"):
        return type(data)(*map(pinned, data))
    if isinstance(data, Sequence):
        return type(data)(map(pinned, data)) if type(data) in (list, tuple) else data
    return data


def pinning(fetch: Callable) -> Callable:
    """The fetch whose batches are pinned."""
    return lambda indices: pinned(fetch(indices))
