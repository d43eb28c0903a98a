"""What the rows of order and search leave out: pairs in out=, named results, aliases, long ties."""

from __future__ import annotations

import ember
import numpy as np
import pytest

PAIRS = {
    "sort": {}, "topk": {"k": 2}, "kthvalue": {"k": 2}, "median": {"dim": 1}, "nanmedian": {"dim": 1},
    "mode": {"dim": 1}, "cummax": {"dim": 1}, "cummin": {"dim": 1},
}  # fmt: skip
X = np.array([[3.0, 1.0, 2.0, 1.0], [5.0, 5.0, 4.0, 6.0]], np.float32)


@pytest.mark.parametrize("name", PAIRS)
def test_named_pair_and_out(name: str) -> None:
    x = ember.from_numpy(X)
    result = getattr(ember, name)(x, **PAIRS[name])
    assert result._fields if hasattr(result, "_fields") else type(result).__name__ == name
    assert result.values is result[0] and result.indices is result[1]
    out = (ember.empty(0), ember.empty(0, dtype=ember.int64))
    again = getattr(ember, name)(x, **PAIRS[name], out=out)
    assert again[0] is out[0] and again[1] is out[1]
    for a, b in zip(out, result, strict=True):
        assert np.array_equal(a.numpy(), b.numpy())
    with pytest.raises(RuntimeError, match=name):
        getattr(ember, name)(x, **PAIRS[name], out=(ember.empty(0), ember.empty(0)))
    with pytest.raises(TypeError, match=name):
        getattr(ember, name)(x, **PAIRS[name], out=(ember.empty(0),))
    with pytest.raises(RuntimeError, match="grad"):
        getattr(ember, name)(x.requires_grad_(), **PAIRS[name], out=out)


@pytest.mark.parametrize("n", [39, 40, 41, 255, 1000, 70_000, 300_000])
@pytest.mark.parametrize("dtype", ["uint8", "int64", "float32", "float64"])
def test_sort_is_stable_at_every_size(n: int, dtype: str) -> None:
    data = np.random.default_rng(n).integers(0, 9, n).astype(dtype)
    for descending in (False, True):
        values, indices = ember.from_numpy(data).sort(descending=descending)
        key = data.max() - data if descending else data
        order = np.argsort(key, kind="stable")
        assert np.array_equal(indices.numpy(), order)
        assert np.array_equal(values.numpy(), data[order])


@pytest.mark.parametrize("descending", [False, True])
def test_nan_is_the_largest_and_zeros_are_equal(descending: bool) -> None:
    x = ember.tensor([0.0, float("nan"), -0.0, float("inf"), -1.0, -float("nan")])
    order = ember.argsort(x, descending=descending).tolist()
    assert order == ([1, 5, 3, 0, 2, 4] if descending else [4, 0, 2, 3, 1, 5])


@pytest.mark.parametrize("k", [1, 7, 60, 4999])
def test_topk_where_every_item_is_better_than_those_before(k: int) -> None:
    rising = ember.arange(5000).expand(3, 5000)
    values, indices = rising.topk(k)
    assert indices[1].tolist() == values[1].tolist() == list(range(4999, 4999 - k, -1))
    ties = ember.ones(5000, dtype=ember.bfloat16)
    assert ties.topk(k).indices.tolist() == list(range(k))


def test_aliases() -> None:
    y = ember.tensor([1.0, 2.0, 4.0])
    assert ember.trapz(y).item() == ember.trapezoid(y).item() == 4.5
    assert ember.row_stack((y, y)).tolist() == ember.vstack((y, y)).tolist()


def test_std_mean() -> None:
    x = ember.from_numpy(X)
    for args in ((), (1,), (False,), (1, False, True)):
        deviation, mean = ember.std_mean(x, *args)
        assert np.array_equal(deviation.numpy(), ember.std(x, *args).numpy())
        assert np.array_equal(
            mean.numpy().ravel(), x.mean(*args[:1] if args[:1] == (1,) else ()).numpy().ravel()
        )
    assert ember.std_mean(x, dim=0, correction=0, keepdim=True)[1].shape == (1, 4)
