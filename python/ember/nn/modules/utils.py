"""Small helpers shared by the modules."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from ... import _C

Tensor = _C.Tensor


def typename(value: Any) -> str:
    kind = type(value)
    return kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"


def _ntuple(n: int) -> Callable[[Any], tuple]:
    def repeat(value: Any) -> tuple:
        return tuple(value) if isinstance(value, Iterable) else (value,) * n

    return repeat


_single = _ntuple(1)
_pair = _ntuple(2)
_triple = _ntuple(3)
_quadruple = _ntuple(4)


def parse_to(*args: Any, **kwargs: Any) -> tuple[Any, Any, bool, Any]:
    """Sort the arguments of ``Module.to`` into device, dtype, non_blocking, memory_format."""
    names = ["device", "dtype", "non_blocking"]
    if args and isinstance(args[0], Tensor):
        args = (args[0].device, args[0].dtype, *args[1:])
    elif args and isinstance(args[0], _C.dtype):
        del names[0]
    if len(args) > len(names):
        raise TypeError(f"to: at most {len(names)} positional arguments, got {len(args)}")
    given = dict(zip(names, args, strict=False))
    twice = given.keys() & kwargs.keys()
    if twice:
        raise TypeError(f"to: got two values for {sorted(twice)}")
    given.update(kwargs)
    tensor = given.pop("tensor", given.pop("other", None))
    if tensor is not None:
        given.update(device=tensor.device, dtype=tensor.dtype)
    unknown = given.keys() - {*names, "device", "memory_format"}
    if unknown:
        raise TypeError(f"to: got an unexpected keyword argument {sorted(unknown)}")
    dtype = given.get("dtype")
    if dtype is not None:
        if not isinstance(dtype, _C.dtype):
            raise TypeError(f"to: dtype must be a dtype, got {typename(dtype)}")
        if not (dtype.is_floating_point or dtype.is_complex):
            raise TypeError(f"to: dtype must be floating-point or complex, got {dtype}")
    device = given.get("device")
    return (
        None if device is None else _C.device(device),
        dtype,
        bool(given.get("non_blocking", False)),
        given.get("memory_format"),
    )
