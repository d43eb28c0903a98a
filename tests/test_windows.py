"""Window functions against PyTorch's."""

from __future__ import annotations

import ember
import numpy as np
import pytest

torch = pytest.importorskip("torch")

OLD = {
    "hann_window": [{}],
    "hamming_window": [{}, {"alpha": 0.5, "beta": 0.4}],
    "blackman_window": [{}],
    "bartlett_window": [{}],
    "kaiser_window": [{}, {"beta": 0.0}, {"beta": 800.0}],
}
NEW = {
    "bartlett": [{}],
    "blackman": [{}],
    "cosine": [{}],
    "exponential": [{}, {"tau": 3.0}],
    "gaussian": [{}, {"std": 2.5}],
    "general_cosine": [{"a": [0.46, 0.23, 0.31]}],
    "general_hamming": [{"alpha": 0.6}],
    "hamming": [{}],
    "hann": [{}],
    "kaiser": [{"beta": 5.0}],
    "nuttall": [{}],
}


def close(ours, theirs):
    assert str(ours.dtype).split(".")[1] == str(theirs.dtype).split(".")[1]
    tolerance = {"float16": 1e-3, "float32": 1e-6, "float64": 1e-12}[str(ours.dtype).split(".")[1]]
    np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name, options", [(n, o) for n in OLD for o in OLD[n]])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_windows(name, options, dtype):
    for length in (0, 1, 2, 5, 64):
        for periodic in (True, False):
            if name == "kaiser_window" and options.get("beta") == 800.0 and dtype != "float64":
                continue  # PyTorch's I0 overflows in the dtype itself
            args = [length, periodic]
            theirs = getattr(torch, name)(*args, **options, dtype=torch.float64)
            if not theirs.isfinite().all():
                continue
            theirs = theirs.to(getattr(torch, dtype))
            close(getattr(ember, name)(*args, **options, dtype=getattr(ember, dtype)), theirs)


def test_a_large_beta_overflows_nowhere():
    w = ember.kaiser_window(33, False, 800.0)
    assert w.isfinite().all()
    assert w.max() == 1


@pytest.mark.parametrize("name, options", [(n, o) for n in NEW for o in NEW[n]])
def test_signal_windows(name, options):
    for length in (0, 1, 2, 7, 50):
        for sym in (True, False):
            theirs = getattr(torch.signal.windows, name)(
                length, sym=sym, **options, dtype=torch.float64
            )
            ours = getattr(ember.signal.windows, name)(
                length, sym=sym, **options, dtype=ember.float64
            )
            close(ours, theirs)


def test_errors_and_options():
    assert ember.hann_window(4, requires_grad=True).requires_grad
    assert ember.hann_window(4).dtype == ember.float32
    for error, call in (
        (RuntimeError, lambda: ember.hann_window(-1)),
        (RuntimeError, lambda: ember.hann_window(3, dtype=ember.int64)),
        (TypeError, lambda: ember.hann_window(3.5)),
        (ValueError, lambda: ember.signal.windows.gaussian(3, std=0.0)),
        (ValueError, lambda: ember.signal.windows.exponential(3, tau=-1.0)),
        (ValueError, lambda: ember.signal.windows.exponential(3, center=1.0)),
        (ValueError, lambda: ember.signal.windows.kaiser(3, beta=-1.0)),
        (ValueError, lambda: ember.signal.windows.general_cosine(3, a=[])),
    ):
        with pytest.raises(error):
            call()
