"""The generalized Pareto distribution."""

from __future__ import annotations

import math
from typing import Any

import ember
from ember import Tensor

from . import constraints
from .distribution import Distribution
from .utils import all_numbers, broadcast_all

__all__ = ["GeneralizedPareto"]


class GeneralizedPareto(Distribution):
    """What exceeds a high threshold ``loc``, in the limit (Pickands, 1975).

    The density at ``loc + scale * z`` is ``(1 + concentration * z) ** (-1 / concentration - 1)``
    over ``scale``; for a concentration of 0 it is the exponential distribution's, below 0 its
    support ends at ``loc - scale / concentration``.
    """

    arg_constraints = {
        "loc": constraints.real,
        "scale": constraints.positive,
        "concentration": constraints.real,
    }
    has_rsample = True

    def __init__(
        self, loc: Any, scale: Any, concentration: Any, validate_args: bool | None = None
    ) -> None:
        self.loc, self.scale, self.concentration = broadcast_all(loc, scale, concentration)
        numbers = all_numbers(loc, scale, concentration)
        super().__init__(() if numbers else self.loc.shape, validate_args=validate_args)

    @constraints.dependent_property(is_discrete=False, event_dim=0)
    def support(self) -> constraints.Constraint:
        end = self.loc - self.scale / self.concentration
        upper = ember.where(self.concentration < 0, end, math.inf)
        return constraints.interval(self.loc, upper)

    def _exponential(self) -> tuple[Tensor, Tensor]:
        """Where the concentration is (all but) 0, and concentrations to divide by elsewhere."""
        zero = ember.zeros_like(self.concentration)
        is_zero = ember.isclose(self.concentration, zero)
        return is_zero, self.concentration.masked_fill(is_zero, 1)

    def _log_survival(self, value: Tensor) -> Tensor:
        is_zero, divisor = self._exponential()
        z = (value - self.loc) / self.scale
        return ember.where(is_zero, -z, -(divisor * z).log1p() / divisor)

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        # The survival function to the power 1 + concentration, over the scale.
        is_zero, _ = self._exponential()
        power = 1 + self.concentration.masked_fill(is_zero, 0)
        survival = self._log_survival(value)
        return ember.where(power == 0, power, power * survival) - self.scale.log()

    def log_survival_function(self, value: Tensor) -> Tensor:
        """Return the logarithm of the probability of values above ``value``."""
        if self._validate_args:
            self._validate_sample(value)
        return self._log_survival(value)

    def log_cdf(self, value: Tensor) -> Tensor:
        """Return the logarithm of `cdf`."""
        return (-self.log_survival_function(value).exp()).log1p()

    def cdf(self, value: Tensor) -> Tensor:
        return -self.log_survival_function(value).expm1()

    def icdf(self, value: Tensor) -> Tensor:
        is_zero, divisor = self._exponential()
        log_survival = (-value).log1p()
        z = ember.where(is_zero, -log_survival, (-divisor * log_survival).expm1() / divisor)
        return self.loc + self.scale * z

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        shape = self._extended_shape(sample_shape)
        return self.icdf(ember.rand(shape, dtype=self.loc.dtype, device=self.loc.device))

    def _moment(self, order: int, of: Any) -> Tensor:
        """``of(concentration)`` where the moment of this order is finite, else NaN."""
        finite = self.concentration * order < 1
        return of(self.concentration.masked_fill(~finite, 0)).masked_fill(~finite, math.nan)

    @property
    def mean(self) -> Tensor:
        return self._moment(1, lambda c: self.loc + self.scale / (1 - c))

    @property
    def variance(self) -> Tensor:
        return self._moment(2, lambda c: self.scale**2 / ((1 - c) ** 2 * (1 - 2 * c)))

    @property
    def mode(self) -> Tensor:
        return self.loc

    def entropy(self) -> Tensor:
        return self.scale.log() + self.concentration + 1
