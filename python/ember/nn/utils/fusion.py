"""Batch normalisations folded into the layer before, for evaluation."""

from __future__ import annotations

from copy import deepcopy

from ... import _C
from ..modules.module import Module
from ..parameter import Parameter

Tensor = _C.Tensor


def _statistics(name: str, layer: Module, bn: Module) -> tuple[Tensor, Tensor]:
    if layer.training or bn.training:
        raise AssertionError(f"{name}: both modules must be in evaluation mode")
    if bn.running_mean is None or bn.running_var is None:
        raise AssertionError(f"{name}: the normalisation keeps no running statistics")
    return bn.running_mean, bn.running_var


def fuse_conv_bn_eval(conv: Module, bn: Module, transpose: bool = False) -> Module:
    """Return a convolution that does what `conv` and then `bn` do in evaluation mode.

    Parameters
    ----------
    conv : Module
        A convolution; it is copied.
    bn : Module
        The batch normalisation of its output.
    transpose : bool
        Whether `conv` is a transposed convolution.
    """
    mean, var = _statistics("fuse_conv_bn_eval", conv, bn)
    fused = deepcopy(conv)
    fused.weight, fused.bias = fuse_conv_bn_weights(
        fused.weight, fused.bias, mean, var, bn.eps, bn.weight, bn.bias, transpose
    )
    return fused


def fuse_conv_bn_weights(
    conv_w: Tensor,
    conv_b: Tensor | None,
    bn_rm: Tensor,
    bn_rv: Tensor,
    bn_eps: float,
    bn_w: Tensor | None,
    bn_b: Tensor | None,
    transpose: bool = False,
) -> tuple[Parameter, Parameter]:
    """Return weight and bias of the convolution that `fuse_conv_bn_eval` makes."""
    scale = (bn_rv + bn_eps).rsqrt()
    if bn_w is not None:
        scale = scale * bn_w
    shape = [1] * conv_w.dim()
    shape[1 if transpose else 0] = -1
    bias = _C.zeros_like(bn_rm) if conv_b is None else conv_b
    weight = (conv_w * scale.reshape(shape)).to(conv_w.dtype)
    shifted = (bias - bn_rm) * scale
    if bn_b is not None:
        shifted = shifted + bn_b
    shifted = shifted.to(conv_w.dtype if conv_b is None else conv_b.dtype)
    return (
        Parameter(weight.detach(), conv_w.requires_grad),
        Parameter(shifted.detach(), bias.requires_grad),
    )


def fuse_linear_bn_eval(linear: Module, bn: Module) -> Module:
    """Return a linear layer that does what `linear` and then `bn` do in evaluation mode.

    Parameters
    ----------
    linear : Linear
        Is copied.
    bn : Module
        The batch normalisation of its output.
    """
    mean, var = _statistics("fuse_linear_bn_eval", linear, bn)
    if bn.num_features not in (1, linear.out_features):
        raise AssertionError(
            f"fuse_linear_bn_eval: expected a normalisation of {linear.out_features} features or "
            f"of 1, got {bn.num_features}"
        )
    fused = deepcopy(linear)
    fused.weight, fused.bias = fuse_linear_bn_weights(
        fused.weight, fused.bias, mean, var, bn.eps, bn.weight, bn.bias
    )
    return fused


def fuse_linear_bn_weights(
    linear_w: Tensor,
    linear_b: Tensor | None,
    bn_rm: Tensor,
    bn_rv: Tensor,
    bn_eps: float,
    bn_w: Tensor | None,
    bn_b: Tensor | None,
) -> tuple[Parameter, Parameter]:
    """Return weight and bias of the layer that `fuse_linear_bn_eval` makes."""
    return fuse_conv_bn_weights(linear_w, linear_b, bn_rm, bn_rv, bn_eps, bn_w, bn_b)
