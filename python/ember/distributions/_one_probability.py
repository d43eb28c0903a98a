"""What distributions of one probability share: it is given as it is, or as log-odds."""

from __future__ import annotations

from typing import Any

from ember import Size, Tensor

from .distribution import Distribution
from .utils import broadcast_all, lazy_property, logits_to_probs, probs_to_logits


class OneProbability(Distribution):
    """Base of distributions of `probs`, or of `logits`, which are log(probs / (1 - probs)).

    The one that was not given is worked out when it is first asked for.
    """

    _param: Tensor  # the one that was given

    def _take(self, probs: Any, logits: Any, *others: Any) -> tuple[Tensor, ...]:
        """Set the one that is given, and return other parameters, all of one shape.

        ValueError unless exactly one is given.
        """
        if (probs is None) == (logits is None):
            raise ValueError("Either `probs` or `logits` must be specified, but not both.")
        *others, self._param = broadcast_all(*others, logits if probs is None else probs)
        if probs is None:
            self.logits = self._param
        else:
            self.probs = self._param
        return tuple(others)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Distribution:
        new = super().expand(batch_shape, _instance)
        new._param = self._param.expand(new.batch_shape)
        return new

    @lazy_property
    def logits(self) -> Tensor:
        return probs_to_logits(self.probs, is_binary=True)

    @lazy_property
    def probs(self) -> Tensor:
        return logits_to_probs(self.logits, is_binary=True)

    @property
    def param_shape(self) -> Size:
        return self._param.size()
