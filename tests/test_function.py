"""Custom autograd.Function, against PyTorch."""

from __future__ import annotations

import pytest
from side_by_side import compare, compare_error

pytest.importorskip("torch")

X = """
Function = torch.autograd.Function
x = torch.tensor([1., 2., 3.], requires_grad=True)
log = []
"""

EXP = (
    X
    + """
class Exp(Function):
    @staticmethod
    def forward(ctx, x):
        y = x.exp()
        ctx.save_for_backward(y)
        return y
    @staticmethod
    def backward(ctx, g):
        y, = ctx.saved_tensors
        return g * y
"""
)

MUL = (
    X
    + """
class Mul(Function):
    @staticmethod
    def forward(ctx, a, b):
        ctx.save_for_backward(a, b)
        log.append((ctx.needs_input_grad, torch.is_grad_enabled()))
        return a * b
    @staticmethod
    def backward(ctx, g):
        a, b = ctx.saved_tensors
        log.append((ctx.needs_input_grad, torch.is_grad_enabled()))
        return (g * b if ctx.needs_input_grad[0] else None,
                g * a if ctx.needs_input_grad[1] else None)
w = torch.tensor([4., 5., 6.], requires_grad=True)
"""
)

# A function of one input whose body the case fills in.
ONE = (
    X
    + """
class One(Function):
    @staticmethod
    def forward(ctx, x):
{forward}
    @staticmethod
    def backward(ctx, g):
        log.append(None if g is None else g.clone())
        return g * 2
"""
)


def one(forward: str, rest: str) -> str:
    body = "\n".join("        " + line for line in forward.strip().splitlines())
    return ONE.replace("{forward}", body) + rest


