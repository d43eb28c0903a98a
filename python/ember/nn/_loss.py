"""Losses; use them as ``ember.nn.functional.l1_loss`` and so on."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable

from .. import _C
from .._C import logsigmoid
from ._activation import pairwise_distance

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


def _check_reduction(name: str, reduction: str) -> None:
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f"{name}: reduction must be 'mean', 'sum' or 'none', got {reduction!r}")


def _reduce(name: str, loss: Tensor, reduction: str) -> Tensor:
    _check_reduction(name, reduction)
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
        log_of_target = _C.where(target == 0, 1.0, target).log()
        divergence = target * (log_of_target - input)
    if reduction == "batchmean":
        return divergence.sum() / (input.shape[0] if input.dim() else 1)
    return _reduce("kl_div", divergence, reduction)


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
    return _reduce("poisson_nll_loss", loss, reduction)


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
    _check_reduction("gaussian_nll_loss", reduction)
    var = var.clone()
    var.detach().clamp_(min=eps)
    loss = 0.5 * (var.log() + (input - target) ** 2 / var)
    if full:
        loss = loss + 0.5 * math.log(2 * math.pi)
    return _reduce("gaussian_nll_loss", loss, reduction)


def hinge_embedding_loss(
    input: Tensor,
    target: Tensor,
    margin: float = 1.0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Return `input` where `target` is 1 and ``max(0, margin - input)`` where it is -1.

    Parameters
    ----------
    input, target : Tensor
        Distances, and 1 or -1; broadcast.
    margin : float
        Distance beyond which pairs with target -1 cost nothing.
    size_average, reduce : bool, optional
        Deprecated forms of `reduction`.
    reduction : str
        ``"mean"``, ``"sum"`` or ``"none"``.
    """
    reduction = legacy_reduction(size_average, reduce, reduction)
    far = _C.where(target != 1, (margin - input).clamp(min=0), 0.0)
    near = _C.where(target != -1, input, 0.0)
    return _reduce("hinge_embedding_loss", far + near, reduction)


