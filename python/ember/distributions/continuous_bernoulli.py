"""The continuous Bernoulli distribution."""

from __future__ import annotations

import math
from typing import Any

import ember
from ember import Size, Tensor

from . import constraints
from .distribution import Distribution
from .utils import (
    all_numbers,
    broadcast_all,
    clamp_probs,
    lazy_property,
    logits_to_probs,
    probs_to_logits,
)

__all__ = ["ContinuousBernoulli"]


class ContinuousBernoulli(Distribution):
    """Numbers in [0, 1] with a density proportional to probs^x (1 - probs)^(1 - x).

    After Loaiza-Ganem and Cunningham, "The continuous Bernoulli: fixing a pervasive error in
    variational autoencoders", 2019. Inside ``lims`` around 1/2, where the formulas cancel, their
    Taylor series stand in.
    """

    arg_constraints = {"probs": constraints.unit_interval, "logits": constraints.real}
    support = constraints.unit_interval
    has_rsample = True

    def __init__(
        self,
        probs: Any = None,
        logits: Any = None,
        lims: tuple[float, float] = (0.499, 0.501),
        validate_args: bool | None = None,
    ) -> None:
        if (probs is None) == (logits is None):
            raise ValueError("Either `probs` or `logits` must be specified, but not both.")
        given = logits if probs is None else probs
        (param,) = broadcast_all(given)
        if probs is None:
            self.logits = param
        else:
            if validate_args is not None and not bool(
                self.arg_constraints["probs"].check(param).all()
            ):
                raise ValueError(f"The parameter probs has invalid values: {param}")
            self.probs = clamp_probs(param)
        self._param = param if probs is None else self.probs
        self._lims = lims
        batch_shape = () if all_numbers(given) else param.shape
        super().__init__(batch_shape, validate_args=validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Distribution:
        new = super().expand(batch_shape, _instance)
        new._param = self._param.expand(new.batch_shape)
        return new

    @lazy_property
    def logits(self) -> Tensor:
        return probs_to_logits(self.probs, is_binary=True)

    @lazy_property
    def probs(self) -> Tensor:
        return clamp_probs(logits_to_probs(self.logits, is_binary=True))

    @property
    def param_shape(self) -> Size:
        return self._param.size()

    def _outside(self) -> Tensor:
        return (self.probs <= self._lims[0]) | (self.probs > self._lims[1])

    def _safe_probs(self) -> Tensor:
        """The probabilities, moved out of the interval of the series."""
        low = ember.full_like(self.probs, self._lims[0])
        return ember.where(self._outside(), self.probs, low)

    def _log_normalizer(self) -> Tensor:
        p = self._safe_probs()
        below = ember.where(p <= 0.5, p, ember.zeros_like(p))
        above = ember.where(p >= 0.5, p, ember.ones_like(p))
        width = ember.where(p <= 0.5, (-2 * below).log1p(), (2 * above - 1).log())
        log_norm = ((-p).log1p() - p.log()).abs().log() - width
        x = (self.probs - 0.5).pow(2)
        taylor = math.log(2.0) + (4 / 3 + 104 / 45 * x) * x
        return ember.where(self._outside(), log_norm, taylor)

    @property
    def mean(self) -> Tensor:
        p = self._safe_probs()
        mean = p / (2 * p - 1) + 1 / ((-p).log1p() - p.log())
        x = self.probs - 0.5
        return ember.where(self._outside(), mean, 0.5 + (1 / 3 + 16 / 45 * x.pow(2)) * x)

    @property
    def stddev(self) -> Tensor:
        return self.variance.sqrt()

    @property
    def variance(self) -> Tensor:
        p = self._safe_probs()
        variance = p * (p - 1) / (1 - 2 * p).pow(2) + 1 / ((-p).log1p() - p.log()).pow(2)
        x = (self.probs - 0.5).pow(2)
        return ember.where(self._outside(), variance, 1 / 12 - (1 / 15 - 128 / 945 * x) * x)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        shape = self._extended_shape(sample_shape)
        return self.icdf(ember.rand(shape, dtype=self.probs.dtype, device=self.probs.device))

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        logits, value = broadcast_all(self.logits, value)
        loss = ember.binary_cross_entropy_with_logits(logits, value, reduction="none")
        return -loss + self._log_normalizer()

    def cdf(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        p = self._safe_probs()
        cdf = (p.pow(value) * (1 - p).pow(1 - value) + p - 1) / (2 * p - 1)
        inside = ember.where(self._outside(), cdf, value)
        bounded = ember.where(value <= 0, ember.zeros_like(inside), inside)
        return ember.where(value >= 1, ember.ones_like(bounded), bounded)

    def icdf(self, value: Tensor) -> Tensor:
        p = self._safe_probs()
        icdf = ((-p + value * (2 * p - 1)).log1p() - (-p).log1p()) / (p.log() - (-p).log1p())
        return ember.where(self._outside(), icdf, value)

    def entropy(self) -> Tensor:
        low = (-self.probs).log1p()
        return self.mean * (low - self.probs.log()) - self._log_normalizer() - low
