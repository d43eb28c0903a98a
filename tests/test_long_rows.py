"""Rows and columns too large for the caches: what is written past them, prefetched, or taken by
blocks is the same as for a part of it."""

import math

import ember
import numpy as np
import pytest
from ember.nn import functional as F

# About 26 MB are read and written: more than the usual share of a last-level cache.
ITEMS = 26 << 17


def table(width, dtype):
    ember.manual_seed(width)
    rows = ITEMS * 4 // ember.empty((), dtype=dtype).element_size() // width
    return ember.randn(rows, width).to(dtype)


def same(whole, part):
    assert ember.equal(whole, part), (whole - part).abs().max()


FORWARD = {
    "layer_norm": lambda x: F.layer_norm(x, x.shape[1:]),
    "rms_norm": lambda x: F.rms_norm(x, x.shape[1:]),
    "softmax": lambda x: F.softmax(x, 1),
    "log_softmax": lambda x: F.log_softmax(x, 1),
    "cross_entropy": lambda x: F.cross_entropy(x, x.argmin(1), reduction="none").unsqueeze(1),
    "group_norm of single items": lambda x: F.group_norm(x, 1),
    "instance_norm": lambda x: F.instance_norm(x.unsqueeze(1)).squeeze(1),
    "batch_norm": lambda x: F.batch_norm(x, x.new_zeros(x.shape[1]), x.new_ones(x.shape[1])),
    "embedding": lambda x: F.embedding(ember.arange(len(x)), x),
}


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16", "float16"])
@pytest.mark.parametrize("width", [30, 1031, 2048, 40000])  # short, odd, whole lines, long
@pytest.mark.parametrize("name", FORWARD)
def test_forward_is_that_of_a_part(name, width, dtype):
    x = table(width, getattr(ember, dtype))
    f = FORWARD[name]
    whole = f(x)
    for begin in (0, len(x) // 2, len(x) - 3):
        same(whole[begin : begin + 3], f(x[begin : begin + 3].clone()))


@pytest.mark.parametrize("width", [30, 1031, 2048, 40000])
@pytest.mark.parametrize(
    "name", ["layer_norm", "rms_norm", "softmax", "log_softmax", "cross_entropy"]
)
def test_backward_is_that_of_a_part(name, width):
    x = table(width, ember.float32)
    grad = ember.randn(*x.shape)

    def backward(begin, end):
        rows = x[begin:end].clone().requires_grad_()
        y = FORWARD[name](rows)
        return ember.autograd.grad(y, rows, grad[begin:end, : y.shape[1]])[0]

    whole = backward(0, len(x))
    for begin in (0, len(x) // 2, len(x) - 3):
        # Single rows and rows together reach their sums on the same way.
        same(whole[begin : begin + 3], backward(begin, begin + 3))


def test_layer_norm_weight_gradients():
    x = table(1031, ember.float32)
    grad = ember.randn(*x.shape)
    weight, bias = ember.ones(1031).requires_grad_(), ember.zeros(1031).requires_grad_()
    F.layer_norm(x, (1031,), weight, bias).backward(grad)
    normal = F.layer_norm(x.double(), (1031,))
    expected = (grad.double() * normal).sum(0)
    scale = math.sqrt(len(x))
    assert (weight.grad - expected).abs().max() < 1e-5 * scale
    assert (bias.grad - grad.double().sum(0)).abs().max() < 1e-5 * scale


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize("shape", [(2500, 1331), (40, 3, 64), (5000, 7), (9, 16)])
def test_softmax_of_columns(shape, log):
    ember.manual_seed(0)
    x = ember.randn(*shape) * 5
    x[:, 0, ...] = 0
    x[: min(20, shape[0] - 1), 1] = -math.inf  # a block without any finite item
    x[:, 2] = -math.inf
    x[-1, 3 % shape[1]] = math.inf if shape[1] > 3 else 1.0
    x[0, 4 % shape[1]] = math.nan if shape[1] > 4 else 1.0
    x.requires_grad_()
    f = F.log_softmax if log else F.softmax
    columns = f(x, 0)
    by_rows = f(x.detach().movedim(0, -1).contiguous(), -1).movedim(-1, 0)
    ember.testing.assert_close(columns, by_rows, rtol=2e-6, atol=2e-6, equal_nan=True)
    grad = ember.randn(*shape)
    rows = x.detach().movedim(0, -1).contiguous().requires_grad_()
    (g,) = ember.autograd.grad(f(rows, -1), rows, grad.movedim(0, -1))
    (result,) = ember.autograd.grad(columns, x, grad)
    ember.testing.assert_close(result, g.movedim(-1, 0), rtol=1e-4, atol=1e-4, equal_nan=True)


def test_softmax_of_columns_in_place_of_its_input():
    x = ember.randn(2500, 1331)
    expected = F.softmax(x, 0)
    ember.softmax(x, 0, out=x)
    ember.testing.assert_close(x, expected, rtol=1e-6, atol=0)


@pytest.mark.parametrize("n", [1, 3, 4, 7, 8, 9, 31, 1000, 70001])
@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16", "int64"])
def test_cumulative_sums_in_vectors(n, dtype):
    rng = np.random.default_rng(n)
    x = ember.tensor(rng.integers(-50, 50, (3, n)) / (1 if dtype == "int64" else 8))
    x = x.to(getattr(ember, dtype))
    exact = np.cumsum(x.double().numpy(), 1)  # eighths: exact in float64
    result = x.cumsum(1)
    tolerance = {"bfloat16": 2**-8, "float32": 2**-24}.get(dtype, 0)
    assert (np.abs(result.double().numpy() - exact) <= tolerance * np.abs(exact)).all()
    if dtype in ("float32", "float64"):
        x.requires_grad_()
        (g,) = ember.autograd.grad(x.cumsum(1), x, x.detach())
        backward = np.cumsum(x.detach().double().numpy()[:, ::-1], 1)[:, ::-1]
        assert (np.abs(g.double().numpy() - backward) <= tolerance * np.abs(backward)).all()


def test_cumulative_products_and_special_values():
    x = ember.tensor([1.0, 2.0, math.inf, 3.0, -math.inf, 1.0, 0.5, 2.0, 4.0, 1.0, 7.0])
    for f, expected in ((ember.cumsum, np.cumsum), (ember.cumprod, np.cumprod)):
        with np.errstate(invalid="ignore"):
            np.testing.assert_array_equal(f(x, 0).numpy(), expected(x.numpy()))
    x = ember.arange(1, 21)
    np.testing.assert_array_equal(x.cumprod(0).numpy(), np.cumprod(x.numpy()))


@pytest.mark.parametrize("shape", [(3, 0), (0, 4), (0, 0)])
def test_rows_without_items(shape):
    x = ember.ones(*shape, requires_grad=True)
    for f in (F.layer_norm, F.rms_norm):
        y = f(x, shape[1:])
        assert y.shape == shape
        assert ember.autograd.grad(y.sum(), x)[0].shape == shape
