"""Samplers that reject: moments within five standard errors, distribution functions, gradients."""

import ember
import numpy as np
import pytest
import scipy.stats
from distribution_support import OTHER_STREAM, build

N = 20_000
# Of the samples, or heavy-tailed ones: these have tests of their own.
NO_MOMENTS = ("StudentT", "Fisher", "LKJ")


def moments(samples):
    """Means, and their standard errors."""
    return samples.mean(0), samples.std(0) / np.sqrt(len(samples)) + 1e-12


@pytest.mark.parametrize(
    "text",
    [
        *[t for t in OTHER_STREAM if not any(name in t for name in NO_MOMENTS)],
        "D.Gamma(p([1e-3, 0.02, 1.0, 2.5, 1e3, 1e6]), 1.0)",
        "D.Poisson(p([0.01, 9.99, 10.0, 11.0, 200.0, 1e5]))",
        "D.Binomial(p([1.0, 25.0, 40.0, 1000.0, 1e6]), p([0.5, 0.39, 0.4, 0.97, 0.001]))",
        "D.Binomial(30, p([0.0, 1.0, 0.01, 0.99]))",
        "D.Beta(p([0.01, 5.0, 300.0]), p([0.03, 0.5, 1000.0]))",
        "D.Dirichlet(p([0.01, 0.02, 0.5]))",
        "D.StudentT(p([12.0, 30.0]), p([1.0, -2.0]), p([2.0, 0.5]))",
        "D.FisherSnedecor(p([5.0, 12.0]), p([18.0, 30.0]))",
    ],
)
def test_moments(text):
    d = build(ember, text)
    ember.manual_seed(3)
    samples = d.sample((N,))
    assert bool(d.support.check(samples).all())
    samples = samples.double().numpy()
    mean, error = moments(samples)
    expected = d.mean.double().numpy()
    assert (np.abs(mean - expected) <= 5 * error).all(), (mean, expected, error)
    square, error = moments((samples - expected) ** 2)
    variance = d.variance.double().numpy()
    heavy = ~np.isfinite(variance) | ("InverseGamma" in text)
    assert (heavy | (np.abs(square - variance) <= 5 * error)).all(), (square, variance, error)


@pytest.mark.parametrize(
    ("text", "law"),
    [
        ("D.Gamma(p(0.05), 1.0)", scipy.stats.gamma(0.05)),
        ("D.Gamma(p(0.7), 2.0)", scipy.stats.gamma(0.7, scale=0.5)),
        ("D.Gamma(p(3.0), 1.0)", scipy.stats.gamma(3.0)),
        ("D.Beta(p(0.4), p(0.6))", scipy.stats.beta(0.4, 0.6)),
        ("D.StudentT(p(2.5), 1.0, 2.0)", scipy.stats.t(2.5, 1.0, 2.0)),
        ("D.FisherSnedecor(p(2.5), 3.0)", scipy.stats.f(2.5, 3.0)),
        ("D.InverseGamma(p(1.5), 2.0)", scipy.stats.invgamma(1.5, scale=2.0)),
        ("D.GeneralizedPareto(p(0.5), 2.0, 0.4)", scipy.stats.genpareto(0.4, 0.5, 2.0)),
        ("D.VonMises(p(0.5), 3.0)", scipy.stats.vonmises(3.0, 0.5)),
        ("D.VonMises(p(0.0), 1e-7)", scipy.stats.uniform(-np.pi, 2 * np.pi)),
    ],
)
def test_continuous_laws(text, law):
    ember.manual_seed(5)
    samples = build(ember, text).sample((5000,)).double().numpy()
    samples = np.clip(samples, np.finfo(float).tiny if law.support()[0] == 0 else -np.inf, None)
    assert scipy.stats.kstest(samples, law.cdf).pvalue > 1e-3


@pytest.mark.parametrize("rows", [2, 3, 5])
@pytest.mark.parametrize("concentration", [0.5, 1.0, 3.0])
def test_lkj_marginals(rows, concentration):
    ember.manual_seed(8)
    d = ember.distributions.LKJCholesky(rows, ember.tensor(concentration, dtype=ember.float64))
    factor = d.sample((5000,))
    assert bool(d.support.check(factor).all())
    correlation = (factor @ factor.mT).numpy()
    # Each correlation alone is distributed as 2 b - 1 with b from a symmetric beta distribution.
    shape = concentration - 1 + rows / 2
    law = scipy.stats.beta(shape, shape, loc=-1, scale=2)
    for i, j in ((1, 0), (rows - 1, 0), (rows - 1, rows - 2)):
        assert scipy.stats.kstest(correlation[:, i, j], law.cdf).pvalue > 1e-3


