"""Operations under other names are the same operations, on the module and as methods."""

import ember
import numpy as np
import pytest

ALIASES = {
    "absolute": "abs", "clip": "clamp", "divide": "div", "true_divide": "div", "fix": "trunc", "greater": "gt",
    "greater_equal": "ge", "less": "lt", "less_equal": "le", "multiply": "mul", "negative": "neg", "not_equal": "ne",
    "subtract": "sub",
}  # fmt: skip
UNARY = {"absolute", "fix", "negative"}


@pytest.mark.parametrize("alias", sorted(ALIASES))
def test_pointwise_alias(alias: str) -> None:
    a, b = ember.tensor([-1.5, 2.0, 4.0]), ember.tensor([0.5, 2.0, 1.0])
    args = () if alias in UNARY else (b,)
    expected = getattr(ember, ALIASES[alias])(a, *args)
    assert np.array_equal(getattr(ember, alias)(a, *args).numpy(), expected.numpy())
    assert np.array_equal(getattr(a, alias)(*args).numpy(), expected.numpy())
    in_place = a.clone()
    getattr(in_place, alias + "_")(*args)
    assert np.array_equal(in_place.numpy(), expected.to(a.dtype).numpy())


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
