"""Functions of Python that types and modes override under their own name, as those of C++."""

from __future__ import annotations

import functools
import types
from collections.abc import Callable, Iterable
from typing import Any

from . import _C


def overridable(function: Callable, module: str) -> Callable:
    """Make the public form of a function: ``__torch_function__`` of its arguments' types sees it.

    Lists and tuples among the arguments are looked into. `module` is where users find it.
    """

    @functools.wraps(function)
    def public(*args: Any, **kwargs: Any) -> Any:
        answer = _C._overridden(public, args, kwargs)
        return function(*args, **kwargs) if answer is None else answer[0]

    public.__module__ = module
    return public


def publish(namespace: dict[str, Any], names: Iterable[str]) -> None:
    """Put public forms in place of those of a module's `names` that are functions of Python."""
    for name in names:
        if isinstance(namespace[name], types.FunctionType):
            namespace[name] = overridable(namespace[name], namespace["__name__"])
