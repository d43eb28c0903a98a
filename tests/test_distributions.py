"""Values of distributions against PyTorch's: densities, moments, gradients, shapes, errors."""

import pickle

import ember
import numpy as np
import pytest
from distribution_support import ALL, SAME_STREAM, Builder, build
from opspecs import counts
from torch_bridge import to_ember

torch = pytest.importorskip("torch")

RTOL, ATOL = 1e-9, 1e-11


def close(ours, theirs, rtol=RTOL, atol=ATOL):
    assert isinstance(ours, ember.Tensor)
    assert str(ours.dtype).split(".")[-1] == str(theirs.dtype).split(".")[-1]
    assert tuple(ours.shape) == tuple(theirs.shape)
    if theirs.dtype == torch.float32:
        rtol, atol = 1e-4, 1e-5
    np.testing.assert_allclose(ours.detach().numpy(), theirs.detach().numpy(), rtol=rtol, atol=atol)


def both(text):
    ours, theirs = Builder(ember), Builder(torch)
    return ours.build(text), theirs.build(text), ours.parameters, theirs.parameters


def compare_gradients(ours, theirs, our_parameters, their_parameters, rtol=RTOL):
    if not theirs.requires_grad:
        return
    got = ember.autograd.grad(ours.sum(), our_parameters, allow_unused=True, retain_graph=True)
    expected = torch.autograd.grad(
        theirs.sum(), their_parameters, allow_unused=True, retain_graph=True
    )
    for a, b in zip(got, expected, strict=True):
        if b is None or a is None:
            other = b if a is None else a
            assert other is None or not bool((other != 0).any())
        else:
            # PyTorch's gradient is NaN where a value that is not defined was masked.
            known = ~b.isnan()
            close(a[to_ember(known)], b[known], rtol)


def outcome(get):
    """The value, or NotImplementedError's class where there is none."""
    try:
        return get()
    except NotImplementedError:
        return NotImplementedError


@pytest.mark.parametrize("text", ALL)
def test_properties(text):
    d, reference, parameters, their_parameters = both(text)
    assert tuple(d.batch_shape) == tuple(reference.batch_shape)
    assert tuple(d.event_shape) == tuple(reference.event_shape)
    assert d.has_rsample == reference.has_rsample
    assert d.has_enumerate_support == reference.has_enumerate_support
    assert d.support.event_dim == reference.support.event_dim
    assert d.support.is_discrete == reference.support.is_discrete
    assert list(d.arg_constraints) == list(reference.arg_constraints)
    for name in ("mean", "mode", "variance", "stddev"):
        theirs = outcome(lambda name=name: getattr(reference, name))
        ours = outcome(lambda name=name: getattr(d, name))
        if theirs is NotImplementedError:
            assert ours is NotImplementedError, name
            continue
        if name == "mode" and "Kumaraswamy" in text:
            continue  # PyTorch's is NaN
        close(ours, theirs)
        if name != "mode":
            compare_gradients(ours, theirs, parameters, their_parameters)
    theirs = outcome(reference.entropy)
    if theirs is not NotImplementedError:
        rtol = 1e-6 if "Multinomial" in text else RTOL  # PyTorch's has a term in float32
        close(d.entropy(), theirs, rtol)
        close(d.perplexity(), reference.perplexity(), rtol)


@pytest.mark.parametrize("text", ALL)
@pytest.mark.parametrize("sample_shape", [(), (5,), (2, 3)])
def test_log_prob_and_cdf(text, sample_shape):
    d, reference, parameters, their_parameters = both(text)
    torch.manual_seed(1)
    value = reference.sample(sample_shape)
    mine = to_ember(value)
    assert bool(d.support.check(mine).all())
    ours, theirs = d.log_prob(mine), reference.log_prob(value)
    close(ours, theirs)
    compare_gradients(ours, theirs, parameters, their_parameters)
    theirs = outcome(lambda: reference.cdf(value))
    ours = outcome(lambda: d.cdf(mine))
    if theirs is NotImplementedError:
        assert ours is NotImplementedError
    else:
        close(ours, theirs)
        quantiles = torch.rand(theirs.shape, dtype=theirs.dtype)
        expected = outcome(lambda: reference.icdf(quantiles))
        got = outcome(lambda: d.icdf(to_ember(quantiles)))
        if expected is NotImplementedError:
            assert got is NotImplementedError
        else:
            close(got, expected, rtol=1e-8)
    counts.add("distributions", type(d).__name__, 1)


