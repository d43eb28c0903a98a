"""PyTorch's operators by namespace: they can be named, as keys of tables are, but not called."""

from __future__ import annotations

import os


class _Operator:
    """Stands for ``torch.ops.<namespace>.<operator>`` or an overload of it."""

    __ember_missing__ = True

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, overload: str) -> _Operator:
        if overload.startswith("_"):
            raise AttributeError(overload)
        return self.__dict__.setdefault(overload, _Operator(f"{self._name}.{overload}"))

    def __repr__(self) -> str:
        return self._name

    def __call__(self, *args: object, **kwargs: object) -> None:
        raise NotImplementedError(f"{self._name} was called, which Ember does not have")


class _Namespace:
    """The operators of one namespace, ``torch.ops.<name>``: PyTorch's own alone are known."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, operator: str) -> _Operator:
        if self._name not in ("aten", "prim", "prims") or operator.startswith("__"):
            raise AttributeError(f"ops.{self._name}: there is no operator {operator!r}")
        return self.__dict__.setdefault(operator, _Operator(f"torch.ops.{self._name}.{operator}"))


def load_library(path: str | os.PathLike) -> None:
    """Raise OSError: a library of operators is compiled for PyTorch."""
    raise OSError(f"load_library: {os.fspath(path)} holds operators for PyTorch, not for Ember")


def __getattr__(name: str) -> _Namespace:
    if name.startswith("__") and name.endswith("__"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return globals().setdefault(name, _Namespace(name))