# fmt: off
VALUES = {
    "saved output": EXP
    + """
y = Exp.apply(x)
y.sum().backward()
out = y, x.grad, type(y.grad_fn).__name__, y.grad_fn.name()""",
    "saved inputs": MUL + "Mul.apply(x, w).sum().backward(); out = x.grad, w.grad, log",
    "needs_input_grad": MUL + "Mul.apply(x, w.detach()).sum().backward(); out = x.grad, log",
    "not recorded": MUL + "\nwith torch.no_grad(): y = Mul.apply(x, w)\nout = y, y.grad_fn, log",
    "no gradient needed": MUL + "y = Mul.apply(x.detach(), w.detach()); out = y, y.grad_fn, log",
    "double backward": EXP
    + """
g, = torch.autograd.grad(Exp.apply(x).sum(), x, create_graph=True)
h, = torch.autograd.grad(g.sum(), x, create_graph=True)
out = g, h, torch.autograd.grad(h.sum(), x)""",
    "double backward of inputs": MUL
    + """
g, = torch.autograd.grad((Mul.apply(x, w) ** 2).sum(), x, create_graph=True)
out = g, torch.autograd.grad(g.sum(), [x, w])""",
    "in a longer graph": EXP + "(Exp.apply(x * 2) * Exp.apply(x)).sum().backward(); out = x.grad",
    "retain_graph": EXP
    + """
y = Exp.apply(x).sum()
y.backward(retain_graph=True)
y.backward()
out = x.grad""",
    "setup_context": X
    + """
class F(Function):
    @staticmethod
    def forward(a, b, scale=3.0):
        return a * b * scale
    @staticmethod
    def setup_context(ctx, inputs, output):
        a, b, scale = inputs
        ctx.save_for_backward(a, b)
        ctx.scale = scale
        log.append(output.requires_grad)
    @staticmethod
    def backward(ctx, g):
        a, b = ctx.saved_tensors
        return g * b * ctx.scale, g * a * ctx.scale, None
w = torch.ones(3, requires_grad=True)
y = F.apply(x, w)
y.sum().backward()
z = F.apply(x, w, 2.0)
z.sum().backward()
out = y, z, x.grad, w.grad, log""",
    "setup_context saves the output": X
    + """
class F(Function):
    @staticmethod
    def forward(x):
        return x.exp()
    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(output)
    @staticmethod
    def backward(ctx, g):
        return g * ctx.saved_tensors[0]
g, = torch.autograd.grad(F.apply(x).sum(), x, create_graph=True)
out = g, torch.autograd.grad(g.sum(), x)""",
    "several outputs": X
    + """
class F(Function):
    @staticmethod
    def forward(ctx, x):
        return x * 2, x * 3
    @staticmethod
    def backward(ctx, a, b):
        log.append((a.clone(), b.clone()))
        return a * 2 + b * 3
y, z = F.apply(x)
y.sum().backward()
y, z = F.apply(x)
(y * z).sum().backward()
out = x.grad, log, y.output_nr, z.output_nr, y.grad_fn is z.grad_fn""",
    "no materialized gradients": X
    + """
class F(Function):
    @staticmethod
    def forward(ctx, x):
        ctx.set_materialize_grads(False)
        return x * 2, x * 3
    @staticmethod
    def backward(ctx, a, b):
        log.append((a is None, b is None))
        return a * 2
F.apply(x)[0].sum().backward()
out = x.grad, log""",
    "other arguments and outputs": X
    + """
class F(Function):
    @staticmethod
    def forward(ctx, a, n, text, b):
        return a * n + b, text, [1]
    @staticmethod
    def backward(ctx, g, text, items):
        log.append((text, items))
        return g * 2, None, None, g
w = torch.ones(3, requires_grad=True)
y, text, items = F.apply(x, 2, "a", w)
y.sum().backward()
out = y, text, items, x.grad, w.grad, log, len(y.grad_fn.next_functions)""",
    "None gradient": X
    + """
class F(Function):
    @staticmethod
    def forward(ctx, a, b):
        return a * b
    @staticmethod
    def backward(ctx, g):
        return g, None
w = torch.ones(3, requires_grad=True)
F.apply(x, w).sum().backward()
out = x.grad, w.grad""",
    "more Nones than arguments": X
    + """
class F(Function):
    @staticmethod
    def forward(ctx, a):
        return a * 2
    @staticmethod
    def backward(ctx, g):
        return g, None, None
F.apply(x).sum().backward()
out = x.grad""",
    "gradient that broadcasts": X
    + """
class F(Function):
    @staticmethod
    def forward(ctx, a):
        return a.expand(2, 3) * 2
    @staticmethod
    def backward(ctx, g):
        return g * 2
F.apply(x).sum().backward()
out = x.grad""",
    "saves None": X
    + """
class F(Function):
    @staticmethod
    def forward(ctx, a):
        ctx.save_for_backward(a, None)
        return a * 2
    @staticmethod
    def backward(ctx, g):
        log.append(ctx.saved_tensors[1])
        return g
F.apply(x).sum().backward()
out = log""",
    "saves an intermediate": X
    + """
class F(Function):
    @staticmethod
    def forward(ctx, a):
        t = a * 2
        ctx.save_for_backward(t)
        return t * t
    @staticmethod
    def backward(ctx, g):
        return g * 4 * ctx.saved_tensors[0]
F.apply(x).sum().backward()
out = x.grad""",
    "attributes": X
    + """
class F(Function):
    @staticmethod
    def forward(ctx, a):
        ctx.kept = 5
        return a * 2
    @staticmethod
    def backward(ctx, g):
        return g * ctx.kept
y = F.apply(x)
y.sum().backward()
out = x.grad, y.grad_fn.kept, y.grad_fn.needs_input_grad""",
    "mark_non_differentiable": X
    + """
class F(Function):
    @staticmethod
    def forward(ctx, a):
        s, i = a * 2, a * 3
        ctx.mark_non_differentiable(i)
        return s, i
    @staticmethod
    def backward(ctx, g, gi):
        log.append(gi.clone())
        return g * 2
s, i = F.apply(x)
s.sum().backward()
out = s.requires_grad, i.requires_grad, i.grad_fn, x.grad, log""",
    "integer output": X
    + """
class F(Function):
    @staticmethod
    def forward(ctx, a):
        return a * 2, a.to(torch.int64)
    @staticmethod
    def backward(ctx, g, gi):
        return g * 2
y, i = F.apply(x)
y.sum().backward()
out = i.requires_grad, x.grad""",
    "mark_dirty": one(
        "x.mul_(2)\nctx.mark_dirty(x)\nreturn x",
        """
y = x * 1
before = y._version
z = One.apply(y)
z.sum().backward()
out = z is y, y, type(y.grad_fn).__name__, x.grad, y._version > before""",
    ),
    "mark_dirty of a view": one(
        "x.mul_(2)\nctx.mark_dirty(x)\nreturn x",
        """
y = x * 1
v = y[1:]
One.apply(v)
(y * y).sum().backward()
out = y, v, x.grad""",
    ),
    "mark_dirty of a constant": one(
        "x.mul_(2)\nctx.mark_dirty(x)\nreturn x",
        """
y = torch.ones(3)
z = One.apply(y)
out = z is y, y.requires_grad""",
    ),
    "returns its input": one(
        "return x",
        """
y = One.apply(x)
y.sum().backward()
out = y is x, y.is_leaf, x.is_leaf, y._is_view(), x.grad, y""",
    ),
    "returns its input, not recorded": one(
        "return x",
        """
with torch.no_grad():
    y = One.apply(x)
out = y is x, y.requires_grad""",
    ),
    "returns a view of its input": X
    + """
class F(Function):
    @staticmethod
    def forward(ctx, x):
        return x.view(3, 1)
    @staticmethod
    def backward(ctx, g):
        return g.view(3) * 2
y = F.apply(x)
y.sum().backward()
out = tuple(y.shape), x.grad, y._is_view()""",
    "keyword arguments": MUL + "Mul.apply(b=w, a=x * 2).sum().backward(); out = x.grad, w.grad",
    "returns part of its input": X
    + """
class F(Function):
    @staticmethod
    def forward(ctx, x):
        return x[1:]
    @staticmethod
    def backward(ctx, g):
        return torch.cat([torch.zeros(1), g])
y = F.apply(x * 1)
(y * y).sum().backward()
out = y, x.grad""",
    "grad mode inside": one(
        "log.append(torch.is_grad_enabled())\nreturn (x * 2) + 0",
        """
One.apply(x).sum().backward()
out = log, x.grad""",
    ),
    "enable_grad inside": X
    + """
class Recompute(Function):
    @staticmethod
    def forward(ctx, f, x):
        ctx.f = f
        ctx.save_for_backward(x)
        return f(x)
    @staticmethod
    def backward(ctx, g):
        x = ctx.saved_tensors[0].detach().requires_grad_()
        with torch.enable_grad():
            y = ctx.f(x)
        torch.autograd.backward(y, g)
        return None, x.grad
y = Recompute.apply(lambda t: t.exp() * t, x * 2)
y.sum().backward()
out = y, x.grad""",
    "once_differentiable": X
    + """
class F(Function):
    @staticmethod
    def forward(ctx, a):
        return a * 2
    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, g):
        log.append(torch.is_grad_enabled())
        return g * 2
F.apply(x).sum().backward()
g, = torch.autograd.grad((F.apply(x) ** 2).sum(), x, create_graph=True)
out = x.grad, g.detach(), log""",
    "chain of functions": EXP
    + """
y = x * 0.1
for _ in range(3):
    y = Exp.apply(y)
y.sum().backward()
out = x.grad""",
    "applied to one tensor twice": MUL + "Mul.apply(x, x).sum().backward(); out = x.grad",
    "hooks on its node": EXP
    + """
y = Exp.apply(x)
y.grad_fn.register_hook(lambda gi, go: log.append((gi[0].clone(), go[0].clone())))
y.sum().backward()
out = log""",
    "subclass of a Function": EXP
    + """
class Twice(Exp):
    @staticmethod
    def backward(ctx, g):
        return Exp.backward(ctx, g) * 2
y = Twice.apply(x)
y.sum().backward()
out = x.grad, type(y.grad_fn).__name__""",
    "vjp": X
    + """
class F(Function):
    @staticmethod
    def forward(ctx, a):
        return a * 2
    @staticmethod
    def vjp(ctx, g):
        return g * 7
F.apply(x).sum().backward()
out = x.grad""",
    "inputs=": MUL + "Mul.apply(x, w).sum().backward(inputs=[w]); out = x.grad, w.grad",
    "keyword attributes of ctx": EXP
    + """
y = Exp.apply(x)
y.grad_fn.metadata['a'] = 1
out = y.grad_fn.metadata, len(y.grad_fn.saved_tensors)""",
}
# fmt: on


