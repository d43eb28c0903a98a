"""Autocast: products and convolutions in a shorter dtype, what needs it in float32.

The lists of functions are in ``csrc/python/autocast.cpp``; they are PyTorch's.
"""

from __future__ import annotations

import functools
import threading
import warnings
from collections.abc import Callable, Mapping
from typing import Any

from .. import _C

__all__ = ["autocast", "custom_bwd", "custom_fwd", "is_autocast_available"]

_DTYPES = {"cpu": (_C.bfloat16, _C.float16), "cuda": (_C.float16, _C.bfloat16, _C.float32)}
_depth = threading.local()


def is_autocast_available(device_type: str) -> bool:
    """Whether autocast knows a type of device: ``"cpu"`` or ``"cuda"``."""
    if not isinstance(device_type, str):
        raise ValueError(f"is_autocast_available: expected a str, got {type(device_type).__name__}")
    return device_type in _DTYPES


class autocast:
    """Context, or decorator, in which functions cast their arguments to the dtype that suits them.

    Parameters
    ----------
    device_type : str
        ``"cpu"`` or ``"cuda"``: tensors on such devices are cast.
    dtype : dtype, optional
        The shorter dtype: bfloat16 on the CPU and float16 on CUDA by default.
    enabled : bool, optional
        False turns autocast off inside.
    cache_enabled : bool, optional
        Whether casts of parameters are kept until the outermost context ends.

    Raises
    ------
    RuntimeError
        For another type of device.

    Notes
    -----
    float64 tensors stay as they are, and so do in-place functions and those with ``out=``. A dtype
    that a device's autocast does not know turns it off with a warning, as in PyTorch.
    """

    def __init__(
        self,
        device_type: str,
        dtype: Any = None,
        enabled: bool = True,
        cache_enabled: bool | None = None,
    ) -> None:
        if not isinstance(device_type, str):
            raise ValueError(f"autocast: expected a str, got {type(device_type).__name__}")
        if not is_autocast_available(device_type):
            raise RuntimeError(f"autocast: unsupported device type '{device_type}'")
        self.device = device_type
        self.fast_dtype = _C._autocast_dtype(device_type) if dtype is None else dtype
        if enabled and self.fast_dtype not in _DTYPES[device_type]:
            known = ", ".join(map(str, _DTYPES[device_type]))
            warnings.warn(
                f"autocast: expected a dtype among {known} on '{device_type}', "
                f"got {self.fast_dtype}; autocast is off",
                stacklevel=2,
            )
            enabled = False
        if enabled and device_type == "cuda" and not _C._cuda_is_available():
            warnings.warn("autocast: CUDA is not available; autocast is off", stacklevel=2)
            enabled = False
        self._enabled = enabled
        self._cache_enabled = (
            _C.is_autocast_cache_enabled() if cache_enabled is None else cache_enabled
        )
        self._before: list[tuple] = []

    def __enter__(self) -> autocast:
        device = self.device
        self._before.append(
            (
                _C._autocast_enabled(device),
                _C._autocast_dtype(device),
                _C.is_autocast_cache_enabled(),
            )
        )
        self._set(self._enabled, self.fast_dtype, self._cache_enabled)
        _depth.count = getattr(_depth, "count", 0) + 1
        return self

    def __exit__(self, *exc: object) -> None:
        _depth.count -= 1
        if _depth.count == 0:
            _C.clear_autocast_cache()
        self._set(*self._before.pop())

    def _set(self, enabled: bool, dtype: Any, cache: bool) -> None:
        _C._set_autocast_enabled(self.device, enabled)
        _C._set_autocast_dtype(self.device, dtype)
        _C.set_autocast_cache_enabled(cache)

    def __call__(self, function: Callable) -> Callable:
        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            with self:
                return function(*args, **kwargs)

        return wrapper


def states() -> list[autocast]:
    """Return contexts that bring back autocast as it is now."""
    cache = _C.is_autocast_cache_enabled()
    return [
        autocast(device, _C._autocast_dtype(device), _C._autocast_enabled(device), cache)
        for device in _DTYPES
    ]


