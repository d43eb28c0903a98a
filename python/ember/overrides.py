"""What classes of objects like tensors need to take part in functions: ``__torch_function__``."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from . import _C

__all__ = ["handle_torch_function", "has_torch_function", "is_tensor_like", "wrap_torch_function"]


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
