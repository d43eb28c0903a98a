"""Settings that PyTorch's programs make and that change nothing here, and `compile`."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import ember

_PRECISIONS = ("highest", "high", "medium")
_precision = "highest"


def get_float32_matmul_precision() -> str:
    """Return what `set_float32_matmul_precision` was last called with."""
    return _precision


def set_float32_matmul_precision(precision: str) -> None:
    """Say how exact products of float32 must be.

    Parameters
    ----------
    precision : str
        ``"highest"``, ``"high"`` or ``"medium"``. On the CPU all products are of the highest.
    """
    global _precision
    if precision not in _PRECISIONS:
        warnings.warn(
            f"set_float32_matmul_precision: expected one of {_PRECISIONS}, got {precision!r}; "
            "nothing changes",
            stacklevel=2,
        )
        return
    _precision = precision


def compile(
    model: Callable | None = None,
    *,
    fullgraph: bool = False,
    dynamic: bool | None = None,
    backend: str | Callable = "inductor",
    mode: str | None = None,
    options: dict[str, Any] | None = None,
    disable: bool = False,
) -> Callable:
    """Return `model` itself: there is no compiler, and programs run as they are.

    Parameters
    ----------
    model : callable, optional
        A function or module; without it a decorator is returned.
    fullgraph, dynamic, backend, mode, options, disable
        Have no effect.
    """
    if model is None:
        return lambda model: model
    if not callable(model):
        raise TypeError(f"compile: expected a function or a module, got {type(model).__name__}")
    return model


def get_default_device() -> Any:
    """Return the device on which tensors are made unless told: the processor."""
    return ember.device("cpu")


def set_default_device(device: Any) -> None:
    """Accept the processor, or None; NotImplementedError for any other device."""
    if device is not None and ember.device(device).type != "cpu":
        raise NotImplementedError(
            f"set_default_device: expected the processor, got {device}; pass device= to what makes "
            "tensors"
        )
