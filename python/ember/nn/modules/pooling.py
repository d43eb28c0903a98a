"""Pooling."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ... import _C
from .. import functional as F
from .module import Module
from .utils import _ntuple

Tensor = _C.Tensor


class _MaxPoolNd(Module):
    _function: Callable[..., Any]

    def __init__(
        self,
        kernel_size: int | tuple[int, ...],
        stride: int | tuple[int, ...] | None = None,
        padding: int | tuple[int, ...] = 0,
        dilation: int | tuple[int, ...] = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding
        self.dilation = dilation
        self.return_indices = return_indices
        self.ceil_mode = ceil_mode

    def forward(self, input: Tensor):
        return type(self)._function(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.dilation,
            self.ceil_mode,
            self.return_indices,
        )

    def extra_repr(self) -> str:
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, "
            f"dilation={self.dilation}, ceil_mode={self.ceil_mode}"
        )


_MAX_POOL_DOC = """Take the maximum of each window of {of}.

    Parameters
    ----------
    kernel_size : int or tuple of int
        Size of the window.
    stride : int or tuple of int, optional
        Step of the window. Default: its size.
    padding : int or tuple of int
        Border of minus infinity on both sides, at most half the window.
    dilation : int or tuple of int
        Distance of the window's elements.
    return_indices : bool
        Also return where the maxima stand in each plane.
    ceil_mode : bool
        Keep windows that hang over the end.
    """


class MaxPool1d(_MaxPoolNd):
    __doc__ = _MAX_POOL_DOC.format(of="sequences ``(N, C, L)`` or ``(C, L)``")

    _function = F.max_pool1d


class MaxPool2d(_MaxPoolNd):
    __doc__ = _MAX_POOL_DOC.format(of="images ``(N, C, H, W)`` or ``(C, H, W)``")

    _function = F.max_pool2d


class MaxPool3d(_MaxPoolNd):
    __doc__ = _MAX_POOL_DOC.format(of="volumes ``(N, C, D, H, W)`` or ``(C, D, H, W)``")

    _function = F.max_pool3d


class _MaxUnpoolNd(Module):
    _dims: int
    _function: Callable[..., Any]

    def __init__(
        self,
        kernel_size: int | tuple[int, ...],
        stride: int | tuple[int, ...] | None = None,
        padding: int | tuple[int, ...] = 0,
    ) -> None:
        super().__init__()
        each = _ntuple(self._dims)
        self.kernel_size = each(kernel_size)
        self.stride = each(kernel_size if stride is None else stride)
        self.padding = each(padding)

    def forward(self, input: Tensor, indices: Tensor, output_size: Any = None) -> Tensor:
        return type(self)._function(
            input, indices, self.kernel_size, self.stride, self.padding, output_size
        )

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


_MAX_UNPOOL_DOC = """Put the maxima of `MaxPool{dims}d` back where they stood.

    Parameters
    ----------
    kernel_size, stride, padding : int or tuple of int
        As of the pooling.
    """


class MaxUnpool1d(_MaxUnpoolNd):
    __doc__ = _MAX_UNPOOL_DOC.format(dims=1)

    _dims = 1
    _function = F.max_unpool1d


class MaxUnpool2d(_MaxUnpoolNd):
    __doc__ = _MAX_UNPOOL_DOC.format(dims=2)

    _dims = 2
    _function = F.max_unpool2d


class MaxUnpool3d(_MaxUnpoolNd):
    __doc__ = _MAX_UNPOOL_DOC.format(dims=3)

    _dims = 3
    _function = F.max_unpool3d


class _AvgPoolNd(Module):
    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AvgPool1d(_AvgPoolNd):
    """Take the mean of each window of sequences ``(N, C, L)`` or ``(C, L)``.

    Parameters
    ----------
    kernel_size : int
        Size of the window.
    stride : int, optional
        Step of the window. Default: its size.
    padding : int
        Border of zeros on both sides, at most half the window.
    ceil_mode : bool
        Keep windows that hang over the end.
    count_include_pad : bool
        Divide by the number of elements with the border's.
    """

    def __init__(
        self,
        kernel_size: int | tuple[int],
        stride: int | tuple[int] | None = None,
        padding: int | tuple[int] = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        super().__init__()
        self.kernel_size = _ntuple(1)(kernel_size)
        self.stride = _ntuple(1)(kernel_size if stride is None else stride)
        self.padding = _ntuple(1)(padding)
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad

    def forward(self, input: Tensor) -> Tensor:
        return F.avg_pool1d(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.ceil_mode,
            self.count_include_pad,
        )


class _AvgPoolOverridable(_AvgPoolNd):
    _function: Callable[..., Any]

    def __init__(
        self,
        kernel_size: int | tuple[int, ...],
        stride: int | tuple[int, ...] | None = None,
        padding: int | tuple[int, ...] = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad
        self.divisor_override = divisor_override

    def forward(self, input: Tensor) -> Tensor:
        return type(self)._function(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.ceil_mode,
            self.count_include_pad,
            self.divisor_override,
        )


_AVG_POOL_DOC = """Take the mean of each window of {of}.

    Parameters
    ----------
    kernel_size : int or tuple of int
        Size of the window.
    stride : int or tuple of int, optional
        Step of the window. Default: its size.
    padding : int or tuple of int
        Border of zeros on both sides, at most half the window.
    ceil_mode : bool
        Keep windows that hang over the end.
    count_include_pad : bool
        Divide by the number of elements with the border's.
    divisor_override : int, optional
        Divide by this number instead.
    """


class AvgPool2d(_AvgPoolOverridable):
    __doc__ = _AVG_POOL_DOC.format(of="images ``(N, C, H, W)`` or ``(C, H, W)``")

    _function = F.avg_pool2d


class AvgPool3d(_AvgPoolOverridable):
    __doc__ = _AVG_POOL_DOC.format(of="volumes ``(N, C, D, H, W)`` or ``(C, D, H, W)``")

    _function = F.avg_pool3d


class _LPPoolNd(Module):
    _function: Callable[..., Any]

    def __init__(
        self,
        norm_type: float,
        kernel_size: int | tuple[int, ...],
        stride: int | tuple[int, ...] | None = None,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        self.norm_type = norm_type
        self.kernel_size = kernel_size
        self.stride = stride
        self.ceil_mode = ceil_mode

    def forward(self, input: Tensor) -> Tensor:
        return type(self)._function(
            input, float(self.norm_type), self.kernel_size, self.stride, self.ceil_mode
        )

    def extra_repr(self) -> str:
        return (
            f"norm_type={self.norm_type}, kernel_size={self.kernel_size}, stride={self.stride}, "
            f"ceil_mode={self.ceil_mode}"
        )


_LP_POOL_DOC = """Take the p-norm of each window of {of}.

    Parameters
    ----------
    norm_type : float
        The power p; 1 is the sum.
    kernel_size : int or tuple of int
        Size of the window.
    stride : int or tuple of int, optional
        Step of the window. Default: its size.
    ceil_mode : bool
        Keep windows that hang over the end.
    """


class LPPool1d(_LPPoolNd):
    __doc__ = _LP_POOL_DOC.format(of="sequences ``(N, C, L)`` or ``(C, L)``")

    _function = F.lp_pool1d


class LPPool2d(_LPPoolNd):
    __doc__ = _LP_POOL_DOC.format(of="images ``(N, C, H, W)`` or ``(C, H, W)``")

    _function = F.lp_pool2d


class LPPool3d(_LPPoolNd):
    __doc__ = _LP_POOL_DOC.format(of="volumes ``(N, C, D, H, W)`` or ``(C, D, H, W)``")

    _function = F.lp_pool3d


class _AdaptiveAvgPoolNd(Module):
    _function: Callable[..., Any]

    def __init__(self, output_size: Any) -> None:
        super().__init__()
        self.output_size = output_size

    def forward(self, input: Tensor) -> Tensor:
        return type(self)._function(input, self.output_size)

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class _AdaptiveMaxPoolNd(Module):
    _function: Callable[..., Any]

    def __init__(self, output_size: Any, return_indices: bool = False) -> None:
        super().__init__()
        self.output_size = output_size
        self.return_indices = return_indices

    def forward(self, input: Tensor):
        return type(self)._function(input, self.output_size, self.return_indices)

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


_ADAPTIVE_AVG_POOL_DOC = """Take means of a given number of windows that cover {of}.

    Parameters
    ----------
    output_size : int or tuple of (int or None)
        The spatial size of the result; None keeps the input's.
    """

_ADAPTIVE_MAX_POOL_DOC = """Take maxima of a given number of windows that cover {of}.

    Parameters
    ----------
    output_size : int or tuple of (int or None)
        The spatial size of the result; None keeps the input's.
    return_indices : bool
        Also return where the maxima stand in each plane.
    """


class AdaptiveAvgPool1d(_AdaptiveAvgPoolNd):
    __doc__ = _ADAPTIVE_AVG_POOL_DOC.format(of="sequences ``(N, C, L)`` or ``(C, L)``")

    _function = F.adaptive_avg_pool1d


class AdaptiveAvgPool2d(_AdaptiveAvgPoolNd):
    __doc__ = _ADAPTIVE_AVG_POOL_DOC.format(of="images ``(N, C, H, W)`` or ``(C, H, W)``")

    _function = F.adaptive_avg_pool2d


class AdaptiveAvgPool3d(_AdaptiveAvgPoolNd):
    __doc__ = _ADAPTIVE_AVG_POOL_DOC.format(of="volumes ``(N, C, D, H, W)`` or ``(C, D, H, W)``")

    _function = F.adaptive_avg_pool3d


class AdaptiveMaxPool1d(_AdaptiveMaxPoolNd):
    __doc__ = _ADAPTIVE_MAX_POOL_DOC.format(of="sequences ``(N, C, L)`` or ``(C, L)``")

    _function = F.adaptive_max_pool1d


class AdaptiveMaxPool2d(_AdaptiveMaxPoolNd):
    __doc__ = _ADAPTIVE_MAX_POOL_DOC.format(of="images ``(N, C, H, W)`` or ``(C, H, W)``")

    _function = F.adaptive_max_pool2d


class AdaptiveMaxPool3d(_AdaptiveMaxPoolNd):
    __doc__ = _ADAPTIVE_MAX_POOL_DOC.format(of="volumes ``(N, C, D, H, W)`` or ``(C, D, H, W)``")

    _function = F.adaptive_max_pool3d


class _FractionalMaxPoolNd(Module):
    _dims: int
    _function: Callable[..., Any]

    def __init__(
        self,
        kernel_size: int | tuple[int, ...],
        output_size: int | tuple[int, ...] | None = None,
        output_ratio: float | tuple[float, ...] | None = None,
        return_indices: bool = False,
        _random_samples: Tensor | None = None,
    ) -> None:
        super().__init__()
        each = _ntuple(self._dims)
        self.kernel_size = each(kernel_size)
        self.return_indices = return_indices
        self.register_buffer("_random_samples", _random_samples)
        if (output_size is None) == (output_ratio is None):
            raise ValueError(f"{type(self).__name__}: expected one of output_size and output_ratio")
        self.output_size = None if output_size is None else each(output_size)
        self.output_ratio = None if output_ratio is None else each(output_ratio)
        if self.output_ratio is not None and not all(0 < r < 1 for r in self.output_ratio):
            raise ValueError(
                f"{type(self).__name__}: output_ratio must be between 0 and 1, got {output_ratio}"
            )

    def forward(self, input: Tensor):
        return type(self)._function(
            input,
            self.kernel_size,
            self.output_size,
            self.output_ratio,
            self.return_indices,
            self._random_samples,
        )


_FRACTIONAL_DOC = """Take maxima of windows at random distances over {of}.

    Parameters
    ----------
    kernel_size : int or tuple of int
        Size of the windows.
    output_size : int or tuple of int, optional
        The spatial size of the result.
    output_ratio : float or tuple of float, optional
        In place of `output_size`: the part of the input's size.
    return_indices : bool
        Also return where the maxima stand in each plane.
    """


class FractionalMaxPool2d(_FractionalMaxPoolNd):
    __doc__ = _FRACTIONAL_DOC.format(of="images ``(N, C, H, W)`` or ``(C, H, W)``")

    _dims = 2
    _function = F.fractional_max_pool2d


class FractionalMaxPool3d(_FractionalMaxPoolNd):
    __doc__ = _FRACTIONAL_DOC.format(of="volumes ``(N, C, D, H, W)`` or ``(C, D, H, W)``")

    _dims = 3
    _function = F.fractional_max_pool3d
