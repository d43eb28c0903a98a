"""Convolutions."""

from __future__ import annotations

from typing import Any

from ... import _C
from .. import functional as F
from ..parameter import Parameter
from .linear import reset_weight_and_bias
from .module import Module
from .utils import _pair

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


class Conv2d(_ConvNd):
    """Cross-correlate images ``(N, C_in, H, W)`` or ``(C_in, H, W)`` with learned kernels.

    Parameters
    ----------
    in_channels, out_channels : int
        Channels of input and output, both divisible by `groups`.
    kernel_size, stride, dilation : int or tuple of int
        One value, or one for height and one for width.
    padding : int, tuple of int, "valid" or "same"
        Rows and columns added on both sides; ``"same"`` keeps the size (stride 1 only).
    groups : int
        Blocks of channels that are convolved separately.
    bias : bool
        Whether there is a bias.
    padding_mode : str
        What is added: ``"zeros"``, ``"reflect"``, ``"replicate"`` or ``"circular"``.

    Attributes
    ----------
    weight : Parameter
        Of shape ``(out_channels, in_channels / groups, kernel_height, kernel_width)``.
    bias : Parameter or None
        Of shape ``(out_channels,)``.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] = 1,
        padding: str | int | tuple[int, int] = 0,
        dilation: int | tuple[int, int] = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device=None,
        dtype=None,
    ) -> None:
        super().__init__(
            in_channels,
            out_channels,
            _pair(kernel_size),
            _pair(stride),
            padding if isinstance(padding, str) else _pair(padding),
            _pair(dilation),
            False,
            (0, 0),
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
        return F.conv2d(input, weight, bias, self.stride, padding, self.dilation, self.groups)

    def forward(self, input: Tensor) -> Tensor:
        return self._conv_forward(input, self.weight, self.bias)
