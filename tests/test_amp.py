"""Mixed precision: what autocast casts, its cache and nesting, and the scaling of losses."""

from __future__ import annotations

import copy
import threading
import warnings

import ember
import ember.nn.functional as F
import numpy as np
import pytest
from ember import nn

torch = pytest.importorskip("torch")


def calls(m):
    """Functions and their arguments, for either library `m`."""
    f = m.nn.functional
    rng = np.random.default_rng(0)

    def t(*shape):
        return m.tensor((rng.random(shape) * 0.5 + 0.1).astype("float32"))

    x, y, v, b, im, vol = t(4, 4), t(4, 4), t(4), t(2, 4, 4), t(1, 2, 8, 8), t(1, 2, 4, 4, 4)
    w2, w3, grid = t(3, 2, 3, 3), t(3, 2, 2, 2, 2), t(1, 3, 3, 2)
    labels, ones = m.tensor([0, 1, 2, 3]), m.ones(4)
    table = {
        "mm": lambda c: m.mm(c(x), c(y)),
        "matmul": lambda c: m.matmul(c(x), c(y)),
        "operator": lambda c: c(x) @ c(y),
        "method": lambda c: c(x).mm(c(y)),
        "bmm": lambda c: m.bmm(c(b), c(b)),
        "mv": lambda c: m.mv(c(x), c(v)),
        "dot": lambda c: m.dot(c(v), c(v)),
        "addmm": lambda c: m.addmm(c(x), c(x), c(y)),
        "baddbmm": lambda c: m.baddbmm(c(b), c(b), c(b)),
        "einsum": lambda c: m.einsum("ij,jk->ik", c(x), c(y)),
        "linear": lambda c: f.linear(c(x), c(y), c(v)),
        "conv1d": lambda c: f.conv1d(c(b), c(b)),
        "conv2d": lambda c: f.conv2d(c(im), c(w2)),
        "conv3d": lambda c: f.conv3d(c(vol), c(w3)),
        "conv_transpose2d": lambda c: f.conv_transpose2d(c(im), c(w2.transpose(0, 1))),
        "attention": lambda c: f.scaled_dot_product_attention(c(b), c(b), c(b)),
        "prelu": lambda c: f.prelu(c(x), c(v[:1])),
        "exp": lambda c: m.exp(c(x)),
        "pow": lambda c: c(x) ** 2,
        "softmax": lambda c: f.softmax(c(x), dim=1),
        "layer_norm": lambda c: f.layer_norm(c(x), (4,)),
        "batch_norm": lambda c: f.batch_norm(c(im), m.zeros(2), m.ones(2), training=True),
        "sum": lambda c: c(x).sum(),
        "gelu": lambda c: f.gelu(c(x)),
        "prod": lambda c: m.prod(c(x)),
        "trace": lambda c: m.trace(c(x)),
        "mse_loss": lambda c: f.mse_loss(c(x), c(y)),
        "l1_loss": lambda c: f.l1_loss(c(x), c(y)),
        "smooth_l1_loss": lambda c: f.smooth_l1_loss(c(x), c(y)),
        "huber_loss": lambda c: f.huber_loss(c(x), c(y)),
        "kl_div": lambda c: f.kl_div(c(x), c(y), reduction="sum"),
        "bce": lambda c: f.binary_cross_entropy(c(x), c(y)),
        "bce_with_logits": lambda c: f.binary_cross_entropy_with_logits(c(x), c(y)),
        "cross_entropy": lambda c: f.cross_entropy(c(x), labels),
        "nll_loss": lambda c: f.nll_loss(c(x), labels),
        "hinge": lambda c: f.hinge_embedding_loss(c(v), ones),
        "triplet": lambda c: f.triplet_margin_loss(c(x), c(y), c(x)),
        "cdist": lambda c: m.cdist(c(x), c(y)),
        "inverse": lambda c: m.inverse(c(x)),
        "solve": lambda c: m.linalg.solve(c(x), c(y)),
        "quantile": lambda c: m.quantile(c(x), 0.5),
        "avg_pool3d": lambda c: f.avg_pool3d(c(vol), 2),
        "max_pool2d": lambda c: f.max_pool2d(c(im), 2),
        "grid_sample": lambda c: f.grid_sample(c(im), c(grid), align_corners=False),
        "cat": lambda c: m.cat([c(x), y]),
        "stack": lambda c: m.stack([c(x), y]),
        "where": lambda c: m.where(c(x) > y, c(x), y),
        "add": lambda c: c(x) + y,
        "float64": lambda c: m.mm(x.double(), y.double()),
        "out": lambda c: m.mm(x, y, out=m.empty(4, 4)),
        "in place": lambda c: x.clone().addmm_(x, y),
    }
    return table


