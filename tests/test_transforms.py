"""Transforms of samples against PyTorch's: values, inverses, Jacobians, shapes, caches."""

import ember
import pytest
from test_distributions import build, close
from torch_bridge import to_ember

torch = pytest.importorskip("torch")

# A transform and the shape of arguments that lie in its domain.
TRANSFORMS = [
    ("T.ExpTransform()", (4, 3)),
    ("T.SigmoidTransform()", (4, 3)),
    ("T.TanhTransform()", (4, 3)),
    ("T.SoftplusTransform()", (4, 3)),
    ("T.PowerTransform(p(2.5))", (4, 3)),
    ("T.PowerTransform(-1.5)", (3,)),
    ("T.AffineTransform(p([1.0, 2.0, 3.0]), p([-1.0, 0.5, 2.0]))", (4, 3)),
    ("T.AffineTransform(0.5, -2.0)", (4, 3)),
    ("T.AffineTransform(0.5, p([1.0, 2.0, 3.0]), event_dim=1)", (4, 3)),
    ("T.AffineTransform(0.5, -2.0, event_dim=1)", (4, 3)),
    ("T.AbsTransform()", (4,)),
    ("T.SoftmaxTransform()", (4, 3)),
    ("T.StickBreakingTransform()", (4, 3)),
    ("T.LowerCholeskyTransform()", (2, 3, 3)),
    ("T.CorrCholeskyTransform()", (2, 6)),
    ("T.CorrCholeskyTransform()", (1,)),
    ("T.PositiveDefiniteTransform()", (2, 3, 3)),
    ("T.ReshapeTransform((3, 2), (6,))", (4, 3, 2)),
    ("T.IndependentTransform(T.ExpTransform(), 1)", (4, 3)),
    ("T.ComposeTransform([T.AffineTransform(1.0, 2.0), T.ExpTransform()])", (4, 3)),
    ("T.ComposeTransform([T.ExpTransform(), T.StickBreakingTransform()])", (4, 3)),
    ("T.ComposeTransform([])", (4, 3)),
    ("T.ComposeTransform([T.TanhTransform(), T.AffineTransform(0.4, 0.6)]).inv", (4, 3)),
    ("T.ExpTransform().inv", (4, 3)),
    ("T.CatTransform([T.ExpTransform(), T.SigmoidTransform()], dim=-1, lengths=[1, 2])", (4, 3)),
    ("T.StackTransform([T.ExpTransform(), T.SigmoidTransform()], dim=0)", (2, 3)),
    ("T.CumulativeDistributionTransform(D.Normal(p(0.5), p(2.0)))", (4, 3)),
]


def argument(text, shape):
    torch.manual_seed(0)
    x = torch.rand(shape, dtype=torch.float64) * 0.9 + 0.05
    return x if "inv" in text or "Power" in text else 2 * x - 1


def outcome(get):
    try:
        return get()
    except NotImplementedError:
        return NotImplementedError


@pytest.mark.parametrize(("text", "shape"), TRANSFORMS)
def test_values_inverses_and_jacobians(text, shape):
    t, reference = build(ember, text), build(torch, text)
    x = argument(text, shape).requires_grad_()
    mine = to_ember(x.detach()).requires_grad_()
    y, expected = t(mine), reference(x)
    close(y, expected)
    assert t.bijective == reference.bijective
    assert t.domain.event_dim == reference.domain.event_dim
    assert t.codomain.event_dim == reference.codomain.event_dim
    assert bool(t.codomain.check(y).all())
    assert tuple(t.forward_shape(mine.shape)) == tuple(reference.forward_shape(x.shape))
    assert tuple(t.inverse_shape(y.shape)) == tuple(reference.inverse_shape(expected.shape))
    close(t.inv(y), reference.inv(expected), rtol=1e-8)
    theirs = outcome(lambda: reference.log_abs_det_jacobian(x, expected))
    ours = outcome(lambda: t.log_abs_det_jacobian(mine, y))
    if theirs is NotImplementedError:
        assert ours is NotImplementedError
    else:
        close(ours, theirs, rtol=1e-8)
    if theirs is not NotImplementedError and theirs.requires_grad:
        close(
            ember.autograd.grad(ours.sum(), mine)[0],
            torch.autograd.grad(theirs.sum(), x)[0],
            rtol=1e-8,
        )
    theirs = outcome(lambda: reference.sign)
    ours = outcome(lambda: t.sign)
    if theirs is not NotImplementedError:
        assert torch.as_tensor(theirs).tolist() == ember.as_tensor(ours).tolist()


@pytest.mark.parametrize(("text", "shape"), TRANSFORMS)
def test_equality_caches_and_names(text, shape):
    t, reference = build(ember, text), build(torch, text)
    if "Cumulative" not in text and "[" not in text:
        assert (t == build(ember, text)) == (reference == build(torch, text))
    assert t != build(ember, "T.ReshapeTransform((1,), (1, 1))")
    assert t.inv.inv is t
    assert repr(t) == repr(reference)
    cached = outcome(lambda: t.with_cache(1))
    if cached is NotImplementedError:
        return
    assert cached.with_cache(1) is cached
    x = to_ember(argument(text, shape))
    y = cached(x)
    if len(getattr(cached, "parts", "x")) and "Cat" not in text and "Stack" not in text:
        assert cached.inv(y) is x


