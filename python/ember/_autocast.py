"""Autocast for functions that are written in Python."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from . import _C


def in_float32(function: Callable) -> Callable:
    """Decorate a function whose floating arguments autocast casts to float32."""

    def cast(value: Any) -> Any:
        return _C._autocast_to_float32(value) if isinstance(value, _C.Tensor) else value

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        if not _C._any_autocast():
            return function(*args, **kwargs)
        return function(*map(cast, args), **{k: cast(v) for k, v in kwargs.items()})

    return wrapper
