"""Functions of neural networks, with PyTorch's names and signatures.

Most are compiled and documented there; a function stands here in Python where it is composed of
others.
"""

from __future__ import annotations

import warnings
from typing import Any

from .. import _C
from .._C import (
    adaptive_avg_pool1d,
    adaptive_max_pool1d,
    avg_pool1d,
    avg_pool2d,
    avg_pool3d,
    batch_norm,
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    channel_shuffle,
    conv1d,
    conv2d,
    conv3d,
    conv_transpose1d,
    conv_transpose2d,
    conv_transpose3d,
    cross_entropy,
    dropout,
    embedding,
    gelu,
    group_norm,
    layer_norm,
    leaky_relu,
    linear,
    log_softmax,
    max_pool1d,
    max_pool2d,
    max_pool3d,
    mse_loss,
    nll_loss,
    pad,
    pixel_shuffle,
    pixel_unshuffle,
    relu,
    rms_norm,
    sigmoid,
    silu,
    softmax,
    tanh,
)
from ._resampling import (
    affine_grid,
    grid_sample,
    interpolate,
    upsample,
    upsample_bilinear,
    upsample_nearest,
)
from ._spatial import (
    adaptive_avg_pool2d,
    adaptive_avg_pool3d,
    adaptive_max_pool2d,
    adaptive_max_pool3d,
    fold,
    fractional_max_pool2d,
    fractional_max_pool3d,
    instance_norm,
    local_response_norm,
    lp_pool1d,
    lp_pool2d,
    lp_pool3d,
    max_unpool1d,
    max_unpool2d,
    max_unpool3d,
    unfold,
)

__all__ = [
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_avg_pool3d",
    "adaptive_max_pool1d",
    "adaptive_max_pool2d",
    "adaptive_max_pool3d",
    "affine_grid",
    "avg_pool1d",
    "avg_pool2d",
    "avg_pool3d",
    "batch_norm",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "channel_shuffle",
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
    "cosine_similarity",
    "cross_entropy",
    "dropout",
    "dropout1d",
    "dropout2d",
    "dropout3d",
    "embedding",
    "fold",
    "fractional_max_pool2d",
    "fractional_max_pool3d",
    "gelu",
    "grid_sample",
    "group_norm",
    "hardtanh",
    "hardtanh_",
    "huber_loss",
    "instance_norm",
    "interpolate",
    "kl_div",
    "l1_loss",
    "layer_norm",
    "leaky_relu",
    "leaky_relu_",
    "linear",
    "local_response_norm",
    "log_softmax",
    "lp_pool1d",
    "lp_pool2d",
    "lp_pool3d",
    "max_pool1d",
    "max_pool2d",
    "max_pool3d",
    "max_unpool1d",
    "max_unpool2d",
    "max_unpool3d",
    "mse_loss",
    "nll_loss",
    "normalize",
    "one_hot",
    "pad",
    "pixel_shuffle",
    "pixel_unshuffle",
    "relu",
    "relu6",
    "relu_",
    "rms_norm",
    "sigmoid",
    "silu",
    "smooth_l1_loss",
    "softmax",
    "softmin",
    "tanh",
    "unfold",
    "upsample",
    "upsample_bilinear",
    "upsample_nearest",
]

Tensor = _C.Tensor


def relu_(input: Tensor) -> Tensor:
    """Apply `relu` in the input's own memory."""
    return relu(input, inplace=True)


def leaky_relu_(input: Tensor, negative_slope: float = 0.01) -> Tensor:
    """Apply `leaky_relu` in the input's own memory."""
    return leaky_relu(input, negative_slope, True)


def hardtanh(
    input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False
) -> Tensor:
    """Limit values to ``[min_val, max_val]``; the gradient at the limits is 0.

    Parameters
    ----------
    input : Tensor
        Values of any shape.
    min_val, max_val : float
        The limits.
    inplace : bool
        Change the input itself.
    """
    if min_val > max_val:
        raise ValueError(f"hardtanh: min_val must not exceed max_val={max_val}, got {min_val}")
    beyond = (input <= min_val) | (input >= max_val)
    limited = _C.where(beyond, input.detach().clamp(min_val, max_val), input)
    return input.copy_(limited) if inplace else limited


def hardtanh_(input: Tensor, min_val: float = -1.0, max_val: float = 1.0) -> Tensor:
    """Apply `hardtanh` in the input's own memory."""
    return hardtanh(input, min_val, max_val, True)


def relu6(input: Tensor, inplace: bool = False) -> Tensor:
    """Limit values to ``[0, 6]``; see `hardtanh`."""
    return hardtanh(input, 0.0, 6.0, inplace)


