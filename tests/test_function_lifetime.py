"""What a custom Function keeps alive, and for how long."""

from __future__ import annotations

import gc
import weakref

import ember
import pytest


class Exp(ember.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        y = x.exp()
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx, grad):
        (y,) = ctx.saved_tensors
        return grad * y


class Shift(ember.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x + 1

    @staticmethod
    def backward(ctx, grad):
        return grad


def test_saved_output_makes_no_cycle():
    gc.disable()
    try:
        y = Exp.apply(ember.ones(3, requires_grad=True))
        alive = weakref.ref(y)
        node = weakref.ref(y.grad_fn)
        del y
        assert alive() is None
        assert node() is None
    finally:
        gc.enable()


def test_saved_tensors_are_freed_by_backward():
    x = ember.ones(3, requires_grad=True)
    inner = x * 2
    alive = weakref.ref(inner)
    y = Shift.apply(inner).sum()
    del inner
    assert alive() is not None
    y.backward()
    assert alive() is None


def test_cycle_through_ctx_is_collected():
    class Leaky(ember.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            y = x * 2
            ctx.y = y
            return y

        @staticmethod
        def backward(ctx, grad):
            return grad * 2

    y = Leaky.apply(ember.ones(3, requires_grad=True))
    alive = weakref.ref(y)
    del y
    gc.collect()
    assert alive() is None


def test_long_chain():
    x = ember.zeros(1, requires_grad=True)
    y = x
    for _ in range(100_000):
        y = Shift.apply(y)
    y.backward()
    assert x.grad.item() == 1
    y = x
    for _ in range(100_000):
        y = Shift.apply(y)
    del y  # freed without recursion


def test_ctx_outlives_its_node():
    y = Exp.apply(ember.ones(3, requires_grad=True))
    ctx = y.grad_fn
    assert isinstance(ctx, ember.autograd.graph.Node)
    del y
    with pytest.raises(RuntimeError, match="graph is gone"):
        _ = ctx.next_functions


def test_exception_in_forward_leaves_gradients_on():
    class Failing(ember.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        Failing.apply(ember.ones(3, requires_grad=True))
    assert ember.is_grad_enabled()


@pytest.mark.parametrize("f", [Exp.apply, lambda x: Exp.apply(x * 2) * x])
def test_gradcheck(f):
    x = ember.rand(2, 3, dtype=ember.float64, requires_grad=True)
    assert ember.autograd.gradcheck(f, x)
    assert ember.autograd.gradgradcheck(f, x)
