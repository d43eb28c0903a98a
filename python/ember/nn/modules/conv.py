"""Convolutions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ... import _C
from .. import functional as F
from ..parameter import Parameter
from .linear import reset_weight_and_bias
from .module import Module
from .utils import _ntuple

Tensor = _C.Tensor

_PADDING_NAMES = ("valid", "same")
_PADDING_MODES = ("zeros", "reflect", "replicate", "circular")


class _ConvNd(Module):
    """What convolutions of all ranks share; sizes come as tuples, one entry a dimension."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: tuple[int, ...],
        stride: tuple[int, ...],
        padding: str | tuple[int, ...],
        dilation: tuple[int, ...],
        transposed: bool,
        output_padding: tuple[int, ...],
        groups: int,
        bias: bool,
        padding_mode: str,
        device=None,
        dtype=None,
    ) -> None:
        super().__init__()
        if groups <= 0:
            raise ValueError(f"groups must be a positive integer, got {groups}")
        if in_channels % groups != 0:
            raise ValueError(
                f"in_channels must be divisible by groups, got {in_channels} and {groups}"
            )
        if out_channels % groups != 0:
            raise ValueError(
                f"out_channels must be divisible by groups, got {out_channels} and {groups}"
            )
        if isinstance(padding, str):
            if padding not in _PADDING_NAMES:
                raise ValueError(
                    f"padding must be numbers or one of {_PADDING_NAMES}, got {padding!r}"
                )
            if padding == "same" and any(s != 1 for s in stride):
                raise ValueError(
                    f"padding='same' is not supported for strided convolutions, got stride={stride}"
                )
        if padding_mode not in _PADDING_MODES:
            raise ValueError(f"padding_mode must be one of {_PADDING_MODES}, got {padding_mode!r}")
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.kernel_size = kernel_size
        self.stride = stride
        self.padding = padding
        self.dilation = dilation
        self.transposed = transposed
        self.output_padding = output_padding
        self.groups = groups
        self.padding_mode = padding_mode
        self._reversed_padding_repeated_twice = self._pad_widths()

        first, second = (in_channels, out_channels) if transposed else (out_channels, in_channels)
        shape = (first, second // groups, *kernel_size)
        self.weight = Parameter(_C.empty(shape, device=device, dtype=dtype))
        bias_data = Parameter(_C.empty(out_channels, device=device, dtype=dtype)) if bias else None
        self.register_parameter("bias", bias_data)
        self.reset_parameters()

    def _pad_widths(self) -> tuple[int, ...]:
        """The padding as `F.pad` takes it: before and after, the last dimension first."""
        if self.padding == "same":
            total = [d * (k - 1) for d, k in zip(self.dilation, self.kernel_size, strict=True)]
            widths = [(t // 2, t - t // 2) for t in total]
        elif self.padding == "valid":
            widths = [(0, 0)] * len(self.kernel_size)
        else:
            widths = [(p, p) for p in self.padding]
        return tuple(width for pair in reversed(widths) for width in pair)

    def reset_parameters(self) -> None:
        """Draw weight and bias anew."""
        reset_weight_and_bias(self.weight, self.bias)

    def extra_repr(self) -> str:
        n = len(self.kernel_size)
        text = (
            f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, "
            f"stride={self.stride}"
        )
        if self.padding != (0,) * n:
            text += f", padding={self.padding}"
        if self.dilation != (1,) * n:
            text += f", dilation={self.dilation}"
        if self.output_padding != (0,) * n:
            text += f", output_padding={self.output_padding}"
        if self.groups != 1:
            text += f", groups={self.groups}"
        if self.bias is None:
            text += ", bias=False"
        if self.padding_mode != "zeros":
            text += f", padding_mode={self.padding_mode}"
        return text


class _Convolution(_ConvNd):
    """A convolution over `_dims` spatial dims by the function `_function`."""

    _dims: int
    _function: Callable[..., Tensor]

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, ...],
        stride: int | tuple[int, ...] = 1,
        padding: str | int | tuple[int, ...] = 0,
        dilation: int | tuple[int, ...] = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device=None,
        dtype=None,
    ) -> None:
        each = _ntuple(self._dims)
        super().__init__(
            in_channels,
            out_channels,
            each(kernel_size),
            each(stride),
            padding if isinstance(padding, str) else each(padding),
            each(dilation),
            False,
            each(0),
            groups,
            bias,
            padding_mode,
            device,
            dtype,
        )

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        padding: Any = self.padding
        if self.padding_mode != "zeros":
            input = F.pad(input, self._reversed_padding_repeated_twice, mode=self.padding_mode)
            padding = 0
        return type(self)._function(
            input, weight, bias, self.stride, padding, self.dilation, self.groups
        )

    def forward(self, input: Tensor) -> Tensor:
        return self._conv_forward(input, self.weight, self.bias)


_CONV_DOC = """Cross-correlate {of} with learned kernels.

    Parameters
    ----------
    in_channels, out_channels : int
        Channels of input and output, both divisible by `groups`.
    kernel_size, stride, dilation : int or tuple of int
        One value, or one for each spatial dimension.
    padding : int, tuple of int, "valid" or "same"
        What is added on both sides; ``"same"`` keeps the size (stride 1 only).
    groups : int
        Blocks of channels that are convolved separately.
    bias : bool
        Whether there is a bias.
    padding_mode : str
        What is added: ``"zeros"``, ``"reflect"``, ``"replicate"`` or ``"circular"``.

    Attributes
    ----------
    weight : Parameter
        Of shape ``(out_channels, in_channels / groups, *kernel_size)``.
    bias : Parameter or None
        Of shape ``(out_channels,)``.
    """


class Conv1d(_Convolution):
    __doc__ = _CONV_DOC.format(of="sequences ``(N, C_in, L)`` or ``(C_in, L)``")

    _dims = 1
    _function = F.conv1d


class Conv2d(_Convolution):
    __doc__ = _CONV_DOC.format(of="images ``(N, C_in, H, W)`` or ``(C_in, H, W)``")

    _dims = 2
    _function = F.conv2d


class Conv3d(_Convolution):
    __doc__ = _CONV_DOC.format(of="volumes ``(N, C_in, D, H, W)`` or ``(C_in, D, H, W)``")

    _dims = 3
    _function = F.conv3d


class _ConvTransposeNd(_ConvNd):
    """The adjoint of a convolution over `_dims` spatial dims by the function `_function`."""

    _dims: int
    _function: Callable[..., Tensor]

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, ...],
        stride: int | tuple[int, ...] = 1,
        padding: int | tuple[int, ...] = 0,
        output_padding: int | tuple[int, ...] = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: int | tuple[int, ...] = 1,
        padding_mode: str = "zeros",
        device=None,
        dtype=None,
    ) -> None:
        if padding_mode != "zeros":
            raise ValueError(
                f"{type(self).__name__}: padding_mode must be 'zeros', got {padding_mode!r}"
            )
        each = _ntuple(self._dims)
        super().__init__(
            in_channels,
            out_channels,
            each(kernel_size),
            each(stride),
            each(padding),
            each(dilation),
            True,
            each(output_padding),
            groups,
            bias,
            padding_mode,
            device,
            dtype,
        )

    def _output_padding(self, input: Tensor, output_size: Any) -> tuple[int, ...]:
        """The output padding that gives `output_size`; the module's own where that is None."""
        if output_size is None:
            return self.output_padding
        lead = input.dim() - self._dims
        sizes = list(output_size)
        if len(sizes) == lead + self._dims:
            sizes = sizes[lead:]
        if len(sizes) != self._dims:
            raise ValueError(
                f"{type(self).__name__}: output_size must have {self._dims} or {input.dim()} "
                f"elements, got {output_size}"
            )
        least = [
            (n - 1) * s - 2 * p + d * (k - 1) + 1
            for n, s, p, d, k in zip(
                input.shape[lead:],
                self.stride,
                self.padding,
                self.dilation,
                self.kernel_size,
                strict=True,
            )
        ]
        if any(not m <= n < m + s for n, m, s in zip(sizes, least, self.stride, strict=True)):
            raise ValueError(
                f"{type(self).__name__}: output_size must be at least {least} and less by stride "
                f"{self.stride}, got {output_size}"
            )
        return tuple(n - m for n, m in zip(sizes, least, strict=True))

    def forward(self, input: Tensor, output_size: Any = None) -> Tensor:
        return type(self)._function(
            input,
            self.weight,
            self.bias,
            self.stride,
            self.padding,
            self._output_padding(input, output_size),
            self.groups,
            self.dilation,
        )


