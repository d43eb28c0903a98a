"""Constructions of distributions as texts that both libraries run."""

import ember
import numpy as np
import pytest
from torch_bridge import to_ember

torch = pytest.importorskip("torch")


class Builder:
    """Runs a construction in one package and remembers the parameters it made."""

    def __init__(self, package, requires_grad=True):
        self.package = package
        self.requires_grad = requires_grad
        self.parameters = []

    def _parameter(self, values):
        out = torch.tensor(values, dtype=torch.float64)
        if self.package is ember:
            out = to_ember(out)
        if self.requires_grad:
            out.requires_grad_()
        self.parameters.append(out)
        return out

    def _random(self, *shape, low=0.3, high=0.9):
        rng = np.random.default_rng(len(self.parameters) + 1)
        return self._parameter((low + (high - low) * rng.random(shape)).tolist())

    def build(self, text):
        names = {
            "D": self.package.distributions,
            "T": self.package.distributions.transforms,
            "p": self._parameter,
            "r": self._random,
            "lib": self.package,
        }
        return eval(text, names)


def build(package, text, requires_grad=False):
    return Builder(package, requires_grad).build(text)


COVARIANCE = "[[2.0, 0.3, 0.1], [0.3, 1.0, -0.2], [0.1, -0.2, 0.5]]"
FACTOR = "[[1.2, 0.0, 0.0], [0.3, 0.8, 0.0], [-0.5, 0.1, 2.0]]"

# Distributions whose samples are ordinary draws, and so PyTorch's own for the same seed.
SAME_STREAM = [
    "D.Normal(0.0, 1.0)",
    "D.Normal(p([0.5, -1.0]), p([0.1, 2.0]))",
    "D.Normal(r(4, 1), r(6))",
    "D.Normal(p(1.5), 2.0)",
    "D.LogNormal(p([0.5, -1.0]), p([0.1, 2.0]))",
    "D.LogNormal(0.3, 0.7)",
    "D.Bernoulli(0.3)",
    "D.Bernoulli(r(3, 2))",
    "D.Bernoulli(logits=p([-3.0, 0.0, 2.0]))",
    "D.Bernoulli(p([0.0, 0.5, 1.0]))",
    "D.Geometric(0.4)",
    "D.Geometric(p([0.2, 0.7, 1.0]))",
    "D.Geometric(logits=p([-1.0, 0.5]))",
    "D.Categorical(p([0.2, 0.3, 0.5]))",
    "D.Categorical(p([[2.0, 1.0, 1.0], [0.0, 3.0, 1.0]]))",
    "D.Categorical(logits=r(4, 2, 5))",
    "D.OneHotCategorical(p([0.2, 0.3, 0.5]))",
    "D.OneHotCategorical(logits=r(2, 4))",
    "D.OneHotCategoricalStraightThrough(r(3, 4))",
    "D.Uniform(-1.0, 2.0)",
    "D.Uniform(p([-1.0, 0.0]), p([1.0, 5.0]))",
    "D.Exponential(1.7)",
    "D.Exponential(r(3, 4))",
    "D.Laplace(0.5, 2.0)",
    "D.Laplace(p([0.0, 1.0]), p([0.4, 3.0]))",
    "D.Cauchy(0.5, 2.0)",
    "D.Cauchy(p([0.0, 1.0]), p([0.4, 3.0]))",
    "D.HalfNormal(1.5)",
    "D.HalfNormal(r(3))",
    "D.HalfCauchy(r(3))",
    "D.Gumbel(0.5, 2.0)",
    "D.Gumbel(p([0.0, 1.0]), p([0.4, 3.0]))",
    "D.Weibull(r(2), p([0.8, 2.5]))",
    "D.Weibull(2.0, 1.5)",
    "D.Pareto(p([1.0, 2.0]), p([2.5, 0.9]))",
    "D.Pareto(1.0, 3.0)",
    "D.GeneralizedPareto(0.5, 2.0, 0.2)",
    "D.Kumaraswamy(p([1.5, 2.0]), p([2.5, 1.2]))",
    "D.ContinuousBernoulli(p([0.1, 0.5, 0.5005, 0.9]))",
    "D.ContinuousBernoulli(logits=p([-2.0, 0.3]))",
    "D.Multinomial(7, p([0.2, 0.3, 0.5]))",
    "D.Multinomial(5, logits=r(2, 3))",
    f"D.MultivariateNormal(p([1.0, 2.0, 3.0]), covariance_matrix=p({COVARIANCE}))",
    f"D.MultivariateNormal(p([1.0, 2.0, 3.0]), precision_matrix=p({COVARIANCE}))",
    f"D.MultivariateNormal(r(4, 3), scale_tril=p({FACTOR}))",
    f"D.MultivariateNormal(r(3), scale_tril=p([{FACTOR}, {FACTOR}]))",
    "D.LowRankMultivariateNormal(r(3), r(3, 2), r(3))",
    "D.LowRankMultivariateNormal(r(4, 1, 3), r(2, 3, 2), r(3))",
    "D.LogisticNormal(r(3), r(3))",
    "D.LogisticNormal(r(2, 4), r(2, 4))",
    "D.RelaxedBernoulli(p(0.7), p([0.2, 0.6]))",
    "D.RelaxedBernoulli(p(0.7), logits=r(3))",
    "D.RelaxedOneHotCategorical(p(0.7), p([0.2, 0.3, 0.5]))",
    "D.RelaxedOneHotCategorical(p(0.7), logits=r(3, 4))",
    "D.MixtureSameFamily(D.Categorical(p([0.3, 0.7])), D.Normal(r(2), r(2)))",
    "D.MixtureSameFamily(D.Categorical(logits=r(3, 2)), D.Independent(D.Normal(r(3, 2, 4), r(3, 2, 4)), 1))",
    "D.Independent(D.Normal(r(3, 2), r(3, 2)), 1)",
    "D.Independent(D.Bernoulli(r(4, 3, 2)), 2)",
    "D.Independent(D.Normal(r(3), r(3)), 0)",
    "D.TransformedDistribution(D.Normal(r(3), r(3)), [T.AffineTransform(p(1.0), p(-2.0)), T.SigmoidTransform()])",
    "D.TransformedDistribution(D.Normal(r(3), r(3)), T.TanhTransform(cache_size=1))",
    "D.TransformedDistribution(D.Normal(r(2, 3), r(2, 3)), T.StickBreakingTransform())",
    "D.TransformedDistribution(D.Normal(p(0.0), 1.0), [T.AffineTransform(r(4), r(4)), T.ExpTransform()])",
    "D.TransformedDistribution(D.Independent(D.Normal(r(2, 6), r(2, 6)), 1), T.ReshapeTransform((6,), (2, 3)))",
]