@pytest.mark.parametrize("text", SAME_STREAM)
@pytest.mark.parametrize("sample_shape", [(), (17,), (2, 3)])
def test_samples_are_pytorchs(text, sample_shape):
    d, reference, parameters, their_parameters = both(text)
    ember.manual_seed(7)
    torch.manual_seed(7)
    ours, theirs = d.sample(sample_shape), reference.sample(sample_shape)
    assert not ours.requires_grad
    close(ours, theirs, rtol=1e-8)
    if reference.has_rsample:
        ours, theirs = d.rsample(sample_shape), reference.rsample(sample_shape)
        close(ours, theirs, rtol=1e-8)
        compare_gradients(ours, theirs, parameters, their_parameters)
    assert ember.get_rng_state().tolist()[:5000] == torch.get_rng_state().tolist()[:5000]


@pytest.mark.parametrize("text", ALL)
def test_expand(text):
    d, reference, _, _ = both(text)
    shape = (3, *reference.batch_shape)
    wide, their_wide = d.expand(shape), reference.expand(torch.Size(shape))
    assert type(wide) is type(d)
    assert tuple(wide.batch_shape) == shape
    assert tuple(d.batch_shape) == tuple(reference.batch_shape)
    assert tuple(wide.sample((2,)).shape) == (2, *shape, *d.event_shape)
    torch.manual_seed(2)
    value = their_wide.sample()
    close(wide.log_prob(to_ember(value)), their_wide.log_prob(value))
    theirs = outcome(lambda: their_wide.mean)
    if theirs is not NotImplementedError:
        close(wide.mean, theirs)


@pytest.mark.parametrize("text", [t for t in ALL if build(torch, t).has_enumerate_support])
@pytest.mark.parametrize("expand", [True, False])
def test_enumerate_support(text, expand):
    d, reference, _, _ = both(text)
    theirs = outcome(lambda: reference.enumerate_support(expand))
    ours = outcome(lambda: d.enumerate_support(expand))
    if theirs is NotImplementedError:
        assert ours is NotImplementedError
    else:
        close(ours, theirs)


PLAIN = [t for t in ALL if "Transformed" not in t and "Mixture" not in t and "Independent" not in t]


@pytest.mark.parametrize("text", PLAIN)
def test_repr(text):
    ours, theirs = (repr(build(library, text)) for library in (ember, torch))
    assert ours.replace("ember.Size", "torch.Size") == theirs.replace(", dtype=torch.float64", "")


INVALID = [
    "D.Normal(0.0, -1.0)",
    "D.Normal(float('nan'), 1.0)",
    "D.Normal('a', 1.0)",
    "D.Bernoulli(1.5)",
    "D.Bernoulli(0.5, 0.5)",
    "D.Bernoulli()",
    "D.Geometric(0.0)",
    "D.Uniform(1.0, 1.0)",
    "D.Categorical(p([-0.1, 1.1]))",
    "D.Categorical(p(0.5))",
    "D.Categorical()",
    "D.Categorical(p([0.1, 0.9]), p([0.1, 0.9]))",
    "D.OneHotCategorical(p(1.0))",
    "D.Exponential(0.0)",
    "D.Laplace(0.0, 0.0)",
    "D.Gamma(-1.0, 1.0)",
    "D.Beta(0.0, 1.0)",
    "D.Dirichlet(p(1.0))",
    "D.Dirichlet(p([1.0, -1.0]))",
    "D.StudentT(-1.0)",
    "D.Poisson(-1.0)",
    "D.Binomial(3, 2.0)",
    "D.Binomial(-1, 0.5)",
    "D.Binomial(3)",
    "D.NegativeBinomial(3, 1.0)",
    "D.MultivariateNormal(p([0.0, 0.0]))",
    "D.MultivariateNormal(p(0.0), p([[1.0]]))",
    "D.MultivariateNormal(p([0.0]), p([1.0]))",
    "D.MultivariateNormal(p([0.0, 0.0]), p([[1.0, 2.0], [2.0, 1.0]]))",
    "D.MultivariateNormal(p([0.0, 0.0]), scale_tril=p([[1.0, 2.0], [2.0, 1.0]]))",
    "D.LowRankMultivariateNormal(p([0.0, 0.0]), p([[1.0]]), p([1.0, 1.0]))",
    "D.Independent(D.Normal(0.0, 1.0), 1)",
    "D.MixtureSameFamily(D.Normal(0.0, 1.0), D.Normal(0.0, 1.0))",
    "D.MixtureSameFamily(D.Categorical(r(3)), D.Normal(r(2), r(2)))",
    "D.TransformedDistribution(D.Normal(0.0, 1.0), [3])",
    "D.TransformedDistribution(D.Normal(0.0, 1.0), T.StickBreakingTransform())",
    "D.RelaxedBernoulli(1.0, 2.0)",
    "D.Weibull(-1.0, 1.0)",
    "D.Pareto(1.0, 0.0)",
    "D.VonMises(0.0, -1.0)",
    "D.Normal(p([1.0, 2.0]), 1.0).log_prob(p([1.0, 2.0, 3.0]))",
    "D.Normal(0.0, 1.0).log_prob(1.0)",
    "D.Normal(0.0, 1.0).log_prob(p(float('nan')))",
    "D.Bernoulli(0.5).log_prob(p(0.5))",
    "D.Uniform(0.0, 1.0).log_prob(p(1.5))",
    "D.Exponential(1.0).cdf(p(-1.0))",
    "D.Gamma(1.0, 1.0).log_prob(p(-1.0))",
    "D.Beta(p(1.0), 1.0).log_prob(p(2.0))",
    "D.Categorical(r(3)).log_prob(p(3.0))",
    "D.OneHotCategorical(r(3)).log_prob(p([1.0, 1.0, 0.0]))",
    "D.Dirichlet(r(3)).log_prob(p([0.5, 0.2, 0.1]))",
    "D.Dirichlet(r(3)).log_prob(p([0.5, 0.5]))",
    "D.Multinomial(3, r(3)).log_prob(p([2.0, 2.0, 0.0]))",
    "D.Poisson(1.0).log_prob(p(0.5))",
    "D.Binomial(3, 0.5).log_prob(p(4.0))",
    "D.LogNormal(0.0, 1.0).log_prob(p(-1.0))",
    "D.HalfNormal(1.0).log_prob(p(-1.0))",
    "D.Pareto(2.0, 1.0).log_prob(p(1.0))",
    "D.LogNormal(0.0, 1.0).cdf(p(-1.0))",
    "D.Distribution.set_default_validate_args('no')",
]


