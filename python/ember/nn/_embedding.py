"""Look-ups in tables of vectors."""

from __future__ import annotations

from .. import _C
from ..autograd import no_grad

Tensor = _C.Tensor


def _limit_norms(input: Tensor, weight: Tensor, max_norm: float, norm_type: float) -> None:
    """Scale the rows that `input` names, in place, to a norm of at most `max_norm`."""
    with no_grad():
        named = _C.zeros((weight.shape[0],), dtype=_C.bool, device=weight.device)
        named[input.reshape(-1)] = True
        norms = weight.norm(norm_type, 1)
        rows = (named & (norms > max_norm)).nonzero().squeeze(1)
        weight[rows] *= (max_norm / (norms[rows] + 1e-7)).unsqueeze(1)


def embedding(
    input: Tensor,
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:
    """Return the rows of `weight` that `input` names.

    Parameters
    ----------
    input : Tensor
        Indices, int64 or int32, of any shape.
    weight : Tensor
        Of shape ``(N, D)``.
    padding_idx : int, optional
        Row that gets no gradient.
    max_norm : float, optional
        Scale longer rows that `input` names to this norm, in place.
    norm_type : float
        Which norm.
    scale_grad_by_freq : bool
        Divide a row's gradient by how often `input` names it.
    sparse : bool
        Give `weight`, which must be a leaf, a sparse gradient.
    """
    if max_norm is not None:
        _limit_norms(input, weight, max_norm, norm_type)
    if sparse and weight.requires_grad and _C.is_grad_enabled():
        from ..sparse._embedding import SparseEmbedding

        return SparseEmbedding.apply(input, weight, padding_idx, scale_grad_by_freq)
    return _C.embedding(input, weight, padding_idx, None, norm_type, scale_grad_by_freq, sparse)


def _bag_sizes(input: Tensor, offsets: Tensor, include_last_offset: bool) -> Tensor:
    """How many indices each bag has."""
    if not input.dtype == offsets.dtype:
        raise RuntimeError(
            "embedding_bag: input and offsets must have one dtype, "
            f"got {input.dtype} and {offsets.dtype}"
        )
    count = offsets.numel() - include_last_offset
    if count < 0:
        raise RuntimeError("embedding_bag: include_last_offset needs at least one offset")
    if offsets.numel():
        if offsets[0].item() != 0:
            raise RuntimeError(f"embedding_bag: offsets must start at 0, got {offsets[0].item()}")
        if offsets[-1].item() > input.numel():
            raise RuntimeError(
                f"embedding_bag: offsets must lie in [0, {input.numel()}], got {offsets[-1].item()}"
            )
    elif input.numel():
        raise RuntimeError("embedding_bag: offsets must not be empty")
    starts = offsets[:count]
    return starts.diff(append=starts.new_full((1,), input.numel())) if count else starts


def embedding_bag(
    input: Tensor,
    weight: Tensor,
    offsets: Tensor | None = None,
    max_norm: float | None = None,
    norm_type: float = 2,
    scale_grad_by_freq: bool = False,
    mode: str = "mean",
    sparse: bool = False,
    per_sample_weights: Tensor | None = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Tensor:
    """Return the sum, mean or maximum of the rows of `weight` that each bag names.

    Parameters
    ----------
    input : Tensor
        Indices: of shape ``(B, n)``, or all bags in one row with `offsets`.
    weight : Tensor
        Of shape ``(N, D)``.
    offsets : Tensor, optional
        Where each bag starts.
    max_norm, norm_type, scale_grad_by_freq, sparse
        As in `embedding`.
    mode : str
        ``"sum"``, ``"mean"`` or ``"max"``; an empty bag gives zeros.
    per_sample_weights : Tensor, optional
        Factors of the rows, of the input's shape; for ``"sum"`` alone.
    include_last_offset : bool
        The last of `offsets` is where the last bag ends.
    padding_idx : int, optional
        Index that does not count.
    """
    if per_sample_weights is not None and per_sample_weights.shape != input.shape:
        raise ValueError(
            f"embedding_bag: per_sample_weights must have shape {tuple(input.shape)}, "
            f"got {tuple(per_sample_weights.shape)}"
        )
    if weight.dim() != 2:
        raise ValueError(f"embedding_bag: weight must have 2 dims, got {weight.dim()}")
    if mode not in ("sum", "mean", "max"):
        raise ValueError(f"embedding_bag: mode must be 'sum', 'mean' or 'max', got {mode!r}")
    if per_sample_weights is not None and mode != "sum":
        raise NotImplementedError(
            f"embedding_bag: per_sample_weights needs mode 'sum', got {mode!r}"
        )
    if mode == "max" and (scale_grad_by_freq or sparse):
        raise ValueError("embedding_bag: mode 'max' takes neither scale_grad_by_freq nor sparse")
    if input.dim() == 2:
        if offsets is not None:
            raise ValueError("embedding_bag: a 2D input needs no offsets")
        width = input.shape[1]
        offsets = _C.arange(input.shape[0], dtype=input.dtype, device=input.device) * width
        include_last_offset = False
    elif input.dim() != 1:
        raise ValueError(f"embedding_bag: input must have 1 or 2 dims, got {input.dim()}")
    elif offsets is None or offsets.dim() != 1:
        raise ValueError("embedding_bag: a 1D input needs 1D offsets")
    if padding_idx is not None and not -weight.shape[0] <= padding_idx < weight.shape[0]:
        raise RuntimeError(
            f"embedding_bag: padding_idx must lie within {weight.shape[0]} rows, got {padding_idx}"
        )
    factors = per_sample_weights
    if factors is not None:
        if factors.dtype != weight.dtype:
            raise RuntimeError(
                f"embedding_bag: per_sample_weights must be {weight.dtype} as weight, "
                f"got {factors.dtype}"
            )
        factors = factors.reshape(-1)
    flat = input.reshape(-1)
    sizes = _bag_sizes(flat, offsets, include_last_offset)
    count = sizes.numel()
    bags = _C.arange(count, device=sizes.device).repeat_interleave(sizes)
    if max_norm is not None:
        _limit_norms(flat, weight, max_norm, norm_type)
    if padding_idx is not None:
        counted = (flat != padding_idx % weight.shape[0]).nonzero().squeeze(1)
        flat, bags = flat[counted], bags[counted]
        sizes = bags.bincount(minlength=count)
        factors = None if factors is None else factors[counted]
    if mode == "max" or scale_grad_by_freq or sparse:
        weight = embedding(flat, weight, None, None, norm_type, scale_grad_by_freq, sparse)
        flat = _C.arange(flat.numel(), device=flat.device)
    if mode == "max":
        return _largest(weight, flat, bags, count)
    out = _C._sum_rows(weight, flat, bags, count, factors)
    return out / sizes.clamp(min=1).unsqueeze(1) if mode == "mean" else out


def _largest(rows: Tensor, places: Tensor, bags: Tensor, count: int) -> Tensor:
    width, last = rows.shape[1], rows.shape[0]
    if last == 0:
        return rows.new_zeros((count, width))
    with no_grad():
        best = rows.new_empty((count, width)).index_reduce(
            0, bags, rows, "amax", include_self=False
        )
        wins = (rows == best[bags]) | rows.isnan()
        # The gradient goes to the first of equals, as by an index.
        place = _C.where(wins, places.unsqueeze(1), last)
        first = place.new_full((count, width), last).index_reduce(0, bags, place, "amin")
    picked = rows.gather(0, first.clamp(max=last - 1))
    return _C.where(first == last, 0, picked)
