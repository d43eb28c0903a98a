"""Operations on views of any shape and stride, drawn by hypothesis, against numpy on the same views."""

from __future__ import annotations

from typing import Any

import ember
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytestmark = pytest.mark.kernels

DTYPES = ("float32", "float64", "int16", "int64", "bool", "uint8")
PROFILE = settings(max_examples=60, deadline=None, database=None, derandomize=True)


def base(draw: Any, shape: tuple[int, ...]) -> np.ndarray:
    dtype = draw(st.sampled_from(DTYPES))
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    return rng.integers(0, 7, shape).astype(dtype)


def changed(draw: Any, a: np.ndarray, t: Any) -> tuple[np.ndarray, Any]:
    """One random view of both."""
    kind = draw(st.sampled_from(["permute", "slice", "expand", "select", "unsqueeze", "narrow"]))
    if kind == "unsqueeze" and a.ndim < 9:
        d = draw(st.integers(0, a.ndim))
        return np.expand_dims(a, d), t.unsqueeze(d)
    if a.ndim == 0:
        return a, t
    d = draw(st.integers(0, a.ndim - 1))
    n = a.shape[d]
    if kind == "permute":
        order = draw(st.permutations(range(a.ndim)))
        return a.transpose(order), t.permute(*order)
    if kind == "slice":
        start, step = draw(st.integers(0, max(n - 1, 0))), draw(st.integers(1, 3))
        where = (slice(None),) * d + (slice(start, None, step),)
        return a[where], t[where]
    if kind == "select" and n:
        i = draw(st.integers(-n, n - 1))
        where = (slice(None),) * d + (i,)
        return a[where], t[where]
    if kind == "narrow":
        start = draw(st.integers(0, n))
        length = draw(st.integers(0, n - start))
        return a[(slice(None),) * d + (slice(start, start + length),)], t.narrow(d, start, length)
    if kind == "expand" and n == 1:
        sizes = list(a.shape)
        sizes[d] = draw(st.integers(0, 4))
        return np.broadcast_to(a, sizes), t.expand(*sizes)
    return a, t


@st.composite
def views(draw: Any, most: int = 5) -> tuple[np.ndarray, Any]:
    shape = tuple(draw(st.lists(st.integers(0, 5) | st.just(1), max_size=most)))
    a = base(draw, shape)
    t = ember.from_numpy(a.copy())
    for _ in range(draw(st.integers(0, 4))):
        a, t = changed(draw, a, t)
    return a, t


def same(t: Any, a: np.ndarray) -> None:
    assert tuple(t.shape) == a.shape
    assert np.array_equal(t.numpy(), a), f"{t} for {a}"


@PROFILE
@given(views())
def test_copies(view: tuple) -> None:
    a, t = view
    same(t, a)
    same(t.clone(), a)
    same(t.contiguous(), a)
    assert t.contiguous().is_contiguous()
    same(t.reshape(-1), a.reshape(-1))
    same(t.to(ember.float64), a.astype("float64"))
    target = ember.empty((*a.shape, 2), dtype=t.dtype).select(-1, 1)
    same(target.copy_(t), a)
    assert t.tolist() == a.tolist()


@PROFILE
@given(views())
def test_pointwise(view: tuple) -> None:
    a, t = view
    same(t + t, a + a)
    same(t == t.clone(), a == a)
    same(ember.where(t > 2, t, 0), np.where(a > 2, a, np.zeros((), a.dtype)))
    # Broadcast against its own last dim, whatever the strides.
    if a.ndim:
        i = 0
        if all(a.shape[:-1]):
            row, r = a[(i,) * (a.ndim - 1)], t[(i,) * (a.ndim - 1)]
            same(t * r, a * row)


@PROFILE
@given(views(), st.data())
def test_reductions(view: tuple, data: Any) -> None:
    a, t = view
    dims = tuple(data.draw(st.sets(st.integers(0, a.ndim - 1)))) if a.ndim else ()
    keep = data.draw(st.booleans())
    wide = np.int64 if a.dtype.kind in "iub" else a.dtype
    if dims:
        same(t.sum(dims, keepdim=keep), a.sum(dims, keepdims=keep, dtype=wide))
        same((t > 2).any(dims, keepdim=keep), (a > 2).any(dims, keepdims=keep))
        if all(a.shape[d] for d in dims):
            same(t.amax(dims, keepdim=keep), a.max(dims, keepdims=keep))
    same(t.sum(), np.asarray(a.sum(dtype=wide)))
    if a.size:
        if a.dtype != bool:
            assert t.argmax().item() == a.argmax()
        d = data.draw(st.integers(0, a.ndim - 1)) if a.ndim else None
        if d is not None:
            values, indices = t.max(d)
            same(values, a.max(d))
            same(indices, a.argmax(d))


@PROFILE
@given(views(), st.data())
def test_joins(view: tuple, data: Any) -> None:
    a, t = view
    d = data.draw(st.integers(0, a.ndim))
    same(ember.stack([t, t], d), np.stack([a, a], d))
    if a.ndim:
        d = min(d, a.ndim - 1)
        same(ember.cat([t, t, t], d), np.concatenate([a, a, a], d))


@PROFILE
@given(views(), st.data())
def test_writes_stay_inside(view: tuple, data: Any) -> None:
    """A write through a view changes the view's items and no others."""
    a, t = view
    if any(s == 0 and n > 1 for n, s in zip(t.shape, t.stride(), strict=True)):
        return
    storage = ember.zeros(a.size * 2 + 8, dtype=t.dtype)
    order = data.draw(st.permutations(range(a.ndim)))
    strides, step = [0] * a.ndim, data.draw(st.integers(1, 2))
    for d in order:
        strides[d] = step
        step *= max(a.shape[d], 1)
    offset = data.draw(st.integers(0, 3))
    target = storage.as_strided(a.shape, strides, offset)
    target.copy_(t)
    same(target, a)
    target.add_(True if a.dtype == bool else 1)
    same(target, (a | True) if a.dtype == bool else (a + 1).astype(a.dtype))
    assert storage.to(ember.int64).sum().item() == target.to(ember.int64).sum().item()


@pytest.mark.parametrize("ndim", [7, 20, 64])
def test_many_dims(ndim: int) -> None:
    shape = [1] * ndim
    shape[1], shape[ndim // 2], shape[-1] = 2, 3, 4
    a = np.arange(24.0).reshape([n for n in shape if n > 1])
    t = ember.from_numpy(a).reshape(shape)
    assert t.dim() == ndim
    same((t + t.transpose(1, -1).contiguous().transpose(1, -1)).squeeze(), a + a)
    same(t.sum((1, -1)).squeeze(), a.sum((0, 2)))
    same(t.permute(*range(ndim)[::-1]).contiguous().squeeze(), a.transpose())
    assert t.clone().stride() == t.stride()
    if ndim == 64:
        with pytest.raises(RuntimeError, match="64"):
            t.unsqueeze(0)
