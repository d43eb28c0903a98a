"""The von Mises distribution of angles."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import ember
from ember import Tensor

from . import constraints
from .distribution import Distribution
from .utils import all_numbers, broadcast_all, lazy_property

__all__ = ["VonMises"]


def log_i0(x: Tensor) -> Tensor:
    """Return log I0(x), the modified Bessel function, for x >= 0."""
    return ember.special.i0e(x).log() + x


class VonMises(Distribution):
    """Angles around ``loc`` with the density exp(concentration cos(x - loc)) over a constant."""

    arg_constraints = {"loc": constraints.real, "concentration": constraints.positive}
    support = constraints.real
    has_rsample = False

    def __init__(self, loc: Any, concentration: Any, validate_args: bool | None = None) -> None:
        self.loc, self.concentration = broadcast_all(loc, concentration)
        batch_shape = () if all_numbers(loc, concentration) else self.loc.shape
        super().__init__(batch_shape, validate_args=validate_args)

    @property
    def mean(self) -> Tensor:
        """The circular mean."""
        return self.loc

    @property
    def mode(self) -> Tensor:
        return self.loc

    @lazy_property
    def variance(self) -> Tensor:
        """The circular variance, 1 - I1 / I0."""
        k = self.concentration
        return 1 - ember.special.i1e(k) / ember.special.i0e(k)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Draw angles in [-pi, pi).

        By rejection from a wrapped Cauchy distribution (Best and Fisher, "Efficient simulation of
        the von Mises distribution", 1979).
        """
        from ember._sampling import _uniform, _until_accepted

        shape = self._extended_shape(sample_shape)
        k = self.concentration.detach().cpu().double().expand(shape).contiguous().numpy().ravel()
        tau = 1 + np.sqrt(1 + 4 * k * k)
        rho = (tau - np.sqrt(2 * tau)) / (2 * np.maximum(k, 1e-300))
        with np.errstate(all="ignore"):
            # Below 1e-5 the first terms of its series in k; r itself would cancel.
            r = np.where(k < 1e-5, 1 / np.maximum(k, 1e-300) + k, (1 + rho * rho) / (2 * rho))
        out = np.zeros(k.shape)

        def trial(left: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            u, v, w = (_uniform(left.size, None) for _ in range(3))
            z = np.cos(np.pi * u)
            f = (1 + r[left] * z) / (r[left] + z)
            c = k[left] * (r[left] - f)
            with np.errstate(all="ignore"):
                accepted = (c * (2 - c) > v) | (np.log(c / v) + 1 >= c)
            return np.sign(w - 0.5) * np.arccos(np.clip(f, -1, 1)), accepted

        _until_accepted(out, np.ones(k.shape, bool), trial)
        angle = ember.from_numpy(out.reshape(shape)).to(self.loc)
        return (angle + math.pi + self.loc.detach()) % (2 * math.pi) - math.pi

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        k = self.concentration
        return k * (value - self.loc).cos() - math.log(2 * math.pi) - log_i0(k)
