"""Kullback-Leibler divergences between pairs of distributions."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import ember
from ember import Tensor

from .bernoulli import Bernoulli
from .beta import Beta
from .binomial import Binomial
from .categorical import Categorical
from .cauchy import Cauchy
from .continuous_bernoulli import ContinuousBernoulli
from .dirichlet import Dirichlet
from .distribution import Distribution
from .exp_family import ExponentialFamily
from .exponential import Exponential
from .gamma import Gamma
from .geometric import Geometric
from .gumbel import Gumbel
from .half_normal import HalfNormal
from .independent import Independent
from .laplace import Laplace
from .lowrank_multivariate_normal import (
    LowRankMultivariateNormal,
    lowrank_log_det,
    lowrank_mahalanobis,
)
from .multivariate_normal import MultivariateNormal, log_diagonal, mahalanobis
from .normal import Normal
from .one_hot_categorical import OneHotCategorical
from .pareto import Pareto
from .poisson import Poisson
from .transformed_distribution import TransformedDistribution
from .uniform import Uniform
from .utils import euler_constant, softplus, sum_rightmost

__all__ = ["kl_divergence", "register_kl"]

_REGISTRY: dict[tuple[type, type], Callable] = {}
_FOUND: dict[tuple[type, type], Callable | None] = {}


def register_kl(type_p: type, type_q: type) -> Callable:
    """Register the decorated function of (p, q) as the divergence between two families.

    It also serves subclasses of the two, unless a closer pair is registered.
    """
    for kind in (type_p, type_q):
        if not (isinstance(kind, type) and issubclass(kind, Distribution)):
            raise TypeError(f"Expected type to be a Distribution subclass but got {kind}")

    def decorate(function: Callable) -> Callable:
        _REGISTRY[type_p, type_q] = function
        _FOUND.clear()
        return function

    return decorate


def _find(type_p: type, type_q: type) -> Callable | None:
    """The function of the closest pair of superclasses."""
    pair = type_p, type_q
    if pair not in _FOUND:
        matches = [
            (type_p.__mro__.index(p), type_q.__mro__.index(q), function)
            for (p, q), function in _REGISTRY.items()
            if issubclass(type_p, p) and issubclass(type_q, q)
        ]
        by_p = min(matches, key=lambda m: (m[0], m[1]), default=None)
        by_q = min(matches, key=lambda m: (m[1], m[0]), default=None)
        if by_p is not None and by_p[2] is not by_q[2]:
            warnings.warn(
                f"Ambiguous kl_divergence({type_p.__name__}, {type_q.__name__}).",
                RuntimeWarning,
                stacklevel=3,
            )
        _FOUND[pair] = None if by_p is None else by_p[2]
    return _FOUND[pair]


def kl_divergence(p: Distribution, q: Distribution) -> Tensor:
    """Return the mean of log p(x) - log q(x) over x drawn from p, one for each of the batch.

    Raises
    ------
    NotImplementedError
        No formula is registered for the pair.
    """
    function = _find(type(p), type(q))
    if function is None:
        raise NotImplementedError(
            f"No KL(p || q) is implemented for p type {type(p).__name__} and q type "
            f"{type(q).__name__}"
        )
    return function(p, q)


# ---- Within a family


@register_kl(ExponentialFamily, ExponentialFamily)
def _exponential_family(p: ExponentialFamily, q: ExponentialFamily) -> Tensor:
    if type(p) is not type(q):
        raise NotImplementedError(
            f"kl_divergence: expected two of one exponential family, got {type(p).__name__} and "
            f"{type(q).__name__}"
        )
    params, log_normalizer, means = p._conjugate()
    others = q._natural_params
    differences = [b - a for a, b in zip(params, others, strict=True)]
    return q._log_normalizer(*others) - log_normalizer - p._inner(differences, means)


@register_kl(Bernoulli, Bernoulli)
def _bernoulli(p: Bernoulli, q: Bernoulli) -> Tensor:
    one = p.probs * (softplus(-q.logits) - softplus(-p.logits))
    one = one.masked_fill(q.probs == 0, math.inf).masked_fill(p.probs == 0, 0)
    zero = (1 - p.probs) * (softplus(q.logits) - softplus(p.logits))
    zero = zero.masked_fill(q.probs == 1, math.inf).masked_fill(p.probs == 1, 0)
    return one + zero


@register_kl(Beta, Beta)
def _beta(p: Beta, q: Beta) -> Tensor:
    return _dirichlet(p._dirichlet, q._dirichlet)


@register_kl(Binomial, Binomial)
def _binomial(p: Binomial, q: Binomial) -> Tensor:
    if bool((p.total_count < q.total_count).any()):
        raise NotImplementedError(
            "KL between Binomials where q.total_count > p.total_count is not implemented"
        )
    odds = p.probs * (p.logits - q.logits)
    kl = p.total_count * (odds + (-p.probs).log1p() - (-q.probs).log1p())
    return kl.masked_fill(p.total_count > q.total_count, math.inf)


@register_kl(Categorical, Categorical)
def _categorical(p: Categorical, q: Categorical) -> Tensor:
    terms = p.probs * (p.logits - q.logits)
    return terms.masked_fill(q.probs == 0, math.inf).masked_fill(p.probs == 0, 0).sum(-1)


@register_kl(OneHotCategorical, OneHotCategorical)
def _one_hot_categorical(p: OneHotCategorical, q: OneHotCategorical) -> Tensor:
    return _categorical(p._categorical, q._categorical)


@register_kl(Cauchy, Cauchy)
def _cauchy(p: Cauchy, q: Cauchy) -> Tensor:
    # Chyzak and Nielsen, 2019.
    squares = (p.scale + q.scale).pow(2) + (p.loc - q.loc).pow(2)
    return squares.log() - (4 * p.scale * q.scale).log()


@register_kl(ContinuousBernoulli, ContinuousBernoulli)
def _continuous_bernoulli(p: ContinuousBernoulli, q: ContinuousBernoulli) -> Tensor:
    constants = [c._log_normalizer() + (-c.probs).log1p() for c in (p, q)]
    return p.mean * (p.logits - q.logits) + constants[0] - constants[1]


@register_kl(Dirichlet, Dirichlet)
def _dirichlet(p: Dirichlet, q: Dirichlet) -> Tensor:
    a, b = p.concentration, q.concentration
    total = a.sum(-1)
    constant = total.lgamma() - b.sum(-1).lgamma() - (a.lgamma() - b.lgamma()).sum(-1)
    return constant + ((a - b) * (a.digamma() - total.digamma().unsqueeze(-1))).sum(-1)


@register_kl(Exponential, Exponential)
def _exponential(p: Exponential, q: Exponential) -> Tensor:
    ratio = q.rate / p.rate
    return ratio - ratio.log() - 1


@register_kl(Gamma, Gamma)
def _gamma(p: Gamma, q: Gamma) -> Tensor:
    a, b = p.concentration, q.concentration
    constant = b.lgamma() - a.lgamma() + b * (p.rate / q.rate).log()
    return constant + (a - b) * a.digamma() + (q.rate - p.rate) * (a / p.rate)


@register_kl(Geometric, Geometric)
def _geometric(p: Geometric, q: Geometric) -> Tensor:
    return -p.entropy() - (-q.probs).log1p() / p.probs - q.logits


@register_kl(Gumbel, Gumbel)
def _gumbel(p: Gumbel, q: Gumbel) -> Tensor:
    ratio = p.scale / q.scale
    shift = (p.loc - q.loc) / q.scale
    exponential = ((1 + ratio).lgamma() - shift).exp()
    return shift - ratio.log() + ratio * euler_constant + exponential - (1 + euler_constant)


@register_kl(HalfNormal, HalfNormal)
def _half_normal(p: HalfNormal, q: HalfNormal) -> Tensor:
    return _normal(p.base_dist, q.base_dist)


@register_kl(Laplace, Laplace)
def _laplace(p: Laplace, q: Laplace) -> Tensor:
    ratio, distance = p.scale / q.scale, (p.loc - q.loc).abs()
    return distance / q.scale + ratio * (-distance / p.scale).exp() - ratio.log() - 1


@register_kl(Normal, Normal)
def _normal(p: Normal, q: Normal) -> Tensor:
    ratio = (p.scale / q.scale).pow(2)
    return 0.5 * (ratio + ((p.loc - q.loc) / q.scale).pow(2) - 1 - ratio.log())


@register_kl(Pareto, Pareto)
def _pareto(p: Pareto, q: Pareto) -> Tensor:
    ratio = q.alpha / p.alpha
    kl = q.alpha * (p.scale / q.scale).log() - ratio.log() + ratio - 1
    return kl.masked_fill(p.scale < q.scale, math.inf)


@register_kl(Poisson, Poisson)
def _poisson(p: Poisson, q: Poisson) -> Tensor:
    return p.rate * (p.rate.log() - q.rate.log()) - (p.rate - q.rate)


@register_kl(Uniform, Uniform)
def _uniform(p: Uniform, q: Uniform) -> Tensor:
    kl = ((q.high - q.low) / (p.high - p.low)).log()
    return kl.masked_fill((q.low > p.low) | (q.high < p.high), math.inf)


@register_kl(Independent, Independent)
def _independent(p: Independent, q: Independent) -> Tensor:
    if p.reinterpreted_batch_ndims != q.reinterpreted_batch_ndims:
        raise NotImplementedError("kl_divergence: the events have different numbers of dims")
    return sum_rightmost(kl_divergence(p.base_dist, q.base_dist), p.reinterpreted_batch_ndims)


@register_kl(TransformedDistribution, TransformedDistribution)
def _transformed(p: TransformedDistribution, q: TransformedDistribution) -> Tensor:
    if p.transforms != q.transforms or p.event_shape != q.event_shape:
        raise NotImplementedError("kl_divergence: the transforms or the events' shapes differ")
    return kl_divergence(p.base_dist, q.base_dist)


# ---- Multivariate normal distributions


def _squared_norm(matrix: Tensor) -> Tensor:
    return matrix.pow(2).flatten(-2).sum(-1)


def _solve(factor: Tensor, matrix: Tensor) -> Tensor:
    batch = ember.broadcast_shapes(factor.shape[:-2], matrix.shape[:-2])
    factor, matrix = factor.expand([*batch, -1, -1]), matrix.expand([*batch, -1, -1])
    return ember.linalg.solve_triangular(factor, matrix, upper=False)


def _log_det(d: Any) -> Tensor:
    if isinstance(d, LowRankMultivariateNormal):
        return lowrank_log_det(d._diagonal, d._capacitance_tril)
    return 2 * log_diagonal(d._unbroadcasted_scale_tril)


def _roots(d: Any) -> list[Tensor]:
    """Matrices R whose R R^T sum to the covariance."""
    if isinstance(d, LowRankMultivariateNormal):
        return [d._factor, ember.diag_embed(d._diagonal.sqrt())]
    return [d._unbroadcasted_scale_tril]


def _multivariate_normal(p: Any, q: Any) -> Tensor:
    if p.event_shape != q.event_shape:
        raise ValueError(
            "KL-divergence between two Multivariate Normals with different event shapes cannot be "
            "computed"
        )
    difference = q.loc - p.loc
    if isinstance(q, LowRankMultivariateNormal):
        distance = lowrank_mahalanobis(q._factor, q._diagonal, difference, q._capacitance_tril)
        # tr(Q^-1 R R^T) by Woodbury's identity.
        within = _solve(q._capacitance_tril, q._factor.mT / q._diagonal.unsqueeze(-2))
        weight = q._diagonal.rsqrt().unsqueeze(-1)
        traces = [_squared_norm(weight * r) - _squared_norm(within @ r) for r in _roots(p)]
    else:
        factor = q._unbroadcasted_scale_tril
        distance = mahalanobis(factor, difference)
        traces = [_squared_norm(_solve(factor, r)) for r in _roots(p)]
    return 0.5 * (_log_det(q) - _log_det(p) + sum(traces) + distance - p.event_shape[0])


for _p in (MultivariateNormal, LowRankMultivariateNormal):
    for _q in (MultivariateNormal, LowRankMultivariateNormal):
        register_kl(_p, _q)(_multivariate_normal)


# ---- Between families: the mean of -log q under p, less p's entropy. It takes few means of p.


def _mean_log(p: Any) -> Tensor:
    """The mean of log x."""
    if isinstance(p, Beta):
        return p.concentration1.digamma() - (p.concentration1 + p.concentration0).digamma()
    if isinstance(p, Exponential):
        return -euler_constant - p.rate.log()
    if isinstance(p, Gamma):
        return p.concentration.digamma() - p.rate.log()
    if isinstance(p, Pareto):
        return p.scale.log() + p.alpha.reciprocal()
    return _uniform_mean_log(p.low, p.high)


def _uniform_mean_log(low: Tensor, high: Tensor) -> Tensor:
    return (high.xlogy(high) - low.xlogy(low)) / (high - low) - 1


def _mean_exp(p: Any, t: Tensor) -> Tensor:
    """The mean of exp(-t x)."""
    if isinstance(p, Exponential):
        return p.rate / (p.rate + t)
    if isinstance(p, Gamma):
        return (1 + t / p.rate).pow(-p.concentration)
    if isinstance(p, Normal):
        return (-t * p.loc + 0.5 * (t * p.scale).pow(2)).exp()
    return ((-t * p.low).exp() - (-t * p.high).exp()) / (t * (p.high - p.low))


def _range(d: Any) -> tuple[Any, Any]:
    """The least and the largest value."""
    if isinstance(d, Beta | ContinuousBernoulli):
        return 0.0, 1.0
    if isinstance(d, Exponential | Gamma):
        return 0.0, math.inf
    if isinstance(d, Pareto):
        return d.scale, math.inf
    if isinstance(d, Uniform):
        return d.low, d.high
    return -math.inf, math.inf


def _to_beta(p: Any, q: Beta) -> Tensor:
    a, b = q.concentration1, q.concentration0
    log_beta = a.lgamma() + b.lgamma() - (a + b).lgamma()
    upper = _uniform_mean_log(1 - p.high, 1 - p.low)
    return log_beta - (a - 1) * _mean_log(p) - (b - 1) * upper


def _to_continuous_bernoulli(p: Any, q: ContinuousBernoulli) -> Tensor:
    return -p.mean * q.logits - (-q.probs).log1p() - q._log_normalizer()


def _to_exponential(p: Any, q: Exponential) -> Tensor:
    return q.rate * p.mean - q.rate.log()


def _to_gamma(p: Any, q: Gamma) -> Tensor:
    a = q.concentration
    return a.lgamma() - a * q.rate.log() - (a - 1) * _mean_log(p) + q.rate * p.mean


def _to_gumbel(p: Any, q: Gumbel) -> Tensor:
    t = q.scale.reciprocal()
    return q.scale.log() + (p.mean - q.loc) * t + (q.loc * t).exp() * _mean_exp(p, t)


def _to_laplace(p: Normal, q: Laplace) -> Tensor:
    # The mean of |x - loc|, that of a folded normal distribution.
    distance = p.loc - q.loc
    z = distance / p.scale
    mean = math.sqrt(2 / math.pi) * p.scale * (-0.5 * z.pow(2)).exp()
    mean = mean + distance * (math.sqrt(0.5) * z).erf()
    return (2 * q.scale).log() + mean / q.scale


def _to_normal(p: Any, q: Normal) -> Tensor:
    square = p.variance + (p.mean - q.loc).pow(2)
    return 0.5 * (2 * math.pi * q.scale.pow(2)).log() + square / (2 * q.scale.pow(2))


def _to_pareto(p: Any, q: Pareto) -> Tensor:
    return (q.alpha + 1) * _mean_log(p) - q.alpha.log() - q.alpha * q.scale.log()


def _to_poisson(p: Bernoulli, q: Poisson) -> Tensor:
    return q.rate - p.probs * q.rate.log()


def _to_uniform(p: Any, q: Uniform) -> Tensor:
    return (q.high - q.low).log()


def _across(cross_entropy: Callable) -> Callable:
    def divergence(p: Any, q: Any) -> Tensor:
        kl = cross_entropy(p, q) - p.entropy()
        (p_low, p_high), (q_low, q_high) = _range(p), _range(q)
        outside = ember.as_tensor(p_low < q_low) | ember.as_tensor(p_high > q_high)
        return kl.masked_fill(outside.to(kl.device), math.inf)

    return divergence


def _infinite(p: Any, q: Any) -> Tensor:
    """p gives values that q never does."""
    return ember.full_like(p.mean, math.inf)


def _register_across(
    type_q: type, cross_entropy: Callable, finite: tuple[type, ...], infinite: tuple[type, ...] = ()
) -> None:
    for type_p in finite:
        register_kl(type_p, type_q)(_across(cross_entropy))
    for type_p in infinite:
        register_kl(type_p, type_q)(_infinite)


_REAL = (Gumbel, Laplace, Normal)
_UNBOUNDED = (Exponential, Gamma, *_REAL, Pareto)
_register_across(Beta, _to_beta, (Uniform,), _UNBOUNDED)
_register_across(ContinuousBernoulli, _to_continuous_bernoulli, (Beta, Uniform), _UNBOUNDED)
_register_across(
    Exponential, _to_exponential, (Beta, ContinuousBernoulli, Gamma, Pareto, Uniform), _REAL
)
_register_across(Gamma, _to_gamma, (Beta, Exponential, Pareto, Uniform), _REAL)
_register_across(Gumbel, _to_gumbel, (Exponential, Gamma, Normal, Uniform))
_register_across(Laplace, _to_laplace, (Normal,))
_register_across(
    Normal,
    _to_normal,
    (Beta, ContinuousBernoulli, Exponential, Gamma, Gumbel, Laplace, Pareto, Uniform),
)
_register_across(
    Pareto, _to_pareto, (Uniform,), (Beta, ContinuousBernoulli, Exponential, Gamma, *_REAL)
)
_register_across(Poisson, _to_poisson, (Bernoulli,))
_register_across(Uniform, _to_uniform, (Beta, ContinuousBernoulli), _UNBOUNDED)
register_kl(Poisson, Bernoulli)(_infinite)
register_kl(Poisson, Binomial)(_infinite)