def test_bad_transforms():
    T = ember.distributions.transforms
    for make in (
        lambda: T.ExpTransform(cache_size=2),
        lambda: T.ReshapeTransform((2,), (3,)),
        lambda: T.ReshapeTransform((2,), (1, 2)).forward_shape((3,)),
        lambda: T.IndependentTransform(T.ExpTransform(), 2)(ember.ones(1)),
        lambda: T.StickBreakingTransform().forward_shape(()),
        lambda: T.SoftmaxTransform().forward_shape(()),
    ):
        with pytest.raises(ValueError):
            make()
    with pytest.raises(AssertionError):
        T.CatTransform([T.ExpTransform()], lengths=[2])(ember.ones(3))
    with pytest.raises(AssertionError):
        T.StackTransform([T.ExpTransform()])(ember.ones(3))


CONSTRAINTS = [
    "real",
    "positive",
    "nonnegative",
    "greater_than(2.0)",
    "greater_than_eq(2.0)",
    "less_than(2.0)",
    "unit_interval",
    "interval(-1.0, 3.0)",
    "half_open_interval(-1.0, 3.0)",
    "simplex",
    "lower_cholesky",
    "positive_definite",
    "independent(positive, 1)",
    "real_vector",
]
DISCRETE = [
    "boolean",
    "one_hot",
    "nonnegative_integer",
    "positive_integer",
    "integer_interval(0, 2)",
    "multinomial(3)",
    "symmetric",
    "square",
    "lower_triangular",
    "positive_semidefinite",
    "corr_cholesky",
    "cat([positive, real], 0, [1, 2])",
    "stack([positive, real, boolean], 0)",
]


def constraint(library, text):
    return eval(text, dict(vars(library.distributions.constraints)))


@pytest.mark.parametrize("text", CONSTRAINTS + DISCRETE)
def test_constraints(text):
    ours, theirs = constraint(ember, text), constraint(torch, text)
    assert (ours.is_discrete, ours.event_dim) == (theirs.is_discrete, theirs.event_dim)
    assert repr(ours) == repr(theirs)
    torch.manual_seed(0)
    factor = torch.tensor([[1.0, 0, 0], [0.6, 0.8, 0], [0, 0.6, 0.8]], dtype=torch.float64)
    values = [torch.eye(3).double(), -torch.eye(3).double(), factor, factor @ factor.T]
    values += [torch.randn(3, 3).double(), torch.rand(3, 3).double(), torch.ones(3, 3).double()]
    values += [v / v.sum(-1, keepdim=True) for v in (torch.rand(3, 3).double(),)]
    values += [torch.randint(-1, 4, (3, 3)).double() for _ in range(3)]
    for value in values:
        got, expected = ours.check(to_ember(value)), theirs.check(value)
        assert got.tolist() == expected.tolist(), value


@pytest.mark.parametrize("text", CONSTRAINTS)
@pytest.mark.parametrize("registry", ["biject_to", "transform_to"])
def test_transforms_of_constraints(text, registry):
    find, their_find = (getattr(lib.distributions, registry) for lib in (ember, torch))
    theirs = outcome(lambda: their_find(constraint(torch, text)))
    ours = outcome(lambda: find(constraint(ember, text)))
    if theirs is NotImplementedError:
        assert ours is NotImplementedError
        return
    torch.manual_seed(0)
    x = torch.randn(3, 3, dtype=torch.float64)
    close(ours(to_ember(x)), theirs(x), rtol=1e-8)
    assert bool(constraint(ember, text).check(ours(to_ember(x))).all())


def test_constraints_without_transform():
    D = ember.distributions
    with pytest.raises(NotImplementedError, match="Boolean"):
        D.biject_to(D.constraints.boolean)
    with pytest.raises(TypeError, match="Constraint"):
        D.biject_to.register(3, lambda c: None)
    assert D.constraints.is_dependent(D.constraints.dependent)
    assert D.constraints.is_dependent(D.Uniform.support)
    with pytest.raises(ValueError, match="dependent"):
        D.constraints.dependent.check(ember.ones(1))


def test_triangles():
    from ember.distributions import utils

    for n, diag in [(3, 0), (4, -1), (3, 1)]:
        matrix = torch.arange(1.0, n * n + 1).reshape(n, n)
        theirs = torch.distributions.utils.tril_matrix_to_vec(matrix, diag)
        ours = utils.tril_matrix_to_vec(to_ember(matrix), diag)
        assert ours.tolist() == theirs.tolist()
        back = utils.vec_to_tril_matrix(ours, diag)
        assert back.tolist() == torch.distributions.utils.vec_to_tril_matrix(theirs, diag).tolist()
    with pytest.raises(ValueError, match="triangular"):
        utils.vec_to_tril_matrix(ember.ones(5))
