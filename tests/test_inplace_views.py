"""Changes in place, views, and both together, against PyTorch."""

from __future__ import annotations

import gc

import ember
import pytest
from side_by_side import compare, compare_error

pytest.importorskip("torch")

X = "x = torch.tensor([1., 2., 3.], requires_grad=True)\n"
M = "x = torch.arange(12.).reshape(3, 4).requires_grad_()\n"
W = "w = torch.tensor([0.5, -1., 2.], requires_grad=True)\n"

VALUES = {
    # ---- in place
    "in place on a temporary": X
    + """
y = x * 2
y.add_(1)
y.mul_(3)
y.sum().backward()
out = x.grad, y""",
    "in place input kept": X + W + "y = x * 1; y.mul_(w); y.sum().backward(); out = x.grad, w.grad",
    "in place div": X + W + "y = x * 1; y.div_(w); y.sum().backward(); out = x.grad, w.grad",
    "in place sin": X + "y = x * 1; y.sin_(); y.sum().backward(); out = x.grad",
    "in place relu": X + "y = x - 2; y.relu_(); y.sum().backward(); out = x.grad",
    "in place pow": X + "y = x * 1; y.pow_(3); y.sum().backward(); out = x.grad",
    "in place abs, clamp": X
    + """
y = x - 2
y.abs_().clamp_(max=0.5)
y.sum().backward()
out = x.grad""",
    "in place lerp": X
    + W
    + """
y = x * 1
y.lerp_(torch.ones(3), w)
y.sum().backward()
out = x.grad, w.grad""",
    "in place addcmul": X
    + W
    + """
y = x * 1
y.addcmul_(w, w)
y.sum().backward()
out = x.grad, w.grad""",
    "in place masked_fill": X
    + """
y = x * 2
y.masked_fill_(y > 3, 0.)
y.sum().backward()
out = x.grad""",
    "in place onto a constant": X
    + """
y = torch.zeros(3)
y.add_(x)
(y * y).sum().backward()
out = x.grad, y.requires_grad, y.is_leaf""",
    "copy_": X + "y = torch.zeros(3); y.copy_(x); (y * y).sum().backward(); out = x.grad",
    "copy_ broadcasts": """
x = torch.ones(1, requires_grad=True)
y = torch.zeros(3)
y.copy_(x)
y.sum().backward()
out = x.grad""",
    "fill_, zero_": X + "y = x * 2; z = y * 1; z.zero_(); (y + z).sum().backward(); out = x.grad",
    "saved before in place elsewhere": X
    + """
y = x * 2
z = y + 1
z.add_(1)
(y * z).sum().backward()
out = x.grad""",
    "version": X
    + """
y = x * 1
v = [y._version]
y.add_(1)
v.append(y._version)
y[0] = 2
v.append(y._version)
out = v""",
    "leaf in no_grad": X
    + """
with torch.no_grad():
    x.mul_(2)
(x * x).sum().backward()
out = x, x.grad""",
    "in place on itself": X + "y = x * 1; y.add_(y); y.sum().backward(); out = x.grad",
    # ---- views
    "view": M + "(x.view(12)[3:7] ** 2).sum().backward(); out = x.grad",
    "chained views": M + "(x.t()[1:3].reshape(6)[::2] ** 2).sum().backward(); out = x.grad",
    "permute, expand, unsqueeze": M
    + """
(x.permute(1, 0).unsqueeze(0).expand(2, 4, 3) ** 2).sum().backward()
out = x.grad""",
    "select, diagonal": M + "(x.select(1, 2).sum() + x.diagonal().sum()).backward(); out = x.grad",
    "split": M + "a, b = x.split(2, 1); (a * b).sum().backward(); out = x.grad",
    "split unused": M + "a, b = x.split(2, 1); (b * b).sum().backward(); out = x.grad",
    "unbind": M + "a, b, c = x.unbind(); (a * c).sum().backward(); out = x.grad",
    "as_strided": M + "(x.as_strided((2, 2), (1, 2), 3) ** 2).sum().backward(); out = x.grad",
    "as_strided overlapping": M
    + """
(x.as_strided((3, 3), (1, 1), 2) ** 2).sum().backward()
out = x.grad""",
    "base": M
    + """
y = x * 1
v = y[0]
u = v[1:]
out = v._base is y, u._base is y, y._base, v._is_view(), y._is_view()""",
    "assign a row": M
    + W
    + """
y = x * 1
y[0, :3] = w
(y * y).sum().backward()
out = x.grad, w.grad""",
    "assign an element": M + "y = x * 1; y[1, 2] = 5.; (y * y).sum().backward(); out = x.grad, y",
    "assign into zeros": X
    + """
y = torch.zeros(2, 3)
y[1] = x
y[0] = x * 2
(y * y).sum().backward()
out = x.grad, y""",
    "scale a column": M
    + W
    + """
y = x * 1
y[:, 1] *= w
(y * y).sum().backward()
out = x.grad, w.grad""",
    "add to a view": M
    + """
y = x * 1
y[1:].add_(1)
y.t()[2].mul_(2)
(y * y).sum().backward()
out = x.grad""",
    "view of a view in place": M
    + """
y = x * 1
v = y[1:]
u = v[:, 2]
u.mul_(3)
(y * y).sum().backward()
out = x.grad, v, u""",
    "view read after base changed": M
    + """
y = x * 1
v = y[1]
y.mul_(2)
(v * v).sum().backward()
out = x.grad""",
    "view read after view changed": M
    + """
y = x * 1
v = y[1]
u = y[:, 1]
v.mul_(2)
(u * u).sum().backward()
out = x.grad""",
    "view and base both used": M
    + """
y = x * 1
v = y[1]
v.mul_(2)
(v.sum() + (y * y).sum()).backward()
out = x.grad""",
    "view before in place, used before": M
    + """
y = x * 1
v = y[1]
z = (v + 1).sum()
y.add_(3)
(z + (v * v).sum()).backward()
out = x.grad""",
    "many changes of views": M
    + """
y = x * 1
for i in range(3):
    y[i] = y[i - 1] * (i + 2)
    y[:, i] += y[:, i + 1]
(y * y).sum().backward()
out = x.grad, y""",
    "view of a constant in place": X
    + """
y = torch.zeros(4)
v = y[1:]
v.mul_(x)
v.add_(x)
(y * 2).sum().backward()
out = x.grad, y.requires_grad, v.requires_grad, y.is_leaf""",
    "copy into a view": X
    + """
y = torch.zeros(2, 3)
y.view(6)[1:4].copy_(x)
(y * y).sum().backward()
out = x.grad, y""",
    "view grad_fn name": M
    + """
y = x * 1
v = y[0]
n = [v.grad_fn]
y.mul_(2)
n.append(v.grad_fn)
n.append(y.grad_fn)
v.add_(1)
n.append(y.grad_fn)
out = [type(f).__name__ for f in n]""",
    "view of no_grad": X
    + """
with torch.no_grad():
    v = x.view(3)
y = v * 2
out = v.requires_grad, v.is_leaf, v.grad_fn, y.requires_grad, y.grad_fn.next_functions[0][0]""",
    "leaf that is a view": """
b = torch.zeros(4)
x = b[:2]
x.requires_grad_()
(x + 1).sum().backward()
b.add_(1)
out = x.grad, x.is_leaf, x""",
    "base of base changed twice": M
    + """
y = x * 1
v = y.view(12)
v[2:5] *= 2
y[0] *= 3
v[1] = 7.
(v * v).sum().backward()
out = x.grad""",
    "in place on a transposed base": M
    + """
y = (x * 1).t().contiguous()
y[1].mul_(2)
(y * y).sum().backward()
out = x.grad""",
    "sum into row by view": M
    + """
y = torch.zeros(4)
[y.add_(r) for r in x.unbind()]
(y * y).sum().backward()
out = x.grad""",
    "base with its own view as operand": M
    + """
y = x * 1
y[:, :2].add_(y.chunk(2, 1)[1])
(y * y).sum().backward()
out = x.grad""",
    "in place with a view as operand": M
    + """
y = x * 1
y[0].add_(y[1])
(y * y).sum().backward()
out = x.grad""",
    "view in inference mode": X
    + """
with torch.inference_mode():
    v = x.view(3)
    y = x * 2
out = v.requires_grad, v.is_inference(), y.is_inference(), y.requires_grad""",
    "expand then in place on base": """
x = torch.ones(1, requires_grad=True)
y = x * 1
v = y.expand(3)
y.mul_(2)
v.sum().backward()
out = x.grad""",
    "where": X + "torch.where(x > 1.5, x * x, x).sum().backward(); out = x.grad",
    "stack, cat": X
    + """
(torch.stack([x, x * 2]) * torch.cat([x, x]).view(2, 3)).sum().backward()
out = x.grad""",
    "indexing": M + "(x[[0, 2, 0], [1, 1, 1]] ** 2).sum().backward(); out = x.grad",
    "mask": M + "(x[x > 4] ** 2).sum().backward(); out = x.grad",
    "index assign": M
    + W
    + """
y = x * 1
y[[0, 1, 2], [3, 2, 1]] = w
(y * y).sum().backward()
out = x.grad, w.grad""",
    "mask assign": M + "y = x * 1; y[x > 4] = 0.; (y * y).sum().backward(); out = x.grad",
}


