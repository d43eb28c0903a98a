"""Losses that push scores and distances apart by a margin."""

from __future__ import annotations

from collections.abc import Callable

from .. import _C
from .._autocast import in_float32
from .._C import logsigmoid
from ._activation import pairwise_distance
from ._loss import check_reduction, legacy_reduction, reduce_loss

Tensor = _C.Tensor


@in_float32
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
    return reduce_loss("hinge_embedding_loss", far + near, reduction)


@in_float32
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
    return reduce_loss("cosine_embedding_loss", alike + apart, reduction)


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
    return reduce_loss("margin_ranking_loss", loss, reduction)


@in_float32
def soft_margin_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Return ``log(1 + exp(-target * input))`` for targets 1 and -1; see `l1_loss`."""
    reduction = legacy_reduction(size_average, reduce, reduction)
    return reduce_loss("soft_margin_loss", (-target * input).exp().log1p(), reduction)


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


@in_float32
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
    check_reduction("multi_margin_loss", reduction)
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
    others = _C.arange(count, device=goals.device) != goals
    loss = _C.where(others, excess, 0.0).sum(1) / count
    if target.dim() == 0:
        loss = loss.reshape(())
    return reduce_loss("multi_margin_loss", loss, reduction)


@in_float32
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
    check_reduction("multilabel_margin_loss", reduction)
    rows, goals = _samples("multilabel_margin_loss", input, target, 2)
    count = rows.shape[1]
    if goals.numel() and not -1 <= goals.min().item() <= goals.max().item() < count:
        raise RuntimeError(f"multilabel_margin_loss: labels must lie in [-1, {count})")
    places = _C.arange(count, device=goals.device)
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
    return reduce_loss("multilabel_margin_loss", loss, reduction)


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
    return reduce_loss("multilabel_soft_margin_loss", loss.mean(-1), reduction)


def _triplet(
    name: str,
    distance: Callable[[Tensor, Tensor], Tensor],
    triplet: tuple[Tensor, Tensor, Tensor],
    margin: float,
    swap: bool,
    reduction: str,
) -> Tensor:
    check_reduction(name, reduction)
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
    return reduce_loss(name, loss, reduction)


@in_float32
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
