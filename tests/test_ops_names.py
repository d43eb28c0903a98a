"""Operations under other names are the same operations, on the module and as methods."""

import re
from collections import Counter
from pathlib import Path

import ember
import numpy as np
import pytest

ALIASES = {
    "absolute": "abs", "clip": "clamp", "divide": "div", "true_divide": "div", "fix": "trunc", "greater": "gt",
    "greater_equal": "ge", "less": "lt", "less_equal": "le", "multiply": "mul", "negative": "neg", "not_equal": "ne",
    "subtract": "sub", "arccos": "acos", "arcsin": "asin", "arctan": "atan", "arcsinh": "asinh", "arccosh": "acosh",
    "arctanh": "atanh", "arctan2": "atan2", "sgn": "sign",
}  # fmt: skip
UNARY = {
    "absolute",
    "fix",
    "negative",
    "arccos",
    "arcsin",
    "arctan",
    "arcsinh",
    "arccosh",
    "arctanh",
    "sgn",
}


@pytest.mark.parametrize("alias", sorted(ALIASES))
def test_pointwise_alias(alias: str) -> None:
    a, b = ember.tensor([-1.5, 2.0, 4.0]), ember.tensor([0.5, 2.0, 1.0])
    args = () if alias in UNARY else (b,)
    expected = getattr(ember, ALIASES[alias])(a, *args)
    assert np.array_equal(getattr(ember, alias)(a, *args).numpy(), expected.numpy(), equal_nan=True)
    assert np.array_equal(getattr(a, alias)(*args).numpy(), expected.numpy(), equal_nan=True)
    in_place = a.clone()
    getattr(in_place, alias + "_")(*args)
    assert np.array_equal(in_place.numpy(), expected.to(a.dtype).numpy(), equal_nan=True)


def test_shape_aliases() -> None:
    x = ember.arange(6).reshape(2, 3)
    for name in ("swapaxes", "swapdims"):
        assert getattr(x, name)(0, 1).stride() == getattr(ember, name)(x, 0, 1).stride() == (1, 3)
    assert x.moveaxis(0, 1).shape == ember.moveaxis(x, 0, 1).shape == (3, 2)
    for name in ("concat", "concatenate"):
        assert getattr(ember, name)([x, x], 1).shape == (2, 6)
    v = ember.arange(3.0)
    assert np.array_equal(ember.ger(v, v).numpy(), ember.outer(v, v).numpy())


@pytest.mark.parametrize("name", ["abs", "exp", "neg", "negative", "relu", "sigmoid", "sqrt"])
def test_in_place_functions(name: str) -> None:
    x = ember.tensor([0.25, 1.0, 4.0])
    y = x.clone()
    assert getattr(ember, name + "_")(y) is y
    assert np.array_equal(y.numpy(), getattr(ember, name)(x).numpy())


def test_in_place_functions_with_arguments() -> None:
    x = ember.tensor([0.25, 1.0, 4.0])
    assert ember.clamp_(x, 0.5, max=2).tolist() == [0.5, 1.0, 2.0]
    assert ember.fill_(x, 3).tolist() == [3.0] * 3
    assert ember.zero_(x).tolist() == [0.0] * 3
    assert ember.index_put_(x, (ember.tensor([1]),), ember.tensor(5.0)).tolist() == [0.0, 5.0, 0.0]
    with pytest.raises(TypeError, match="exp_"):
        ember.exp_([1.0])


def test_out_of_functions_that_return_fresh_tensors() -> None:
    x = ember.tensor([[1.0, 5.0], [7.0, 2.0]])
    values, indices = ember.empty(0), ember.empty(0, dtype=ember.int64)
    result = ember.max(x, 1, out=(values, indices))
    assert result.values is values and result.indices is indices
    assert values.tolist() == [5.0, 7.0] and indices.tolist() == [1, 0]
    assert ember.argmin(x, 0, out=indices) is indices and indices.tolist() == [0, 1]
    wide = ember.empty(0, dtype=ember.float64)
    ember.manual_seed(3)
    drawn = ember.randn(5, out=wide).tolist()
    ember.manual_seed(3)
    assert drawn == ember.randn(5, dtype=ember.float64).tolist()
    for call, error in (
        (lambda: ember.max(x, 1, out=values), TypeError),
        (lambda: ember.argmax(x, out=3), TypeError),
        (lambda: ember.argmax(x, 1, out=ember.empty(2, dtype=ember.bool)), RuntimeError),
        (lambda: ember.softmax(x.clone().requires_grad_(), 0, out=values), RuntimeError),
    ):
        with pytest.raises(error, match=r"out|cast"):
            call()


