"""How a module's parameters, buffers and children are also its attributes."""

from __future__ import annotations

import weakref
from contextlib import suppress
from copy import deepcopy
from types import FunctionType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .module import Module

REGISTRIES = ("_parameters", "_buffers", "_modules")


class Registry(dict):
    """The parameters, buffers or children of a module, mirrored into its attributes.

    The registry is the truth; programs write to ``module._parameters`` directly. Each write also
    sets or deletes the instance attribute of that name, so that reading ``module.weight`` is the
    interpreter's own attribute lookup, several times faster than a ``__getattr__``. The owner is
    held weakly: a module is freed when its last reference goes, without the garbage collector.
    """

    __slots__ = ("owner",)

    def __init__(self, owner: Module) -> None:
        self.owner = weakref.ref(owner)

    def __setitem__(self, name: str, value: Any) -> None:
        dict.__setitem__(self, name, value)
        owner = self.owner()
        # What the class defines under the name (a property, say) is found first and stays so.
        if owner is not None and not _class_defines(type(owner), name):
            object.__setattr__(owner, name, value)

    def __delitem__(self, name: str) -> None:
        dict.__delitem__(self, name)
        owner = self.owner()
        if owner is not None:
            delete_instance_attribute(owner, name)

    def clear(self) -> None:
        for name in list(self):
            del self[name]

    def pop(self, name: str, *default: Any) -> Any:
        if default and name not in self:
            return default[0]
        value = self[name]
        del self[name]
        return value

    def popitem(self) -> tuple[str, Any]:
        if not self:
            raise KeyError("popitem: nothing is registered")
        name = next(reversed(self))
        return name, self.pop(name)

    def setdefault(self, name: str, default: Any = None) -> Any:
        if name not in self:
            self[name] = default
        return self[name]

    def update(self, *args: Any, **kwargs: Any) -> None:
        for name, value in dict(*args, **kwargs).items():
            self[name] = value

    def __ior__(self, other: Any) -> Registry:
        self.update(other)
        return self

    def __copy__(self) -> dict:
        return dict(self)

    def __deepcopy__(self, memo: dict) -> dict:
        # Copied along with its owner it belongs to the owner's copy, copied alone to nobody.
        owner = memo.get(id(self.owner()))
        copied = {} if owner is None else Registry(owner)
        memo[id(self)] = copied
        for name, value in self.items():
            copied[name] = deepcopy(value, memo)
        return copied

    def __reduce__(self):
        owner = self.owner()
        rebuilt = (dict, ()) if owner is None else (Registry, (owner,))
        return *rebuilt, None, None, iter(self.items())


def delete_instance_attribute(module: Module, name: str) -> None:
    """Delete the attribute that the instance itself holds, if it does."""
    if not _class_defines(type(module), name):
        with suppress(AttributeError):
            object.__delattr__(module, name)


def _class_defines(cls: type, name: str) -> bool:
    # hasattr alone would also find the metaclass's own `mro`.
    return hasattr(cls, name) and any(name in base.__dict__ for base in cls.__mro__)


def needs_getattr(cls: type) -> bool:
    """Return whether a class of modules defines ``__getattr__``, or calls it as if it had one."""
    if issubclass(cls, GetattrBase):
        return False
    return hasattr(cls, "__getattr__") or any(
        isinstance(value, FunctionType) and "__getattr__" in value.__code__.co_names
        for value in cls.__dict__.values()
    )


class GetattrBase:
    """The ``__getattr__`` of modules, for the few classes of them that need one.

    `Module` has none, because its mere presence slows every attribute read and every call.
    """

    def __getattr__(self, name: str) -> Any:
        for registry in REGISTRIES:
            entries = getattr(self, registry)
            if entries is not None and name in entries:
                return entries[name]
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")
