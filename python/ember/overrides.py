"""What classes of objects like tensors need to take part in functions: ``__torch_function__``."""

from __future__ import annotations

import types
from collections.abc import Callable, Iterable
from typing import Any

from . import _C

__all__ = [
    "TorchFunctionMode",
    "get_overridable_functions",
    "handle_torch_function",
    "has_torch_function",
    "is_tensor_like",
    "is_tensor_method_or_property",
    "resolve_name",
    "wrap_torch_function",
]


class TorchFunctionMode:
    """A context in which every function goes through ``__torch_function__`` of the mode.

    Subclasses define ``__torch_function__(self, func, types, args=(), kwargs=None)``. It sees
    functions, methods, operators and attributes of tensors that this thread calls in the block,
    factory functions too, and the innermost mode sees them first. While it runs, the modes around
    it are in force; it answers with ``func(*args, **(kwargs or {}))`` to go on as usual, or with
    ``NotImplemented`` to leave the call to the arguments' types.
    """

    def __torch_function__(
        self, func: Callable, types: tuple, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        raise NotImplementedError(f"{type(self).__name__} has no __torch_function__")

    def __enter__(self) -> TorchFunctionMode:
        _C._push_function_mode(self)
        return self

    def __exit__(self, *args: object) -> None:
        _C._pop_function_mode()


class BaseTorchFunctionMode(TorchFunctionMode):
    """A mode that goes on as usual, for subclasses to call."""

    def __torch_function__(
        self, func: Callable, types: tuple, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        return func(*args, **(kwargs or {}))


def _namespaces() -> dict[str, Any]:
    import ember

    found = {"ember.Tensor": _C.Tensor, "ember": ember}
    for name in ("nn.functional", "linalg", "fft", "special"):
        found[f"ember.{name}"] = __import__(f"ember.{name}", fromlist=["_"])
    return found


def get_overridable_functions() -> dict[Any, list[Callable]]:
    """The functions that types and modes can override, by the module or class they are in."""
    found: dict[Any, list[Callable]] = {}
    for space in _namespaces().values():
        for name in dir(space):
            value = getattr(space, name)
            if name.startswith("_") or isinstance(value, type) or not callable(value):
                continue
            if not isinstance(value, types.FunctionType) or hasattr(value, "__wrapped__"):
                found.setdefault(space, []).append(value)
    return found


def resolve_name(f: Callable) -> str | None:
    """The public name of a function that can be overridden; None for others."""
    attribute = getattr(f, "__self__", None)  # of Tensor.T.__get__
    if type(attribute).__name__ == "getset_descriptor":
        return f"ember.Tensor.{attribute.__name__}.{f.__name__}"
    for path, space in _namespaces().items():
        name = getattr(f, "__name__", "")
        if name and getattr(space, name, None) is f:
            return f"{path}.{name}"
    return None


def is_tensor_method_or_property(func: Callable) -> bool:
    """Whether this is a method of Tensor, or reads or sets an attribute of it."""
    name = resolve_name(func)
    return name is not None and name.startswith("ember.Tensor.")


def has_torch_function(relevant_args: Iterable[Any]) -> bool:
    """Whether one of the arguments has a type that defines ``__torch_function__``.

    False for tensors and parameters, and while the protocol is switched off.
    """
    return _C._has_torch_function(relevant_args)


def has_torch_function_unary(arg: Any) -> bool:
    """`has_torch_function` of one argument."""
    return _C._has_torch_function((arg,))


def has_torch_function_variadic(*args: Any) -> bool:
    """`has_torch_function` of the arguments."""
    return _C._has_torch_function(args)


def handle_torch_function(
    public_api: Callable, relevant_args: Iterable[Any], *args: Any, **kwargs: Any
) -> Any:
    """Call ``__torch_function__`` of the relevant arguments' types in place of `public_api`.

    Types are asked in order of the arguments, subclasses before their bases, until one does not
    return ``NotImplemented``.

    Raises
    ------
    TypeError
        Where all of them do.
    """
    return _C._handle_torch_function(public_api, tuple(relevant_args), args, kwargs)


def is_tensor_like(inp: Any) -> bool:
    """Whether this is a tensor or of a type that defines ``__torch_function__``."""
    return isinstance(inp, _C.Tensor) or hasattr(type(inp), "__torch_function__")


def wrap_torch_function(dispatcher: Callable) -> Callable:
    """Decorate a function so that its arguments' types may override it.

    Parameters
    ----------
    dispatcher
        Called with the function's arguments; returns those whose types are asked.
    """
    import functools

    def decorate(func: Callable) -> Callable:
        @functools.wraps(func)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            relevant = dispatcher(*args, **kwargs)
            if has_torch_function(relevant):
                return handle_torch_function(wrapped, relevant, *args, **kwargs)
            return func(*args, **kwargs)

        return wrapped

    return decorate