NAMES = list(calls(ember))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("short", [False, True])
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_dtypes_and_values_are_pytorchs(name: str, short: bool, dtype: str):
    results = []
    for m in (ember, torch):
        wanted = getattr(m, dtype)
        with m.autocast("cpu", wanted):
            results.append(
                calls(m)[name]((lambda x, d=wanted: x.to(d)) if short else (lambda x: x))
            )
    ours, theirs = results
    assert str(ours.dtype).split(".")[1] == str(theirs.dtype).split(".")[1]
    tolerance = 2e-2 if ours.dtype in (ember.bfloat16, ember.float16) or short else 1e-2
    np.testing.assert_allclose(
        ours.detach().double().numpy(), theirs.detach().double().numpy(), rtol=tolerance, atol=3e-2
    )


def test_gradients_come_in_the_parameters_dtype_and_are_pytorchs():
    ember.manual_seed(0)
    torch.manual_seed(0)
    grads = []
    for m in (ember, torch):
        net = m.nn.Sequential(m.nn.Linear(8, 16), m.nn.ReLU(), m.nn.Linear(16, 4))
        x = m.randn(32, 8)
        with m.autocast("cpu"):
            loss = m.nn.functional.cross_entropy(net(x), m.arange(32) % 4)
        assert loss.dtype == m.float32
        loss.backward()
        assert all(p.grad.dtype == m.float32 for p in net.parameters())
        grads.append([p.grad.numpy() for p in net.parameters()])
    for ours, theirs in zip(*grads, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0.05, atol=2e-3)


def test_parameters_are_cast_once_until_the_outermost_context_ends():
    w = nn.Parameter(ember.randn(4, 4))
    x = ember.randn(2, 4)
    with ember.autocast("cpu"):
        with ember.autocast("cpu"):
            first = F.linear(x, w)
        second = F.linear(x, w)
        casts = [dict(y.grad_fn.next_functions).keys() for y in (first, second)]
        cast = [
            {node for node in nodes if node and "Accumulate" not in node.name()} for nodes in casts
        ]
        assert len(cast[0] & cast[1]) == 1
        with ember.no_grad():
            w.add_(1.0)  # the cast is of the old values
        again = F.linear(x, w)
        assert not ember.equal(again, second)
    with ember.autocast("cpu", cache_enabled=False):
        assert not ember.is_autocast_cache_enabled()
    assert ember.is_autocast_cache_enabled()
    (first.sum() + again.sum()).backward()
    assert w.grad is not None


def test_nesting_and_restoring():
    x = ember.randn(2, 2)
    with ember.autocast("cpu", dtype=ember.float16):
        assert ember.is_autocast_enabled("cpu")
        assert ember.get_autocast_dtype("cpu") == ember.float16
        with ember.autocast("cpu", enabled=False):
            assert (x @ x).dtype == ember.float32
        assert (x @ x).dtype == ember.float16
        with pytest.raises(ZeroDivisionError), ember.autocast("cpu", dtype=ember.bfloat16):
            _ = 1 / 0
        assert (x @ x).dtype == ember.float16
    assert not ember.is_autocast_enabled("cpu")
    assert ember.get_autocast_dtype("cpu") == ember.bfloat16
    assert (x @ x).dtype == ember.float32


def test_decorator_and_older_names():
    @ember.autocast("cpu")
    def product(a):
        """Multiply."""
        return a @ a

    assert product(ember.ones(2, 2)).dtype == ember.bfloat16
    assert product.__doc__ == "Multiply."
    with ember.cpu.amp.autocast():
        assert (ember.ones(2, 2) @ ember.ones(2, 2)).dtype == ember.bfloat16
    if not ember.cuda.is_available():
        with pytest.warns(UserWarning, match="CUDA is not available"), ember.cuda.amp.autocast():
            assert not ember.is_autocast_enabled()


def test_threads_have_their_own_autocast():
    seen = []
    with ember.autocast("cpu"):
        thread = threading.Thread(target=lambda: seen.append(ember.is_autocast_enabled("cpu")))
        thread.start()
        thread.join()
    assert seen == [False]


def test_errors():
    endless = []
    endless.append(endless)
    with ember.autocast("cpu"), pytest.raises(TypeError, match="must be Tensor"):
        ember.mm(endless, endless)
    with pytest.raises(RuntimeError, match="unsupported device type 'tpu'"):
        ember.autocast("tpu")
    with pytest.raises(ValueError, match="expected a str"):
        ember.autocast(3)
    with pytest.warns(UserWarning, match="autocast is off"):
        context = ember.autocast("cpu", dtype=ember.int32)
    with context:
        assert not ember.is_autocast_enabled("cpu")
    assert ember.amp.is_autocast_available("cpu")
    assert not ember.amp.is_autocast_available("tpu")