_TRANSPOSED_DOC = """Apply the adjoint of a learned convolution to {of}.

    Parameters
    ----------
    in_channels, out_channels : int
        Channels of input and output, both divisible by `groups`.
    kernel_size, stride, padding, dilation : int or tuple of int
        Of the convolution: one value, or one for each spatial dimension.
    output_padding : int or tuple of int
        What the result is longer by at its end.
    groups : int
        Blocks of channels that are convolved separately.
    bias : bool
        Whether there is a bias.

    Attributes
    ----------
    weight : Parameter
        Of shape ``(in_channels, out_channels / groups, *kernel_size)``.
    bias : Parameter or None
        Of shape ``(out_channels,)``.
    """


class ConvTranspose1d(_ConvTransposeNd):
    __doc__ = _TRANSPOSED_DOC.format(of="sequences ``(N, C_in, L)`` or ``(C_in, L)``")

    _dims = 1
    _function = F.conv_transpose1d


class ConvTranspose2d(_ConvTransposeNd):
    __doc__ = _TRANSPOSED_DOC.format(of="images ``(N, C_in, H, W)`` or ``(C_in, H, W)``")

    _dims = 2
    _function = F.conv_transpose2d


class ConvTranspose3d(_ConvTransposeNd):
    __doc__ = _TRANSPOSED_DOC.format(of="volumes ``(N, C_in, D, H, W)`` or ``(C_in, D, H, W)``")

    _dims = 3
    _function = F.conv_transpose3d
