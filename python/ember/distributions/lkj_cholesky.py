"""Lewandowski, Kurowicka and Joe's distribution of correlation matrices, by Cholesky factors."""

from __future__ import annotations

import math
from typing import Any

import ember
from ember import Tensor

from . import constraints
from .beta import Beta
from .distribution import Distribution
from .utils import standard_normal

__all__ = ["LKJCholesky"]


class LKJCholesky(Distribution):
    """Lower Cholesky factors of correlation matrices of density det(M)^(concentration - 1).

    "Generating random correlation matrices based on vines and extended onion method", 2009.

    Parameters
    ----------
    dim : int
        The number of rows, at least 2.
    concentration : Tensor or float
        1 makes all correlation matrices as probable, more the ones near the identity more so.
    """

    arg_constraints = {"concentration": constraints.positive}
    support = constraints.corr_cholesky

    def __init__(
        self, dim: int, concentration: Any = 1.0, validate_args: bool | None = None
    ) -> None:
        if dim < 2:
            raise ValueError(f"LKJCholesky: expected dim of at least 2, got {dim}")
        self.dim = dim
        self.concentration = ember.as_tensor(concentration)
        if not self.concentration.is_floating_point():
            self.concentration = self.concentration.to(ember.get_default_dtype())
        # Row i of the factor is a point of the sphere: its part left of the diagonal has a uniform
        # direction, and the square of its length is a Beta variable (section 3.2). PyTorch adds i
        # to the first parameter where this adds i / 2, and so draws from another distribution.
        rows = ember.arange(
            dim - 1, dtype=self.concentration.dtype, device=self.concentration.device
        )
        left = 0.5 * ember.cat([rows.new_zeros(1), rows])
        rest = self.concentration.unsqueeze(-1) + 0.5 * (dim - 2)
        self._beta = Beta(left + 0.5, rest - left)
        super().__init__(self.concentration.shape, (dim, dim), validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Distribution:
        new = super().expand(batch_shape, _instance)
        new._beta = self._beta.expand([*new.batch_shape, self.dim])
        return new

    def sample(self, sample_shape: Any = ()) -> Tensor:
        length = self._beta.sample(sample_shape).unsqueeze(-1)
        direction = standard_normal(self._extended_shape(sample_shape), length).tril(-1)
        direction = direction / direction.norm(dim=-1, keepdim=True)
        direction[..., 0, :] = 0  # nothing is left of the first row's diagonal
        factor = length.sqrt() * direction
        rest = (1 - factor.square().sum(-1)).clamp(min=ember.finfo(factor.dtype).tiny)
        return factor + rest.sqrt().diag_embed()

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        # The determinant's power, and the change of variables from matrices to factors.
        rows = ember.arange(2, self.dim + 1, device=self.concentration.device)
        powers = 2 * (self.concentration - 1).unsqueeze(-1) + self.dim - rows
        logs = value.diagonal(dim1=-1, dim2=-2)[..., 1:].log()
        # The normalising constant, page 1999 of the paper.
        n = self.dim - 1
        alpha = self.concentration + 0.5 * n
        constant = 0.5 * n * math.log(math.pi)
        return (powers * logs).sum(-1) - (
            constant + ember.mvlgamma(alpha - 0.5, n) - ember.lgamma(alpha) * n
        )