def _cast(value: Any, device_type: str, dtype: Any) -> Any:
    """Cast tensors of the device's type in nested containers."""
    if isinstance(value, _C.Tensor):
        fits = value.is_floating_point() and value.device.type == device_type
        return value.to(dtype) if fits and value.dtype != _C.float64 else value
    if isinstance(value, (str, bytes)):
        return value
    if isinstance(value, Mapping):
        return {k: _cast(v, device_type, dtype) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_cast(v, device_type, dtype) for v in value)
    return value


def custom_fwd(
    fwd: Callable | None = None, *, device_type: str, cast_inputs: Any = None
) -> Callable:
    """Decorate ``forward`` of an :class:`autograd.Function` that autocast may meet.

    Parameters
    ----------
    fwd : callable, optional
        ``forward(ctx, *args)``; without it a decorator is returned.
    device_type : str
        ``"cpu"`` or ``"cuda"``.
    cast_inputs : dtype, optional
        Where autocast is on, tensors are cast to this and ``forward`` runs with autocast off.
    """
    if fwd is None:
        return functools.partial(custom_fwd, device_type=device_type, cast_inputs=cast_inputs)

    @functools.wraps(fwd)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        ctx = args[0]
        ctx._dtype = _C._autocast_dtype(device_type)
        enabled = _C._autocast_enabled(device_type)
        ctx._fwd_used_autocast = enabled and cast_inputs is None
        if not enabled or cast_inputs is None:
            return fwd(*args, **kwargs)
        with autocast(device_type, enabled=False):
            return fwd(
                *_cast(args, device_type, cast_inputs), **_cast(kwargs, device_type, cast_inputs)
            )

    return wrapper


def custom_bwd(bwd: Callable | None = None, *, device_type: str) -> Callable:
    """Decorate ``backward`` so that it runs with autocast as ``forward`` did.

    Parameters
    ----------
    bwd : callable, optional
        ``backward(ctx, *grads)``; without it a decorator is returned.
    device_type : str
        ``"cpu"`` or ``"cuda"``.
    """
    if bwd is None:
        return functools.partial(custom_bwd, device_type=device_type)

    @functools.wraps(bwd)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        ctx = args[0]
        with autocast(device_type, dtype=ctx._dtype, enabled=ctx._fwd_used_autocast):
            return bwd(*args, **kwargs)

    return wrapper


def is_autocast_enabled(device_type: str = "cuda") -> bool:
    """Whether autocast is on for a type of device in this thread."""
    return _C._autocast_enabled(device_type)


def set_autocast_enabled(*args: Any) -> None:
    """Turn autocast on or off: ``(device_type, enabled)``, or ``(enabled)`` for CUDA."""
    _C._set_autocast_enabled(*(args if len(args) == 2 else ("cuda", *args)))


def get_autocast_dtype(device_type: str) -> Any:
    """Return the dtype that autocast casts to."""
    return _C._autocast_dtype(device_type)


def set_autocast_dtype(device_type: str, dtype: Any) -> None:
    """Set the dtype that autocast casts to."""
    _C._set_autocast_dtype(device_type, dtype)


def is_autocast_cpu_enabled() -> bool:
    """Whether autocast is on for CPU tensors."""
    return _C._autocast_enabled("cpu")


def set_autocast_cpu_enabled(enabled: bool) -> None:
    """Turn autocast on or off for CPU tensors."""
    _C._set_autocast_enabled("cpu", enabled)


def get_autocast_cpu_dtype() -> Any:
    """Return the dtype that autocast casts CPU tensors to."""
    return _C._autocast_dtype("cpu")


def set_autocast_cpu_dtype(dtype: Any) -> None:
    """Set the dtype that autocast casts CPU tensors to."""
    _C._set_autocast_dtype("cpu", dtype)


def get_autocast_gpu_dtype() -> Any:
    """Return the dtype that autocast casts CUDA tensors to."""
    return _C._autocast_dtype("cuda")


def set_autocast_gpu_dtype(dtype: Any) -> None:
    """Set the dtype that autocast casts CUDA tensors to."""
    _C._set_autocast_dtype("cuda", dtype)
