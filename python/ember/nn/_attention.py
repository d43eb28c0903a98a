"""Attention (Vaswani et al., 2017)."""

from __future__ import annotations

import math
import warnings

from .. import _C
from .._C import dropout, linear, scaled_dot_product_attention, softmax

Tensor = _C.Tensor


def _check_shapes(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    padding: Tensor | None,
    mask: Tensor | None,
    num_heads: int,
) -> bool:
    """Whether there is a batch dim."""
    name, dims = "multi_head_attention_forward", query.dim()
    if dims not in (2, 3):
        raise AssertionError(f"{name}: query must have 2 or 3 dims, got {dims}")
    if key.dim() != dims or value.dim() != dims:
        raise AssertionError(
            f"{name}: key and value must have {dims} dims as the query has, "
            f"got {key.dim()} and {value.dim()}"
        )
    if padding is not None and padding.dim() != dims - 1:
        raise AssertionError(
            f"{name}: key_padding_mask must have {dims - 1} dims, got {padding.dim()}"
        )
    if mask is not None:
        if mask.dim() not in (2, 3):
            raise AssertionError(f"{name}: attn_mask must have 2 or 3 dims, got {mask.dim()}")
        expected = (num_heads, query.shape[0], key.shape[0])
        if dims == 2 and mask.dim() == 3 and tuple(mask.shape) != expected:
            raise AssertionError(
                f"{name}: attn_mask must have shape {expected}, got {tuple(mask.shape)}"
            )
    return dims == 3


def _additive(name: str, mask: Tensor | None, dtype: _C.dtype) -> Tensor | None:
    """A mask as numbers to add: -inf where a bool mask is true."""
    if mask is None or mask.is_floating_point():
        return mask
    if mask.dtype != _C.bool:
        raise AssertionError(
            f"multi_head_attention_forward: {name} must be bool or floating point, got {mask.dtype}"
        )
    zeros = _C.zeros(mask.shape, dtype=dtype, device=mask.device)
    return zeros.masked_fill_(mask, float("-inf"))