@pytest.mark.parametrize("text", INVALID)
def test_invalid_arguments_raise_value_error(text):
    for library in (torch, ember):
        with pytest.raises(ValueError):
            build(library, text)


def test_validation_can_be_turned_off():
    D = ember.distributions
    assert D.Normal(0.0, -1.0, validate_args=False).scale.item() == -1
    assert D.Uniform(0.0, 1.0, validate_args=False).log_prob(ember.tensor(2.0)).item() == -np.inf
    D.Distribution.set_default_validate_args(False)
    try:
        D.Normal(0.0, -1.0)
    finally:
        D.Distribution.set_default_validate_args(True)
    with pytest.raises(ValueError, match=r"scale.*GreaterThan\(lower_bound=0\.0"):
        D.Normal(0.0, -1.0)


def test_own_distributions():
    """A subclass that gives little works as far as it goes."""

    class Fair(ember.distributions.Distribution):
        arg_constraints = {}  # noqa: RUF012
        support = ember.distributions.constraints.boolean

        def rsample(self, sample_shape=()):
            return ember.ones(self._extended_shape(sample_shape))

    d = Fair((2,))
    assert d.sample((3,)).tolist() == [[1.0, 1.0]] * 3
    assert d.expand((4, 2)).batch_shape == (4, 2)
    assert repr(d) == "Fair()"
    for name in "mean mode variance stddev".split():
        with pytest.raises(NotImplementedError):
            getattr(d, name)
    for call in (d.entropy, d.enumerate_support, lambda: d.log_prob(0), lambda: d.cdf(0)):
        with pytest.raises(NotImplementedError):
            call()
    with pytest.warns(UserWarning, match="sample_n"):
        assert d.sample_n(2).shape == (2, 2)


def test_distributions_are_pickled():
    d = ember.distributions.Normal(0.5, 2.0)
    again = pickle.loads(pickle.dumps(d))
    assert again.scale.item() == 2.0 and again.log_prob(ember.tensor(1.0)).item() == pytest.approx(
        d.log_prob(ember.tensor(1.0)).item()
    )


def test_policy_gradient_and_reparameterisation():
    """The two uses in training: the score function, and samples as functions of parameters."""
    logits = ember.zeros(3, requires_grad=True)
    policy = ember.distributions.Categorical(logits=logits)
    action = policy.sample()
    (-policy.log_prob(action)).backward()
    expected = ember.full((3,), 1 / 3)
    expected[action] -= 1
    ember.testing.assert_close(logits.grad, expected)
    loc = ember.zeros(2, requires_grad=True)
    squashed = ember.distributions.TransformedDistribution(
        ember.distributions.Normal(loc, ember.ones(2)),
        ember.distributions.TanhTransform(cache_size=1),
    )
    sample = squashed.rsample() * 1
    squashed.log_prob(squashed.rsample()).sum().backward()
    assert sample.requires_grad and bool(loc.grad.isfinite().all())
    with pytest.raises(ValueError, match="support"):
        squashed.log_prob(ember.tensor([1.5, 0.0]))
