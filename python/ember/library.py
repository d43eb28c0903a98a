"""Operators written in Python: a function with a name, ``torch.ops.<namespace>.<name>``.

What describes an operator to a compiler or a tracer, its shapes and its schema, has no effect.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from . import ops
from ._missing import missing_names
from .autograd import Function

__all__ = ["CustomOpDef", "custom_op", "register_autograd", "register_fake", "register_kernel"]


class CustomOpDef:
    """An operator that `custom_op` made; calling it calls its function."""

    def __init__(self, name: str, function: Callable) -> None:
        self._name = name
        self._signature = inspect.signature(function)
        self._kernels: dict[str | None, Callable] = {None: function}  # by type of device
        self._backward: Callable | None = None
        self._setup: Callable | None = None
        self._node = type(name.rpartition(":")[2], (Function,), self._methods())

    def _methods(self) -> dict[str, Any]:
        def forward(*inputs: Any) -> Any:
            devices = (x.device.type for x in inputs if hasattr(x, "device"))
            kernel = self._kernels.get(next(devices, None), self._kernels[None])
            return kernel(**dict(zip(self._signature.parameters, inputs, strict=True)))

        def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
            if self._setup is not None:
                self._setup(ctx=ctx, inputs=inputs, output=output)

        def backward(ctx: Any, *grads: Any) -> Any:
            if self._backward is None:
                raise RuntimeError(f"{self._name}: no backward formula was registered for it")
            return self._backward(ctx, *grads)

        methods = {"forward": forward, "setup_context": setup_context, "backward": backward}
        return {name: staticmethod(method) for name, method in methods.items()}

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        bound = self._signature.bind(*args, **kwargs)
        bound.apply_defaults()
        return self._node.apply(*bound.arguments.values())

    @property
    def default(self) -> CustomOpDef:
        """The one overload."""
        return self

    def register_autograd(
        self, backward: Callable, /, *, setup_context: Callable | None = None
    ) -> None:
        """Differentiate by ``backward(ctx, *grads)``, which returns one gradient an input.

        ``setup_context(ctx, inputs, output)`` keeps in `ctx` what it needs.
        """
        self._backward, self._setup = backward, setup_context

    def register_fake(self, fn: Callable, /) -> Callable:
        """Return `fn`, the shapes of the results for a tracer."""
        return fn

    def register_kernel(
        self, device_types: str | Sequence[str] | None, fn: Callable | None = None, /
    ) -> Callable:
        """Compute by `fn` where the first tensor is on such a device; a decorator without it."""

        def register(fn: Callable) -> Callable:
            for device in (
                [device_types] if isinstance(device_types, str) else device_types or [None]
            ):
                self._kernels[device] = fn
            return fn

        return register if fn is None else register(fn)


def custom_op(
    name: str,
    fn: Callable | None = None,
    /,
    *,
    mutates_args: str | Iterable[str],
    device_types: str | Sequence[str] | None = None,
    schema: str | None = None,
    tags: Any = None,
) -> Any:
    """Make an operator of a function, which autograd does not look into.

    Parameters
    ----------
    name : str
        ``namespace::operator``, which is then also found in ``ops``.
    fn : callable, optional
        Takes tensors and other values; without it a decorator is returned.
    mutates_args, device_types, schema, tags
        For PyTorch's tracer and dispatcher; no effect.

    Returns
    -------
    CustomOpDef
        Or a decorator that returns one.

    Raises
    ------
    ValueError
        The name has no namespace.
    """
    namespace, colons, operator = name.partition("::")
    if not (namespace and colons and operator):
        raise ValueError(f"custom_op: expected a name 'namespace::operator', got {name!r}")

    def make(fn: Callable) -> CustomOpDef:
        made = CustomOpDef(name, fn)
        setattr(getattr(ops, namespace), operator, made)
        return made

    return make if fn is None else make(fn)


def _find(caller: str, op: Any) -> CustomOpDef:
    if isinstance(op, str):
        namespace, _, operator = op.partition("::")
        op = getattr(getattr(ops, namespace), operator.partition(".")[0], op)
    if not isinstance(op, CustomOpDef):
        raise RuntimeError(f"{caller}: expected an operator of custom_op or its name, got {op!r}")
    return op


def register_autograd(
    op: Any, backward: Callable, /, *, setup_context: Callable | None = None, lib: Any = None
) -> None:
    """As `CustomOpDef.register_autograd`, for an operator or its name."""
    _find("register_autograd", op).register_autograd(backward, setup_context=setup_context)


def register_kernel(
    op: Any,
    device_types: str | Sequence[str] | None,
    func: Callable | None = None,
    /,
    *,
    lib: Any = None,
) -> Callable:
    """As `CustomOpDef.register_kernel`, for an operator or its name."""
    return _find("register_kernel", op).register_kernel(device_types, func)


def register_fake(
    op: Any, func: Callable | None = None, /, *, lib: Any = None, **kwargs: Any
) -> Callable:
    """Return `func`, an operator's shapes for a tracer, or without it a decorator that does."""
    return (lambda func: func) if func is None else func


__getattr__ = missing_names(__name__.replace("ember", "torch"))
