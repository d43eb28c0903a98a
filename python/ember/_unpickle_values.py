"""What stands on the decoder's stack besides plain values, and how it refuses a file."""

from __future__ import annotations

from collections.abc import Callable
from pickle import UnpicklingError
from typing import Any


class _Global:
    """A name of the allowlist on the decoder's stack: what REDUCE does with its arguments."""

    def __init__(self, name: str, build: Callable | None = None, dtype: Any = None) -> None:
        self.name = name
        self.build = build
        self.dtype = dtype


class _Admitted:
    """A class or function that the program admitted by `ember.serialization.safe_globals`."""

    def __init__(self, name: str, value: Any) -> None:
        self.name = name
        self.value = value


class _Storage:
    """A storage that the pickle refers to; read when the first tensor needs it."""

    def __init__(self, key: str, location: str, dtype: Any, size: int) -> None:
        self.key = key
        self.location = location
        self.dtype = dtype
        self.size = size


class _Arguments(tuple):
    """A tuple that holds names or storages, and so may only be the argument of something."""

    __slots__ = ()


_INTERNAL = (_Admitted, _Global, _Storage, _Arguments)


def _refuse(what: str) -> UnpicklingError:
    return UnpicklingError(
        f"load: the file holds {what}; only tensors, plain containers, strings and numbers are "
        "loaded"
    )


def _damaged(what: str) -> UnpicklingError:
    return UnpicklingError(f"load: the pickle is damaged: {what}")


def _check_values(values: list | tuple) -> None:
    for value in values:
        if isinstance(value, _INTERNAL):
            name = value.name if isinstance(value, _Admitted | _Global) else "a bare storage"
            raise _refuse(f"{name} as a value")
