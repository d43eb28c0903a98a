"""There is no compiler: functions marked for one are returned as they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ._settings import compile

__all__ = [
    "allow_in_graph",
    "assume_constant_result",
    "compile",
    "cudagraph_mark_step_begin",
    "disable",
    "is_compiling",
    "is_dynamo_compiling",
    "is_exporting",
    "reset",
]


def is_compiling() -> bool:
    """Whether the code is being compiled or exported: never."""
    return False


is_dynamo_compiling = is_exporting = is_compiling


def disable(fn: Callable | None = None, recursive: bool = True, **kwargs: Any) -> Callable:
    """Return `fn` itself, or without it a decorator that does."""
    return (lambda fn: fn) if fn is None else fn


def allow_in_graph(fn: Callable) -> Callable:
    """Return `fn` itself."""
    return fn


assume_constant_result = allow_in_graph


def reset() -> None:
    """Forget what was compiled: nothing."""


cudagraph_mark_step_begin = reset
