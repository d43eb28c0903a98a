"""Divergences against PyTorch's, and PyTorch's pairs."""

import itertools
from typing import ClassVar

import ember
import numpy as np
import pytest
from distribution_support import COVARIANCE, FACTOR, build
from test_distributions import both, close, compare_gradients

torch = pytest.importorskip("torch")

FAMILIES = [
    "D.Bernoulli(p([0.2, 0.7]))",
    "D.Beta(p([0.5, 3.0]), p([0.7, 2.0]))",
    "D.Beta(p([1.5, 2.0]), p([2.7, 0.5]))",
    "D.Binomial(5, p([0.2, 0.7]))",
    "D.Categorical(p([[0.2, 0.7, 0.1], [0.3, 0.3, 0.4]]))",
    "D.Categorical(logits=p([[0.2, 0.7, 0.1], [0.3, 0.3, 0.4]]))",
    "D.Cauchy(p([0.2, 0.7]), p([0.3, 2.0]))",
    "D.ContinuousBernoulli(p([0.2, 0.7]))",
    "D.Dirichlet(p([[0.5, 2.0, 3.0], [1.0, 1.0, 1.0]]))",
    "D.Exponential(p([0.5, 2.0]))",
    "D.Gamma(p([0.5, 2.0]), p([1.5, 3.0]))",
    "D.Chi2(p([1.5, 3.0]))",
    "D.Geometric(p([0.5, 0.3]))",
    "D.Gumbel(p([0.5, 0.3]), p([1.0, 2.0]))",
    "D.HalfNormal(p([0.5, 0.3]))",
    "D.Laplace(p([0.5, 0.3]), p([1.0, 2.0]))",
    "D.LogNormal(p([0.5, 0.3]), p([1.0, 2.0]))",
    "D.LowRankMultivariateNormal(r(3), r(3, 2), r(3))",
    "D.LowRankMultivariateNormal(r(2, 3), r(3, 1), r(3))",
    f"D.MultivariateNormal(r(2, 3), covariance_matrix=p({COVARIANCE}))",
    f"D.MultivariateNormal(r(3), scale_tril=p({FACTOR}))",
    "D.Normal(p([0.5, 0.3]), p([1.0, 2.0]))",
    "D.Normal(p([1.5, -0.3]), p([0.2, 1.0]))",
    "D.OneHotCategorical(p([[0.2, 0.7, 0.1], [0.3, 0.3, 0.4]]))",
    "D.Pareto(p([0.5, 0.3]), p([2.5, 1.5]))",
    "D.Poisson(p([0.5, 3.0]))",
    "D.Uniform(p([0.2, 0.3]), p([0.7, 0.9]))",
    "D.Uniform(p([-0.2, -0.3]), p([1.5, 2.5]))",
    "D.Independent(D.Normal(r(2, 3), r(2, 3)), 1)",
    "D.Independent(D.Normal(r(2), r(2)), 1)",
]


def divergence(library, p, q):
    try:
        return library.distributions.kl_divergence(p, q)
    except (NotImplementedError, ValueError) as error:
        return type(error)


def test_pairs():
    """Every pair that PyTorch has (one serves both Beta and Dirichlet), its value and gradients."""
    found = 0
    for p_text, q_text in itertools.product(FAMILIES, FAMILIES):
        p, their_p, parameters, their_parameters = both(p_text)
        q, their_q, more, their_more = both(q_text)
        if bool(tuple(their_p.batch_shape) != tuple(their_q.batch_shape)) and "Multi" not in p_text:
            continue
        theirs, ours = divergence(torch, their_p, their_q), divergence(ember, p, q)
        if not isinstance(theirs, torch.Tensor):
            assert ours is theirs, (p_text, q_text)
            continue
        found += 1
        assert isinstance(ours, ember.Tensor), (p_text, q_text)
        close(ours, theirs)
        if bool(theirs.isfinite().all()):
            # PyTorch's trigamma is good to 5e-10, and such terms cancel.
            mine, other = parameters + more, their_parameters + their_more
            compare_gradients(ours, theirs, mine, other, rtol=1e-7)
    assert found > 110


def test_every_family_of_a_pair_is_compared():
    from torch.distributions.kl import _KL_REGISTRY

    missing = {"ExponentialFamily", "TransformedDistribution"}
    named = {text.split("(")[0].removeprefix("D.") for text in FAMILIES}
    names = {kind.__name__ for pair in _KL_REGISTRY for kind in pair}
    assert names - missing <= named


