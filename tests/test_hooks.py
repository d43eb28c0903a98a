"""Hooks on tensors and nodes, and retained gradients, against PyTorch."""

from __future__ import annotations

import gc
import weakref

import ember
import pytest
from side_by_side import compare, compare_error

pytest.importorskip("torch")

X = "x = torch.tensor([1., 2., 3.], requires_grad=True)\nlog = []\n"

VALUES = {
    "leaf": X
    + """
x.register_hook(lambda g: log.append(g.clone()))
(x * 2).sum().backward()
out = log, x.grad""",
    "leaf changes": X + "x.register_hook(lambda g: g * 10); (x * 2).sum().backward(); out = x.grad",
    "leaf with several paths": X
    + """
x.register_hook(lambda g: log.append(g.clone()))
(x * 2 + x * x).sum().backward()
out = log""",
    "non-leaf": X
    + """
y = x * 2
y.register_hook(lambda g: g * 10)
(y * y).sum().backward()
out = x.grad""",
    "several in order": X
    + """
y = x * 2
y.register_hook(lambda g: log.append(1))
y.register_hook(lambda g: g + 1)
y.register_hook(lambda g: log.append(g.clone()))
y.sum().backward()
out = log, x.grad""",
    "removed": X
    + """
h = x.register_hook(lambda g: g * 10)
h.remove()
h.remove()
x.sum().backward()
out = x.grad""",
    "with block": X
    + """
with x.register_hook(lambda g: g * 10):
    x.sum().backward()
x.sum().backward()
out = x.grad""",
    "removed while running": X
    + """
def once(g):
    log.append(1)
    h.remove()
h = x.register_hook(once)
x.register_hook(lambda g: log.append(2))
x.sum().backward()
x.sum().backward()
out = log""",
    "added while running": X
    + """
x.register_hook(lambda g: log.append(1) or x.register_hook(lambda g: log.append(2)) and None)
x.sum().backward()
out = log""",
    "one hook twice": X
    + """
def hook(g): log.append(g.clone())
a = x.register_hook(hook); b = x.register_hook(hook)
x.sum().backward()
a.remove()
x.sum().backward()
out = log""",
    "output of split": X
    + """
a, b = x.split([1, 2])
b.register_hook(lambda g: g * 5)
(a.sum() + b.sum()).backward()
out = x.grad""",
    "create_graph": X
    + """
x.register_hook(lambda g: g * g)
g, = torch.autograd.grad((x ** 3).sum(), x, create_graph=True)
out = g, torch.autograd.grad(g.sum(), x)""",
    # ---- in place
    "before a change in place": X
    + """
y = x * 2
y.register_hook(lambda g: log.append(("old", g.clone())))
y.mul_(3)
y.register_hook(lambda g: log.append(("new", g.clone())))
y.sum().backward()
out = log, x.grad""",
    "retained before a change in place": X
    + """
y = x * 2
y.retain_grad()
y.mul_(3)
(y * 5).sum().backward()
out = y.grad, x.grad""",
    "retained before a change of a view": X
    + """
y = x * 2
y.retain_grad()
y[0] = 7.
(y * 5).sum().backward()
out = y.grad, x.grad""",
    "retained view changed": X
    + """
y = x * 2
v = y[1:]
v.retain_grad()
v.mul_(3)
(v * 5).sum().backward()
out = v.grad, x.grad""",
    # ---- retain_grad
    "retain_grad": X
    + """
y = x * 2
y.retain_grad()
y.retain_grad()
(y * y).sum().backward()
out = y.grad, x.grad, y.retains_grad, x.retains_grad""",
    "retain_grad accumulates": X
    + """
y = x + 1
y.retain_grad()
z = (y * 2).sum()
z.backward(retain_graph=True)
z.backward()
out = y.grad""",
    "retain_grad of a leaf": X
    + """
x.retain_grad()
x.sum().backward()
out = x.grad, x.retains_grad""",
    "retain_grad sees hooks": X
    + """
y = x * 2
y.retain_grad()
y.register_hook(lambda g: g * 10)
y.sum().backward()
out = y.grad, x.grad""",
    "grad not retained": X + "y = x * 2; y.sum().backward(); out = y.grad",
    "retained with grad()": X
    + """
y = x * 2
y.retain_grad()
torch.autograd.grad(y.sum(), y)
out = y.grad""",
    # ---- after accumulation
    "post accumulate": X
    + """
x.register_post_accumulate_grad_hook(lambda p: log.append((p is x, p.grad.clone())))
x.sum().backward()
x.sum().backward()
out = log""",
    "post accumulate clears": X
    + """
def step(p):
    with torch.no_grad():
        p.sub_(p.grad)
    p.grad = None
h = x.register_post_accumulate_grad_hook(step)
x.sum().backward()
h.remove()
out = x, x.grad""",
    "post accumulate after leaf hooks": X
    + """
x.register_post_accumulate_grad_hook(lambda p: log.append(p.grad.clone()))
x.register_hook(lambda g: g * 4)
x.sum().backward()
out = log""",
    "post accumulate with inputs": X
    + """
w = torch.ones(3, requires_grad=True)
x.register_post_accumulate_grad_hook(lambda p: log.append("x"))
w.register_post_accumulate_grad_hook(lambda p: log.append("w"))
(x * w).sum().backward(inputs=[w])
out = log""",
    # ---- nodes
    "node hook": X
    + """
y = x * 2
y.grad_fn.register_hook(lambda gi, go: log.append([g is None or g.clone() for g in gi + go]))
y.sum().backward()
out = log""",
    "node hook changes": X
    + """
y = x * 2
y.grad_fn.register_hook(lambda gi, go: (gi[0] * 3, None))
y.sum().backward()
out = x.grad""",
    "node prehook": X
    + """
y = x * 2
y.grad_fn.register_prehook(lambda go: (go[0] * 3,))
y.sum().backward()
out = x.grad""",
    "node hook on AccumulateGrad": X
    + """
acc = x.view_as(x).grad_fn.next_functions[0][0]
acc.register_hook(lambda gi, go: log.append((len(gi), go[0].clone())))
x.sum().backward()
out = log""",
    "order of all": X
    + """
y = x * 2
f = y.grad_fn
f.register_hook(lambda gi, go: log.append("post"))
f.register_prehook(lambda go: log.append("pre"))
y.register_hook(lambda g: log.append("tensor"))
y.sum().backward()
out = log""",
    "node prehook and inputs": X
    + """
y = x * 2
y.grad_fn.register_prehook(lambda go: log.append("pre"))
y.register_hook(lambda g: log.append("tensor"))
g, = torch.autograd.grad(y.sum(), y)
out = log, g""",
    "node hook removed": X
    + """
y = x * 2
h = y.grad_fn.register_hook(lambda gi, go: log.append(1))
h.remove()
y.sum().backward()
out = log""",
    # ---- passes within passes
    "backward in a hook": X
    + """
w = torch.ones(3, requires_grad=True)
y = x * 2
def hook(g):
    with torch.enable_grad():
        (w * g).sum().backward()
y.register_hook(hook)
y.sum().backward()
out = x.grad, w.grad""",
    "same leaf in a hook": X
    + """
y = x * 2
def hook(g):
    with torch.enable_grad():
        (x * 5).sum().backward()
y.register_hook(hook)
y.sum().backward()
out = x.grad""",
    "grad mode in hooks": X
    + """
y = x * 2
y.register_hook(lambda g: log.append(torch.is_grad_enabled()))
y.sum().backward(retain_graph=True)
y.sum().backward(create_graph=True)
out = log""",
    "hook within no_grad": X
    + """
y = x * 2
y.register_hook(lambda g: g * 2)
z = y.sum()
with torch.no_grad(): z.backward()
out = x.grad""",
}


