"""Operations on images keep channels_last, as PyTorch's do, and give the same values there."""

from __future__ import annotations

import itertools

import ember
import pytest

torch = pytest.importorskip("torch")

LIBS = (ember, torch)


def formats(lib, tensors):
    last = lib.channels_last
    return [
        (t.is_contiguous(), t.dim() == 4 and t.is_contiguous(memory_format=last)) for t in tensors
    ]


def images(lib, shape, channels_last, seed):
    generator = torch.Generator().manual_seed(seed)
    x = lib.from_numpy(torch.randn(shape, generator=generator).numpy())
    return x.contiguous(memory_format=lib.channels_last) if channels_last else x


def compare(run):
    found = [run(lib) for lib in LIBS]
    assert formats(ember, found[0]) == formats(torch, found[1])
    for ours, theirs in zip(*found, strict=True):
        ours = torch.from_numpy(ours.detach().contiguous().numpy())
        torch.testing.assert_close(ours, theirs.detach(), rtol=1e-4, atol=1e-4)


# Images, channels, side, outputs, kernel, options: what each way of the kernels serves, and what
# goes by way of contiguous images.
CONVOLUTIONS = [
    (3, 32, 16, 40, 3, {"padding": 1}),
    (3, 33, 17, 17, 3, {"padding": 1, "stride": 2}),
    (2, 16, 16, 24, 4, {"padding": 1, "stride": 2}),
    (2, 3, 19, 16, 7, {"padding": 3, "stride": 2}),
    (2, 20, 9, 36, 1, {}),
    (2, 20, 9, 36, 1, {"stride": 2}),
    (2, 18, 11, 20, 3, {"dilation": 2, "padding": (2, 0)}),
    (2, 5, 9, 3, 3, {}),
    (2, 16, 9, 32, 3, {"groups": 16}),
    (4, 24, 4, 16, 4, {}),
]


@pytest.mark.parametrize(
    "input_last, weight_last", list(itertools.product([False, True], repeat=2))
)
@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("n, c, side, k, kernel, options", CONVOLUTIONS)
def test_convolutions(n, c, side, k, kernel, options, transposed, input_last, weight_last):
    groups = options.get("groups", 1)
    shape = (c, k // groups, kernel, kernel) if transposed else (k, c // groups, kernel, kernel)

    def run(lib):
        x = images(lib, (n, c, side, side + 1), input_last, 1).requires_grad_()
        w = images(lib, shape, weight_last, 2).requires_grad_()
        bias = images(lib, (k,), False, 3).requires_grad_()
        functional = lib.nn.functional
        y = (functional.conv_transpose2d if transposed else functional.conv2d)(
            x, w, bias, **options
        )
        slope = images(lib, tuple(y.shape), input_last, 4)
        return [y, *lib.autograd.grad(y, [x, w, bias], slope)]

    compare(run)


OPERATIONS = {
    "batch_norm": lambda F, x: F.batch_norm(x, None, None, training=True),
    "group_norm": lambda F, x: F.group_norm(x, 2),
    "max_pool2d": lambda F, x: F.max_pool2d(x, 3, 2, 1),
    "max_pool2d_with_indices": lambda F, x: F.max_pool2d(x, 2, return_indices=True),
    "avg_pool2d": lambda F, x: F.avg_pool2d(x, 2),
    "adaptive_avg_pool2d": lambda F, x: F.adaptive_avg_pool2d(x, 3),
    "adaptive_max_pool2d": lambda F, x: F.adaptive_max_pool2d(x, 4),
    "nearest": lambda F, x: F.interpolate(x, scale_factor=2),
    "bilinear": lambda F, x: F.interpolate(x, scale_factor=2, mode="bilinear"),
    "pad": lambda F, x: F.pad(x, (1, 2, 0, 1)),
    "relu": lambda F, x: F.relu(x),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_other_operations(name):
    def run(lib):
        x = images(lib, (2, 18, 12, 12), True, 5)
        found = OPERATIONS[name](lib.nn.functional, x)
        return list(found) if isinstance(found, tuple) else [found]

    compare(run)


@pytest.mark.parametrize("name", ["batch_norm", "group_norm", "max_pool2d", "avg_pool2d"])
def test_gradients(name):
    def run(lib):
        x = images(lib, (2, 18, 12, 12), True, 5).requires_grad_()
        y = OPERATIONS[name](lib.nn.functional, x)
        slope = images(lib, tuple(y.shape), True, 6)
        return lib.autograd.grad(y, [x], slope)

    compare(run)


def test_volumes():
    def run(lib):
        x = images(lib, (2, 4, 6, 6, 6), False, 7).contiguous(memory_format=lib.channels_last_3d)
        y = lib.nn.functional.conv3d(x, images(lib, (8, 4, 3, 3, 3), False, 8))
        assert y.is_contiguous(memory_format=lib.channels_last_3d)
        return [y]

    compare(run)


def test_second_derivatives():
    def run(lib):
        x = images(lib, (2, 16, 8, 8), True, 9).requires_grad_()
        w = (images(lib, (16, 16, 3, 3), True, 10) / 30).requires_grad_()
        y = lib.nn.functional.conv2d(x, w, padding=1)
        (g,) = lib.autograd.grad((y * y).sum(), [x], create_graph=True)
        return [t.contiguous() for t in lib.autograd.grad((g * g).sum(), [x, w])]

    compare(run)


def test_same_bits_for_any_number_of_threads():
    def run():
        x = images(ember, (4, 32, 20, 20), True, 11).requires_grad_()
        w = images(ember, (48, 32, 3, 3), True, 12).requires_grad_()
        y = ember.nn.functional.conv2d(x, w, padding=1, stride=2)
        return [y, *ember.autograd.grad(y, [x, w], ember.ones_like(y))]

    before = ember.get_num_threads()
    found = []
    try:
        for threads in (1, 2, 4):
            ember.set_num_threads(threads)
            found.append(run())
    finally:
        ember.set_num_threads(before)
    for other in found[1:]:
        assert all(ember.equal(a, b) for a, b in zip(found[0], other, strict=True))