@pytest.mark.parametrize("name", VALUES)
def test_same_as_pytorch(name):
    compare(VALUES[name])


# fmt: off
ERRORS = {
    "second backward": (
        EXP
        + """
y = Exp.apply(x).sum()
y.backward()
y.backward()
out = 0""",
        "second time",
    ),
    "saved result changed": (
        EXP + "y = Exp.apply(x); y.mul_(2); y.sum().backward(); out = 0",
        "modified by an inplace",
    ),
    "saved input changed": (
        MUL
        + """
y = x * 1
z = Mul.apply(y, w)
y.add_(1)
z.sum().backward()
out = 0""",
        "modified by an inplace",
    ),
    "too few gradients": (
        MUL.replace("return (g * b", "return g\n        return (g * b")
        + "Mul.apply(x, w).sum().backward(); out = 0",
        "number of gradients",
    ),
    "too many gradients": (
        EXP.replace("return g * y", "return g, g") + "Exp.apply(x).sum().backward(); out = 0",
        "number of gradients",
    ),
    "gradient for a number": (
        X
        + """
class F(Function):
    @staticmethod
    def forward(ctx, a, n):
        return a * n
    @staticmethod
    def backward(ctx, g):
        return g, g
F.apply(x, 2).sum().backward()
out = 0""",
        "None at position 2",
    ),
    "gradient of a wrong type": (
        EXP.replace("return g * y", "return 'a'") + "Exp.apply(x).sum().backward(); out = 0",
        "str",
    ),
    "gradient of a wrong shape": (
        EXP.replace("return g * y", "return g[:2]") + "Exp.apply(x).sum().backward(); out = 0",
        "shape",
    ),
    "raises in forward": (
        EXP.replace("y = x.exp()", "raise ValueError('mine')") + "Exp.apply(x); out = 0",
        "mine",
    ),
    "raises in backward": (
        EXP.replace("return g * y", "raise ValueError('mine')")
        + "Exp.apply(x).sum().backward(); out = 0",
        "mine",
    ),
    "no forward": (X + "class F(Function): pass\nF.apply(x); out = 0", "forward"),
    "no backward": (
        X
        + """
class F(Function):
    @staticmethod
    def forward(ctx, a):
        return a * 2
F.apply(x).sum().backward()
out = 0""",
        "backward",
    ),
    "saves a number": (
        EXP.replace("save_for_backward(y)", "save_for_backward(3)") + "Exp.apply(x); out = 0",
        "argument 0",
    ),
    "unknown keyword": (EXP + "Exp.apply(y=x); out = 0", "argument"),
    "mark_dirty of a leaf": (
        one("x.mul_(2)\nctx.mark_dirty(x)\nreturn x", "One.apply(x); out = 0"),
        "leaf Variable",
    ),
    "input returned, then changed": (
        one("return x", "y = One.apply(x * 1); y.mul_(2); out = 0"),
        "custom Function",
    ),
    "view returned, then changed": (
        one("return x.view(3)", "y = One.apply(x * 1); y.mul_(2); out = 0"),
        "custom Function",
    ),
    "twice through once_differentiable": (
        X
        + """
class F(Function):
    @staticmethod
    def forward(ctx, a):
        return a * 2
    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, g):
        return g * 2
g, = torch.autograd.grad((F.apply(x) ** 2).sum(), x, create_graph=True)
g.sum().backward()
out = 0""",
        "once_differentiable",
    ),
}
# fmt: on


@pytest.mark.parametrize("name", ERRORS)
def test_same_error_as_pytorch(name):
    compare_error(*ERRORS[name])
