"""There is no compiler: what `script` and `trace` return runs as the Python it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from ember._missing import missing_names

__all__ = [
    "Final",
    "annotate",
    "export",
    "ignore",
    "interface",
    "is_scripting",
    "is_tracing",
    "script",
    "script_if_tracing",
    "script_method",
    "trace",
    "unused",
]

__path__: list[str] = []  # a package in PyTorch, whose submodules are missing too


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


unused = script_if_tracing = script_method = interface = export
_overload = _overload_method = _script_if_tracing = export


def annotate(the_type: Any, the_value: Any) -> Any:
    """Return the value itself."""
    return the_value


def ignore(drop: bool | Callable = False, **kwargs: Any) -> Callable:
    """Return the decorated function itself."""
    return drop if callable(drop) else lambda fn: fn


__getattr__ = missing_names("torch.jit")
