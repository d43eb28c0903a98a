"""Exponential families."""

from __future__ import annotations

from typing import Any

import ember
from ember import Tensor

from .distribution import Distribution

__all__ = ["ExponentialFamily"]


class ExponentialFamily(Distribution):
    """Base of a family whose density is exp(<t(x), theta> - F(theta) + k(x)).

    A subclass defines the natural parameters theta as ``_natural_params`` (a tuple of tensors), F
    as ``_log_normalizer(*natural_params)`` and the mean of k as ``_mean_carrier_measure``; its
    entropy and its Kullback-Leibler divergences follow by differentiation (Nielsen and Nock, 2010).
    Ember's own families have formulas and do not derive from it.
    """

    @property
    def _natural_params(self) -> tuple[Tensor, ...]:
        raise NotImplementedError(f"{type(self).__name__}._natural_params")

    def _log_normalizer(self, *natural_params: Tensor) -> Tensor:
        raise NotImplementedError(f"{type(self).__name__}._log_normalizer")

    @property
    def _mean_carrier_measure(self) -> float:
        raise NotImplementedError(f"{type(self).__name__}._mean_carrier_measure")

    def _conjugate(self) -> tuple[list[Tensor], Tensor, tuple[Tensor, ...]]:
        """The natural parameters, F there, and its gradients, which are the means of t(x)."""
        with ember.enable_grad():
            params = [p.detach().requires_grad_() for p in self._natural_params]
            log_normalizer = self._log_normalizer(*params)
            means = ember.autograd.grad(log_normalizer.sum(), params, create_graph=True)
        return params, log_normalizer, means

    def _inner(self, a: Any, b: Any) -> Tensor:
        """<a, b> for each of the batch."""
        shape = [*self._batch_shape, -1]
        return sum((x * y).reshape(shape).sum(-1) for x, y in zip(a, b, strict=True))

    def entropy(self) -> Tensor:
        params, log_normalizer, means = self._conjugate()
        return log_normalizer - self._inner(params, means) - self._mean_carrier_measure