@pytest.mark.parametrize("name", VALUES)
def test_same_as_pytorch(name):
    compare(VALUES[name])


ERRORS = {
    "without requires_grad": ("torch.ones(3).register_hook(print); out = 0", "register_hook"),
    "returns a number": (
        X
        + """
x.register_hook(lambda g: 3)
x.sum().backward()
out = 0""",
        "returned int",
    ),
    "changes the shape": (
        X
        + """
x.register_hook(lambda g: g.sum())
x.sum().backward()
out = 0""",
        "size",
    ),
    "changes the dtype": (
        X
        + """
x.register_hook(lambda g: g.double())
x.sum().backward()
out = 0""",
        "type",
    ),
    "raises": (X + "x.register_hook(lambda g: [][0]); x.sum().backward(); out = 0", "index"),
    "post accumulate of a non-leaf": (
        X + "(x * 2).register_post_accumulate_grad_hook(print); out = 0",
        "non-leaf",
    ),
    "post accumulate without requires_grad": (
        "torch.ones(3).register_post_accumulate_grad_hook(print); out = 0",
        "gradient",
    ),
    "post accumulate returns": (
        X + "x.register_post_accumulate_grad_hook(lambda p: 1); x.sum().backward(); out = 0",
        "None",
    ),
    "node hook with a wrong count": (
        X
        + "y = x * 2; y.grad_fn.register_hook(lambda gi, go: gi[:1])\ny.sum().backward(); out = 0",
        "number of",
    ),
}


@pytest.mark.parametrize("name", ERRORS)
def test_same_error_as_pytorch(name):
    compare_error(*ERRORS[name])