def cosine_embedding_loss(
    input1: Tensor,
    input2: Tensor,
    target: Tensor,
    margin: float = 0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Return ``1 - cos`` where `target` is 1 and ``max(0, cos - margin)`` where it is -1.

    Parameters
    ----------
    input1, input2 : Tensor
        Vectors, of shape ``(N, D)`` or ``(D,)``.
    target : Tensor
        1 or -1, of shape ``(N,)`` or ``()``.
    margin : float
        Cosine below which pairs with target -1 cost nothing.
    size_average, reduce : bool, optional
        Deprecated forms of `reduction`.
    reduction : str
        ``"mean"``, ``"sum"`` or ``"none"``.
    """
    reduction = legacy_reduction(size_average, reduce, reduction)
    if target.dim() not in (0, 1):
        raise RuntimeError(
            f"cosine_embedding_loss: target must have 0 or 1 dims, got {target.dim()}"
        )
    for input in (input1, input2):
        if input.dim() != target.dim() + 1:
            raise RuntimeError(
                f"cosine_embedding_loss: a target of {target.dim()} dims needs inputs of "
                f"{target.dim() + 1} dims, got {input.dim()}"
            )
    dim = target.dim()
    product = (input1 * input2).sum(dim)
    square1, square2 = (input1 * input1).sum(dim) + 1e-12, (input2 * input2).sum(dim) + 1e-12
    cosine = product / (square1 * square2).sqrt()
    alike = _C.where(target == 1, 1 - cosine, 0.0)
    apart = _C.where(target == -1, (cosine - margin).clamp(min=0), 0.0)
    return _reduce("cosine_embedding_loss", alike + apart, reduction)


def margin_ranking_loss(
    input1: Tensor,
    input2: Tensor,
    target: Tensor,
    margin: float = 0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Return ``max(0, -target (input1 - input2) + margin)``.

    Parameters
    ----------
    input1, input2, target : Tensor
        Scores, and 1 where the first should be the larger, else -1; all with as many dims.
    margin : float
        By how much the scores should differ.
    size_average, reduce : bool, optional
        Deprecated forms of `reduction`.
    reduction : str
        ``"mean"``, ``"sum"`` or ``"none"``.
    """
    reduction = legacy_reduction(size_average, reduce, reduction)
    if not input1.dim() == input2.dim() == target.dim():
        raise RuntimeError(
            "margin_ranking_loss: all tensors must have as many dims, got "
            f"{input1.dim()}, {input2.dim()} and {target.dim()}"
        )
    loss = (-target * (input1 - input2) + margin).clamp(min=0)
    return _reduce("margin_ranking_loss", loss, reduction)


def soft_margin_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Return ``log(1 + exp(-target * input))`` for targets 1 and -1; see `l1_loss`."""
    reduction = legacy_reduction(size_average, reduce, reduction)
    return _reduce("soft_margin_loss", (-target * input).exp().log1p(), reduction)


def _samples(name: str, input: Tensor, target: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """`input` as ``(N, C)``, and `target` of `rank` dims, one of them the batch."""
    if input.dim() > 2 or (input.numel() == 0 and input.shape[-1:] == (0,)):
        raise RuntimeError(
            f"{name}: input must be a vector or a matrix with at least one class, "
            f"got shape {tuple(input.shape)}"
        )
    rows = input.reshape(1, -1) if input.dim() < 2 else input
    single = input.dim() < 2 and target.dim() < rank
    goals = target.reshape(1, *target.shape) if single else target
    if rank == 2 and input.dim() == 0:
        goals = target.reshape(1, -1)
    expected = (rows.shape[0],) if rank == 1 else tuple(rows.shape)
    if tuple(goals.shape) != expected:
        raise RuntimeError(
            f"{name}: target does not fit the input's shape {tuple(input.shape)}, "
            f"got {tuple(target.shape)}"
        )
    if target.dtype != _C.int64:
        raise RuntimeError(f"{name}: target must be int64, got {target.dtype}")
    return rows, goals


def multi_margin_loss(
    input: Tensor,
    target: Tensor,
    p: int = 1,
    margin: float = 1.0,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Return the mean over classes of ``max(0, margin - input[target] + input[i]) ** p``.

    Parameters
    ----------
    input : Tensor
        Scores, of shape ``(N, C)`` or ``(C,)``.
    target : Tensor
        Classes, int64, of shape ``(N,)`` or ``()``.
    p : int
        1 or 2.
    margin : float
        By how much the target's score should exceed the others.
    weight : Tensor, optional
        Weight of each class, of shape ``(C,)``.
    size_average, reduce : bool, optional
        Deprecated forms of `reduction`.
    reduction : str
        ``"mean"``, ``"sum"`` or ``"none"``.
    """
    reduction = legacy_reduction(size_average, reduce, reduction)
    _check_reduction("multi_margin_loss", reduction)
    if p not in (1, 2):
        raise ValueError(f"multi_margin_loss: p must be 1 or 2, got {p}")
    rows, goals = _samples("multi_margin_loss", input, target, 1)
    count = rows.shape[1]
    if weight is not None and (weight.dim() > 1 or weight.numel() != count):
        raise RuntimeError(
            f"multi_margin_loss: weight must have shape ({count},), got {tuple(weight.shape)}"
        )
    if goals.numel() and not 0 <= goals.min().item() <= goals.max().item() < count:
        raise RuntimeError(f"multi_margin_loss: targets must lie in [0, {count})")
    goals = goals.unsqueeze(1)
    excess = (margin - rows.gather(1, goals) + rows).clamp(min=0)
    if p == 2:
        excess = excess * excess
    if weight is not None:
        excess = excess * weight[goals]
    others = _C.arange(count) != goals
    loss = _C.where(others, excess, 0.0).sum(1) / count
    if target.dim() == 0:
        loss = loss.reshape(())
    return _reduce("multi_margin_loss", loss, reduction)


def multilabel_margin_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Return the mean of ``max(0, 1 - (input[label] - input[i]))`` over labels and other classes.

    Parameters
    ----------
    input : Tensor
        Scores, of shape ``(N, C)`` or ``(C,)``.
    target : Tensor
        Labels, int64, of the input's shape; the first -1 ends those of a sample.
    size_average, reduce : bool, optional
        Deprecated forms of `reduction`.
    reduction : str
        ``"mean"``, ``"sum"`` or ``"none"``.
    """
    reduction = legacy_reduction(size_average, reduce, reduction)
    _check_reduction("multilabel_margin_loss", reduction)
    rows, goals = _samples("multilabel_margin_loss", input, target, 2)
    count = rows.shape[1]
    if goals.numel() and not -1 <= goals.min().item() <= goals.max().item() < count:
        raise RuntimeError(f"multilabel_margin_loss: labels must lie in [-1, {count})")
    places = _C.arange(count)
    end = _C.where(goals < 0, places, count).amin(1, True)
    listed = places < end  # (N, C), by place in the list
    labels = _C.where(listed, goals, 0)
    wanted = (labels.unsqueeze(2) == places) & listed.unsqueeze(2)  # (N, place, class)
    others = ~wanted.any(1)  # (N, C), by class
    excess = (1 - rows.gather(1, labels).unsqueeze(2) + rows.unsqueeze(1)).clamp(min=0)
    counted = listed.unsqueeze(2) & others.unsqueeze(1)
    loss = _C.where(counted, excess, 0.0).sum((1, 2)) / count
    if input.dim() < 2:
        loss = loss.reshape(())
    return _reduce("multilabel_margin_loss", loss, reduction)


def multilabel_soft_margin_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Return the mean over classes of the binary cross entropy of logits.

    Parameters
    ----------
    input, target : Tensor
        Logits, and 1 for each class that holds, else 0; of shape ``(*, C)``.
    weight : Tensor, optional
        Weight of each class, of shape ``(C,)``.
    size_average, reduce : bool, optional
        Deprecated forms of `reduction`.
    reduction : str
        ``"mean"``, ``"sum"`` or ``"none"``.
    """
    reduction = legacy_reduction(size_average, reduce, reduction)
    loss = -(target * logsigmoid(input) + (1 - target) * logsigmoid(-input))
    if weight is not None:
        loss = loss * weight
    return _reduce("multilabel_soft_margin_loss", loss.mean(-1), reduction)


def _triplet(
    name: str,
    distance: Callable[[Tensor, Tensor], Tensor],
    triplet: tuple[Tensor, Tensor, Tensor],
    margin: float,
    swap: bool,
    reduction: str,
) -> Tensor:
    _check_reduction(name, reduction)
    anchor, positive, negative = triplet
    if margin <= 0:
        raise ValueError(f"{name}: margin must be positive, got {margin}")
    if not anchor.dim() == positive.dim() == negative.dim():
        raise RuntimeError(
            f"{name}: anchor, positive and negative must have as many dims, got "
            f"{anchor.dim()}, {positive.dim()} and {negative.dim()}"
        )
    far = distance(anchor, negative)
    if swap:
        far = _C.minimum(far, distance(positive, negative))
    loss = (margin + distance(anchor, positive) - far).clamp(min=0)
    return _reduce(name, loss, reduction)


def triplet_margin_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    margin: float = 1.0,
    p: float = 2,
    eps: float = 1e-6,
    swap: bool = False,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Return ``max(0, d(anchor, positive) - d(anchor, negative) + margin)``.

    Parameters
    ----------
    anchor, positive, negative : Tensor
        Vectors, of shape ``(N, D)`` or ``(D,)``.
    margin : float
        By how much the negative should be farther away.
    p, eps : float
        As in `pairwise_distance`.
    swap : bool
        Measure the negative from the positive where that is nearer (Balntas et al., 2016).
    size_average, reduce : bool, optional
        Deprecated forms of `reduction`.
    reduction : str
        ``"mean"``, ``"sum"`` or ``"none"``.
    """
    reduction = legacy_reduction(size_average, reduce, reduction)

    def distance(x: Tensor, y: Tensor) -> Tensor:
        return pairwise_distance(x, y, p, eps)

    triplet = (anchor, positive, negative)
    return _triplet("triplet_margin_loss", distance, triplet, margin, swap, reduction)


def triplet_margin_with_distance_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    *,
    distance_function: Callable[[Tensor, Tensor], Tensor] | None = None,
    margin: float = 1.0,
    swap: bool = False,
    reduction: str = "mean",
) -> Tensor:
    """Return `triplet_margin_loss` by any distance; default is `pairwise_distance`."""
    return _triplet(
        "triplet_margin_with_distance_loss",
        distance_function or pairwise_distance,
        (anchor, positive, negative),
        margin,
        swap,
        reduction,
    )
