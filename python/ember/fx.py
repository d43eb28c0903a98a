"""Tracing programs into graphs is missing; functions can be marked for a tracer."""

from __future__ import annotations

from collections.abc import Callable

from ._missing import missing_names

__path__: list[str] = []  # a package in PyTorch, whose submodules are missing too


def wrap(fn_or_name: str | Callable) -> str | Callable:
    """Return the function or name, which a tracer would not look into."""
    return fn_or_name


__getattr__ = missing_names("torch.fx")