def _project(
    sources: tuple[Tensor, Tensor, Tensor], weights: tuple, bias: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    biases = (None, None, None) if bias is None else bias.chunk(3)
    query, key, value = sources
    same_weights = len(weights) == 1
    if same_weights and query is key and key is value:
        return linear(query, weights[0], bias).chunk(3, -1)
    parts = weights[0].chunk(3) if same_weights else weights
    return tuple(linear(x, w, b) for x, w, b in zip(sources, parts, biases, strict=True))


def _heads(x: Tensor, count: int) -> Tensor:
    """(L, N, H D) as (N, H, L, D), without a copy."""
    return x.unflatten(-1, (count, x.shape[-1] // count)).permute(1, 2, 0, 3)


def _static(name: str, given: Tensor, query: Tensor) -> Tensor:
    """(N H, S, D) as (N, H, S, D)."""
    batch, heads, _, width = query.shape
    if given.size(0) != batch * heads or given.size(2) != width:
        raise AssertionError(
            f"multi_head_attention_forward: {name} must have shape ({batch * heads}, S, {width}), "
            f"got {tuple(given.shape)}"
        )
    return given.reshape(batch, heads, given.shape[1], width)


def _one_key_more(masks: tuple[Tensor | None, ...]) -> tuple[Tensor | None, ...]:
    return tuple(m if m is None else _C.pad(m, (0, 1)) for m in masks)


def multi_head_attention_forward(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    embed_dim_to_check: int,
    num_heads: int,
    in_proj_weight: Tensor | None,
    in_proj_bias: Tensor | None,
    bias_k: Tensor | None,
    bias_v: Tensor | None,
    add_zero_attn: bool,
    dropout_p: float,
    out_proj_weight: Tensor,
    out_proj_bias: Tensor | None,
    training: bool = True,
    key_padding_mask: Tensor | None = None,
    need_weights: bool = True,
    attn_mask: Tensor | None = None,
    use_separate_proj_weight: bool = False,
    q_proj_weight: Tensor | None = None,
    k_proj_weight: Tensor | None = None,
    v_proj_weight: Tensor | None = None,
    static_k: Tensor | None = None,
    static_v: Tensor | None = None,
    average_attn_weights: bool = True,
    is_causal: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """Project to several heads, attend in each, and project their results together.

    Parameters
    ----------
    query, key, value : Tensor
        Of shapes ``(L, N, E)``, ``(S, N, Ek)`` and ``(S, N, Ev)``, or these without ``N``.
    embed_dim_to_check : int
        ``E``.
    num_heads : int
        Divides ``E``.
    in_proj_weight, in_proj_bias : Tensor, optional
        Of shapes ``(3 E, E)`` and ``(3 E,)``: for query, key and value.
    bias_k, bias_v : Tensor, optional
        Of shape ``(1, 1, E)``: one more key and value.
    add_zero_attn : bool
        Add a key and a value of zeros.
    dropout_p : float
        Probability that a weight becomes 0 in training.
    out_proj_weight, out_proj_bias : Tensor
        Of shapes ``(E, E)`` and ``(E,)``.
    training : bool
        Whether dropout is on.
    key_padding_mask : Tensor, optional
        Of shape ``(N, S)`` or ``(S,)``: bool, true where a key is hidden, or added to the scores.
    need_weights : bool
        Return the attention weights as well.
    attn_mask : Tensor, optional
        Of shape ``(L, S)`` or ``(N num_heads, L, S)``; as `key_padding_mask`.
    use_separate_proj_weight : bool
        Use `q_proj_weight`, `k_proj_weight` and `v_proj_weight` for `in_proj_weight`.
    static_k, static_v : Tensor, optional
        Of shape ``(N num_heads, S, E / num_heads)``: used for the projected ones.
    average_attn_weights : bool
        Return the mean of the heads' weights.
    is_causal : bool
        Says that `attn_mask` is the causal one.

    Returns
    -------
    tuple
        The result, of shape ``(L, N, E)``, and the weights, of shape ``(N, L, S)`` or ``(N,
        num_heads, L, S)``, or None.
    """
    name = "multi_head_attention_forward"
    batched = _check_shapes(query, key, value, key_padding_mask, attn_mask, num_heads)
    if not batched:
        same = query is key and key is value
        query = query.unsqueeze(1)
        key, value = (query, query) if same else (key.unsqueeze(1), value.unsqueeze(1))
        if key_padding_mask is not None:
            key_padding_mask = key_padding_mask.unsqueeze(0)
    target, batch, width = query.shape
    source = key.shape[0]
    if is_causal and attn_mask is None:
        raise RuntimeError(f"{name}: is_causal is a hint about attn_mask, which is missing")
    if None not in (attn_mask, key_padding_mask) and attn_mask.dtype != key_padding_mask.dtype:
        warnings.warn(
            f"{name}: attn_mask and key_padding_mask should have one dtype, got "
            f"{attn_mask.dtype} and {key_padding_mask.dtype}",
            stacklevel=2,
        )
    key_padding_mask = _additive("key_padding_mask", key_padding_mask, query.dtype)
    if is_causal and key_padding_mask is None and not need_weights:
        attn_mask = None
    else:
        is_causal = False
        attn_mask = _additive("attn_mask", attn_mask, query.dtype)
    if width != embed_dim_to_check:
        raise AssertionError(f"{name}: query must have width {embed_dim_to_check}, got {width}")
    head_width = width // num_heads
    if head_width * num_heads != width:
        raise AssertionError(f"{name}: num_heads must divide {width}, got {num_heads}")

    if use_separate_proj_weight:
        if key.shape[:2] != value.shape[:2]:
            raise AssertionError(
                f"{name}: key and value must agree in their first dims, "
                f"got {tuple(key.shape)} and {tuple(value.shape)}"
            )
        weights = (q_proj_weight, k_proj_weight, v_proj_weight)
    else:
        if key.shape != value.shape:
            raise AssertionError(
                f"{name}: key and value must have one shape, "
                f"got {tuple(key.shape)} and {tuple(value.shape)}"
            )
        weights = (in_proj_weight,)
    if any(w is None for w in weights):
        raise AssertionError(f"{name}: the weights of the projections are missing")
    q, k, v = _project((query, key, value), weights, in_proj_bias)

    if attn_mask is not None:
        expected = (target, source)
        if attn_mask.dim() == 3:
            expected = (batch * num_heads, target, source)
        if tuple(attn_mask.shape) != expected:
            raise RuntimeError(
                f"{name}: attn_mask must have shape {expected}, got {tuple(attn_mask.shape)}"
            )
        if attn_mask.dim() == 3:
            attn_mask = attn_mask.reshape(batch, num_heads, target, source)
    if (bias_k is None) != (bias_v is None):
        raise AssertionError(f"{name}: bias_k and bias_v belong together")
    if bias_k is not None:
        if static_k is not None or static_v is not None:
            raise AssertionError(f"{name}: bias_k cannot be added to static_k or static_v")
        k = _C.cat((k, bias_k.expand(1, batch, width)))
        v = _C.cat((v, bias_v.expand(1, batch, width)))
        attn_mask, key_padding_mask = _one_key_more((attn_mask, key_padding_mask))
    q = _heads(q, num_heads)
    k = _heads(k, num_heads) if static_k is None else _static("static_k", static_k, q)
    v = _heads(v, num_heads) if static_v is None else _static("static_v", static_v, q)
    if add_zero_attn:
        zeros = _C.zeros((batch, num_heads, 1, head_width), dtype=k.dtype, device=k.device)
        k, v = _C.cat((k, zeros), 2), _C.cat((v, zeros), 2)
        attn_mask, key_padding_mask = _one_key_more((attn_mask, key_padding_mask))
    source = k.shape[2]
    if key_padding_mask is not None:
        if tuple(key_padding_mask.shape) != (batch, source):
            raise AssertionError(
                f"{name}: key_padding_mask must have shape {(batch, source)}, "
                f"got {tuple(key_padding_mask.shape)}"
            )
        hidden = key_padding_mask.reshape(batch, 1, 1, source)
        attn_mask = hidden if attn_mask is None else attn_mask + hidden
    dropout_p = dropout_p if training else 0.0

    def joined(x: Tensor) -> Tensor:
        """(N, H, L, D) through the last projection, as (L, N, E)."""
        rows = x.permute(2, 0, 1, 3).reshape(target * batch, width)
        out = linear(rows, out_proj_weight, out_proj_bias)
        out = out.reshape(target, batch, out.shape[1])
        return out if batched else out.squeeze(1)

    if need_weights:
        q = q * math.sqrt(1 / head_width)
        scores = q @ k.transpose(-2, -1)
        if attn_mask is not None:
            scores = scores + attn_mask
        attention = softmax(scores, -1)
        if dropout_p > 0.0:
            attention = dropout(attention, dropout_p, True)
        out = joined(attention @ v)
        if average_attn_weights:
            attention = attention.mean(1)
        return out, attention if batched else attention.squeeze(0)

    out = scaled_dot_product_attention(q, k, v, attn_mask, dropout_p, is_causal)
    return joined(out), None
