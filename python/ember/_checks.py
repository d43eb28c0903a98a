"""Conditions that libraries check in a way that tracers understand; here they are plain checks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = [
    "_assert",
    "_check",
    "_check_index",
    "_check_is_size",
    "_check_not_implemented",
    "_check_type",
    "_check_value",
]


def _assert(condition: Any, message: str) -> None:
    """Raise AssertionError unless the condition holds."""
    assert condition, message


def _checking(error: type[Exception]) -> Callable:
    def check(cond: Any, message: Callable[[], str] | None = None) -> None:
        if not cond:
            raise error("Expected cond to be True" if message is None else message())

    check.__doc__ = f"Raise {error.__name__} with what `message` returns unless `cond` holds."
    return check


_check = _checking(RuntimeError)
_check_index = _checking(IndexError)
_check_not_implemented = _checking(NotImplementedError)
_check_type = _checking(TypeError)
_check_value = _checking(ValueError)


def _check_is_size(i: int, message: Callable[[], str] | None = None) -> None:
    """Raise RuntimeError unless `i` is zero or more."""
    _check(i >= 0, message)
