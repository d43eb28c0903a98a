"""Gradients, views and changes in place, against PyTorch."""

from __future__ import annotations

import gc
import threading
import time
import weakref

import ember
import pytest
from side_by_side import compare, compare_error

pytest.importorskip("torch")

X = "x = torch.tensor([1., 2., 3.], requires_grad=True)\n"
M = "x = torch.arange(12.).reshape(3, 4).requires_grad_()\n"
W = "w = torch.tensor([0.5, -1., 2.], requires_grad=True)\n"

VALUES = {
    # ---- plain passes
    "scalar": X + "y = (x * x).sum(); y.backward(); out = x.grad, y, y.requires_grad",
    "gradient given": X + "(x * 2).backward(torch.tensor([1., 0., 3.])); out = x.grad",
    "gradient of another dtype": X
    + """
(x * 2).backward(torch.ones(3, dtype=torch.float64))
out = x.grad""",
    "accumulates": X + "x.sum().backward(); (x * x).sum().backward(); out = x.grad",
    "accumulates into the same tensor": X
    + """
x.sum().backward()
g = x.grad
(x * x).sum().backward()
out = g is x.grad, g""",
    "grad given is not changed": X
    + """
g = torch.ones(3)
(x * 1).backward(g)
(x * 1).backward(g)
out = g, x.grad""",
    "does not share the gradient given": X
    + """
g = torch.ones(3)
x.backward(g)
x.backward(g)
out = g, x.grad""",
    "diamond": X + "a = x * 2; b = a + x; c = a * b; c.sum().backward(); out = x.grad",
    "same input twice": X + "(x + x).sum().backward(); out = x.grad",
    "same root twice": X
    + """
y = (x * x).sum()
torch.autograd.backward([y, y])
out = x.grad""",
    "root above another root": X
    + """
y = x * 2
z = y * y
torch.autograd.backward([y.sum(), z.sum()])
out = x.grad""",
    "root is a node on the way": X
    + """
y = (x * 2).sum()
z = y * 3
torch.autograd.backward([y, z])
out = x.grad""",
    "broadcast": X
    + """
b = torch.ones(2, 1, requires_grad=True)
(x * b).sum().backward()
out = x.grad, b.grad""",
    "broadcast of a scalar": X
    + """
s = torch.tensor(2., requires_grad=True)
(x * s).sum().backward()
out = s.grad""",
    "mixed dtypes": X
    + """
d = torch.ones(3, dtype=torch.float64, requires_grad=True)
(x * d).sum().backward()
out = x.grad, d.grad""",
    "cast": X + "(x.double() * 2).sum().backward(); out = x.grad",
    "integer operand": X + "(x * torch.tensor([1, 2, 3])).sum().backward(); out = x.grad",
    "not needed": X
    + """
c = torch.ones(3)
(x * c).sum().backward()
out = x.grad, c.grad, c.requires_grad""",
    "detach": X
    + """
y = x * 2
(y.detach() * x).sum().backward()
out = x.grad, y.detach().requires_grad""",
    "detach shares": X + "y = x * 2; y.detach().zero_(); out = y",
    "detach_": X + "y = x * 2; y.detach_(); out = y.requires_grad, y.is_leaf, y.grad_fn",
    "data": X
    + """
(x.data * 2)
x.data.mul_(2)
(x * x).sum().backward()
out = x, x.grad, x.data.requires_grad""",
    "data unnoticed": X
    + """
y = (x * x).sum()
x.data.mul_(10)
y.backward()
out = x.grad""",
    "set data": X
    + """
x.data = torch.zeros(2, 2)
(x + 1).sum().backward()
out = x, x.grad, x.is_leaf""",
    "set data keeps identity": X
    + """
y = (x * 2).sum()
x.data = torch.ones(3)
y.backward()
out = x.grad, x""",
    "set grad": X + "x.grad = torch.ones(3); x.sum().backward(); out = x.grad",
    "delete grad": X + "x.sum().backward(); x.grad = None; out = x.grad",
    "retain graph": X
    + """
y = (x * x).sum()
y.backward(retain_graph=True)
y.backward()
out = x.grad""",
    "nothing saved, twice": X + "y = (x + 1).sum(); y.backward(); y.backward(); out = x.grad",
    "zero-size": "x = torch.ones(0, 3, requires_grad=True); (x * 2).sum().backward(); out = x.grad",
    "zero-dim": "x = torch.tensor(3., requires_grad=True); (x * x).backward(); out = x.grad",
    "gradient layout": M
    + """
y = x.t() * 2
y.backward(torch.ones(4, 3))
out = x.grad, x.grad.stride()""",
    "expanded gradient": X + "x.sum().backward(); x.grad.add_(1); out = x.grad",
    "leaf flags": X
    + """
y = x * 2
out = (x.is_leaf, y.is_leaf, x.grad_fn, y.requires_grad, y.grad_fn.name(),
       x.output_nr, y.output_nr, type(y.grad_fn).__name__)""",
    "requires_grad_": """
x = torch.ones(2)
out = x.requires_grad_() is x, x.requires_grad, x.requires_grad_(False).requires_grad""",
    "switched off": X
    + """
y = (x * 2).sum()
x.requires_grad_(False)
y.backward()
out = x.grad""",
    # ---- grad
    "grad": X + W + "out = torch.autograd.grad((x * w).sum(), [x, w]), x.grad",
    "grad of non-leaf": X + "y = x * 2; out = torch.autograd.grad((y * y).sum(), y)",
    "grad of both": X + "y = x * 2; out = torch.autograd.grad((y * x).sum(), [y, x])",
    "grad outputs": X
    + """
out = torch.autograd.grad([x * 2, (x * 3).sum()], x, [torch.ones(3), None])""",
    "grad allow_unused": X + W + "out = torch.autograd.grad(x.sum(), [x, w], allow_unused=True)",
    "grad materialize": X
    + W
    + """
out = torch.autograd.grad(x.sum(), [x, w], materialize_grads=True)""",
    "grad same input twice": X + "out = torch.autograd.grad((x * x).sum(), [x, x])",
    "grad of the output itself": X + "y = (x * 2).sum(); out = torch.autograd.grad(y, y)",
    "grad runs leaf hooks": X
    + """
x.register_hook(lambda g: g * 2)
out = torch.autograd.grad((x * 3).sum(), x), x.grad""",
    "grad leaves others alone": X
    + W
    + """
y = x * 2
out = torch.autograd.grad((y * w).sum(), w), x.grad, w.grad""",
    "grad batched": X
    + """
y = x * x
out = torch.autograd.grad(y, x, torch.eye(3), is_grads_batched=True)""",
    "backward inputs": X + W + "(x * w).sum().backward(inputs=[x]); out = x.grad, w.grad",
    "backward inputs non-leaf": X
    + """
y = x * 2
(y * y).sum().backward(inputs=[y])
out = y.grad, x.grad""",
    "backward inputs both": X
    + """
y = x * 2
(y * y).sum().backward(inputs=[x, y])
out = y.grad, x.grad""",
    "backward inputs twice": X
    + """
x.sum().backward(inputs=x)
(x * x).sum().backward(inputs=x)
out = x.grad""",
    "gradient edge": X
    + """
y = x * 2
edge = torch.autograd.graph.get_gradient_edge(y)
z = (y * y).sum()
out = torch.autograd.grad(z, edge), edge.output_nr""",
    "from a gradient edge": X
    + """
edge = torch.autograd.graph.get_gradient_edge(x * x)
out = torch.autograd.grad(edge, x, torch.ones(3))""",
    # ---- higher orders
    "double": X
    + """
g, = torch.autograd.grad((x ** 3).sum(), x, create_graph=True)
out = g, torch.autograd.grad(g.sum(), x)""",
    "triple": X
    + """
g, = torch.autograd.grad((x ** 4).sum(), x, create_graph=True)
h, = torch.autograd.grad(g.sum(), x, create_graph=True)
out = torch.autograd.grad(h.sum(), x)""",
    "double backward into grad": X
    + """
(x ** 3).sum().backward(create_graph=True)
g = x.grad
x.grad = None
g.sum().backward()
out = x.grad, g.requires_grad""",
    "gradient penalty": X
    + W
    + """
y = (x * w).tanh().sum()
g, = torch.autograd.grad(y, x, create_graph=True)
(y + (g * g).sum()).backward()
out = x.grad, w.grad""",
    "double through exp": X
    + """
g, = torch.autograd.grad(x.exp().sum(), x, create_graph=True)
out = torch.autograd.grad((g * g).sum(), x)""",
    "double in place": X
    + """
y = x * 1
y.exp_()
g, = torch.autograd.grad(y.sum(), x, create_graph=True)
out = torch.autograd.grad((g * g).sum(), x)""",
    "double of views in place": M
    + """
y = x * 1
y[:, 1] *= x[:, 2]
y[0].exp_()
g, = torch.autograd.grad((y * y).sum(), x, create_graph=True)
out = g, torch.autograd.grad((g * g).sum(), x)""",
    "gradient of the gradient given": X
    + """
v = torch.ones(3, requires_grad=True)
g, = torch.autograd.grad(x * x, x, v, create_graph=True)
out = torch.autograd.grad(g.sum(), [v, x])""",
    # ---- graph structure
    "next functions": X
    + W
    + """
y = (x * 2) + w
f = y.grad_fn
mul, acc = f.next_functions[0][0], f.next_functions[1][0]
out = (f.name(), mul.name(), type(acc).__name__, acc.variable is w, f.next_functions[1][1],
       mul.next_functions[0][0].variable is x, mul.next_functions[1], hasattr(f, "variable"))""",
    "node identity": X
    + """
y = x * 2
out = y.grad_fn is y.grad_fn, y.grad_fn == y.grad_fn, hash(y.grad_fn) == hash(y.grad_fn)""",
    "node metadata": X + "y = x * 2; y.grad_fn.metadata['a'] = 1; out = y.grad_fn.metadata",
    "node type": X
    + """
y = x * 2
z = x * 3
out = type(y.grad_fn) is type(z.grad_fn), isinstance(y.grad_fn, torch.autograd.graph.Node)""",
    "split output_nr": M
    + """
a, b = x.split(2, 1)
out = a.output_nr, b.output_nr, a.grad_fn is b.grad_fn""",
    # ---- saved tensor hooks
    "saved tensor hooks": X
    + """
log = []
def pack(t):
    log.append("pack")
    return t.clone() * 1
def unpack(t):
    log.append("unpack")
    return t
with torch.autograd.graph.saved_tensors_hooks(pack, unpack):
    y = (x.exp() * x).sum()
y.backward()
out = x.grad, log.count("pack"), log.count("unpack")""",
    "saved tensor hooks, twice": X
    + """
pack = lambda t: t.numpy().copy()
with torch.autograd.graph.saved_tensors_hooks(pack, torch.from_numpy):
    y = x.exp() * x
    g, = torch.autograd.grad(y.sum(), x, create_graph=True)
    h, = torch.autograd.grad(g.sum(), x)
out = g, h""",
}


