"""Names of PyTorch that Ember lacks: a program may mention them, and fails when it uses one."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["MissingType", "missing_names"]


class MissingType(type):
    """The class of such names: they can be imported, derived from and asked about."""

    def __call__(cls, *args: object, **kwargs: object) -> None:
        raise NotImplementedError(f"{cls._torch_name} was called, which Ember does not have")

    def __getattr__(cls, name: str) -> None:
        if name.startswith("__") and name.endswith("__"):  # what Python asks of any object
            raise AttributeError(name)
        raise NotImplementedError(f"{cls._torch_name}.{name} was read, which Ember does not have")


def missing_names(module: str) -> Callable[[str], MissingType]:
    """Return a ``__getattr__`` for a module: all names but special ones exist and are missing."""

    def __getattr__(name: str) -> MissingType:
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        namespace = {"__module__": module, "_torch_name": f"{module}.{name}"}
        return MissingType(name, (), namespace | {"__ember_missing__": True})

    return __getattr__
