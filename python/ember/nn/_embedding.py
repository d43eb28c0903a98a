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


def _bags(input: Tensor, offsets: Tensor, include_last_offset: bool) -> tuple[Tensor, int]:
    """The bag of each index, and how many bags there are."""
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
    places = _C.arange(input.numel(), dtype=offsets.dtype, device=offsets.device)
    return (places.unsqueeze(1) >= offsets[:count]).sum(1) - 1, count


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
    flat = input.reshape(-1)
    bags, count = _bags(flat, offsets, include_last_offset)
    rows = embedding(flat, weight, None, max_norm, norm_type, scale_grad_by_freq, sparse)
    if padding_idx is not None:
        if not -weight.shape[0] <= padding_idx < weight.shape[0]:
            raise RuntimeError(
                f"embedding_bag: padding_idx must lie within {weight.shape[0]} rows, "
                f"got {padding_idx}"
            )
        counted = (flat != padding_idx % weight.shape[0]).nonzero().squeeze(1)
        rows, bags = rows[counted], bags[counted]
        if per_sample_weights is not None:
            per_sample_weights = per_sample_weights.reshape(-1)[counted]
    if mode == "max":
        return _largest(rows, bags, count)
    if per_sample_weights is not None:
        if per_sample_weights.dtype != weight.dtype:
            raise RuntimeError(
                f"embedding_bag: per_sample_weights must be {weight.dtype} as weight, "
                f"got {per_sample_weights.dtype}"
            )
        rows = rows * per_sample_weights.reshape(-1, 1)
    out = weight.new_zeros((count, weight.shape[1])).index_add(0, bags, rows)
    if mode == "mean":
        sizes = weight.new_zeros((count,))
        sizes.index_add_(0, bags, weight.new_ones(bags.shape))
        out = out / sizes.clamp(min=1).unsqueeze(1)
    return out


def _largest(rows: Tensor, bags: Tensor, count: int) -> Tensor:
    bag_sizes = [int((bags == i).sum()) for i in range(count)]
    parts = rows.split(bag_sizes) if count else ()
    width = rows.shape[1]
    # The gradient goes to the first of equals, as by an index.
    best = [p.max(0).values if len(p) else rows.new_zeros((width,)) for p in parts]
    return _C.stack(best) if best else rows.new_zeros((0, width))