@pytest.mark.parametrize("name", VALUES)
def test_same_as_pytorch(name):
    compare(VALUES[name])


ERRORS = {
    "no gradient": ("torch.ones(3).sum().backward(); out = 0", "does not require grad"),
    "not a scalar": (X + "(x * 2).backward(); out = 0", "scalar outputs"),
    "shape of gradient": (X + "(x * 2).backward(torch.ones(2)); out = 0", "Mismatch in shape"),
    "twice": (X + "y = x.exp().sum(); y.backward(); y.backward(); out = 0", "second time"),
    "twice through a shared part": (
        X + "y = x.exp(); y.sum().backward(); (y * 2).sum().backward(); out = 0",
        "second time",
    ),
    "gradient of a string": (X + "(x * 2).backward('a'); out = 0", "backward"),
    "integer": ("torch.ones(3, dtype=torch.int64).requires_grad_(); out = 0", "floating point"),
    "integer, by attribute": (
        """
x = torch.ones(3, dtype=torch.int64)
x.requires_grad = True
out = 0""",
        "floating point",
    ),
    "non-leaf switched off": (X + "y = x * 1; y.requires_grad_(False); out = 0", "leaf variables"),
    "grad of another shape": (X + "x.grad = torch.ones(2); out = 0", "shape"),
    "grad of another dtype": (X + "x.grad = torch.ones(3, dtype=torch.float64); out = 0", "dtype"),
    "grad of another type": (X + "x.grad = 3; out = 0", "Tensor"),
    "unused": (X + W + "out = torch.autograd.grad(x.sum(), [x, w])", "not have been used"),
    "grad without requires": (
        X
        + """
w = torch.ones(3)
out = torch.autograd.grad((x * w).sum(), [w])""",
        "does not require grad",
    ),
    "grad without inputs": (X + "out = torch.autograd.grad(x.sum(), [])", "inputs"),
    "grad materialize and not allowed": (
        X + "out = torch.autograd.grad(x.sum(), x, allow_unused=False, materialize_grads=True)",
        "allow_unused",
    ),
    "backward without inputs": (X + "x.sum().backward(inputs=[]); out = 0", "cannot be empty"),
    "inference tensor saved": (
        W + "\nwith torch.inference_mode(): x = torch.ones(3)\nout = x * w",
        "inference",
    ),
    "inference tensor requires_grad": (
        "with torch.inference_mode(): x = torch.ones(3)\nx.requires_grad_()\nout = 0",
        "inference",
    ),
    "retain_grad": ("torch.ones(3).retain_grad(); out = 0", "retain_grad"),
    "out= with gradients": (X + "torch.add(x, x, out=torch.ones(3)); out = 0", "add"),
    "numpy of a graph": (X + "(x * 2).numpy(); out = 0", "grad"),
    "edge of a constant": ("out = torch.autograd.graph.get_gradient_edge(torch.ones(3))", "edge"),
}


