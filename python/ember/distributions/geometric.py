"""The geometric distribution."""

from __future__ import annotations

from typing import Any

import ember
from ember import Tensor

from . import constraints
from ._one_probability import OneProbability
from .utils import (
    binary_entropy,
    broadcast_all,
)

__all__ = ["Geometric"]


class Geometric(OneProbability):
    """The number of failures before the first success, of probability ``probs`` each."""

    arg_constraints = {"probs": constraints.unit_interval, "logits": constraints.real}
    support = constraints.nonnegative_integer

    def __init__(
        self, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        self._take(probs, logits)
        param = self._param
        super().__init__(param.shape, validate_args=validate_args)
        if self._validate_args and probs is not None and not bool((param > 0).all()):
            raise ValueError(
                f"Expected parameter probs of distribution {self!r} to be positive but found "
                f"invalid values:\n{param}"
            )

    @property
    def mean(self) -> Tensor:
        return 1 / self.probs - 1

    @property
    def mode(self) -> Tensor:
        return ember.zeros_like(self.probs)

    @property
    def variance(self) -> Tensor:
        return (1 / self.probs - 1) / self.probs

    def sample(self, sample_shape: Any = ()) -> Tensor:
        with ember.no_grad():
            tiny = ember.finfo(self.probs.dtype).tiny
            u = self.probs.new_empty(self._extended_shape(sample_shape)).uniform_(tiny, 1)
            return (u.log() / (-self.probs).log1p()).floor()

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        value, probs = broadcast_all(value, self.probs)
        # No failure of probability 0 has log-probability 0, not 0 times -inf.
        certain = (probs == 1) & (value == 0)
        failures = value * (-probs.masked_fill(certain, 0)).log1p()
        return failures + self.probs.log()

    def entropy(self) -> Tensor:
        return binary_entropy(self.logits, self.probs) / self.probs