@pytest.mark.parametrize(
    ("text", "law"),
    [
        ("D.Poisson(p(4.0))", scipy.stats.poisson(4.0)),
        ("D.Poisson(p(15.0))", scipy.stats.poisson(15.0)),
        ("D.Binomial(20, p(0.1))", scipy.stats.binom(20, 0.1)),
        ("D.Binomial(40, p(0.7))", scipy.stats.binom(40, 0.7)),
        ("D.NegativeBinomial(4.0, p(0.4))", scipy.stats.nbinom(4.0, 0.6)),
    ],
)
def test_discrete_laws(text, law):
    ember.manual_seed(6)
    samples = build(ember, text).sample((N,)).double().numpy()
    values = np.arange(int(law.ppf(1e-3)), int(law.ppf(1 - 1e-3)) + 1)
    expected = N * np.append(law.pmf(values), 1 - law.pmf(values).sum())
    counts = np.array([(samples == v).sum() for v in values])
    counts = np.append(counts, N - counts.sum())
    assert scipy.stats.chisquare(counts, expected).pvalue > 1e-3


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_dtypes_shapes_and_generators(dtype):
    dtype = getattr(ember, dtype)
    rates = ember.full((2, 3), 2.5, dtype=dtype)
    samplers = {
        "_standard_gamma": lambda g: ember._standard_gamma(rates, generator=g),
        "_sample_dirichlet": lambda g: ember._sample_dirichlet(rates, generator=g),
        "poisson": lambda g: ember.poisson(rates, generator=g),
        "binomial": lambda g: ember.binomial(rates * 4, rates / 5, generator=g),
    }
    for sample in samplers.values():
        out = sample(ember.Generator().manual_seed(3))
        assert out.dtype == dtype and out.shape == (2, 3)
        assert out.tolist() == sample(ember.Generator().manual_seed(3)).tolist()
        assert out.tolist() != sample(ember.Generator().manual_seed(4)).tolist()
        ember.manual_seed(3)
        assert out.tolist() == sample(None).tolist()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_samples_stay_inside_the_support(dtype):
    """Also where most of the mass lies nearer to its edge than the dtype can tell."""
    D = ember.distributions
    small = ember.full((200,), 1e-3, dtype=getattr(ember, dtype))
    ember.manual_seed(1)
    for d in (D.Gamma(small, 1.0), D.Beta(small, small), D.Dirichlet(small.reshape(-1, 2))):
        samples = d.sample((5,))
        assert samples.dtype == small.dtype
        assert bool((samples > 0).all())
        assert bool(d.log_prob(samples).isfinite().all())
    for d in (D.Gumbel(small, small), D.LogNormal(small, small), D.Weibull(small + 1, small + 2)):
        assert bool(d.log_prob(d.sample((5,))).isfinite().all())


def test_bad_arguments_of_the_samplers():
    with pytest.raises(RuntimeError, match="non-negative"):
        ember.poisson(ember.tensor([1.0, -1.0]))
    with pytest.raises(RuntimeError, match="floating point"):
        ember.poisson(ember.tensor([1]))
    with pytest.raises(RuntimeError, match="one dtype"):
        ember.binomial(ember.ones(2), ember.ones(2).double())
    with pytest.raises(RuntimeError, match="at least one dim"):
        ember._sample_dirichlet(ember.tensor(1.0))
    out = ember._standard_gamma(ember.tensor([float("nan"), -1.0, 0.0, float("inf")]))
    assert str(out.isnan().tolist()) == "[True, True, False, False]"
    assert out[3].item() == np.inf
    assert ember.poisson(ember.tensor([float("inf")])).item() == np.inf
    out = ember.binomial(ember.tensor([-1.0, 3.0]), ember.tensor([0.5, 2.0]))
    assert bool(out.isnan().all())


def test_gamma_gradients_are_slopes_of_quantiles():
    """d sample / d concentration at a fixed probability, by differences of scipy's quantiles."""
    ember.manual_seed(1)
    for a in (0.02, 0.3, 1.0, 4.0, 30.0, 1000.0, 2e5):
        alpha = ember.full((200,), a, dtype=ember.float64, requires_grad=True)
        x = ember._standard_gamma(alpha)
        x.sum().backward()
        values = x.detach().numpy()
        # Quantiles are inverted through the smaller tail, where they are well conditioned.
        lower, upper = scipy.stats.gamma.cdf(values, a), scipy.stats.gamma.sf(values, a)
        step = 1e-4 * a
        ends = [
            np.where(
                lower < upper,
                scipy.stats.gamma.ppf(lower, a + s),
                scipy.stats.gamma.isf(upper, a + s),
            )
            for s in (-step, step)
        ]
        good = values > 1e-200
        slope = values * np.log(ends[1] / ends[0]) / (2 * step)
        np.testing.assert_allclose(alpha.grad.numpy()[good], slope[good], rtol=2e-5)