def test_checkpoint_runs_again_with_the_same_autocast():
    from ember.utils.checkpoint import checkpoint

    layer = nn.Linear(4, 4)
    x = ember.randn(3, 4, requires_grad=True)
    grads = []
    for wrap in (lambda f, a: f(a), checkpoint):
        layer.zero_grad()
        with ember.autocast("cpu"):
            y = wrap(lambda a: layer(a).relu() @ layer.weight, x)
        y.float().sum().backward()
        grads.append(layer.weight.grad.clone())
    assert ember.equal(*grads)


def test_custom_functions():
    class Product(ember.autograd.Function):
        @staticmethod
        @ember.amp.custom_fwd(device_type="cpu", cast_inputs=ember.float32)
        def forward(ctx, a, b):
            ctx.save_for_backward(a, b)
            assert not ember.is_autocast_enabled("cpu")
            return a @ b

        @staticmethod
        @ember.amp.custom_bwd(device_type="cpu")
        def backward(ctx, g):
            assert not ember.is_autocast_enabled("cpu")
            a, b = ctx.saved_tensors
            return g @ b.t(), a.t() @ g

    a = ember.randn(3, 3, requires_grad=True)
    with ember.autocast("cpu"):
        y = Product.apply(a, a)
        assert y.dtype == ember.float32
        y.sum().backward()
    assert a.grad.dtype == ember.float32


def train(m, scaler, dtype, steps=12):
    """Losses and scales of a small regression; step 3 has an infinite gradient."""
    m.manual_seed(3)
    net = m.nn.Sequential(m.nn.Linear(6, 12), m.nn.Tanh(), m.nn.Linear(12, 1))
    optimizer = m.optim.SGD(net.parameters(), lr=0.1)
    x, y = m.randn(20, 6), m.randn(20, 1)
    losses, scales = [], []
    for step in range(steps):
        optimizer.zero_grad()
        with m.autocast("cpu", dtype):
            loss = m.nn.functional.mse_loss(net(x), y)
        scaler.scale(loss * (float("inf") if step == 3 else 1.0)).backward()
        scaler.unscale_(optimizer)
        m.nn.utils.clip_grad_norm_(net.parameters(), 10.0)
        scaler.step(optimizer)
        scaler.update()
        losses.append(loss.item())
        scales.append(scaler.get_scale())
    return losses, scales


def test_grad_scaler_is_pytorchs():
    options = {"init_scale": 1024.0, "growth_interval": 4}
    ours = train(ember, ember.amp.GradScaler("cpu", **options), ember.bfloat16)
    theirs = train(torch, torch.amp.GradScaler("cpu", **options), torch.bfloat16)
    assert ours[1] == theirs[1]
    np.testing.assert_allclose(ours[0], theirs[0], rtol=0.05)
    assert ours[0][3] == pytest.approx(ours[0][4], rel=1e-6)  # the step was left out


def test_grad_scaler_states_and_errors():
    scaler = ember.amp.GradScaler("cpu", init_scale=8.0, growth_interval=1)
    assert scaler.state_dict() == {
        **torch.amp.GradScaler("cpu", 8.0).state_dict(),
        "growth_interval": 1,
    }
    p = nn.Parameter(ember.ones(2))
    optimizer = ember.optim.SGD([p], lr=1.0)
    with pytest.raises(AssertionError, match="no gradients"):
        scaler.unscale_(optimizer)
    with pytest.raises(AssertionError, match="no inf checks"):
        scaler.update()
    outputs = scaler.scale([p.sum(), (p * 2).sum()])
    assert [x.item() for x in outputs] == [16.0, 32.0]
    outputs[0].backward()
    scaler.unscale_(optimizer)
    assert p.grad.tolist() == [1.0, 1.0]
    with pytest.raises(RuntimeError, match="already been called"):
        scaler.unscale_(optimizer)
    scaler.step(optimizer)
    with pytest.raises(RuntimeError, match="already been called"):
        scaler.step(optimizer)
    scaler.update()
    assert scaler.get_scale() == 16.0
    other = ember.amp.GradScaler("cpu")
    other.load_state_dict(copy.deepcopy(scaler.state_dict()))
    assert other.get_scale() == 16.0
    with pytest.raises(RuntimeError, match="empty"):
        other.load_state_dict({})
    p.grad = None
    p.data = p.data.half()
    p.grad = ember.ones(2, dtype=ember.float16)
    with pytest.raises(ValueError, match="FP16"):
        other.unscale_(optimizer)
    off = ember.amp.GradScaler("cpu", enabled=False)
    assert off.state_dict() == {}
    assert off.get_scale() == 1.0
    assert off.scale(p) is p
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        off.update()
