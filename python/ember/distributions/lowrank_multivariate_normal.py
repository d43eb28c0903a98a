"""The multivariate normal distribution with a covariance of low rank plus a diagonal."""

from __future__ import annotations

import math
from typing import Any

import ember
from ember import Tensor

from . import constraints
from .distribution import Distribution
from .multivariate_normal import log_diagonal, mahalanobis
from .utils import lazy_property, standard_normal

__all__ = ["LowRankMultivariateNormal"]


def capacitance_tril(factor: Tensor, diagonal: Tensor) -> Tensor:
    """Return the Cholesky factor of I + W^T D^-1 W."""
    scaled = factor.mT / diagonal.unsqueeze(-2)
    rank = factor.shape[-1]
    eye = ember.eye(rank, dtype=factor.dtype, device=factor.device)
    return ember.linalg.cholesky(eye + scaled @ factor)


def lowrank_log_det(diagonal: Tensor, capacitance: Tensor) -> Tensor:
    """Return log det(W W^T + D), by the matrix determinant lemma."""
    return 2 * log_diagonal(capacitance) + diagonal.log().sum(-1)


def lowrank_mahalanobis(
    factor: Tensor, diagonal: Tensor, difference: Tensor, capacitance: Tensor
) -> Tensor:
    """Return x^T (W W^T + D)^-1 x, by Woodbury's identity."""
    scaled = factor.mT / diagonal.unsqueeze(-2)
    projected = (scaled @ difference.unsqueeze(-1)).squeeze(-1)
    whole = (difference.pow(2) / diagonal).sum(-1)
    return whole - mahalanobis(capacitance, projected)


class LowRankMultivariateNormal(Distribution):
    """The normal distribution of vectors with the covariance W W^T + D.

    Parameters
    ----------
    loc : Tensor
        The means, (..., n).
    cov_factor : Tensor
        W, (..., n, rank).
    cov_diag : Tensor
        The diagonal of D, (..., n).
    """

    arg_constraints = {
        "loc": constraints.real_vector,
        "cov_factor": constraints.independent(constraints.real, 2),
        "cov_diag": constraints.independent(constraints.positive, 1),
    }
    support = constraints.real_vector
    has_rsample = True

    def __init__(
        self,
        loc: Tensor,
        cov_factor: Tensor,
        cov_diag: Tensor,
        validate_args: bool | None = None,
    ) -> None:
        if loc.dim() < 1:
            raise ValueError("loc must be at least one-dimensional.")
        event_shape = loc.shape[-1:]
        if cov_factor.dim() < 2:
            raise ValueError(
                "cov_factor must be at least two-dimensional, with optional leading batch "
                "dimensions"
            )
        if cov_factor.shape[-2:-1] != event_shape:
            raise ValueError(
                f"cov_factor must be a batch of matrices with shape {event_shape[0]} x m"
            )
        if cov_diag.shape[-1:] != event_shape:
            raise ValueError(f"cov_diag must be a batch of vectors with shape {event_shape}")
        self._factor, self._diagonal = cov_factor, cov_diag
        try:
            batch_shape = ember.broadcast_shapes(
                loc.shape[:-1], cov_factor.shape[:-2], cov_diag.shape[:-1]
            )
        except RuntimeError as error:
            raise ValueError(
                f"Incompatible batch shapes: loc {loc.shape}, cov_factor {cov_factor.shape}, "
                f"cov_diag {cov_diag.shape}"
            ) from error
        self.loc = loc.expand([*batch_shape, -1])
        self.cov_factor = cov_factor.expand([*batch_shape, -1, -1])
        self.cov_diag = cov_diag.expand([*batch_shape, -1])
        self._capacitance_tril = capacitance_tril(cov_factor, cov_diag)
        super().__init__(batch_shape, event_shape, validate_args=validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Distribution:
        new = super().expand(batch_shape, _instance)
        for name in ("scale_tril", "covariance_matrix", "precision_matrix"):
            new.__dict__.pop(name, None)
        return new

    @property
    def _matrix_shape(self) -> list[int]:
        return [*self._batch_shape, *self._event_shape, *self._event_shape]

    @lazy_property
    def scale_tril(self) -> Tensor:
        # W W^T + D = D^(1/2) (I + A A^T) D^(1/2) with A = D^(-1/2) W.
        root = self._diagonal.sqrt().unsqueeze(-1)
        scaled = self._factor / root
        product = scaled @ scaled.mT
        eye = ember.eye(self._event_shape[0], dtype=product.dtype, device=product.device)
        return (root * ember.linalg.cholesky(product + eye)).expand(self._matrix_shape)

    @lazy_property
    def covariance_matrix(self) -> Tensor:
        covariance = self._factor @ self._factor.mT + ember.diag_embed(self._diagonal)
        return covariance.expand(self._matrix_shape)

    @lazy_property
    def precision_matrix(self) -> Tensor:
        scaled = self._factor.mT / self._diagonal.unsqueeze(-2)
        factor = self._capacitance_tril
        shape = ember.broadcast_shapes(factor.shape[:-2], scaled.shape[:-2])
        solved = ember.linalg.solve_triangular(
            factor.expand([*shape, -1, -1]), scaled.expand([*shape, -1, -1]), upper=False
        )
        precision = ember.diag_embed(self._diagonal.reciprocal()) - solved.mT @ solved
        return precision.expand(self._matrix_shape)

    @property
    def mean(self) -> Tensor:
        return self.loc

    @property
    def mode(self) -> Tensor:
        return self.loc

    @lazy_property
    def variance(self) -> Tensor:
        variance = self._factor.pow(2).sum(-1) + self._diagonal
        return variance.expand(self._batch_shape + self._event_shape)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        shape = self._extended_shape(sample_shape)
        low = standard_normal([*shape[:-1], self.cov_factor.shape[-1]], self.loc)
        full = standard_normal(shape, self.loc)
        low = (self._factor @ low.unsqueeze(-1)).squeeze(-1)
        return self.loc + low + self._diagonal.sqrt() * full

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        distance = lowrank_mahalanobis(
            self._factor, self._diagonal, value - self.loc, self._capacitance_tril
        )
        log_det = lowrank_log_det(self._diagonal, self._capacitance_tril)
        return -0.5 * (self._event_shape[0] * math.log(2 * math.pi) + log_det + distance)

    def entropy(self) -> Tensor:
        log_det = lowrank_log_det(self._diagonal, self._capacitance_tril)
        entropy = 0.5 * (self._event_shape[0] * (1 + math.log(2 * math.pi)) + log_det)
        return entropy.expand(self._batch_shape)
