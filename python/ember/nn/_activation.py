"""Activations, distances and noise; use them as ``ember.nn.functional.softsign`` and so on."""

from __future__ import annotations

import math
from typing import Any

from .. import _C
from .._C import celu, elu, hardtanh, leaky_relu, relu, selu

Tensor = _C.Tensor


def relu_(input: Tensor) -> Tensor:
    """Apply `relu` in the input's own memory."""
    return relu(input, inplace=True)


def leaky_relu_(input: Tensor, negative_slope: float = 0.01) -> Tensor:
    """Apply `leaky_relu` in the input's own memory."""
    return leaky_relu(input, negative_slope, True)


def elu_(input: Tensor, alpha: float = 1.0) -> Tensor:
    """Apply `elu` in the input's own memory."""
    return elu(input, alpha, True)


def celu_(input: Tensor, alpha: float = 1.0) -> Tensor:
    """Apply `celu` in the input's own memory."""
    return celu(input, alpha, True)


def selu_(input: Tensor) -> Tensor:
    """Apply `selu` in the input's own memory."""
    return selu(input, True)


def hardtanh_(input: Tensor, min_val: float = -1.0, max_val: float = 1.0) -> Tensor:
    """Apply `hardtanh` in the input's own memory."""
    return hardtanh(input, min_val, max_val, True)


def threshold_(input: Tensor, threshold: float, value: float) -> Tensor:
    """Apply `threshold` in the input's own memory."""
    return _C.threshold(input, threshold, value, True)


def rrelu(
    input: Tensor,
    lower: float = 1.0 / 8,
    upper: float = 1.0 / 3,
    training: bool = False,
    inplace: bool = False,
) -> Tensor:
    """Leave positive values, and multiply the others by slopes drawn from ``[lower, upper]``.

    Parameters
    ----------
    input : Tensor
        Floating point, of any shape.
    lower, upper : float
        Range of the slopes; outside of training the slope is their mean.
    training : bool
        Draw a slope for each value.
    inplace : bool
        Change the input itself.
    """
    if not input.is_floating_point():
        raise NotImplementedError(f"rrelu: expected a floating point tensor, got {input.dtype}")
    if lower > upper:
        raise RuntimeError(f"rrelu: lower must not exceed upper={upper}, got {lower}")
    if not training:
        return leaky_relu(input, (lower + upper) / 2, inplace)
    below = input.detach() <= 0
    drawn = _C.empty((int(below.sum()),), dtype=_C.float64, device=input.device)
    slopes = _C.ones_like(input, memory_format=_C.contiguous_format, requires_grad=False)
    slopes[below] = drawn.uniform_(lower, upper).to(input.dtype)
    return input.mul_(slopes) if inplace else input * slopes


def rrelu_(
    input: Tensor, lower: float = 1.0 / 8, upper: float = 1.0 / 3, training: bool = False
) -> Tensor:
    """Apply `rrelu` in the input's own memory."""
    return rrelu(input, lower, upper, training, True)


def softsign(input: Tensor) -> Tensor:
    """Compute ``input / (1 + |input|)``."""
    return input / (input.abs() + 1)


def tanhshrink(input: Tensor) -> Tensor:
    """Compute ``input - tanh(input)``."""
    return input - input.tanh()


def gumbel_softmax(
    logits: Tensor, tau: float = 1, hard: bool = False, eps: float = 1e-10, dim: int = -1
) -> Tensor:
    """Draw from the Gumbel-softmax distribution (Jang et al., 2016).

    Parameters
    ----------
    logits : Tensor
        Unnormalised log-probabilities.
    tau : float
        Temperature.
    hard : bool
        Return one-hot vectors, with the gradient of the soft ones.
    eps : float
        Has no effect.
    dim : int
        Dimension of the classes.
    """
    noise = _C.empty_like(logits, memory_format=_C.contiguous_format, requires_grad=False)
    soft = ((logits - noise.exponential_().log()) / tau).softmax(dim)
    if not hard:
        return soft
    one_hot = _C.zeros_like(logits, memory_format=_C.contiguous_format, requires_grad=False)
    one_hot.scatter_(dim, soft.argmax(dim, True), 1.0)
    return one_hot - soft.detach() + soft


def _alpha_dropout(
    name: str, input: Tensor, p: float, training: bool, inplace: bool, channels: bool
) -> Tensor:
    if not 0.0 <= p <= 1.0:
        raise ValueError(f"{name}: p must be between 0 and 1, got {p}")
    if channels and input.dim() < 2:
        raise RuntimeError(f"{name}: expected at least 2D input, got {input.dim()}D input")
    if not training or p == 0.0 or input.numel() == 0:
        return input
    if p == 1.0:
        zero = _C.zeros((), dtype=input.dtype, device=input.device)
        return input.mul_(zero) if inplace else input * zero
    keep = _C.empty_like(input, requires_grad=False)
    if channels:
        shape = (*input.shape[:2], *(1,) * (input.dim() - 2))
        keep = _C.empty(shape, dtype=input.dtype, device=input.device)
    keep.bernoulli_(1 - p)
    lowest = 1.7580993408473766  # minus what SELU tends to: its scale times its alpha
    factor = 1 / math.sqrt((lowest * lowest * p + 1) * (1 - p))
    shift = (keep - 1).mul_(lowest * factor).add_(lowest * factor * p)
    keep.mul_(factor)
    return input.mul_(keep).add_(shift) if inplace else input * keep + shift


def alpha_dropout(
    input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False
) -> Tensor:
    """Set values to SELU's lowest while training, keeping mean and variance.

    Parameters
    ----------
    input : Tensor
        Of any shape.
    p : float
        Probability of each value.
    training : bool
        Return the input itself where false.
    inplace : bool
        Change the input itself.
    """
    return _alpha_dropout("alpha_dropout", input, p, training, inplace, False)


def feature_alpha_dropout(
    input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False
) -> Tensor:
    """Apply `alpha_dropout` to whole channels of ``(N, C, ...)``."""
    return _alpha_dropout("feature_alpha_dropout", input, p, training, inplace, True)


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


def pairwise_distance(
    x1: Tensor, x2: Tensor, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False
) -> Tensor:
    """Return the `p`-norm of ``x1 - x2 + eps`` along the last dim of the larger."""
    return (x1 - x2 + eps).norm(p, max(x1.dim(), x2.dim()) - 1, keepdim)


def pdist(input: Tensor, p: float = 2.0) -> Tensor:
    """Return the distances of all pairs of rows, in the order of the upper triangle.

    Parameters
    ----------
    input : Tensor
        Of shape ``(N, M)``.
    p : float
        Which norm; at least 0.
    """
    if input.dim() != 2:
        raise RuntimeError(f"pdist: expected a 2D tensor, got {input.dim()}D")
    if not input.is_floating_point():
        raise RuntimeError(f"pdist: expected a floating point tensor, got {input.dtype}")
    if not p >= 0:
        raise RuntimeError(f"pdist: p must not be negative, got {p}")
    rows = _C.arange(input.shape[0], device=input.device)
    first, second = (rows.unsqueeze(1) < rows).nonzero().unbind(1)
    return (input[first] - input[second]).norm(p, 1)


def softmin(
    input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None
) -> Tensor:
    """Compute ``softmax(-input)``."""
    return _C.softmax(-input, dim, _stacklevel, dtype)
