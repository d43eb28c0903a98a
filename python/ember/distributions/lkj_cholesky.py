"""The LKJ distribution of correlation matrices."""

from __future__ import annotations

import math
from typing import Any

import ember
from ember import Tensor

from . import constraints
from .beta import Beta
from .distribution import Distribution
from .utils import broadcast_all

__all__ = ["LKJCholesky"]


class LKJCholesky(Distribution):
    """Cholesky factors of correlation matrices whose density is det ** (concentration - 1).

    Concentration 1 is the uniform distribution over correlation matrices; a higher one is denser
    about the identity. After Lewandowski, Kurowicka and Joe, Journal of Multivariate Analysis
    100 (2009); samples are theirs by the onion method.

    Parameters
    ----------
    dim : int
        Rows of the matrices, at least 2.
    concentration : float or Tensor
        Above 0.
    """

    arg_constraints = {"concentration": constraints.positive}
    support = constraints.corr_cholesky

    def __init__(
        self, dim: int, concentration: Any = 1.0, validate_args: bool | None = None
    ) -> None:
        if dim < 2:
            raise ValueError(f"LKJCholesky: dim must be at least 2, got {dim}")
        self.dim = dim
        (self.concentration,) = broadcast_all(concentration)
        super().__init__(self.concentration.shape, (dim, dim), validate_args=validate_args)

    def _rows(self) -> Tensor:
        """Numbers of the rows but the first, from 1."""
        like = self.concentration
        return ember.arange(1, self.dim, dtype=like.dtype, device=like.device)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        # Row i is a point of the ball of i dims: in a uniform direction, with a squared length
        # from a beta distribution; the diagonal completes it to length 1.
        with ember.no_grad():
            rows, shape = self._rows(), self._extended_shape(sample_shape)
            rest = self.concentration.unsqueeze(-1) + 0.5 * (self.dim - 1 - rows)
            squared = Beta((0.5 * rows).expand(rest.shape), rest).sample(sample_shape)
            normal = ember.empty(shape, dtype=rows.dtype, device=rows.device).normal_().tril(-1)
            below = normal[..., 1:, :]
            below = below * (squared.sqrt() / below.norm(dim=-1)).unsqueeze(-1)
            factor = ember.cat([ember.zeros_like(normal[..., :1, :]), below], -2)
            tiny = ember.finfo(rows.dtype).tiny
            diagonal = (1 - factor.square().sum(-1)).clamp(min=tiny).sqrt()
            return factor + ember.diag_embed(diagonal)

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        # From the correlation matrix to its factor each diagonal element counts to the number of
        # rows below it.
        rows, d = self._rows(), self.dim - 1
        power = 2 * (self.concentration - 1).unsqueeze(-1) + d - rows
        diagonal = value.diagonal(0, -2, -1)[..., 1:]
        # The normaliser of the paper's theorem 5, gathered into a multivariate gamma function.
        alpha = self.concentration + 0.5 * d
        log_norm = 0.5 * d * math.log(math.pi) + (alpha - 0.5).mvlgamma(d) - d * alpha.lgamma()
        return (power * diagonal.log()).sum(-1) - log_norm
