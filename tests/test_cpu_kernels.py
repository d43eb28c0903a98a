"""Kernels of the CPU where sizes, dtypes or values meet a seam, against numpy or plain loops."""

import math
from collections.abc import Iterator

import ember
import numpy as np
import pytest


@pytest.fixture
def restore_threads() -> Iterator[None]:
    before = ember.get_num_threads()
    yield
    ember.set_num_threads(before)


NARROW = ("bool", "uint8", "int8", "int16", "int32", "int64")


def _extremes(dtype: str, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    if dtype == "bool":
        return rng.random(shape) < 0.5
    info = np.iinfo(dtype)
    data = rng.integers(info.min, info.max, shape, dtype=dtype, endpoint=True)
    return np.where(rng.random(shape) < 0.5, info.max, data).astype(dtype)


@pytest.mark.parametrize("dtype", NARROW)
@pytest.mark.parametrize("shape", [(3,), (5, 2047), (2, 4099), (700, 9), (70000, 3), (140001,)])
def test_reductions_of_integers(dtype: str, shape: tuple[int, ...]) -> None:
    data = _extremes(dtype, shape, np.random.default_rng(0))
    x = ember.tensor(data)
    for dim in range(len(shape)):
        total = data.sum(dim, dtype=np.int64)
        assert np.array_equal(x.sum(dim).numpy(), total)
        assert np.array_equal(x.any(dim).numpy() != 0, data.any(dim))
        assert np.array_equal(x.all(dim).numpy() != 0, data.all(dim))
        if dtype != "bool":
            assert np.array_equal(x.amax(dim).numpy(), data.max(dim))
            assert np.array_equal(x.amin(dim).numpy(), data.min(dim))
            assert np.array_equal(x.argmax(dim).numpy(), data.argmax(dim))
    assert x.count_nonzero().item() == np.count_nonzero(data)


@pytest.mark.parametrize("dtype", ("uint8", "int16", "float32", "float64", "complex128"))
def test_fills_past_the_caches(dtype: str) -> None:
    size = 300 * 2**20 // np.dtype(dtype).itemsize
    x = ember.empty(size + 3, dtype=getattr(ember, dtype))
    x[:2], x[-1] = 1, 1
    x[2:-1].fill_(7)
    assert x[:2].tolist() == [1, 1] and x[-1].item() == 1
    assert bool((x[2:-1] == 7).all())


@pytest.mark.parametrize("dtype", ("bool", "int16", "float32", "float64", "complex128"))
@pytest.mark.parametrize("shape", [(67,), (40, 67), (67, 40), (3, 5, 33), (0, 3)])
def test_flip(dtype: str, shape: tuple[int, ...]) -> None:
    data = (np.random.default_rng(1).random(shape) * 9).astype(dtype)
    for layout in (data, np.moveaxis(data, 0, -1)):
        for dims in ((0,), (-1,), tuple(range(layout.ndim))):
            y = ember.flip(ember.tensor(data) if layout is data else ember.from_numpy(layout), dims)
            assert np.array_equal(y.numpy(), np.flip(layout, dims))


def test_fmod_of_doubles() -> None:
    rng = np.random.default_rng(2)
    x = np.round(rng.standard_normal(4000) * 10.0 ** rng.integers(-9, 17, 4000), 3)
    y = np.round(rng.standard_normal(4000) * 10.0 ** rng.integers(-3, 5, 4000), 3)
    # Quotients that round up to a whole number, beyond 2^53 and beyond all; signs of zero.
    x[:8] = [1 - 2.0**-53, 9007199254740993.0, 1e308, -6, 6, 5e-324, -0.0, 3 * (1 - 2.0**-53)]
    y[:8] = [1, 3, 1e-300, 3, -3, 3, 3, 1]
    y[y == 0] = 1
    expected = np.array([math.fmod(a, b) for a, b in zip(x, y, strict=True)])
    found = ember.fmod(ember.tensor(x), ember.tensor(y)).numpy()
    assert np.array_equal(found, expected)
    assert np.array_equal(np.signbit(found), np.signbit(expected))


@pytest.mark.parametrize("share", (0.0, 0.001, 0.3, 1.0))
@pytest.mark.parametrize("shape", [(17,), (50000,), (300, 211), (5, 7, 1001)])
def test_masks(share: float, shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(3)
    mask = rng.random(shape) < share
    data = rng.standard_normal(shape)
    x, m = ember.tensor(data), ember.tensor(mask)
    assert np.array_equal(m.nonzero().numpy(), np.argwhere(mask))
    assert np.array_equal(ember.tensor(data * mask).nonzero().numpy(), np.argwhere(mask))
    assert np.array_equal(x[m].numpy(), data[mask])
    source = rng.standard_normal(shape)
    expected = data.copy()
    expected[mask] = source.ravel()[: mask.sum()]
    assert np.array_equal(x.masked_scatter(m, ember.tensor(source)).numpy(), expected)


@pytest.mark.parametrize("size", (1, 16, 64, 65, 1000))
@pytest.mark.parametrize("right", (False, True))
def test_searchsorted(size: int, right: bool) -> None:
    rng = np.random.default_rng(4)
    side = "right" if right else "left"
    for dtype in ("float32", "int64", "uint8"):
        row = np.sort(rng.integers(0, 90, size)).astype(dtype)
        values = rng.integers(0, 91, 777).astype(dtype)
        found = ember.searchsorted(ember.tensor(row), ember.tensor(values), right=right)
        assert np.array_equal(found.numpy(), np.searchsorted(row, values, side))
        rows = ember.tensor(np.stack([row, row + 1]))
        both = ember.searchsorted(rows, ember.tensor(np.stack([values, values])), right=right)
        assert np.array_equal(both[0].numpy(), found.numpy())
        assert np.array_equal(both[1].numpy(), np.searchsorted(row + 1, values, side))


@pytest.mark.parametrize("width", (1, 3, 130))
@pytest.mark.parametrize("mode", ("sum", "mean", "max"))
def test_large_bags(mode: str, width: int, restore_threads: None) -> None:
    rng = np.random.default_rng(5)
    sizes = rng.integers(0, 9, 3000)
    offsets = np.cumsum(sizes) - sizes
    places = rng.integers(0, 500, sizes.sum())
    table = rng.integers(-8, 8, (500, width)).astype("float64")
    results = []
    for threads in (1, 2):
        ember.set_num_threads(threads)
        weight = ember.tensor(table, requires_grad=True)
        out = ember.nn.functional.embedding_bag(
            ember.tensor(places), weight, ember.tensor(offsets), mode=mode
        )
        out.sum().backward()
        results.append((out.detach().numpy(), weight.grad.numpy()))
    assert all(np.array_equal(a, b) for a, b in zip(*results, strict=True))
    reduce = {"sum": np.sum, "mean": np.mean, "max": np.max}[mode]
    bags = np.split(table[places], offsets[1:])
    expected = [reduce(b, axis=0) if len(b) else np.zeros(width) for b in bags]
    np.testing.assert_allclose(results[0][0], expected, rtol=1e-14)
    if mode == "sum":
        counts = np.bincount(places, minlength=500)
        assert np.array_equal(results[0][1], np.repeat(counts[:, None], width, 1))


def test_bags_with_factors_have_gradients_of_both() -> None:
    rng = np.random.default_rng(6)
    places, offsets = ember.tensor([0, 2, 2, 1, 0]), ember.tensor([0, 2, 2])
    weight = ember.tensor(rng.standard_normal((3, 2)), requires_grad=True)
    factors = ember.tensor(rng.standard_normal(5), requires_grad=True)

    def bags(w: ember.Tensor, f: ember.Tensor) -> ember.Tensor:
        return ember.nn.functional.embedding_bag(
            places, w, offsets, mode="sum", per_sample_weights=f
        )

    assert ember.autograd.gradcheck(bags, (weight, factors))
    assert ember.autograd.gradgradcheck(bags, (weight, factors))
    with pytest.raises(RuntimeError):
        ember.nn.functional.embedding_bag(places + 1, weight, offsets, mode="sum")


def test_equal_stops_at_the_first_difference() -> None:
    x = ember.arange(600000)
    y = x.clone()
    assert ember.equal(x, y)
    y[-1] = 0
    assert not ember.equal(x, y)
    assert not ember.equal(x.double(), x.double().index_fill(0, ember.tensor([5]), math.nan))


@pytest.mark.parametrize("shape", [(3, 100), (100, 3), (100, 70), (4, 9, 65)])
def test_running_extremes(shape: tuple[int, ...]) -> None:
    data = np.random.default_rng(7).integers(0, 50, shape).astype("float32")
    for dim in range(len(shape)):
        values, indices = ember.cummax(ember.tensor(data), dim)
        assert np.array_equal(values.numpy(), np.maximum.accumulate(data, dim))
        picked = np.take_along_axis(data, indices.numpy(), dim)
        assert np.array_equal(picked, values.numpy())
        assert np.array_equal(
            ember.cummin(ember.tensor(-data), dim).indices.numpy(), indices.numpy()
        )
