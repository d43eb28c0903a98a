"""The negative binomial distribution."""

from __future__ import annotations

from typing import Any

import ember
from ember import Tensor

from . import constraints
from ._one_probability import OneProbability
from .gamma import Gamma
from .utils import softplus

__all__ = ["NegativeBinomial"]


class NegativeBinomial(OneProbability):
    """The number of successes, of probability ``probs`` each, before ``total_count`` failures."""

    arg_constraints = {
        "total_count": constraints.greater_than_eq(0),
        "probs": constraints.half_open_interval(0.0, 1.0),
        "logits": constraints.real,
    }
    support = constraints.nonnegative_integer

    def __init__(
        self,
        total_count: Any,
        probs: Any = None,
        logits: Any = None,
        validate_args: bool | None = None,
    ) -> None:
        (count,) = self._take(probs, logits, total_count)
        self.total_count = count.type_as(self._param)
        super().__init__(self._param.shape, validate_args=validate_args)

    @property
    def mean(self) -> Tensor:
        return self.total_count * self.logits.exp()

    @property
    def mode(self) -> Tensor:
        return ((self.total_count - 1) * self.logits.exp()).floor().clamp(min=0.0)

    @property
    def variance(self) -> Tensor:
        return self.mean / (-self.logits).sigmoid()

    def sample(self, sample_shape: Any = ()) -> Tensor:
        with ember.no_grad():
            rates = Gamma(self.total_count, (-self.logits).exp(), validate_args=False)
            return ember.poisson(rates.sample(sample_shape))

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        n, logits = self.total_count, self.logits
        unnormalized = n * -softplus(logits) + value * -softplus(-logits)
        normalizer = -(n + value).lgamma() + (value + 1).lgamma() + n.lgamma()
        # No failure to wait for, and no success: a certain event.
        return unnormalized - normalizer.masked_fill(n + value == 0, 0)