def test_special_namespace() -> None:
    x = ember.tensor([0.25, 0.5, 0.75])
    for name, of in {
        "expit": "sigmoid",
        "gammaln": "lgamma",
        "psi": "digamma",
        "erf": "erf",
    }.items():
        assert np.array_equal(
            getattr(ember.special, name)(x).numpy(), getattr(ember, of)(x).numpy()
        )
    assert ember.special.multigammaln(x + 2, 2).shape == x.shape
    assert set(ember.special.__all__) <= set(dir(ember.special))


def test_lazy_methods_are_the_functions() -> None:
    x = ember.tensor([[2.0, 1.0], [1.0, 3.0]])
    assert x.inverse().tolist() == ember.inverse(x).tolist()
    assert x.det().item() == ember.det(x).item() == ember.linalg.det(x).item()
    assert ember.Tensor.trace(x).item() == x.trace().item() == 5.0
    assert callable(ember.Tensor.cholesky)
    y = x.clone()
    assert y.addr_(x[0], x[1]) is y
    assert y.tolist() == ember.addr(x, x[0], x[1]).tolist()


def test_named_results() -> None:
    x = ember.tensor([[2.0, 1.0], [1.0, 3.0]])
    assert ember.linalg.svd(x)._fields == ("U", "S", "Vh")
    assert ember.svd(x)._fields == ("U", "S", "V")
    assert ember.linalg.eigh(x).eigenvalues.shape == (2,)
    assert ember.slogdet(x).sign.item() == 1.0
    assert ember.frexp(x).exponent.dtype is ember.int32
    out = (ember.empty(0), ember.empty(0))
    q, r = ember.linalg.qr(x, out=out)
    assert q is out[0] and r is out[1] and ember.allclose(q @ r, x)


@pytest.mark.parametrize("values", [[[1.0, 2.0], [2.0, 4.0]], [[1.0, 0.0], [0.0, -1.0]]])
def test_lapack_failures_are_linalg_errors(values: list) -> None:
    with pytest.raises(ember.linalg.LinAlgError):
        ember.linalg.cholesky(ember.tensor(values))


def test_shift_operators() -> None:
    x = ember.tensor([1, 2, 3])
    assert (x << 2).tolist() == [4, 8, 12] and (x >> 1).tolist() == [0, 1, 1]
    assert (1 << x).tolist() == [2, 4, 8]
    x <<= 1
    assert x.tolist() == [2, 4, 6]
    with pytest.raises(RuntimeError, match="shift"):
        ember.tensor([1.5]) << 1


def test_einsum_finds_the_cheap_order() -> None:
    """A chain whose other orders would take a hundred times as many products and much memory."""
    a, b, c = ember.ones(1, 2000), ember.ones(2000, 2000), ember.ones(2000, 1)
    assert ember.einsum("ij,jk,kl->il", a, b, c).item() == 4e6
    assert ember.einsum("kl,jk,ij->il", c, b, a).item() == 4e6


@pytest.mark.parametrize("name", ["svd", "svdvals", "pinv", "eigh"])
def test_iterations_refuse_what_is_not_finite(name: str) -> None:
    for value in (np.nan, np.inf):
        with pytest.raises(ember.linalg.LinAlgError, match="not finite"):
            getattr(ember.linalg, name)(ember.tensor([[1.0, value], [value, 2.0]]))


def test_no_function_is_bound_twice() -> None:
    """The binder keeps one signature a function: a second name would take the first one's."""
    sources = Path(__file__).parent.parent.glob("csrc/python/bind_*.cpp")
    text = "\n".join(path.read_text() for path in sources)
    lists = re.findall(r"\bbind(?:_dest)?<((?:[^<>]|<[^<>]*>)*&(?:[^<>]|<[^<>]*>)*)>\(", text)
    functions = [f.strip() for names in lists for f in re.split(r",\s*(?=&)", names)]
    assert len(functions) > 400
    assert [f for f, n in Counter(functions).items() if n > 1 and "##" not in f] == []


def test_split_takes_pytorchs_keywords() -> None:
    x = ember.arange(6)
    for pieces in (
        x.split(split_size=[2, 4]),
        x.split(split_size=(2, 4), dim=0),
        x.split_with_sizes(split_sizes=[2, 4]),
        ember.split(x, split_size_or_sections=[2, 4], dim=0),
        ember.split(tensor=x, split_size_or_sections=[2, 4]),
    ):
        assert [piece.tolist() for piece in pieces] == [[0, 1], [2, 3, 4, 5]]
    assert [len(piece) for piece in ember.split(x, split_size_or_sections=4)] == [4, 2]