def test_gradients_of_means():
    """The mean of gradients is the gradient of the mean, for each family that has both."""
    ember.manual_seed(2)
    for text in (
        "D.Gamma(p([0.3, 2.0]), p([1.0, 3.0]))",
        "D.Beta(p([0.3, 2.0]), p([1.0, 3.0]))",
        "D.Dirichlet(p([[0.3, 2.0, 1.0]]))",
    ):
        from distribution_support import Builder

        builder = Builder(ember)
        d = builder.build(text)
        weight = ember.arange(1, d.mean.numel() + 1, dtype=ember.float64).reshape(d.mean.shape)
        expected = ember.autograd.grad((d.mean * weight).sum(), builder.parameters)
        draws = []
        for _ in range(400):
            loss = (d.rsample((50,)) * weight).mean(0).sum()
            draws.append([g.numpy() for g in ember.autograd.grad(loss, builder.parameters)])
        for k, gradient in enumerate(expected):
            mean, error = moments(np.array([g[k] for g in draws]))
            assert (np.abs(mean - gradient.numpy()) <= 5 * error).all()


def test_incomplete_gamma_functions():
    a = np.array([0.01, 0.5, 1.0, 3.0, 30.0, 500.0, 1e4, 1e5])[:, None]
    x = a * np.array([0.01, 0.5, 0.9, 1.0, 1.1, 2.0])
    for name, reference in (("gammainc", "gammainc"), ("gammaincc", "gammaincc")):
        function = getattr(ember.special, name)
        left = ember.from_numpy(a).requires_grad_()
        right = ember.from_numpy(x).requires_grad_()
        out = function(left, right)
        expected = getattr(scipy.special, reference)(a, x)
        np.testing.assert_allclose(out.detach().numpy(), expected, rtol=2e-11, atol=1e-290)
        weights = ember.ones_like(out)
        slopes = ember.autograd.grad(out, [left, right], weights)
        steps = 1e-6 * a, 1e-6 * x
        f = getattr(scipy.special, reference)
        by_a = ((f(a + steps[0], x) - f(a - steps[0], x)) / (2 * steps[0])).sum(1, keepdims=True)
        by_x = (f(a, x + steps[1]) - f(a, x - steps[1])) / (2 * steps[1])
        np.testing.assert_allclose(slopes[0].numpy(), by_a, rtol=1e-5, atol=1e-9)
        np.testing.assert_allclose(slopes[1].numpy(), by_x, rtol=1e-5, atol=1e-9)
    inf, nan = np.inf, np.nan
    a, x = [0.0, 1.0, 0.0, inf, 1.0, inf, -1.0, 1.0], [1.0, 0.0, 0.0, 1.0, inf, inf, 1.0, nan]
    out = ember.igamma(ember.tensor(a), ember.tensor(x))
    np.testing.assert_array_equal(out.numpy(), [1, 0, nan, 0, 1, nan, nan, nan])
    with pytest.raises(TypeError, match="two tensors"):
        ember.special.gammainc(1.0, ember.ones(2))


def test_von_mises():
    d = ember.distributions.VonMises(
        ember.tensor([0.0, 1.0, 2.0], dtype=ember.float64),
        ember.tensor([0.3, 5.0, 700.0], dtype=ember.float64),
    )
    value = ember.tensor([0.5, 0.9, 2.1], dtype=ember.float64)
    law = scipy.stats.vonmises(d.concentration.numpy(), d.loc.numpy())
    np.testing.assert_allclose(d.log_prob(value).numpy(), law.logpdf(value.numpy()), rtol=1e-11)
    ember.manual_seed(1)
    samples = d.sample((N,)).numpy()
    mean, error = moments(np.cos(samples - d.loc.numpy()))
    assert (np.abs(mean - (1 - d.variance.numpy())) <= 5 * error).all()


def test_correlations_of_lkj():
    n, c = 4, 1.5
    ember.manual_seed(9)
    factors = ember.distributions.LKJCholesky(n, c).sample((N,)).double().numpy()
    matrices = factors @ factors.transpose(0, 2, 1)
    rows, columns = np.tril_indices(n, -1)
    correlations = matrices[:, rows, columns]
    # Each is 2 B - 1 with B of Beta(c + n/2 - 1, c + n/2 - 1), section 3.1 of the paper.
    law = scipy.stats.beta(c + n / 2 - 1, c + n / 2 - 1, loc=-1, scale=2)
    for column in correlations.T:
        assert scipy.stats.kstest(column[:5000], law.cdf).pvalue > 1e-3