def test_hook_must_be_callable():
    with pytest.raises(TypeError, match="callable"):
        ember.ones(3, requires_grad=True).register_hook(3)


def test_handle_outlives_the_tensor():
    x = ember.ones(3, requires_grad=True)
    y = x * 2
    handles = [x.register_hook(print), y.register_hook(print), y.grad_fn.register_hook(print)]
    del x, y
    for handle in handles:
        handle.remove()


def test_retained_tensor_may_die_first():
    x = ember.ones(3, requires_grad=True)
    y = x * 2
    y.retain_grad()
    z = y * 1
    y.mul_(2)
    z = z + y
    del y
    z.sum().backward()
    assert x.grad.tolist() == [6, 6, 6]


def test_removed_hooks_do_not_pile_up():
    x = ember.ones(3, requires_grad=True)
    alive = []
    for _ in range(50):

        def hook(grad):
            return None

        alive.append(weakref.ref(hook))
        x.register_hook(hook).remove()
        del hook
    gc.collect()
    assert not any(ref() for ref in alive)


def test_queue_callback():
    x = ember.ones(3, requires_grad=True)
    log = []

    def hook(grad):
        ember._C._queue_callback(lambda: log.append(x.grad.tolist()))

    x.register_hook(hook)
    x.sum().backward()
    assert log == [[1, 1, 1]]
    with pytest.raises(RuntimeError, match="no backward pass"):
        ember._C._queue_callback(print)


def test_node_hooks_that_reach_their_node_are_collected():
    class Token:
        pass

    token = Token()
    alive = weakref.ref(token)
    y = ember.ones(3, requires_grad=True) * 2
    y.grad_fn.register_hook(lambda gi, go, y=y, token=token: None)
    del y, token
    gc.collect()
    assert alive() is None


# Hooks on several tensors


@pytest.mark.parametrize("name", ["ember", "torch"])
@pytest.mark.parametrize("mode", ["all", "any"])
def test_hook_on_several_tensors(name, mode):
    lib = ember if name == "ember" else pytest.importorskip("torch")
    a, b, c = (lib.full((2,), value, requires_grad=True) for value in (2.0, 3.0, 5.0))
    calls = []
    tensors = (a, b, c) if mode == "all" else (a, lib.ones(1), b, c)
    handle = lib.autograd.graph.register_multi_grad_hook(tensors, calls.append, mode=mode)
    for loss in ((a * b).sum(), (c * c).sum(), (a + b + c).sum()):
        loss.backward()
    assert len(calls) == 3
    if mode == "all":
        grads = [[None if g is None else g.tolist() for g in call] for call in calls]
        assert grads[0] == [[3.0, 3.0], [2.0, 2.0], None]
        assert grads[1] == [None, None, [10.0, 10.0]]
        assert grads[2] == [[1.0, 1.0]] * 3
    else:
        assert calls[0].tolist() in ([3.0, 3.0], [2.0, 2.0]) and calls[1].tolist() == [10.0, 10.0]
    handle.remove()
    (a * b).sum().backward()
    assert len(calls) == 3
    with pytest.raises(ValueError):
        lib.autograd.graph.register_multi_grad_hook(tensors, calls.append, mode="some")


def test_saving_on_the_cpu():
    x = ember.ones(3, requires_grad=True)
    with ember.autograd.graph.save_on_cpu():
        y = x.exp().sum()
    y.backward()
    assert bool((x.grad == x.detach().exp()).all())
    with pytest.raises(ValueError, match="device_type 'cuda', got 'xpu'"):
        ember.autograd.graph.save_on_cpu(device_type="xpu")


@pytest.mark.parametrize("name", ["mul", "bmm", "conv1d", "layer_norm"])
def test_gradients_that_lead_to_no_target_are_not_made(name):
    """A node gives its hooks None for an input that the pass asks nothing of, as PyTorch's do."""
    torch = pytest.importorskip("torch")

    def given(lib):
        x, w = (lib.ones(1, 3, 3, requires_grad=True) for _ in range(2))
        call = {
            "mul": lambda: x * w,
            "bmm": lambda: lib.bmm(x, w),
            "conv1d": lambda: lib.nn.functional.conv1d(x, w),
            "layer_norm": lambda: lib.nn.functional.layer_norm(x, (1, 3, 3), w),
        }[name]
        found = []
        for target in (x, w, (x, w)):
            y = call()
            y.grad_fn.register_hook(
                lambda grads, _, f=found: f.append([g is not None for g in grads[:2]])
            )
            lib.autograd.grad(y.sum(), target, retain_graph=True)
            lib.autograd.grad(y.sum(), (x, w))  # what was left out is still to be had
        return found

    assert given(ember) == given(torch) == [
        [True, False], [True, True], [False, True], [True, True], [True, True], [True, True]
    ]  # fmt: skip