@pytest.mark.parametrize("name", VALUES)
def test_same_as_pytorch(name):
    compare(VALUES[name])


ERRORS = {
    "saved tensor modified": (
        X + "y = x * 1; z = (y * y).sum(); y.add_(1); z.backward(); out = 0",
        "modified by an inplace",
    ),
    "saved result modified": (
        X + "y = x.exp(); y.add_(1); y.sum().backward(); out = 0",
        "modified by an inplace",
    ),
    "saved tensor modified by a view": (
        X + "y = x * 1; z = (y * y).sum(); y[0] = 1.; z.backward(); out = 0",
        "modified by an inplace",
    ),
    "saved tensor modified through detach": (
        X + "y = x * 1; z = (y * y).sum(); y.detach().add_(1); z.backward(); out = 0",
        "modified by an inplace",
    ),
    "saved leaf modified": (
        X + W + "y = (x * w).sum()\nwith torch.no_grad(): w.add_(1)\ny.backward(); out = 0",
        "modified by an inplace",
    ),
    "operand overwritten": (
        X + "y = x * 1; y.mul_(y); y.sum().backward(); out = 0",
        "modified by an inplace",
    ),
    "leaf in place": (X + "x.add_(1); out = 0", "leaf Variable"),
    "leaf assigned": (X + "x[0] = 1.; out = 0", "leaf Variable"),
    "view of leaf in place": (X + "x.view(3).add_(1); out = 0", "view of a leaf"),
    "leaf that is a view in place": (
        "b = torch.zeros(4); x = b[:2].requires_grad_(); x.add_(1); out = 0",
        "view of a leaf",
    ),
    "view of no_grad in place": (
        X + "y = x * 1\nwith torch.no_grad(): v = y.view(3)\nv.add_(1); out = 0",
        "no_grad",
    ),
    "view of no_grad, other operand": (
        X + "b = torch.zeros(3)\nwith torch.no_grad(): v = b.view(3)\nv.mul_(x); out = 0",
        "no_grad",
    ),
    "view of no_grad, base changed": (
        X + "\nwith torch.no_grad(): v = x.view(3); x.add_(1)\nout = v.grad_fn",
        "no_grad",
    ),
    "view of inference mode in place": (
        X + "y = x * 1\nwith torch.inference_mode(): v = y.view(3)\nv.add_(1); out = 0",
        "inference",
    ),
    "split in place": (M + "y = x * 1; a, b = y.split(2, 1); a.add_(1); out = 0", "several"),
    "unbind in place": (M + "y = x * 1; y.unbind()[0].mul_(2); out = 0", "several"),
    "split with a changed base": (
        M + "y = x * 1; a, b = y.split(2, 1); y.add_(1); (a * a).sum().backward(); out = 0",
        "several",
    ),
    "detach_ of a view": (X + "y = (x * 2).view(3); y.detach_(); out = 0", "detach"),
    "inference tensor in place": (
        "with torch.inference_mode(): x = torch.ones(3)\nx.add_(1)\nout = 0",
        "inference",
    ),
}


@pytest.mark.parametrize("name", ERRORS)
def test_same_error_as_pytorch(name):
    compare_error(*ERRORS[name])


def test_long_chain_of_changed_views():
    x = ember.ones(1, 2, requires_grad=True)
    y = x * 1
    for _ in range(20_000):
        y[:, 0] += 1
    y.sum().backward()
    assert x.grad.tolist() == [[1, 1]]


def test_in_place_makes_no_cycle():
    before = ember.memory_stats()["allocated_bytes"]
    gc.disable()
    try:
        for _ in range(20):
            x = ember.ones(100_000, requires_grad=True)
            y = x * 1
            y.exp_()
            y.mul_(x)
            y[:10].sigmoid_()
            y.sin_()
            del x, y
    finally:
        gc.enable()
    assert ember.memory_stats()["allocated_bytes"] - before < 100_000
