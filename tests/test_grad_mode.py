"""Gradient mode, inference mode, anomaly mode and gradcheck."""

from __future__ import annotations

import inspect
import warnings

import ember
import pytest
from side_by_side import compare, compare_error

pytest.importorskip("torch")

MODE = "mode = torch.is_grad_enabled\nlog = []\n"

VALUES = {
    "no_grad": MODE + "\nwith torch.no_grad() as m: log.append((mode(), m))\nout = log, mode()",
    "nested": MODE
    + """
with torch.no_grad():
    log.append(mode())
    with torch.enable_grad():
        log.append(mode())
        with torch.no_grad():
            log.append(mode())
        log.append(mode())
    log.append(mode())
out = log, mode()""",
    "after an exception": MODE
    + """
try:
    with torch.no_grad():
        raise ValueError
except ValueError:
    pass
out = mode()""",
    "decorator": MODE
    + """
@torch.no_grad()
def f(a, *, b=2):
    "text"
    return a, b, mode()
out = f(1, b=3), mode(), f.__name__, f.__doc__""",
    "decorator without brackets": MODE
    + """
@torch.no_grad
def f(): return mode()
out = f(), mode()""",
    "enable_grad without brackets": MODE
    + """
@torch.enable_grad
def f(): return mode()
with torch.no_grad():
    out = f(), mode()""",
    "method": MODE
    + """
class A:
    @torch.no_grad()
    def f(self, a): return mode(), a
out = A().f(3)""",
    "recursive": MODE
    + """
@torch.no_grad()
def f(n):
    log.append(mode())
    if n: f(n - 1)
    log.append(mode())
f(3)
out = log, mode()""",
    "generator": MODE
    + """
@torch.no_grad()
def f():
    while True:
        got = yield mode()
        log.append((got, mode()))
        if got == "end":
            return "result"
g = f()
log.append((next(g), mode()))
log.append((g.send(1), mode()))
try:
    g.send("end")
except StopIteration as stop:
    log.append(stop.value)
out = log, mode()""",
    "generator: throw and close": MODE
    + """
@torch.no_grad()
def f():
    try:
        yield mode()
    except ValueError:
        log.append(("caught", mode()))
    try:
        yield 2
    finally:
        log.append(("closed", mode()))
g = f()
next(g)
log.append(g.throw(ValueError()))
g.close()
out = log, mode()""",
    "set_grad_enabled": MODE
    + """
torch.set_grad_enabled(False)
log.append(mode())
torch.set_grad_enabled(True)
log.append(mode())
with torch.set_grad_enabled(False):
    log.append(mode())
log.append(mode())
with torch.set_grad_enabled(mode=False):
    with torch.set_grad_enabled(True):
        log.append(mode())
    log.append(mode())
out = log, mode()""",
    "set_grad_enabled as a decorator": MODE
    + """
@torch.set_grad_enabled(False)
def f(): return mode()
out = f(), mode()""",
    "inference_mode": MODE
    + """
inference = torch.is_inference_mode_enabled
with torch.inference_mode():
    log.append((mode(), inference()))
    with torch.inference_mode(False):
        log.append((mode(), inference()))
        y = torch.ones(2)
    log.append((mode(), inference()))
    x = torch.ones(2)
    z = x.view(2)
tensors = x, y, z, x + 1, x.clone()
out = log, mode(), inference(), [t.is_inference() for t in tensors]""",
    "inference_mode as a decorator": MODE
    + """
@torch.inference_mode()
def f(): return mode(), torch.is_inference_mode_enabled()
@torch.inference_mode
def g(): return mode(), torch.is_inference_mode_enabled()
@torch.inference_mode(mode=False)
def h(): return mode(), torch.is_inference_mode_enabled()
out = f(), g(), h(), mode()""",
    "inference tensors in place": """
with torch.inference_mode():
    x = torch.ones(2)
    x.add_(1)
    y = torch.ones(2, requires_grad=True)
    z = y * 2
out = x, y.requires_grad, z.requires_grad""",
    "normal tensors in inference mode": """
x = torch.ones(3)
with torch.inference_mode():
    x.add_(1)
    v = x[1:]
out = x, x.is_inference(), v.is_inference()""",
    "results": """
x = torch.ones(2, requires_grad=True)
with torch.no_grad():
    y = x * 2
    z = torch.ones(2, requires_grad=True)
out = y.requires_grad, z.requires_grad, (z * 2).requires_grad""",
    "a tensor made under no_grad takes part later": """
x = torch.ones(2, requires_grad=True)
with torch.no_grad():
    y = x * 2
(y * x).sum().backward()
out = x.grad""",
    "anomaly flags": """
log = [torch.is_anomaly_enabled()]
with torch.autograd.detect_anomaly():
    log.append((torch.is_anomaly_enabled(), torch.is_anomaly_check_nan_enabled()))
    with torch.autograd.set_detect_anomaly(True, check_nan=False):
        log.append((torch.is_anomaly_enabled(), torch.is_anomaly_check_nan_enabled()))
    log.append(torch.is_anomaly_check_nan_enabled())
out = log, torch.is_anomaly_enabled()""",
}


@pytest.mark.parametrize("name", VALUES)
def test_same_as_pytorch(name):
    compare(VALUES[name])


