"""Samplers beyond the uniform, normal and exponential.

Cauchy, geometric and log-normal numbers are functions of one draw each, and PyTorch's to rounding
for the same seed. Gamma, Dirichlet, Poisson and binomial ones take a random number of draws.

Those draw uniform and normal numbers from Ember's generator, and reject in whole arrays. The
distributions are exact; the numbers are not those that PyTorch gives for the same seed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import ember
from ember import Tensor

from ._gamma import log_quantile_slope, numpy_lgamma


def _array(name: str, input: Any) -> np.ndarray:
    if not isinstance(input, Tensor) or not input.dtype.is_floating_point:
        got = input.dtype if isinstance(input, Tensor) else type(input).__name__
        raise RuntimeError(f"{name}: expected a floating point tensor, got {got}")
    return input.detach().cpu().double().numpy()


def _tensor(values: np.ndarray, like: Tensor) -> Tensor:
    return ember.from_numpy(values).to(dtype=like.dtype, device=like.device)


def _uniform(count: int, generator: Any) -> np.ndarray:
    return ember.rand(count, dtype=ember.float64, generator=generator).numpy()


def _until_accepted(
    out: np.ndarray, where: np.ndarray, trial: Callable[[np.ndarray], tuple]
) -> None:
    """Fill the flat array ``out`` where ``where`` is true with what a trial accepts.

    ``trial`` takes the indices that are still to be filled and returns values and acceptances.
    """
    left = np.flatnonzero(where)
    while left.size:
        values, accepted = trial(left)
        out[left[accepted]] = values[accepted]
        left = left[~accepted]


def _log_gamma_draws(alpha: np.ndarray, generator: Any) -> np.ndarray:
    """Logarithms of standard gamma samples, which do not underflow for any small alpha.

    Marsaglia and Tsang, "A simple method for generating gamma variables", 2000; below 1 the
    sample of alpha + 1 times a uniform number to the power 1 / alpha.
    """
    alpha = alpha.ravel()
    out = np.where(alpha == 0, -np.inf, np.where(alpha == np.inf, np.inf, np.nan))
    shifted = np.where(alpha < 1, alpha + 1, alpha)
    with np.errstate(invalid="ignore"):
        d = shifted - 1 / 3
        c = 1 / np.sqrt(9 * d)

    def trial(left: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        z = ember.empty(left.size, dtype=ember.float64).normal_(generator=generator).numpy()
        log_u = np.log1p(-_uniform(left.size, generator))
        scale = d[left]
        with np.errstate(invalid="ignore", divide="ignore"):
            log_v = 3 * np.log1p(c[left] * z)
            # d - d v + d log v, where v is near 1 for large d.
            accepted = log_u < 0.5 * z * z + scale * (log_v - np.expm1(log_v))
        return np.log(scale) + log_v, accepted

    _until_accepted(out, (alpha > 0) & np.isfinite(alpha), trial)
    small = np.flatnonzero((alpha > 0) & (alpha < 1))
    if small.size:
        out[small] += np.log1p(-_uniform(small.size, generator)) / alpha[small]
    return out


class _StandardGamma(ember.autograd.Function):
    @staticmethod
    def forward(ctx: Any, alpha: Tensor, generator: Any) -> Tensor:
        values = _array("_standard_gamma", alpha)
        log_x = _log_gamma_draws(values, generator).reshape(values.shape)
        tiny = ember.finfo(alpha.dtype).tiny
        x = np.exp(log_x)
        ctx.alpha, ctx.log_x = values, log_x
        return _tensor(np.where(x < tiny, tiny, x), alpha)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        slope = np.exp(ctx.log_x) * log_quantile_slope(ctx.alpha, ctx.log_x)
        return gradient * _tensor(slope, gradient), None


def _standard_gamma(input: Tensor, generator: Any = None) -> Tensor:
    """Draw from gamma distributions of rate 1, differentiable in the concentrations ``input``."""
    return _StandardGamma.apply(input, generator)


class _Dirichlet(ember.autograd.Function):
    @staticmethod
    def forward(ctx: Any, alpha: Tensor, generator: Any) -> Tensor:
        values = _array("_sample_dirichlet", alpha)
        log_x = _log_gamma_draws(values, generator).reshape(values.shape)
        x = np.exp(log_x - log_x.max(-1, keepdims=True))
        x /= x.sum(-1, keepdims=True)
        ctx.alpha, ctx.log_x, ctx.x = values, log_x, x
        # Inside the simplex also where the dtype rounds to a corner, so that densities stay finite.
        info = ember.finfo(alpha.dtype)
        return _tensor(x, alpha).clamp(min=info.tiny, max=1 - info.eps / 2)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        g = gradient.detach().cpu().double().numpy()
        centred = g - (g * ctx.x).sum(-1, keepdims=True)
        slope = log_quantile_slope(ctx.alpha, ctx.log_x)
        return _tensor(centred * ctx.x * slope, gradient), None


def _sample_dirichlet(input: Tensor, generator: Any = None) -> Tensor:
    """Draw from Dirichlet distributions along the last dim, differentiable in ``input``.

    A sample is gamma samples over their sum; their implicit derivatives make its own.
    """
    if isinstance(input, Tensor) and input.dim() == 0:
        raise RuntimeError("_sample_dirichlet: expected at least one dim, got a number")
    return _Dirichlet.apply(input, generator)


def poisson(input: Tensor, generator: Any = None) -> Tensor:
    """Draw from Poisson distributions with the rates ``input``, in its shape and dtype.

    From rate 10 on by transformed rejection (Hörmann, "The transformed rejection method for
    generating Poisson random variables", 1993, algorithm PTRS), below by counting the uniform
    numbers whose product stays above exp(-rate).
    """
    rates = _array("poisson", input)
    if (rates < 0).any():
        raise RuntimeError("poisson: invalid Poisson rate, expected rate to be non-negative")
    rate = rates.ravel()
    out = np.where(np.isfinite(rate), 0.0, rate)
    with np.errstate(all="ignore"):
        b = 0.931 + 2.53 * np.sqrt(rate)
        a = -0.059 + 0.02483 * b
        inverse_alpha = 1.1239 + 1.1328 / (b - 3.4)
        v_r = 0.9277 - 3.6224 / (b - 2)
        log_rate = np.log(rate)

    def trial(left: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        u = _uniform(left.size, generator) - 0.5
        v = 1 - _uniform(left.size, generator)
        aa, bb = a[left], b[left]
        with np.errstate(all="ignore"):
            us = 0.5 - np.abs(u)
            k = np.floor((2 * aa / us + bb) * u + rate[left] + 0.43)
            at_once = (us >= 0.07) & (v <= v_r[left])
            ratio = np.log(v * inverse_alpha[left] / (aa / (us * us) + bb))
            exact = ratio <= k * log_rate[left] - rate[left] - numpy_lgamma(k + 1)
            possible = (k >= 0) & ((us >= 0.013) | (v <= us))
        return k, at_once | (possible & exact)

    _until_accepted(out, np.isfinite(rate) & (rate >= 10), trial)
    left = np.flatnonzero(rate < 10)
    rest = rate[left]  # what is left of the unit of time after each exponential waiting time
    while left.size:
        rest = rest + np.log1p(-_uniform(left.size, generator))
        left, rest = left[rest > 0], rest[rest > 0]
        out[left] += 1
    return _tensor(out.reshape(rates.shape), input)


def binomial(count: Tensor, prob: Tensor, generator: Any = None) -> Tensor:
    """Draw numbers of successes among ``count`` trials of probability ``prob``, broadcast.

    From 10 expected successes on by transformed rejection (Hörmann, "The generation of binomial
    random variates", 1993, algorithm BTRS), below by adding up geometric waiting times.
    """
    counts, probs = np.broadcast_arrays(_array("binomial", count), _array("binomial", prob))
    if count.dtype != prob.dtype:
        raise RuntimeError(f"binomial: expected one dtype, got {count.dtype} and {prob.dtype}")
    n, p = counts.ravel(), probs.ravel()
    good = (n >= 0) & np.isfinite(n) & (p >= 0) & (p <= 1)
    out = np.where(good, 0.0, np.nan)
    flipped = p > 0.5
    p = np.where(flipped, 1 - p, p)
    with np.errstate(all="ignore"):
        spread = np.sqrt(n * p * (1 - p))
        b = 1.15 + 2.53 * spread
        a = -0.0873 + 0.0248 * b + 0.01 * p
        v_r = 0.92 - 4.2 / b
        alpha = (2.83 + 5.1 / b) * spread
        log_odds = np.log(p / (1 - p))
        mode = np.floor((n + 1) * p)
        log_p = np.log1p(-p)

    def trial(left: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        u = _uniform(left.size, generator) - 0.5
        v = 1 - _uniform(left.size, generator)
        aa, bb, nn, mm = a[left], b[left], n[left], mode[left]
        with np.errstate(all="ignore"):
            us = 0.5 - np.abs(u)
            k = np.floor((2 * aa / us + bb) * u + nn * p[left] + 0.5)
            at_once = (us >= 0.07) & (v <= v_r[left])
            possible = (k >= 0) & (k <= nn)
            k = np.where(possible, k, 0)
            bound = numpy_lgamma(mm + 1) + numpy_lgamma(nn - mm + 1) + (k - mm) * log_odds[left]
            bound -= numpy_lgamma(k + 1) + numpy_lgamma(nn - k + 1)
            exact = np.log(v * alpha[left] / (aa / (us * us) + bb)) <= bound
        return k, possible & (at_once | exact)

    large = good & (n * p >= 10)
    _until_accepted(out, large, trial)
    left = np.flatnonzero(good & ~large & (p > 0))
    used = np.zeros(left.size)
    while left.size:
        with np.errstate(divide="ignore", over="ignore"):
            used = used + np.floor(np.log1p(-_uniform(left.size, generator)) / log_p[left]) + 1
        going = used <= n[left]
        left, used = left[going], used[going]
        out[left] += 1
    out = np.where(good & flipped, n - out, out)
    return _tensor(out.reshape(counts.shape), prob)


def _fill(name: str, self: Tensor, values: Tensor) -> Tensor:
    if self.dtype is ember.bool:
        raise NotImplementedError(f"{name}: not implemented for bool")
    return self.copy_(values)


def _draws(self: Tensor, generator: Any) -> Tensor:
    return ember.rand(self.shape, dtype=ember.float64, device=self.device, generator=generator)


def cauchy_(self: Tensor, median: float = 0, sigma: float = 1, *, generator: Any = None) -> Tensor:
    """Fill with draws from a Cauchy distribution of this median and half width."""
    if not self.dtype.is_floating_point:
        raise RuntimeError(f"cauchy_: expected a floating point dtype, got {self.dtype}")
    if not sigma > 0:
        raise RuntimeError(f"cauchy_: expects sigma > 0.0, but found sigma={sigma}")
    angle = (_draws(self, generator) - 0.5) * ember.pi
    return _fill("cauchy_", self, median + sigma * angle.tan())


def geometric_(self: Tensor, p: float, *, generator: Any = None) -> Tensor:
    """Fill with numbers of trials up to the first success, each of probability `p`."""
    if not 0 < p < 1:
        raise RuntimeError(f"geometric_: expects p to be in (0, 1), but got p={p}")
    trials = _draws(self, generator).log() / float(np.log1p(-p))
    return _fill("geometric_", self, trials.ceil())


def log_normal_(self: Tensor, mean: float = 1, std: float = 2, *, generator: Any = None) -> Tensor:
    """Fill with numbers whose logarithms have a normal distribution of this mean and spread."""
    if not self.dtype.is_floating_point:
        raise NotImplementedError(f"log_normal_: expected a floating point dtype, got {self.dtype}")
    if not std > 0:
        raise RuntimeError(f"log_normal_: expects std > 0.0, but found std={std}")
    # Memory with gaps takes the generator's draws one by one, as PyTorch does here.
    draws = ember.empty((*self.shape, 2), dtype=ember.float64, device=self.device)[..., 0]
    return _fill("log_normal_", self, draws.normal_(mean, std, generator=generator).exp())
