"""Convolutions whose values are far apart: what a fast algorithm must not spread."""

from __future__ import annotations

import ember
import pytest

torch = pytest.importorskip("torch")

# Kernel, stride, padding, side: what Winograd's algorithm serves.
SHAPES = [(3, 1, 1, 28), (3, 2, 1, 32), (4, 2, 1, 32), (5, 2, 2, 32), (2, 1, 0, 29)]


def both(kernel, stride, padding, image, weight, transposed=False):
    name = "conv_transpose2d" if transposed else "conv2d"
    found = []
    for lib in (ember, torch):
        x, w = (lib.from_numpy(a.copy()).requires_grad_() for a in (image, weight))
        y = getattr(lib.nn.functional, name)(x, w, stride=stride, padding=padding)
        grads = lib.autograd.grad(y, [x, w], lib.ones_like(y))
        found.append([t.detach().numpy() for t in (y, *grads)])
    return zip(*found, strict=True)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1e9, 1e6, 3e38])
@pytest.mark.parametrize("kernel, stride, padding, side", SHAPES)
@pytest.mark.parametrize("transposed", [False, True])
def test_one_value_reaches_only_its_neighbours(kernel, stride, padding, side, value, transposed):
    rng = torch.Generator().manual_seed(1)
    image = torch.randn(2, 32, side, side, generator=rng)
    image[0, 0, 5, 6] = value
    weight = torch.randn(32, 32, kernel, kernel, generator=rng) / 10
    results = both(kernel, stride, padding, image.numpy(), weight.numpy(), transposed)
    for ours, theirs in list(results)[:2]:
        ours, theirs = torch.from_numpy(ours), torch.from_numpy(theirs)
        torch.testing.assert_close(ours, theirs, rtol=2e-5, atol=2e-5, equal_nan=True)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 3e38])
def test_gradients_that_are_not_finite(value):
    rng = torch.Generator().manual_seed(2)
    image, weight = torch.randn(2, 16, 20, 20, generator=rng), torch.ones(16, 16, 3, 3)
    slope = torch.randn(2, 16, 20, 20, generator=rng)
    slope[1, 3, 7, 9] = value
    found = []
    for lib in (ember, torch):
        x, w, g = (lib.from_numpy(t.numpy().copy()) for t in (image, weight, slope))
        y = lib.nn.functional.conv2d(x.requires_grad_(), w, padding=1)
        (grad,) = lib.autograd.grad(y, [x], g)
        found.append(torch.from_numpy(grad.numpy().copy()))
    torch.testing.assert_close(*found, rtol=2e-5, atol=2e-5, equal_nan=True)


def test_ordinary_values_stay_within_a_few_roundings():
    rng = torch.Generator().manual_seed(3)
    image = torch.randn(2, 64, 28, 28, generator=rng)
    weight = torch.randn(64, 64, 3, 3, generator=rng) / 24
    exact = torch.nn.functional.conv2d(image.double(), weight.double(), padding=1)
    x, w = ember.from_numpy(image.numpy()), ember.from_numpy(weight.numpy())
    ours = torch.from_numpy(ember.nn.functional.conv2d(x, w, padding=1).numpy())
    assert (ours - exact).abs().max() <= 2e-5 * exact.std()