@pytest.mark.parametrize("name", ERRORS)
def test_same_error_as_pytorch(name):
    compare_error(*ERRORS[name])


# ---- What has no counterpart to compare with: memory, depth, threads, failures


def test_long_chain_backward():
    start = time.perf_counter()
    x = ember.ones(1, requires_grad=True)
    y = x
    for _ in range(1_000_000):
        y = y + 1
    y.backward()
    assert x.grad.item() == 1
    del y
    assert time.perf_counter() - start < 60


@pytest.mark.parametrize("step", [lambda y: y * 2, lambda y: y.view(1), lambda y: y.exp_()])
def test_long_chain_freed_unused(step):
    x = ember.ones(1, requires_grad=True)
    y = x * 0
    for _ in range(1_000_000 if step(ember.ones(1)) is not None else 0):
        y = step(y)
        if y.grad_fn is None:
            break
    del y
    assert x.grad is None


def test_graph_is_freed():
    x = ember.ones(3, requires_grad=True)
    kept = ember.ones(1000)
    alive = weakref.ref(kept)
    y = (x.sum() * kept).sum()
    del kept
    assert alive() is not None
    y.backward()
    assert alive() is None


def test_threads_have_their_own_passes():
    failures = []

    def work(seed: int) -> None:
        try:
            x = ember.full((64, 64), float(seed), requires_grad=True)
            for i in range(20):
                x.grad = None
                ((x * x).sum() * i).backward()
                assert x.grad[0, 0].item() == 2 * seed * i
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not failures