def softmin(input: Tensor, dim: int | None = None, dtype: Any = None) -> Tensor:
    """Compute ``softmax(-input)``."""
    return softmax(-input, dim, dtype=dtype)


def _dropout_channels(
    name: str, input: Tensor, p: float, training: bool, inplace: bool, batched: bool
) -> Tensor:
    if not 0.0 <= p <= 1.0:
        raise ValueError(f"{name}: p must be between 0 and 1, got {p}")
    if not training or p == 0.0:
        return input
    lead = 2 if batched else 1
    shape = (*input.shape[:lead], *(1,) * (input.dim() - lead))
    keep = _C.empty(shape, dtype=input.dtype, device=input.device).bernoulli_(1 - p)
    if p < 1.0:
        keep.div_(1 - p)
    return input.mul_(keep) if inplace else input * keep


def dropout1d(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Tensor:
    """Set whole channels of ``(N, C, L)`` or ``(C, L)`` to zero; see `dropout2d`."""
    if input.dim() not in (2, 3):
        raise RuntimeError(f"dropout1d: expected 2D or 3D input, got {input.dim()}D input")
    return _dropout_channels("dropout1d", input, p, training, inplace, input.dim() == 3)


def dropout2d(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Tensor:
    """Set whole channels to zero while training, and scale up the others.

    Parameters
    ----------
    input : Tensor
        Of shape ``(N, C, ...)``.
    p : float
        Probability that a channel becomes zero.
    training : bool
        Return the input itself where false.
    inplace : bool
        Change the input itself.
    """
    if input.dim() < 2:
        raise RuntimeError(f"dropout2d: expected at least 2D input, got {input.dim()}D input")
    return _dropout_channels("dropout2d", input, p, training, inplace, True)


def dropout3d(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Tensor:
    """Set whole channels of ``(N, C, D, H, W)`` or ``(C, D, H, W)`` to zero; see `dropout2d`."""
    if input.dim() not in (4, 5):
        raise RuntimeError(f"dropout3d: expected 4D or 5D input, got {input.dim()}D input")
    return _dropout_channels("dropout3d", input, p, training, inplace, input.dim() == 5)


def one_hot(tensor: Tensor, num_classes: int = -1) -> Tensor:
    """Return a tensor with one more dimension, 1 at each class's position and 0 elsewhere.

    Parameters
    ----------
    tensor : Tensor
        Class indices, int64, of any shape.
    num_classes : int
        Size of the new last dimension; -1 takes the largest index plus 1.
    """
    if tensor.dtype != _C.int64:
        raise RuntimeError(f"one_hot: indices must be int64, got {tensor.dtype}")
    if tensor.numel() == 0:
        if num_classes <= 0:
            raise RuntimeError("one_hot: num_classes must be given for an empty tensor")
        return _C.empty((*tensor.shape, num_classes), dtype=_C.int64, device=tensor.device)
    if tensor.min().item() < 0:
        raise RuntimeError(f"one_hot: indices must not be negative, got {tensor.min().item()}")
    largest = tensor.max().item()
    if num_classes == -1:
        num_classes = largest + 1
    elif num_classes < 1:
        raise RuntimeError(f"one_hot: num_classes must be positive, got {num_classes}")
    elif largest >= num_classes:
        raise RuntimeError(
            f"one_hot: indices must be below num_classes={num_classes}, got {largest}"
        )
    hot = _C.zeros((*tensor.shape, num_classes), dtype=_C.int64, device=tensor.device)
    return hot.scatter_(-1, tensor.unsqueeze(-1), 1)


def normalize(
    input: Tensor, p: float = 2.0, dim: int = 1, eps: float = 1e-12, out: Tensor | None = None
) -> Tensor:
    """Divide by the `p`-norm along `dim`, which counts at least `eps`."""
    norm = input.norm(p, dim, True).clamp(min=eps)
    return input / norm if out is None else _C.div(input, norm, out=out)


def cosine_similarity(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """Return the cosine of the angle between vectors along `dim`; each norm is at least `eps`."""
    x1, x2 = _C._broadcast_tensors((x1, x2))
    norm1 = x1.norm(2, dim, True).clamp(min=eps)
    norm2 = x2.norm(2, dim, True).clamp(min=eps)
    return (x1 / norm1 * (x2 / norm2)).sum(dim)


def legacy_reduction(size_average: bool | None, reduce: bool | None, reduction: str) -> str:
    """Return the reduction that the older arguments mean where they are given."""
    if size_average is None and reduce is None:
        return reduction
    if reduce is False:
        meant = "none"
    else:
        meant = "sum" if size_average is False else "mean"
    warnings.warn(f"size_average and reduce are deprecated, use reduction='{meant}'", stacklevel=4)
    return meant


def _reduce(name: str, loss: Tensor, reduction: str) -> Tensor:
    if reduction == "mean":
        return loss.mean()
    if reduction == "sum":
        return loss.sum()
    if reduction == "none":
        return loss
    raise ValueError(f"{name}: reduction must be 'mean', 'sum' or 'none', got {reduction!r}")


def _weigh_and_reduce(
    name: str,
    elementwise: Tensor,
    input: Tensor,
    target: Tensor,
    reduction: str,
    weight: Tensor | None = None,
) -> Tensor:
    if input.shape != target.shape:
        warnings.warn(
            f"{name}: target has another shape {tuple(target.shape)} than input "
            f"{tuple(input.shape)}; they are broadcast, which is rarely meant",
            stacklevel=3,
        )
    if weight is None:
        return _reduce(name, elementwise, reduction)
    weighted = elementwise * weight
    if reduction == "mean":
        return weighted.sum() / weight.expand(weighted.shape).sum()
    return _reduce(name, weighted, reduction)


def l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """Return the absolute difference ``|input - target|``.

    Parameters
    ----------
    input, target : Tensor
        Of the same shape.
    size_average, reduce : bool, optional
        Deprecated forms of `reduction`.
    reduction : str
        ``"mean"``, ``"sum"`` or ``"none"``.
    weight : Tensor, optional
        Weight of each element.
    """
    reduction = legacy_reduction(size_average, reduce, reduction)
    loss = (input - target).abs()
    return _weigh_and_reduce("l1_loss", loss, input, target, reduction, weight)


def smooth_l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    beta: float = 1.0,
) -> Tensor:
    """Return ``0.5 d**2 / beta`` where ``d = |input - target| < beta``, else ``d - 0.5 beta``.

    Parameters
    ----------
    input, target : Tensor
        Of the same shape.
    size_average, reduce : bool, optional
        Deprecated forms of `reduction`.
    reduction : str
        ``"mean"``, ``"sum"`` or ``"none"``.
    beta : float
        Where the quadratic part ends; 0 is the absolute difference.
    """
    if beta < 0:
        raise RuntimeError(f"smooth_l1_loss: beta must not be negative, got {beta}")
    reduction = legacy_reduction(size_average, reduce, reduction)
    distance = (input - target).abs()
    if beta > 0:
        quadratic = 0.5 * distance * distance / beta
        distance = _C.where(distance < beta, quadratic, distance - 0.5 * beta)
    return _weigh_and_reduce("smooth_l1_loss", distance, input, target, reduction)


def huber_loss(
    input: Tensor,
    target: Tensor,
    reduction: str = "mean",
    delta: float = 1.0,
    weight: Tensor | None = None,
) -> Tensor:
    """Return ``0.5 d**2`` where ``d = |input - target| < delta``, else ``delta (d - 0.5 delta)``.

    Parameters
    ----------
    input, target : Tensor
        Of the same shape.
    reduction : str
        ``"mean"``, ``"sum"`` or ``"none"``.
    delta : float
        Where the quadratic part ends.
    weight : Tensor, optional
        Weight of each element.
    """
    if delta <= 0:
        raise RuntimeError(f"huber_loss: delta must be positive, got {delta}")
    distance = (input - target).abs()
    linear_part = delta * (distance - 0.5 * delta)
    loss = _C.where(distance < delta, 0.5 * distance * distance, linear_part)
    return _weigh_and_reduce("huber_loss", loss, input, target, reduction, weight)


def kl_div(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    log_target: bool = False,
) -> Tensor:
    """Return the pointwise divergence ``target * (log(target) - input)``.

    Parameters
    ----------
    input : Tensor
        Log-probabilities.
    target : Tensor
        Probabilities, or log-probabilities with `log_target`.
    size_average, reduce : bool, optional
        Deprecated forms of `reduction`.
    reduction : str
        ``"batchmean"`` (the definition), ``"mean"``, ``"sum"`` or ``"none"``.
    log_target : bool
        Whether `target` is in logarithms.
    """
    reduction = legacy_reduction(size_average, reduce, reduction)
    if log_target:
        divergence = target.exp() * (target - input)
    else:
        # Where the target is 0 the divergence is 0, though the logarithm is not finite.
        log_of_target = _C.where(target > 0, target, 1.0).log()
        divergence = target * (log_of_target - input)
    if reduction == "batchmean":
        return divergence.sum() / input.shape[0]
    return _reduce("kl_div", divergence, reduction)