ERRORS = {
    "set_grad_enabled without mode": ("torch.set_grad_enabled(); out = 0", "set_grad_enabled"),
    "NaN in backward": (
        """
x = torch.zeros(1, requires_grad=True)
with torch.autograd.detect_anomaly():
    y = (x.sqrt() * 0).sum()
    y.backward()
out = 0""",
        "SqrtBackward0' returned nan",
    ),
}


@pytest.mark.parametrize("name", ERRORS)
def test_same_error_as_pytorch(name):
    compare_error(*ERRORS[name])


def test_decorating_a_class_warns():
    class A:
        def __init__(self):
            self.mode = ember.is_grad_enabled()

    with pytest.warns(FutureWarning):
        make = ember.no_grad()(A)
    assert make().mode is False


def test_decorated_signature_is_kept():
    @ember.no_grad()
    def f(a, b=3):
        pass

    assert list(inspect.signature(f).parameters) == ["a", "b"]


def spoil(x):
    return (x - 2).log()


def test_anomaly_names_the_forward_that_made_the_nan():
    x = ember.ones(3, requires_grad=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with ember.autograd.detect_anomaly():
            y = spoil(x * 1)
            z = (y * 2).exp().sum()
            with pytest.raises(RuntimeError, match="returned nan") as caught:
                z.backward()
    text = str(caught.value)
    assert "first forward that made a NaN: LogBackward0" in text
    assert "in spoil" in text.split("first forward")[1]


def test_anomaly_forgets_earlier_nans():
    x = ember.ones(1, requires_grad=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with ember.autograd.detect_anomaly():
            spoil(x * 1)
        with ember.autograd.detect_anomaly():
            z = ((x - 1).sqrt() * 0).sum()
            with pytest.raises(RuntimeError, match="SqrtBackward0") as caught:
                z.backward()
    assert "LogBackward0" not in str(caught.value)


def test_anomaly_warns_where_a_failing_backward_comes_from():
    class Failing(ember.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, grad):
            raise ValueError("mine")

    def build(x):
        return Failing.apply(x)

    x = ember.ones(3, requires_grad=True)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with ember.autograd.detect_anomaly(), pytest.raises(ValueError, match="mine"):
            build(x).sum().backward()
    assert any("FailingBackward" in str(w.message) and "in build" in str(w.message) for w in caught)


def test_without_anomaly_mode_nan_passes():
    x = ember.zeros(1, requires_grad=True)
    (x.sqrt() * 0).sum().backward()
    assert bool(x.grad.isnan().all())


class Wrong(ember.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x * 2

    @staticmethod
    def backward(ctx, grad):
        return grad * 3


def double(*shape):
    return ember.rand(*shape, dtype=ember.float64, requires_grad=True)


def test_gradcheck_accepts():
    assert ember.autograd.gradcheck(lambda a, b: (a * b, a.sin()), (double(2, 3), double(3)))
    assert ember.autograd.gradcheck(lambda a: a.t() * 2, (double(3, 2),))
    assert ember.autograd.gradcheck(lambda a, n: a * n, (double(2), 3))
    assert ember.autograd.gradcheck(lambda a, b: a * b, (double(2), double(2).detach()))
    assert ember.autograd.gradcheck(lambda a: a * 2, double(0, 3))
    assert ember.autograd.gradgradcheck(lambda a, b: a.exp() * b, (double(2), double(2)))


def test_gradcheck_refuses():
    with pytest.raises(ember.autograd.GradcheckError, match="Jacobian mismatch"):
        ember.autograd.gradcheck(Wrong.apply, double(2))
    assert not ember.autograd.gradcheck(Wrong.apply, double(2), raise_exception=False)
    with pytest.raises(ember.autograd.GradcheckError, match="Jacobian mismatch"):
        ember.autograd.gradgradcheck(lambda x: Wrong.apply(x) * x, double(2))
    with pytest.raises(ValueError, match="requires_grad"):
        ember.autograd.gradcheck(lambda a: a, ember.ones(2))


def test_gradcheck_leaves_inputs_alone():
    x = double(3)
    before, version = x.detach().clone(), x._version
    ember.autograd.gradcheck(lambda a: a * a, x)
    assert bool((x.detach() == before).all())
    assert x._version == version
    assert x.grad is None


def test_anomaly_names_the_module_that_made_the_nan():
    nn = ember.nn

    class Root(nn.Module):
        def forward(self, x):
            return (x - 2).sqrt()

    model = nn.Sequential(nn.Identity(), nn.Sequential(nn.Identity(), Root()))
    x = ember.ones(1, requires_grad=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with ember.autograd.detect_anomaly():
            loss = (model(x) * 0).sum()
            with pytest.raises(RuntimeError) as caught:
                loss.backward()
    text = str(caught.value)
    assert "Function 'SqrtBackward0' returned nan values in its output 0" in text
    assert "Its forward was called in module '1.1' at" in text
    assert "first forward that made a NaN: SqrtBackward0, called in module '1.1' at" in text


def test_anomaly_warning_names_the_module():
    class Failing(ember.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.clone()

        @staticmethod
        def backward(ctx, grad):
            raise ValueError("mine")

    class Layer(ember.nn.Module):
        def forward(self, x):
            return Failing.apply(x)

    model = ember.nn.Sequential(Layer())
    x = ember.ones(1, requires_grad=True)
    anomaly = ember.autograd.detect_anomaly
    with pytest.warns(UserWarning) as warned, anomaly(), pytest.raises(ValueError, match="mine"):
        model(x).backward()
    text = str(warned[-1].message)
    assert "Error detected in FailingBackward, which ran in module '0'. Traceback" in text
