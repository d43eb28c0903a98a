"""Depthwise convolutions: channels in the lanes, whatever the strides, borders and formats."""

from __future__ import annotations

import itertools

import ember
import pytest

torch = pytest.importorskip("torch")

# Channels, height and width, kernel, options.
SHAPES = [
    (16, (7, 7), (3, 3), {"padding": 1}),
    (18, (9, 14), (3, 3), {"padding": 1, "stride": 2}),
    (48, (5, 6), (5, 5), {"padding": 2}),
    (9, (8, 3), (3, 7), {"padding": (1, 3)}),  # no position sees all taps
    (32, (11, 10), (2, 3), {"stride": (3, 2), "dilation": (2, 1), "padding": (0, 4)}),
    (16, (12, 13), (3, 3), {"dilation": 4, "padding": 4}),
    (8, (40, 33), (3, 3), {"stride": (1, 3)}),
    (16, (70, 40), (7, 7), {"padding": 3, "stride": 2}),  # several bands
    (16, (3, 2000), (3, 3), {"padding": 1, "stride": 2}),  # rows too long for a band
    (16, (4, 4), (1, 1), {"stride": 2}),
    (32, (1, 1), (3, 3), {"padding": 1}),
    (16, (6, 6), (3, 3), {"padding": 5, "stride": 7}),
]


def run(lib, shape, dtype, transposed, channels_last, images=3):
    channels, size, kernel, options = shape
    rng = torch.Generator().manual_seed(1)

    def tensor(*sizes):
        drawn = torch.randn(*sizes, generator=rng, dtype=torch.float64).numpy()
        return lib.from_numpy(drawn).to(getattr(lib, dtype))

    x, w, bias = tensor(images, channels, *size), tensor(channels, 1, *kernel), tensor(channels)
    if channels_last:
        x = x.to(memory_format=lib.channels_last)
    leaves = [t.requires_grad_() for t in (x, w, bias)]
    functional = lib.nn.functional
    convolve = functional.conv_transpose2d if transposed else functional.conv2d
    y = convolve(*leaves, groups=channels, **options)
    slope = tensor(*y.shape)
    if channels_last:
        slope = slope.to(memory_format=lib.channels_last)
    results = [y, *lib.autograd.grad(y, leaves, slope)]
    return [
        torch.from_numpy(t.detach().float().numpy().copy())
        if dtype == "bfloat16"
        else torch.from_numpy(t.detach().numpy().copy())
        for t in results
    ]


@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16"])
@pytest.mark.parametrize(
    "transposed, channels_last", list(itertools.product([False, True], repeat=2))
)
@pytest.mark.parametrize("shape", SHAPES)
def test_values(shape, transposed, channels_last, dtype):
    ours = run(ember, shape, dtype, transposed, channels_last)
    theirs = run(torch, shape, dtype, transposed, channels_last)
    close = {"float64": 1e-12, "float32": 2e-5, "bfloat16": 2e-2}[dtype]
    for a, b in zip(ours, theirs, strict=True):
        scale = max(1.0, float(b.abs().max()))
        torch.testing.assert_close(a / scale, b / scale, rtol=close, atol=close)


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_threads_give_the_same_bits(shape, channels_last):
    before, found = ember.get_num_threads(), []
    try:
        for threads in (1, 2, 4):
            ember.set_num_threads(threads)
            found.append(run(ember, shape, "float32", False, channels_last, images=20))
    finally:
        ember.set_num_threads(before)
    for other in found[1:]:
        assert all(torch.equal(a, b) for a, b in zip(found[0], other, strict=True))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_one_value_reaches_only_its_neighbours(value):
    found = []
    for lib in (ember, torch):
        x = lib.ones(1, 16, 8, 8)
        x[0, 3, 0, 5] = value
        w = lib.ones(16, 1, 3, 3)
        found.append(lib.nn.functional.conv2d(x, w, padding=1, groups=16).numpy())
    torch.testing.assert_close(*map(torch.from_numpy, found), equal_nan=True)


def test_an_empty_batch():
    x = ember.zeros(0, 16, 7, 7, requires_grad=True)
    w = ember.ones(16, 1, 3, 3, requires_grad=True)
    y = ember.nn.functional.conv2d(x, w, groups=16)
    assert y.shape == (0, 16, 5, 5)
    grads = ember.autograd.grad(y.sum(), [x, w])
    assert grads[0].shape == x.shape
    assert (grads[1] == 0).all()
