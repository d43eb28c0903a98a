"""Limits of dtypes: :class:`finfo` and :class:`iinfo`."""

from __future__ import annotations

from . import _C

# dtype: (bits, eps, largest, smallest normal, resolution)
_FLOATS = {
    _C.float16: (16, 2.0**-10, 65504.0, 2.0**-14, 1e-3),
    _C.bfloat16: (16, 2.0**-7, (2 - 2.0**-7) * 2.0**127, 2.0**-126, 1e-2),
    _C.float32: (32, 2.0**-23, (2 - 2.0**-23) * 2.0**127, 2.0**-126, 1e-6),
    _C.float64: (64, 2.0**-52, (2 - 2.0**-52) * 2.0**1023, 2.0**-1022, 1e-15),
}
_PARTS = {_C.complex64: _C.float32, _C.complex128: _C.float64}
_INTEGERS = {_C.uint8: 8, _C.int8: 8, _C.int16: 16, _C.int32: 32, _C.int64: 64}


class finfo:
    """Numerical limits of a floating point dtype (the default one if none is given).

    Attributes
    ----------
    bits : int
    eps : float
        The distance from 1 to the next larger number.
    max, min : float
        The largest and the smallest finite number.
    tiny, smallest_normal : float
        The smallest positive normal number.
    resolution : float
        The approximate decimal resolution.
    """

    def __init__(self, dtype: _C.dtype | None = None) -> None:
        dtype = _C.get_default_dtype() if dtype is None else dtype
        dtype = _PARTS.get(dtype, dtype)
        limits = _FLOATS.get(dtype) or getattr(dtype, "limits", None)
        if limits is None:
            raise TypeError(f"finfo: expected a floating point dtype, got {dtype}")
        self.bits, self.eps, self.max, self.tiny, self.resolution = limits
        self.min = -self.max
        self.smallest_normal = self.tiny
        self.dtype = str(dtype).removeprefix("ember.")

    def __repr__(self) -> str:
        return (
            f"finfo(resolution={self.resolution:g}, min={self.min:g}, max={self.max:g}, "
            f"eps={self.eps:g}, smallest_normal={self.smallest_normal:g}, tiny={self.tiny:g}, "
            f"dtype={self.dtype})"
        )


class iinfo:
    """Numerical limits of an integer dtype: ``bits``, ``min`` and ``max``."""

    def __init__(self, dtype: _C.dtype) -> None:
        if dtype not in _INTEGERS:
            raise TypeError(f"iinfo: expected an integer dtype, got {dtype}")
        self.bits = _INTEGERS[dtype]
        signed = dtype is not _C.uint8
        self.min = -(2 ** (self.bits - 1)) if signed else 0
        self.max = 2 ** (self.bits - signed) - 1
        self.dtype = str(dtype).removeprefix("ember.")

    def __repr__(self) -> str:
        return f"iinfo(min={self.min}, max={self.max}, dtype={self.dtype})"
