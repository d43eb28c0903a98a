"""The Wishart distribution."""

from __future__ import annotations

import math
from typing import Any

import ember
from ember import Size, Tensor

from . import constraints
from .chi2 import Chi2
from .distribution import Distribution
from .multivariate_normal import CovarianceForms, log_diagonal
from .utils import standard_normal

__all__ = ["Wishart"]


class Wishart(CovarianceForms, Distribution):
    """Sums of ``df`` outer products of normal vectors, for any real ``df`` above their length - 1.

    Parameters
    ----------
    df : float or Tensor
        Degrees of freedom.
    covariance_matrix, precision_matrix, scale_tril : Tensor, optional
        Exactly one: the covariance of the vectors, its inverse, or its lower Cholesky factor.
    """

    support = constraints.positive_definite
    has_rsample = True

    def __init__(
        self,
        df: Any,
        covariance_matrix: Tensor | None = None,
        precision_matrix: Tensor | None = None,
        scale_tril: Tensor | None = None,
        validate_args: bool | None = None,
    ) -> None:
        name, matrix = self._given(covariance_matrix, precision_matrix, scale_tril)
        if not isinstance(df, Tensor):
            df = ember.tensor(df, dtype=matrix.dtype, device=matrix.device)
        batch_shape = ember.broadcast_shapes(matrix.shape[:-2], df.shape)
        self.df = df.expand(batch_shape)
        self._keep(name, matrix, batch_shape)
        if bool((self.df <= matrix.shape[-1] - 1).any()):
            raise ValueError(
                f"Wishart: df must be greater than {matrix.shape[-1] - 1}, the number of rows less "
                f"one, got {df}"
            )
        super().__init__(batch_shape, matrix.shape[-2:], validate_args=validate_args)
        self._factorize(name, matrix)

    @property
    def arg_constraints(self) -> dict[str, constraints.Constraint]:
        return {
            "covariance_matrix": constraints.positive_definite,
            "precision_matrix": constraints.positive_definite,
            "scale_tril": constraints.lower_cholesky,
            "df": constraints.greater_than(self._event_shape[-1] - 1),
        }

    @property
    def _matrix_df(self) -> Tensor:
        return self.df[..., None, None]

    @property
    def mean(self) -> Tensor:
        return self._matrix_df * self.covariance_matrix

    @property
    def mode(self) -> Tensor:
        factor = self._matrix_df - self._event_shape[-1] - 1
        return factor.masked_fill(factor <= 0, math.nan) * self.covariance_matrix

    @property
    def variance(self) -> Tensor:
        covariance = self.covariance_matrix
        diagonal = covariance.diagonal(0, -2, -1)
        squares = covariance.pow(2) + diagonal.unsqueeze(-1) * diagonal.unsqueeze(-2)
        return self._matrix_df * squares

    def _steps(self) -> Tensor:
        return ember.arange(self._event_shape[-1], dtype=self.df.dtype, device=self.df.device)

    def _draw(self, sample_shape: Any) -> Tensor:
        # Bartlett's decomposition: a triangular matrix of normal numbers with the roots of
        # chi-squared ones on its diagonal.
        squares = Chi2(self.df.unsqueeze(-1) - self._steps()).rsample(sample_shape)
        roots = squares.clamp(min=ember.finfo(squares.dtype).eps).sqrt()
        normal = standard_normal(self._extended_shape(sample_shape), squares)
        factor = self._unbroadcasted_scale_tril @ (normal.tril(-1) + ember.diag_embed(roots))
        return factor @ factor.mT

    def rsample(self, sample_shape: Any = (), max_try_correction: int = 10) -> Tensor:
        """Draw samples; those that rounding made singular anew, up to so many times."""
        sample_shape = Size(sample_shape)
        sample = self._draw(sample_shape)
        for _ in range(max_try_correction):
            good = self.support.check(sample)
            if bool(good.all()):
                break
            sample = ember.where(good[..., None, None], sample, self._draw(sample_shape))
        return sample

    def _log_scale(self) -> Tensor:
        """Half the logarithm of the determinant of twice the covariance."""
        n = self._event_shape[-1]
        return n * math.log(2) / 2 + log_diagonal(self._unbroadcasted_scale_tril)

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        n = self._event_shape[-1]
        log_det = ember.linalg.slogdet(value)[1]
        trace = (self.precision_matrix * value).sum((-2, -1))
        log_norm = self.df * self._log_scale() + (self.df / 2).mvlgamma(n)
        return (self.df - n - 1) / 2 * log_det - trace / 2 - log_norm

    def entropy(self) -> Tensor:
        n, half = self._event_shape[-1], self.df / 2
        mean_log_det = (half.unsqueeze(-1) - self._steps() / 2).digamma().sum(-1)
        return (
            (n + 1) * self._log_scale()
            + half.mvlgamma(n)
            - (self.df - n - 1) / 2 * mean_log_det
            + n * half
        )
