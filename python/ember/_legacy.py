"""Types and constructors from before dtypes: ``FloatTensor(2, 3)``, ``set_default_tensor_type``."""

from __future__ import annotations

from typing import Any

from . import _C

Tensor = _C.Tensor


class _TensorType(type):
    """The class of ``FloatTensor`` and its like: no classes of tensors, but names of dtypes."""

    dtype: _C.dtype
    is_cuda: bool

    def __call__(cls, *args: Any, device: Any = None) -> Tensor:
        kind = "cuda" if cls.is_cuda else "cpu"
        if device is not None and _C.device(device).type != kind:
            raise RuntimeError(f"{cls.__name__}: expected a {kind.upper()} device, got {device}")
        made = _C._legacy_new(cls.dtype, args)
        return made.to(kind if device is None else device) if cls.is_cuda else made

    def __instancecheck__(cls, instance: Any) -> bool:
        return (
            isinstance(instance, Tensor)
            and instance.dtype == cls.dtype
            and instance.is_cuda == cls.is_cuda
        )


_DTYPES = {
    "BFloat16Tensor": _C.bfloat16,
    "BoolTensor": _C.bool,
    "ByteTensor": _C.uint8,
    "CharTensor": _C.int8,
    "DoubleTensor": _C.float64,
    "FloatTensor": _C.float32,
    "HalfTensor": _C.float16,
    "IntTensor": _C.int32,
    "LongTensor": _C.int64,
    "ShortTensor": _C.int16,
}


def _make(name: str, dtype: _C.dtype, is_cuda: bool = False) -> _TensorType:
    doc = f"Sizes or data as a tensor of {dtype}; ``isinstance`` asks for dtype and device."
    module = "ember.cuda" if is_cuda else "ember"
    body = {"dtype": dtype, "is_cuda": is_cuda, "__doc__": doc, "__module__": module}
    return _TensorType(name, (), body)


globals().update({name: _make(name, dtype) for name, dtype in _DTYPES.items()})
CUDA_TYPES = {name: _make(name, dtype, True) for name, dtype in _DTYPES.items()}


def set_default_tensor_type(t: _TensorType | str) -> None:
    """Set the default dtype to that of a tensor type, or of its name; floating point only."""
    if t is Tensor:
        return
    name = t if isinstance(t, str) else getattr(t, "__name__", "")
    dtype = _DTYPES.get(name.rpartition(".")[2])
    if dtype is None:
        raise TypeError(f"set_default_tensor_type: expected a tensor type, got {t!r}")
    if not dtype.is_floating_point:
        raise TypeError(f"set_default_tensor_type: expected a floating point type, got {name}")
    _C.set_default_dtype(dtype)


def typename(obj: Any) -> str:
    """Name the type of a tensor as ``ember.FloatTensor``, and that of others by their class."""
    if isinstance(obj, Tensor):
        return obj.type()
    kind = obj if hasattr(obj, "__qualname__") else type(obj)
    module = getattr(kind, "__module__", None) or ""
    return kind.__qualname__ if module in ("", "builtins") else f"{module}.{kind.__qualname__}"
