"""Losses; use them as ``ember.nn.functional.l1_loss`` and so on."""

from __future__ import annotations

import math
import warnings

from .. import _C
from .._autocast import in_float32

Tensor = _C.Tensor


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


def check_reduction(name: str, reduction: str) -> None:
    """Raise ValueError for what is no reduction."""
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f"{name}: reduction must be 'mean', 'sum' or 'none', got {reduction!r}")


def reduce_loss(name: str, loss: Tensor, reduction: str) -> Tensor:
    """Return the mean or sum of `loss`, or itself."""
    check_reduction(name, reduction)
    if reduction == "mean":
        return loss.mean()
    return loss.sum() if reduction == "sum" else loss


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
        return reduce_loss(name, elementwise, reduction)
    weighted = elementwise * weight
    if reduction == "mean":
        return weighted.sum() / weight.expand(weighted.shape).sum()
    return reduce_loss(name, weighted, reduction)


@in_float32
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


@in_float32
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
        near = distance.clamp(max=beta)
        distance = near * _C.sub(distance, near, alpha=0.5)
        distance = distance if beta == 1 else distance / beta
    return _weigh_and_reduce("smooth_l1_loss", distance, input, target, reduction)


@in_float32
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
    near = distance.clamp(max=delta)
    loss = near * _C.sub(distance, near, alpha=0.5)
    return _weigh_and_reduce("huber_loss", loss, input, target, reduction, weight)


@in_float32
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
        log_of_target = _C.where(target == 0, 1.0, target).log()
        divergence = target * (log_of_target - input)
    if reduction == "batchmean":
        return divergence.sum() / (input.shape[0] if input.dim() else 1)
    return reduce_loss("kl_div", divergence, reduction)


@in_float32
def poisson_nll_loss(
    input: Tensor,
    target: Tensor,
    log_input: bool = True,
    full: bool = False,
    size_average: bool | None = None,
    eps: float = 1e-8,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Return minus the log-likelihood of counts `target` under Poisson rates.

    Parameters
    ----------
    input : Tensor
        Logarithms of the rates, or the rates themselves without `log_input`.
    target : Tensor
        Counts; broadcast.
    log_input : bool
        Whether `input` is in logarithms.
    full : bool
        Add Stirling's approximation of ``log(target!)`` where the target exceeds 1.
    size_average, reduce : bool, optional
        Deprecated forms of `reduction`.
    eps : float
        Added to a rate before its logarithm is taken.
    reduction : str
        ``"mean"``, ``"sum"`` or ``"none"``.
    """
    reduction = legacy_reduction(size_average, reduce, reduction)
    if log_input:
        loss = input.exp() - target * input
    else:
        loss = input - target * (input + eps).log()
    if full:
        stirling = target * target.log() - target + 0.5 * (2 * math.pi * target).log()
        loss = loss + stirling.masked_fill(target <= 1, 0)
    return reduce_loss("poisson_nll_loss", loss, reduction)


def gaussian_nll_loss(
    input: Tensor,
    target: Tensor,
    var: Tensor | float,
    full: bool = False,
    eps: float = 1e-6,
    reduction: str = "mean",
) -> Tensor:
    """Return minus the log-likelihood of `target` under normal distributions.

    Parameters
    ----------
    input, target : Tensor
        Means and samples.
    var : Tensor or float
        Variances of the input's shape; the last dimension may be 1 or absent.
    full : bool
        Add the constant ``0.5 log(2 pi)``.
    eps : float
        The least variance; no gradient flows through the limit.
    reduction : str
        ``"mean"``, ``"sum"`` or ``"none"``.
    """
    if not isinstance(var, Tensor):
        if var < 0:
            raise ValueError(f"gaussian_nll_loss: var must not be negative, got {var}")
        var = _C.full_like(input, var)
    elif (var < 0).any():
        raise ValueError("gaussian_nll_loss: var must not have negative elements")
    if var.shape != input.shape:
        if input.shape[:-1] == var.shape:
            var = var.unsqueeze(-1)
        elif input.shape[:-1] != var.shape[:-1] or var.shape[-1:] != (1,):
            raise ValueError(
                f"gaussian_nll_loss: var must have the input's shape {tuple(input.shape)}, with "
                f"the last dim 1 or absent, got {tuple(var.shape)}"
            )
    check_reduction("gaussian_nll_loss", reduction)
    var = var.clone()
    var.detach().clamp_(min=eps)
    loss = 0.5 * (var.log() + (input - target) ** 2 / var)
    if full:
        loss = loss + 0.5 * math.log(2 * math.pi)
    return reduce_loss("gaussian_nll_loss", loss, reduction)


def linear_cross_entropy(
    input: Tensor,
    linear_weight: Tensor,
    target: Tensor,
    *,
    linear_bias: Tensor | None = None,
    weight: Tensor | None = None,
    reduction: str = "mean",
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    options: None = None,
) -> Tensor:
    """Return the cross entropy of ``input @ linear_weight.T + linear_bias``.

    Parameters
    ----------
    input : Tensor
        Of shape ``(N, E)`` or ``(E,)``.
    linear_weight : Tensor
        Of shape ``(C, E)``, or ``(C, *dims, E)`` for a loss of ``dims`` positions a sample.
    target : Tensor
        Classes ``(N, *dims)`` or probabilities ``(N, C, *dims)``.
    linear_bias : Tensor, optional
        Of shape ``(C, *dims)``.
    weight, reduction, ignore_index, label_smoothing
        As of ``cross_entropy``.
    options : None
        How PyTorch saves memory by working in parts; here there is one way.
    """
    name = "linear_cross_entropy"
    if options is not None:
        raise NotImplementedError(f"{name}: options are not supported, for there is one way")
    if input.dim() not in (1, 2):
        raise RuntimeError(f"{name}: input must have 1 or 2 dims, got {input.dim()}")
    if linear_weight.dim() < 2 or linear_weight.shape[-1] != input.shape[-1]:
        raise RuntimeError(
            f"{name}: linear_weight must have shape (C, ..., {input.shape[-1]}), got "
            f"{tuple(linear_weight.shape)}"
        )
    shape = tuple(linear_weight.shape[:-1])
    if linear_bias is not None and tuple(linear_bias.shape) != shape:
        raise RuntimeError(
            f"{name}: linear_bias must have shape {shape}, got {tuple(linear_bias.shape)}"
        )
    if len(shape) > 1 and input.dim() == 1:
        raise RuntimeError(f"{name}: a loss of several dims needs a batch, got one sample")
    shape = (*input.shape[:-1], *shape)
    if tuple(target.shape) == shape and ignore_index is not None:
        raise RuntimeError(f"{name}: ignore_index is only for targets that are classes")
    bias = None if linear_bias is None else linear_bias.reshape(-1)
    logits = _C.linear(input, linear_weight.reshape(-1, input.shape[-1]), bias).reshape(shape)
    return _C.cross_entropy(
        logits,
        target,
        weight=weight,
        ignore_index=-100 if ignore_index is None else ignore_index,
        reduction=reduction,
        label_smoothing=label_smoothing,
    )