def test_edges():
    for p_text, q_text in [
        ("D.Bernoulli(p([0.0, 1.0, 0.5, 0.5]))", "D.Bernoulli(p([0.0, 1.0, 0.0, 1.0]))"),
        ("D.Categorical(p([0.5, 0.5, 0.0]))", "D.Categorical(p([0.5, 0.0, 0.5]))"),
        ("D.Categorical(p([0.5, 0.0, 0.5]))", "D.Categorical(p([0.5, 0.2, 0.3]))"),
        ("D.Binomial(p([5.0, 6.0]), 0.5)", "D.Binomial(p([5.0, 5.0]), 0.2)"),
        ("D.Pareto(p([0.5, 1.0]), 2.0)", "D.Pareto(p([0.7, 0.7]), 1.0)"),
        ("D.Pareto(1.0, p([0.5, 1.5]))", "D.Normal(p(1.0), 1.0)"),
        ("D.Pareto(1.0, p([0.5, 1.5]))", "D.Exponential(p(1.0))"),
        ("D.Uniform(p([-0.5, 0.2, 0.5]), p([0.5, 0.7, 1.5]))", "D.Beta(p(1.5), 2.0)"),
        ("D.Uniform(p([-0.5, 0.2]), p([0.5, 0.7]))", "D.Gamma(p(1.5), 2.0)"),
    ]:
        ours = divergence(ember, build(ember, p_text), build(ember, q_text))
        close(ours, divergence(torch, build(torch, p_text), build(torch, q_text)))
    with pytest.raises(NotImplementedError):
        D = ember.distributions
        D.kl_divergence(D.Binomial(3, 0.5), D.Binomial(4, 0.5))


def test_the_closest_registered_pair_serves():
    D = ember.distributions

    class One(D.Normal):
        pass

    class Two(One):
        pass

    @D.register_kl(One, D.Normal)
    def by_one(p, q):
        return "one"

    n = D.Normal(0.0, 1.0)
    assert D.kl_divergence(Two(0.0, 1.0), n) == "one"
    assert D.kl_divergence(n, Two(0.0, 1.0)).item() == 0

    @D.register_kl(D.Normal, One)
    def by_other(p, q):
        return "other"

    with pytest.warns(RuntimeWarning, match="Ambiguous"):
        assert D.kl_divergence(One(0.0, 1.0), One(0.0, 1.0)) == "one"
    with pytest.raises(NotImplementedError, match=r"No KL\(p || q\).*VonMises"):
        D.kl_divergence(n, D.VonMises(0.0, 1.0))
    with pytest.raises(TypeError, match="Distribution subclass"):
        D.register_kl(int, D.Normal)


def exponential_family(lib):
    """The gamma distribution by its natural parameters alone."""

    class Family(lib.distributions.ExponentialFamily):
        arg_constraints: ClassVar = {}
        _mean_carrier_measure = 0

        def __init__(self, concentration, rate):
            self.concentration, self.rate = concentration, rate
            super().__init__(concentration.shape)

        @property
        def _natural_params(self):
            return self.concentration - 1, -self.rate

        def _log_normalizer(self, x, y):
            return lib.lgamma(x + 1) - (x + 1) * lib.log(-y)

    return Family


def test_exponential_families_by_differentiation():
    a = ember.tensor([0.7, 2.0, 5.0], dtype=ember.float64)
    b = ember.tensor([1.5, 0.5, 3.0], dtype=ember.float64)
    Family, Gamma = exponential_family(ember), ember.distributions.Gamma
    kl = ember.distributions.kl_divergence
    expected = Gamma(a, b).entropy()
    np.testing.assert_allclose(Family(a, b).entropy().detach(), expected, rtol=1e-12)
    np.testing.assert_allclose(
        kl(Family(a, b), Family(b, a)).detach(), kl(Gamma(a, b), Gamma(b, a)), rtol=1e-12
    )
    theirs = exponential_family(torch)(*(torch.from_numpy(t.numpy()) for t in (a, b)))
    np.testing.assert_allclose(expected, theirs.entropy().detach(), rtol=1e-12)
    with pytest.raises(NotImplementedError, match="one exponential family"):
        kl(Family(a, b), exponential_family(ember)(a, b))
    with pytest.raises(NotImplementedError, match="_natural_params"):
        ember.distributions.ExponentialFamily(validate_args=False).entropy()
