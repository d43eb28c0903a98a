import weakref

import ember
import pytest
from ember.utils.checkpoint import (
    CheckpointError,
    checkpoint,
    checkpoint_sequential,
    get_device_states,
    set_device_states,
)


def model():
    ember.manual_seed(0)
    layers = []
    for _ in range(4):
        layers += [ember.nn.Linear(6, 6), ember.nn.Dropout(0.5), ember.nn.Tanh()]
    return ember.nn.Sequential(*layers)


def gradients(net, run, needs_grad=True):
    ember.manual_seed(1)
    x = ember.randn(3, 6)
    x.requires_grad_(needs_grad)
    net.zero_grad()
    out = run(x)
    noise = ember.rand(2).tolist()
    (out * out).sum().backward()
    grads = [p.grad.tolist() for p in net.parameters()]
    return out.tolist(), noise, ember.rand(2).tolist(), grads, x.grad.tolist() if needs_grad else 0


@pytest.mark.parametrize("needs_grad", [True, False])
@pytest.mark.parametrize("use_reentrant", [None, True, False])
def test_gradients_and_random_numbers_are_those_without(needs_grad, use_reentrant):
    net = model()
    expected = gradients(net, net, needs_grad)
    assert expected == gradients(
        net, lambda x: checkpoint(net, x, use_reentrant=use_reentrant), needs_grad
    )
    for segments in (1, 2, 3, 5, 12):
        assert expected == gradients(
            net,
            lambda x, s=segments: checkpoint_sequential(net, s, x, use_reentrant=use_reentrant),
            needs_grad,
        )


def test_the_function_runs_again_in_backward_only():
    calls = []

    def function(x):
        calls.append(ember.is_grad_enabled())
        return x.exp()

    x = ember.ones(2, requires_grad=True)
    y = checkpoint(function, x)
    assert calls == [True]
    y.sum().backward()
    assert calls == [True, True]
    with ember.no_grad():
        assert not checkpoint(function, x).requires_grad
    assert calls == [True, True, False]


def test_nested():
    x = ember.full((3,), 0.5, requires_grad=True)
    checkpoint(lambda y: checkpoint(lambda z: z.exp(), y) * y, x).sum().backward()
    once, x.grad = x.grad.tolist(), None
    (x.exp() * x).sum().backward()
    assert once == x.grad.tolist()


def test_several_inputs_and_outputs_and_keywords():
    a = ember.full((2,), 2.0, requires_grad=True)
    b = ember.full((2,), 3.0, requires_grad=True)
    c = a * 2  # not a leaf

    def function(x, scale, y, *, z, flag):
        assert flag == "on"
        return x * y * scale, y * z, "text"

    first, second, text = checkpoint(function, a, 5, b, z=c, flag="on")
    assert text == "text"
    first.sum().backward(retain_graph=True)
    assert a.grad.tolist() == [15.0, 15.0] and b.grad.tolist() == [10.0, 10.0]
    second.sum().backward()
    assert a.grad.tolist() == [21.0, 21.0] and b.grad.tolist() == [14.0, 14.0]


def test_random_state_is_left_alone_if_asked():
    x = ember.ones(1000, requires_grad=True)
    ember.manual_seed(0)
    y = checkpoint(lambda t: t * ember.rand(1000), x, preserve_rng_state=False)
    y.sum().backward()
    assert x.grad.tolist() != y.tolist()
    x.grad = None
    y = checkpoint(lambda t: t * ember.rand(1000), x)
    y.sum().backward()
    assert x.grad.tolist() == y.tolist()


def test_gradients_of_gradients_and_of_captured_tensors():
    x = ember.ones(3, requires_grad=True)
    w = ember.full((3,), 2.0, requires_grad=True)
    y = checkpoint(lambda a: a**3 * w, x, use_reentrant=False)
    gx, gw = ember.autograd.grad(y.sum(), [x, w], create_graph=True)
    assert gx.tolist() == [6.0] * 3 and gw.tolist() == [1.0] * 3
    ((gx**2).sum() + x.sum()).backward()
    assert x.grad.tolist() == [2 * 6 * 12 + 1.0] * 3 and w.grad.tolist() == [2 * 6 * 3.0] * 3


def test_any_structure_of_outputs_keeps_its_graph():
    x = ember.ones(2, requires_grad=True)
    out = checkpoint(lambda a: {"cube": [a**3], "flat": a.detach() * 2}, x)
    assert out["cube"][0].requires_grad and not out["flat"].requires_grad
    out["cube"][0].sum().backward()
    assert x.grad.tolist() == [3.0, 3.0]


def test_activations_are_not_kept():
    held = []

    def function(x):
        y = x.exp()
        held.append(weakref.ref(y))
        return y * y

    x = ember.ones(3, requires_grad=True)
    out = checkpoint(function, x)
    assert held[0]() is None
    out.sum().backward()
    assert x.grad is not None and held[1]() is None


def test_a_function_that_changes_raises():
    sizes = iter([2, 3])
    x = ember.ones(1, requires_grad=True)
    y = checkpoint(lambda a: a.expand(next(sizes)).exp(), x)
    with pytest.raises(CheckpointError, match="ran again"):
        y.sum().backward()


def test_errors():
    net = model()
    for segments in (0, 13):
        with pytest.raises(ValueError, match="segments"):
            checkpoint_sequential(net, segments, ember.ones(1, 6))
    with pytest.raises(TypeError, match="sequence of functions"):
        checkpoint_sequential(ember.ones(3), 1, ember.ones(1, 6))

    def broken(x):
        raise KeyError("inside")

    with pytest.raises(KeyError, match="inside"):
        checkpoint(broken, ember.ones(1))


def test_states_of_devices_of_processor_tensors_are_none():
    assert get_device_states(ember.ones(2), [3, ember.ones(1)]) == ([], [])
    set_device_states([], [])
