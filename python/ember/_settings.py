"""Settings that PyTorch's programs make, most of which change nothing here, and `compile`."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from . import _C

_PRECISIONS = {"highest": ("ieee", "ieee"), "high": ("tf32", "tf32"), "medium": ("bf16", "tf32")}


def get_float32_matmul_precision() -> str:
    """Return the least exact that products of float32 may be, on the CPU or on a GPU."""
    found = {_C._get_matmul_precision("cpu"), _C._get_matmul_precision("cuda")}
    return "medium" if "bf16" in found else "high" if "tf32" in found else "highest"


def set_float32_matmul_precision(precision: str) -> None:
    """Say how exact products of float32 matrices must be, in all threads.

    It concerns `matmul`, `mm`, `bmm`, `addmm`, `baddbmm` and `linear`, with their gradients.
    ``backends.mkldnn.matmul.fp32_precision`` is the same setting for the CPU alone,
    ``backends.cuda.matmul.fp32_precision`` and ``allow_tf32`` for GPUs.

    Parameters
    ----------
    precision : str
        ``"highest"``: as float32. ``"high"``: factors keep 16 bits on a CPU with AMX (errors of
        some 4e-6 of the result's norm) and 11 on a GPU (TF32). ``"medium"``: on a CPU that
        multiplies bfloat16 factors keep 8 bits (some 2e-3), on a GPU as ``"high"``. Other
        processors multiply as float32 always. Any other name warns and changes nothing.
    """
    if precision not in _PRECISIONS:
        warnings.warn(
            f"set_float32_matmul_precision: expected one of {tuple(_PRECISIONS)}, "
            f"got {precision!r}; nothing changes",
            stacklevel=2,
        )
        return
    cpu, cuda = _PRECISIONS[precision]
    _C._set_matmul_precision("cpu", cpu)
    _C._set_matmul_precision("cuda", cuda)


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


_always_warn = False
_interop_threads: int | None = None


def set_warn_always(b: bool) -> None:
    """Say whether warnings that come once come always. Ember leaves that to Python's filters."""
    global _always_warn
    if not isinstance(b, bool):
        raise TypeError(f"set_warn_always: expected a bool, got {type(b).__name__}")
    _always_warn = b


def is_warn_always_enabled() -> bool:
    """Return what `set_warn_always` was last called with."""
    return _always_warn


def set_num_interop_threads(num_threads: int) -> None:
    """Say how many operations may run at a time. Ember runs one after the other."""
    global _interop_threads
    if not isinstance(num_threads, int) or num_threads < 1:
        raise RuntimeError(f"set_num_interop_threads: expected a positive int, got {num_threads!r}")
    _interop_threads = num_threads


def get_num_interop_threads() -> int:
    """Return what `set_num_interop_threads` was called with, `get_num_threads` without."""
    return _C.get_num_threads() if _interop_threads is None else _interop_threads


def set_deterministic_debug_mode(debug_mode: int | str) -> None:
    """Ask for deterministic algorithms: ``"default"`` or 0, ``"warn"`` or 1, ``"error"`` or 2."""
    names = ("default", "warn", "error")
    level = names.index(debug_mode) if debug_mode in names else debug_mode
    if level not in (0, 1, 2):
        raise RuntimeError(
            f"set_deterministic_debug_mode: expected one of {names} or 0 to 2, got {debug_mode!r}"
        )
    _C._set_deterministic(level != 0, level == 1)


def get_deterministic_debug_mode() -> int:
    """Return 0, 1 or 2; see `set_deterministic_debug_mode`."""
    if not _C.are_deterministic_algorithms_enabled():
        return 0
    return 1 if _C.is_deterministic_algorithms_warn_only_enabled() else 2


def compiled_with_cxx11_abi() -> bool:
    """Whether C++ strings are those of C++11."""
    return True


def get_device_module(device: Any = None) -> Any:
    """Return ``ember.cuda`` or ``ember.cpu``, by a device or its name; the CPU's by default."""
    import ember

    kind = "cpu" if device is None else _C.device(device).type
    return getattr(ember, kind)


def get_default_device() -> Any:
    """Return the device on which tensors are made unless told: the processor."""
    return _C.device("cpu")


def set_default_device(device: Any) -> None:
    """Accept the processor, or None; NotImplementedError for any other device."""
    if device is not None and _C.device(device).type != "cpu":
        raise NotImplementedError(
            f"set_default_device: expected the processor, got {device}; pass device= to what makes "
            "tensors"
        )
