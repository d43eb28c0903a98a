"""Helpers of the distributions: broadcasting of parameters, probabilities and log-odds."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Number
from typing import Any

import ember
from ember import Tensor

__all__ = [
    "broadcast_all",
    "clamp_probs",
    "lazy_property",
    "logits_to_probs",
    "probs_to_logits",
    "tril_matrix_to_vec",
    "vec_to_tril_matrix",
]

euler_constant = 0.57721566490153286060


def broadcast_all(*values: Any) -> tuple[Tensor, ...]:
    """Return parameters as tensors of one shape; numbers take the tensors' dtype and device.

    Raises
    ------
    ValueError
        A value is neither a number nor a tensor.
    """
    for value in values:
        if not isinstance(value, Tensor | Number):
            raise ValueError(
                "Input arguments must all be instances of Number or torch.Tensor, got "
                f"{type(value).__name__}"
            )
    options: dict[str, Any] = {"dtype": ember.get_default_dtype()}
    for value in values:
        if isinstance(value, Tensor):
            options = {"dtype": value.dtype, "device": value.device}
            break
    tensors = [v if isinstance(v, Tensor) else ember.tensor(v, **options) for v in values]
    return tuple(ember.broadcast_tensors(*tensors))


def all_numbers(*values: Any) -> bool:
    """Say whether no value is a tensor."""
    return all(isinstance(value, Number) for value in values)


def standard_normal(shape: Any, like: Tensor) -> Tensor:
    """Draw from the standard normal distribution, of the dtype and device of ``like``."""
    return _standard_normal(shape, like.dtype, like.device)


def _standard_normal(shape: Any, dtype: Any, device: Any) -> Tensor:  # libraries call it
    return ember.empty(shape, dtype=dtype, device=device).normal_()


def sum_rightmost(value: Tensor, dims: int) -> Tensor:
    """Sum over the last ``dims`` dims."""
    if dims == 0:
        return value
    return value.reshape([*value.shape[: value.dim() - dims], -1]).sum(-1)


def softplus(x: Tensor) -> Tensor:
    """Return log(1 + exp(x)), precise on both sides."""
    return ember.logaddexp(x, ember.zeros_like(x))


def clamp_probs(probs: Tensor) -> Tensor:
    """Keep probabilities so far from 0 and 1 that their logarithms are finite."""
    eps = ember.finfo(probs.dtype).eps
    return probs.clamp(min=eps, max=1 - eps)


def probs_to_logits(probs: Tensor, is_binary: bool = False) -> Tensor:
    """Return log-odds, or of the probabilities along the last dim the logarithms."""
    clamped = clamp_probs(probs)
    if is_binary:
        return clamped.log() - (-clamped).log1p()
    return clamped.log()


def logits_to_probs(logits: Tensor, is_binary: bool = False) -> Tensor:
    """Return the probabilities of log-odds, or of log-probabilities along the last dim."""
    return logits.sigmoid() if is_binary else logits.softmax(-1)


def binary_entropy(logits: Tensor, probs: Tensor) -> Tensor:
    """Return the entropy of choices between two."""
    return ember.binary_cross_entropy_with_logits(logits, probs, reduction="none")


class lazy_property:
    """A property that is computed when it is first asked for, with gradients, and then kept."""

    def __init__(self, wrapped: Callable) -> None:
        self.wrapped = wrapped
        self.__doc__ = wrapped.__doc__
        self.__name__ = wrapped.__name__

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        if instance is None:
            return self
        with ember.enable_grad():
            value = self.wrapped(instance)
        setattr(instance, self.__name__, value)
        return value


def tril_matrix_to_vec(mat: Tensor, diag: int = 0) -> Tensor:
    """Return the lower triangle of matrices, row by row, as vectors."""
    n = mat.shape[-1]
    if not -n <= diag < n:
        raise ValueError(f"diag ({diag}) provided is outside [{-n}, {n - 1}].")
    rows, columns = ember.tril_indices(n, n, diag)
    return mat[..., rows, columns]


def vec_to_tril_matrix(vec: Tensor, diag: int = 0) -> Tensor:
    """Return the matrices whose lower triangles, row by row, are the vectors."""
    count = vec.shape[-1]
    # The smallest n with n (n + 1) / 2 plus the diagonals that `diag` adds or leaves out.
    n = round(
        (-(1 + 2 * diag) + ((1 + 2 * diag) ** 2 + 8 * count + 4 * abs(diag) * (diag + 1)) ** 0.5)
        / 2
    )
    rows, columns = ember.tril_indices(n, n, diag)
    if len(rows) != count:
        raise ValueError(
            f"The size of last dimension is {count} which cannot be expressed as the lower "
            "triangular part of a square D x D matrix."
        )
    out = ember.zeros([*vec.shape[:-1], n * n], dtype=vec.dtype, device=vec.device)
    places = (rows * n + columns).expand(vec.shape)
    return out.scatter(-1, places, vec).reshape([*vec.shape[:-1], n, n])
