"""Padding."""

from __future__ import annotations

from ... import _C
from .. import functional as F
from .module import Module
from .utils import _ntuple

Tensor = _C.Tensor


class _PadNd(Module):
    """Pads the last dimensions; a subclass says how many and with what.

    Parameters
    ----------
    padding : int or tuple of int
        One width for all sides, or before and after of each dimension, the last one first.
    """

    _dims: int
    _mode: str

    def __init__(self, padding: int | tuple[int, ...]) -> None:
        super().__init__()
        self.padding = _ntuple(2 * self._dims)(padding)

    def forward(self, input: Tensor) -> Tensor:
        return F.pad(input, self.padding, self._mode)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class _ConstantPadNd(_PadNd):
    """Pads with `value`; see `_PadNd`."""

    def __init__(self, padding: int | tuple[int, ...], value: float) -> None:
        super().__init__(padding)
        self.value = value

    def forward(self, input: Tensor) -> Tensor:
        return F.pad(input, self.padding, "constant", self.value)

    def extra_repr(self) -> str:
        return f"padding={self.padding}, value={self.value}"


class ConstantPad1d(_ConstantPadNd):
    """Pad the last dimension with a constant; see `ConstantPad2d`."""

    _dims = 1


class ConstantPad2d(_ConstantPadNd):
    """Pad the last two dimensions with a constant.

    Parameters
    ----------
    padding : int or tuple of int
        One width for all sides, or ``(left, right, top, bottom)``; negative widths cut off.
    value : float
        What is added.
    """

    _dims = 2


class ConstantPad3d(_ConstantPadNd):
    """Pad the last three dimensions with a constant; see `ConstantPad2d`."""

    _dims = 3


class _ZeroPadNd(_ConstantPadNd):
    def __init__(self, padding: int | tuple[int, ...]) -> None:
        super().__init__(padding, 0.0)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class ZeroPad1d(_ZeroPadNd, ConstantPad1d):
    """Pad the last dimension with zeros."""


class ZeroPad2d(_ZeroPadNd, ConstantPad2d):
    """Pad the last two dimensions with zeros."""


class ZeroPad3d(_ZeroPadNd, ConstantPad3d):
    """Pad the last three dimensions with zeros."""


class ReflectionPad1d(_PadNd):
    """Pad the last dimension with its reflection in the border."""

    _dims = 1
    _mode = "reflect"


class ReflectionPad2d(_PadNd):
    """Pad the last two dimensions with its reflection in the border."""

    _dims = 2
    _mode = "reflect"


class ReflectionPad3d(_PadNd):
    """Pad the last three dimensions with its reflection in the border."""

    _dims = 3
    _mode = "reflect"


class ReplicationPad1d(_PadNd):
    """Pad the last dimension with copies of the border."""

    _dims = 1
    _mode = "replicate"


class ReplicationPad2d(_PadNd):
    """Pad the last two dimensions with copies of the border."""

    _dims = 2
    _mode = "replicate"


class ReplicationPad3d(_PadNd):
    """Pad the last three dimensions with copies of the border."""

    _dims = 3
    _mode = "replicate"


class CircularPad1d(_PadNd):
    """Pad the last dimension with the opposite side."""

    _dims = 1
    _mode = "circular"


class CircularPad2d(_PadNd):
    """Pad the last two dimensions with the opposite side."""

    _dims = 2
    _mode = "circular"


class CircularPad3d(_PadNd):
    """Pad the last three dimensions with the opposite side."""

    _dims = 3
    _mode = "circular"
