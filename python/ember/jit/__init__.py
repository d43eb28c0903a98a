"""There is no compiler: what `script` and `trace` return runs as the Python it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["export", "ignore", "is_scripting", "is_tracing", "script", "trace", "unused"]


def script(obj: Any, *args: Any, **kwargs: Any) -> Any:
    """Return `obj` itself."""
    return obj


def trace(func: Callable, example_inputs: Any = None, *args: Any, **kwargs: Any) -> Callable:
    """Return `func` itself."""
    return func


def is_scripting() -> bool:
    """Whether the code runs compiled: never."""
    return False


def is_tracing() -> bool:
    """Whether the code is being traced: never."""
    return False


def export(fn: Callable) -> Callable:
    """Return `fn` itself."""
    return fn


def unused(fn: Callable) -> Callable:
    """Return `fn` itself."""
    return fn


def ignore(drop: bool | Callable = False, **kwargs: Any) -> Callable:
    """Return the decorated function itself."""
    return drop if callable(drop) else lambda fn: fn
