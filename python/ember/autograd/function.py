"""Operations with a backward of the user's own."""

from __future__ import annotations

import functools
import inspect
from typing import Any

from .. import _C
from .grad_mode import no_grad

__all__ = ["Function", "FunctionCtx", "once_differentiable"]

FunctionCtx = _C._FunctionCtx


class BackwardCFunction(_C._FunctionCtx):
    """The ctx of one call, which is also the graph node's Python object.

    Every subclass of :class:`Function` has a subclass of this, whose name the node bears.
    """

    _forward_cls: type[Function]


class Function(_C._FunctionBase):
    """Base of operations that bring their own gradient.

    A subclass defines static methods: ``forward(ctx, *args)``, or ``forward(*args)`` together with
    ``setup_context(ctx, inputs, output)``, and ``backward(ctx, *grads)``, which returns one
    gradient (or ``None``) for each argument of forward. It is called by ``apply``.

    Examples
    --------
    >>> class Exp(ember.autograd.Function):
    ...     @staticmethod
    ...     def forward(ctx, x):
    ...         y = x.exp()
    ...         ctx.save_for_backward(y)
    ...         return y
    ...     @staticmethod
    ...     def backward(ctx, grad):
    ...         (y,) = ctx.saved_tensors
    ...         return grad * y
    >>> y = Exp.apply(x)
    """

    _backward_cls: type[BackwardCFunction]
    _forward_defaults: tuple[int, tuple]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls._backward_cls = type(
            cls.__name__ + "Backward",
            (BackwardCFunction,),
            {"_forward_cls": cls, "__module__": cls.__module__},
        )
        if "vjp" in cls.__dict__:
            if "backward" in cls.__dict__:
                raise RuntimeError(
                    f"{cls.__name__}: implement backward or vjp, not both; they are the same"
                )
            cls.backward = cls.__dict__["vjp"]
        if "apply" not in cls.__dict__ and cls.setup_context is not Function.setup_context:
            parameters = _positional(inspect.signature(cls.forward).parameters)
            defaults = tuple(p.default for p in parameters if p.default is not p.empty)
            cls._forward_defaults = (len(parameters), defaults)
            if defaults:
                cls.apply = classmethod(_apply_with_defaults)

    @classmethod
    def _bind_arguments(cls, *args: Any, **kwargs: Any) -> tuple:
        """Put keyword arguments of ``apply`` into forward's order."""
        if cls.setup_context is Function.setup_context:
            return inspect.signature(cls.forward).bind(None, *args, **kwargs).args[1:]
        return inspect.signature(cls.forward).bind(*args, **kwargs).args

    @staticmethod
    def forward(*args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError(
            "You must implement the forward function for custom autograd.Function."
        )

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> Any:
        raise NotImplementedError("setup_context is not implemented.")

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        raise NotImplementedError(
            "You must implement either the backward or vjp method for your custom "
            "autograd.Function to use it with backward mode AD."
        )

    vjp = backward


_C._set_function_base(Function)


def _positional(parameters) -> list[inspect.Parameter]:
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return [p for p in parameters.values() if p.kind in kinds]


_plain_apply = _C._FunctionBase.__dict__["apply"]


def _apply_with_defaults(cls, *args, **kwargs):
    """Fill in forward's default arguments, as setup_context gets all inputs."""
    if kwargs:
        args = cls._bind_arguments(*args, **kwargs)
    count, defaults = cls._forward_defaults
    missing = count - len(args)
    if 0 < missing <= len(defaults):
        args += defaults[-missing:]
    return _plain_apply.__get__(None, cls)(*args)


def once_differentiable(fn):
    """Decorate a backward that cannot be differentiated itself, for instance because it uses numpy.

    It runs without recording; differentiating its results raises ``RuntimeError``.
    """

    @functools.wraps(fn)
    def wrapper(ctx, *args):
        with no_grad():
            outputs = fn(ctx, *args)
        if not _C.is_grad_enabled():
            return outputs
        if not any(isinstance(a, _C.Tensor) and a.requires_grad for a in args):
            return outputs
        single = not isinstance(outputs, tuple)
        items = (outputs,) if single else outputs
        items = tuple(
            _NotTwice.apply(o.detach(), _anchor())
            if isinstance(o, _C.Tensor) and (o.is_floating_point() or o.is_complex())
            else o
            for o in items
        )
        return items[0] if single else items

    return wrapper


def _anchor():
    """Something that requires a gradient, so that the node below is recorded."""
    return _C.zeros(1, requires_grad=True)


class _NotTwice(Function):
    @staticmethod
    def forward(ctx, x, anchor):
        return x

    @staticmethod
    def backward(ctx, *grads):
        raise RuntimeError(
            "trying to differentiate twice a function that was marked with @once_differentiable"
        )
