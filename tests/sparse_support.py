"""Sparse tensors of both frameworks, and their comparison."""

from __future__ import annotations

import ember
import numpy as np
import pytest

torch = pytest.importorskip("torch")

FRAMEWORKS = [ember, torch]


def sample(f, m=5, k=7, count=12, *, seed=0, dtype="float64", grad=False, layout="coo", twice=True):
    """A sparse matrix of a framework, by default with repeated indices."""
    rng = np.random.default_rng(seed)
    index = np.stack([rng.integers(0, m, count), rng.integers(0, k, count)])
    if not twice:
        index = np.stack(np.unravel_index(np.unique(index[0] * k + index[1]), (m, k)))
    values = rng.standard_normal(index.shape[1])
    items = f.tensor(values.tolist(), dtype=getattr(f, dtype))
    x = f.sparse_coo_tensor(f.tensor(index.tolist()), items, (m, k))
    if layout != "coo":
        x = x.to_sparse(layout=getattr(f, f"sparse_{layout}"))
    elif not twice:
        x = x.coalesce()
    return x.detach().requires_grad_() if grad else x


def dense(f, *shape, seed=1, dtype="float64", grad=False):
    values = np.random.default_rng(seed).standard_normal(shape)
    return f.tensor(values.tolist(), dtype=getattr(f, dtype)).requires_grad_(grad)


def hybrid(f, grad=False):
    """Two sparse dims and a dense one."""
    index = f.tensor([[0, 2, 2, 0], [1, 0, 0, 3]])
    x = f.sparse_coo_tensor(index, dense(f, 4, 3), (3, 4, 3))
    return x.detach().requires_grad_() if grad else x


def plain(x):
    """What a result holds: layout, coalesced or not, and elements."""
    if isinstance(x, (tuple, list)):
        return [plain(i) for i in x]
    if not hasattr(x, "layout"):
        return x
    layout = str(x.layout).partition(".")[2]
    with (ember if isinstance(x, ember.Tensor) else torch).no_grad():
        values = x.to_dense() if layout != "strided" else x
        return layout, str(x.dtype).partition(".")[2], tuple(x.shape), values.tolist()


def close(a, b, tolerance=1e-12):
    """Whether two results of `plain` agree."""
    if isinstance(a, list) or not isinstance(a, tuple):
        if isinstance(a, list):
            assert len(a) == len(b)
            for i, j in zip(a, b, strict=True):
                close(i, j, tolerance)
            return
        assert a == b
        return
    assert a[:3] == b[:3]
    np.testing.assert_allclose(a[3], b[3], rtol=tolerance, atol=tolerance)


def both(program, tolerance=1e-12):
    """Run a program with each framework; compare results or the kind of exception."""
    results = []
    for f in FRAMEWORKS:
        try:
            results.append(("value", plain(program(f))))
        except (RuntimeError, IndexError, TypeError, ValueError) as error:
            kind = next(k for k in (IndexError, TypeError, ValueError, RuntimeError)
                        if isinstance(error, k))  # fmt: skip
            results.append(("error", kind, str(error)))
    assert results[0][0] == results[1][0], results
    if results[0][0] == "error":
        assert results[0][1] is results[1][1], results
    else:
        close(results[0][1], results[1][1], tolerance)
