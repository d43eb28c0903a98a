"""Names of PyTorch that Ember lacks: a program may mention them, and fails when it uses one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["MissingType", "missing_names", "no"]


class _MissingAttribute(NotImplementedError, AttributeError):
    """To hasattr() a missing attribute is simply not there."""


class MissingType(type):
    """The class of such names: they can be imported, derived from and asked about."""

    def __call__(cls, *args: object, **kwargs: object) -> None:
        raise NotImplementedError(f"{cls._torch_name} was called, which Ember does not have")

    def __getitem__(cls, parameters: object) -> MissingType:
        return cls  # in an annotation

    def __getattr__(cls, name: str) -> None:
        if name.startswith("__") and name.endswith("__"):  # what Python asks of any object
            raise AttributeError(name)
        raise _MissingAttribute(f"{cls._torch_name}.{name} was read, which Ember does not have")


def no() -> bool:
    """Return False."""
    return False


def _none() -> int:
    """Return 0."""
    return 0


# What programs ask before they use anything.
_ANSWERS = {"is_available": no, "is_initialized": no, "device_count": _none}


def missing_names(module: str) -> Callable[[str], Any]:
    """Return a ``__getattr__`` for a module: all names but special ones exist and are missing.

    Whether the module is available is answered: no.
    """

    def __getattr__(name: str) -> Any:
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        if name in _ANSWERS:
            return _ANSWERS[name]
        namespace = {"__module__": module, "_torch_name": f"{module}.{name}"}
        return MissingType(name, (), namespace | {"__ember_missing__": True})

    return __getattr__
