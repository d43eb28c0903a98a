"""Registration of operators is missing; what describes one to a compiler or tracer is ignored."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ._missing import missing_names


def register_fake(
    op: Any, func: Callable | None = None, /, *, lib: Any = None, **kwargs: Any
) -> Callable:
    """Return `func`, the operator's shapes for a tracer, or without it a decorator that does."""
    return (lambda func: func) if func is None else func


__getattr__ = missing_names("torch.library")
