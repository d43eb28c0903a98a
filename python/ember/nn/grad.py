"""Gradients of convolutions with respect to input and weight, as functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import _C
from ..autograd import enable_grad, grad
from . import functional as F

Tensor = _C.Tensor

__all__ = [
    "conv1d_input",
    "conv1d_weight",
    "conv2d_input",
    "conv2d_weight",
    "conv3d_input",
    "conv3d_weight",
]


def _gradient(
    function: Callable, input: Any, weight: Any, grad_output: Tensor, *options: Any
) -> Tensor:
    """With respect to the one of input and weight of which only the size is given."""
    with enable_grad():
        unknown = weight if isinstance(input, Tensor) else input
        zeros = grad_output.new_zeros(tuple(unknown)).requires_grad_()
        if isinstance(input, Tensor):
            out = function(input.detach(), zeros, None, *options)
        else:
            out = function(zeros, weight.detach(), None, *options)
    return grad(out, zeros, grad_output)[0]


def _make(rank: int) -> tuple[Callable, Callable]:
    function = getattr(F, f"conv{rank}d")

    def for_input(
        input_size, weight, grad_output, stride=1, padding=0, dilation=1, groups=1
    ) -> Tensor:
        options = (stride, padding, dilation, groups)
        return _gradient(function, input_size, weight, grad_output, *options)

    def for_weight(
        input, weight_size, grad_output, stride=1, padding=0, dilation=1, groups=1
    ) -> Tensor:
        options = (stride, padding, dilation, groups)
        return _gradient(function, input, weight_size, grad_output, *options)

    for_input.__doc__ = f"Return the gradient of ``conv{rank}d`` for an input of that size."
    for_weight.__doc__ = f"Return the gradient of ``conv{rank}d`` for a weight of that size."
    for_input.__name__ = for_input.__qualname__ = f"conv{rank}d_input"
    for_weight.__name__ = for_weight.__qualname__ = f"conv{rank}d_weight"
    return for_input, for_weight


conv1d_input, conv1d_weight = _make(1)
conv2d_input, conv2d_weight = _make(2)
conv3d_input, conv3d_weight = _make(3)