def test_threads_share_a_leaf():
    x = ember.ones(300, 1000, requires_grad=True)  # large enough for kernels to let the lock go
    threads = [
        threading.Thread(target=lambda: [(x * 2).sum().backward() for _ in range(5)])
        for _ in range(8)
    ]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert x.grad.min().item() == x.grad.max().item() == 80


def test_threads_share_a_graph():
    """Whoever comes second may be refused, but nothing crashes."""
    for _ in range(10):
        x = ember.ones(300, 1000, requires_grad=True)
        y = (x.exp() * x).sum()
        refused = []

        def work(y=y, refused=refused):
            try:
                y.backward()
            except RuntimeError as error:
                refused.append(str(error))

        threads = [threading.Thread(target=work) for _ in range(4)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        assert all("second time" in text for text in refused)


def test_grad_mode_belongs_to_the_thread():
    seen = []
    with ember.no_grad():
        t = threading.Thread(target=lambda: seen.append(ember.is_grad_enabled()))
        t.start()
        t.join()
    assert seen == [True]


def test_exception_leaves_a_sane_state():
    x = ember.ones(3, requires_grad=True)
    y = x * 2

    def hook(grad):
        raise ValueError("from the hook")

    handle = y.register_hook(hook)
    z = (y * y).sum()
    with pytest.raises(ValueError, match="from the hook"):
        z.backward()
    assert ember.is_grad_enabled()
    assert x.grad is None
    handle.remove()
    with pytest.raises(RuntimeError, match="second time"):
        z.backward()  # what had run before the hook is freed
    (x * x).sum().backward()
    assert x.grad.tolist() == [2, 2, 2]


def test_backward_while_gradients_are_off():
    x = ember.ones(3, requires_grad=True)
    y = (x * x).sum()
    with ember.no_grad():
        y.backward()
        assert not ember.is_grad_enabled()
    assert x.grad.tolist() == [2, 2, 2]


def test_cycle_through_a_hook_is_collected():
    class Token:
        pass

    token = Token()
    alive = weakref.ref(token)
    for leaf in (True, False):
        x = ember.ones(3, requires_grad=True)
        y = x if leaf else x * 2
        y.register_hook(lambda g, y=y, token=token: None)
        del x, y
    del token
    gc.collect()
    assert alive() is None


def test_unneeded_operand_is_not_kept():
    x = ember.ones(3, requires_grad=True)
    other = (x * 1).detach()
    left = x * 1
    alive = weakref.ref(left)
    y = left * other  # only the gradient of left is asked for, and that needs `other` alone
    del left
    assert alive() is None
    y.sum().backward()
    assert x.grad.tolist() == [1, 1, 1]
