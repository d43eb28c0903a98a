"""Operators written in Python: `custom_op` and what registers beside it."""

import ember
import pytest
from ember import library


def make(name):
    calls = []

    @library.custom_op(name, mutates_args=())
    def scaled(x: ember.Tensor, factor: float = 2.0) -> ember.Tensor:
        calls.append("cpu")
        return x * factor

    return scaled, calls


def test_an_operator_computes_and_is_found_by_name():
    scaled, calls = make("here::scaled")
    x = ember.tensor([1.0, 2.0])
    assert scaled(x).tolist() == [2.0, 4.0] and scaled(x, factor=3.0).tolist() == [3.0, 6.0]
    assert ember.ops.here.scaled(x, 0.5).tolist() == [0.5, 1.0]
    assert ember.ops.here.scaled.default is scaled and calls == ["cpu"] * 3
    library.register_kernel("here::scaled", "cpu", lambda x, factor: x + factor)
    assert scaled(x).tolist() == [3.0, 4.0]


def test_the_registered_formula_is_the_gradient():
    scaled, _ = make("here::differentiable")

    def setup(ctx, inputs, output):
        ctx.factor = inputs[1]

    library.register_autograd(
        "here::differentiable",
        lambda ctx, grad: (10 * grad * ctx.factor, None),
        setup_context=setup,
    )
    x = ember.tensor([1.0, 2.0], requires_grad=True)
    scaled(x, 3.0).sum().backward()
    assert x.grad.tolist() == [30.0, 30.0]


def test_what_cannot_be():
    scaled, _ = make("here::opaque")
    x = ember.ones(2, requires_grad=True)
    with pytest.raises(RuntimeError, match="here::opaque: no backward"):
        scaled(x).sum().backward()
    with pytest.raises(ValueError, match="namespace::operator"):
        library.custom_op("scaled", mutates_args=())
    with pytest.raises(RuntimeError, match="register_autograd"):
        library.register_autograd("here::none", lambda ctx, grad: grad)
    with pytest.raises(TypeError):
        scaled()
