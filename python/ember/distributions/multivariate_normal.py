"""The multivariate normal distribution."""

from __future__ import annotations

import math
from typing import Any

import ember
from ember import Tensor

from . import constraints
from .distribution import Distribution
from .utils import lazy_property, standard_normal

__all__ = ["MultivariateNormal"]


def mahalanobis(scale_tril: Tensor, difference: Tensor) -> Tensor:
    """Return the squared length of vectors (..., n) divided by Cholesky factors (..., n, n)."""
    shape = ember.broadcast_shapes(scale_tril.shape[:-1], difference.shape)
    column = difference.expand(shape).unsqueeze(-1)
    factor = scale_tril.expand([*shape, shape[-1]])
    solved = ember.linalg.solve_triangular(factor, column, upper=False)
    return solved.squeeze(-1).pow(2).sum(-1)


def log_diagonal(matrix: Tensor) -> Tensor:
    """Return the sum of the logarithms of the diagonal."""
    return matrix.diagonal(0, -2, -1).log().sum(-1)


def precision_to_scale_tril(precision: Tensor) -> Tensor:
    """Return the Cholesky factor of the inverse.

    With the rows and columns turned round, a lower factor of the precision is an upper factor
    R of it: precision = R R^T, and its inverse is R^-T R^-1, whose lower factor is R^-T.
    """
    flipped = ember.linalg.cholesky(precision.flip(-2, -1)).flip(-2, -1)
    n = precision.shape[-1]
    eye = ember.eye(n, dtype=precision.dtype, device=precision.device)
    return ember.linalg.solve_triangular(flipped.mT, eye.expand(precision.shape), upper=False)


class MultivariateNormal(Distribution):
    """The normal distribution of vectors with the mean ``loc``.

    Parameters
    ----------
    loc : Tensor
        The means along the last dim.
    covariance_matrix, precision_matrix, scale_tril : Tensor, optional
        Exactly one: the covariance, its inverse, or its lower Cholesky factor.
    """

    arg_constraints = {
        "loc": constraints.real_vector,
        "covariance_matrix": constraints.positive_definite,
        "precision_matrix": constraints.positive_definite,
        "scale_tril": constraints.lower_cholesky,
    }
    support = constraints.real_vector
    has_rsample = True

    def __init__(
        self,
        loc: Tensor,
        covariance_matrix: Tensor | None = None,
        precision_matrix: Tensor | None = None,
        scale_tril: Tensor | None = None,
        validate_args: bool | None = None,
    ) -> None:
        if loc.dim() < 1:
            raise ValueError("loc must be at least one-dimensional.")
        matrices = {
            "covariance_matrix": covariance_matrix,
            "scale_tril": scale_tril,
            "precision_matrix": precision_matrix,
        }
        given = {name: matrix for name, matrix in matrices.items() if matrix is not None}
        if len(given) != 1:
            raise ValueError(
                "Exactly one of covariance_matrix or precision_matrix or scale_tril may be "
                "specified."
            )
        ((name, matrix),) = given.items()
        if matrix.dim() < 2:
            raise ValueError(
                f"{name} must be at least two-dimensional, with optional leading batch dimensions"
            )
        batch_shape = ember.broadcast_shapes(matrix.shape[:-2], loc.shape[:-1])
        matrix = matrix.expand([*batch_shape, -1, -1])
        setattr(self, name, matrix)
        self.loc = loc.expand([*batch_shape, -1])
        super().__init__(batch_shape, self.loc.shape[-1:], validate_args=validate_args)
        if name == "scale_tril":
            self._unbroadcasted_scale_tril = scale_tril
        elif name == "covariance_matrix":
            self._unbroadcasted_scale_tril = ember.linalg.cholesky(covariance_matrix)
        else:
            self._unbroadcasted_scale_tril = precision_to_scale_tril(precision_matrix)

    @lazy_property
    def scale_tril(self) -> Tensor:
        n = self._event_shape[0]
        return self._unbroadcasted_scale_tril.expand([*self._batch_shape, n, n])

    @lazy_property
    def covariance_matrix(self) -> Tensor:
        factor = self._unbroadcasted_scale_tril
        n = self._event_shape[0]
        return (factor @ factor.mT).expand([*self._batch_shape, n, n])

    @lazy_property
    def precision_matrix(self) -> Tensor:
        n = self._event_shape[0]
        inverse = ember.cholesky_inverse(self._unbroadcasted_scale_tril)
        return inverse.expand([*self._batch_shape, n, n])

    @property
    def mean(self) -> Tensor:
        return self.loc

    @property
    def mode(self) -> Tensor:
        return self.loc

    @property
    def variance(self) -> Tensor:
        squares = self._unbroadcasted_scale_tril.pow(2).sum(-1)
        return squares.expand(self._batch_shape + self._event_shape)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        normal = standard_normal(self._extended_shape(sample_shape), self.loc)
        return self.loc + (self._unbroadcasted_scale_tril @ normal.unsqueeze(-1)).squeeze(-1)

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        distance = mahalanobis(self._unbroadcasted_scale_tril, value - self.loc)
        half_log_det = log_diagonal(self._unbroadcasted_scale_tril)
        return -0.5 * (self._event_shape[0] * math.log(2 * math.pi) + distance) - half_log_det

    def entropy(self) -> Tensor:
        half_log_det = log_diagonal(self._unbroadcasted_scale_tril)
        entropy = 0.5 * self._event_shape[0] * (1 + math.log(2 * math.pi)) + half_log_det
        return entropy.expand(self._batch_shape)
