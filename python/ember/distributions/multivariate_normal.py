"""The multivariate normal distribution."""

from __future__ import annotations

import math
from typing import Any

import ember
from ember import Size, Tensor

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


class CovarianceForms:
    """A covariance given as itself, its inverse or its factor; each as an attribute.

    The forms that were not given are computed when they are asked for.
    """

    _batch_shape: Size
    _event_shape: Size
    _unbroadcasted_scale_tril: Tensor

    def _given(
        self, covariance: Tensor | None, precision: Tensor | None, scale_tril: Tensor | None
    ) -> tuple[str, Tensor]:
        """Return which form was given, by its name, and the matrix."""
        matrices = {
            "covariance_matrix": covariance,
            "scale_tril": scale_tril,
            "precision_matrix": precision,
        }
        given = [(name, matrix) for name, matrix in matrices.items() if matrix is not None]
        if len(given) != 1:
            raise ValueError(
                "Exactly one of covariance_matrix or precision_matrix or scale_tril may be "
                "specified."
            )
        name, matrix = given[0]
        if matrix.dim() < 2:
            raise ValueError(
                f"{name} must be at least two-dimensional, with optional leading batch dimensions"
            )
        return name, matrix

    def _keep(self, name: str, matrix: Tensor, batch_shape: Any) -> None:
        setattr(self, name, matrix.expand([*batch_shape, -1, -1]))

    def _factorize(self, name: str, matrix: Tensor) -> None:
        """Make the factor of a matrix that was checked."""
        if name == "scale_tril":
            self._unbroadcasted_scale_tril = matrix
        elif name == "covariance_matrix":
            self._unbroadcasted_scale_tril = ember.linalg.cholesky(matrix)
        else:
            self._unbroadcasted_scale_tril = precision_to_scale_tril(matrix)

    def _batched(self, matrix: Tensor) -> Tensor:
        n = self._event_shape[-1]
        return matrix.expand([*self._batch_shape, n, n])

    @lazy_property
    def scale_tril(self) -> Tensor:
        return self._batched(self._unbroadcasted_scale_tril)

    @lazy_property
    def covariance_matrix(self) -> Tensor:
        factor = self._unbroadcasted_scale_tril
        return self._batched(factor @ factor.mT)

    @lazy_property
    def precision_matrix(self) -> Tensor:
        return self._batched(ember.cholesky_inverse(self._unbroadcasted_scale_tril))


class MultivariateNormal(CovarianceForms, Distribution):
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
        name, matrix = self._given(covariance_matrix, precision_matrix, scale_tril)
        batch_shape = ember.broadcast_shapes(matrix.shape[:-2], loc.shape[:-1])
        self._keep(name, matrix, batch_shape)
        self.loc = loc.expand([*batch_shape, -1])
        super().__init__(batch_shape, self.loc.shape[-1:], validate_args=validate_args)
        self._factorize(name, matrix)

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