# Those that draw by rejection: values, but not samples, are compared.
OTHER_STREAM = [
    "D.LKJCholesky(2, 0.8)",
    "D.LKJCholesky(4, p([0.5, 1.0, 3.0]))",
    "D.Beta(0.5, 2.0)",
    "D.Beta(p([0.5, 3.0, 1.0]), p([0.7, 2.0, 1.0]))",
    "D.Gamma(2.0, 3.0)",
    "D.Gamma(p([0.1, 1.0, 30.0]), p([1.0, 0.5, 3.0]))",
    "D.InverseGamma(p([3.5, 2.5]), p([1.0, 0.5]))",
    "D.Chi2(3)",
    "D.Chi2(p([1.0, 4.5]))",
    "D.StudentT(3.5)",
    "D.StudentT(p([0.8, 1.5, 5.0]), p([0.0, 1.0, 2.0]), p([1.0, 2.0, 0.5]))",
    "D.FisherSnedecor(p([1.5, 5.0]), p([3.0, 6.0]))",
    "D.Dirichlet(p([0.5, 2.0, 3.0]))",
    "D.Dirichlet(r(4, 3))",
    "D.LKJCholesky(3, 0.5)",
    "D.LKJCholesky(4, p([1.0, 2.5]))",
    "D.LKJCholesky(2)",
    f"D.Wishart(4.5, p({COVARIANCE}))",
    f"D.Wishart(p([3.2, 6.0]), precision_matrix=p({COVARIANCE}))",
    # PyTorch's gradient has something above the diagonal, where the factor is not read.
    f"D.Wishart(p([[5.0], [3.5]]), scale_tril=lib.tril(p([{FACTOR}, {FACTOR}])))",
    "D.Poisson(3.5)",
    "D.Poisson(p([0.0, 0.5, 50.0]))",
    "D.Binomial(10, p([0.1, 0.5, 0.9]))",
    "D.Binomial(p([3.0, 5.0]), logits=p([-1.0, 1.0]))",
    "D.NegativeBinomial(5, p([0.2, 0.55]))",
    "D.NegativeBinomial(p([1.0, 7.5]), logits=p([-1.0, 0.5]))",
]

ALL = SAME_STREAM + OTHER_STREAM
