"""Transforms of lengths that rows of the table are too short for: splits of long lines, convolutions
for large primes, every radix, many lines and few."""

import ember
import numpy as np
import pytest

pytestmark = pytest.mark.kernels

# Products of small primes, primes with a stage of their own and without, and long lines.
LENGTHS = (1, 2, 3, 16, 30, 97, 127, 131, 512, 521, 600, 1031, 4096, 4097, 10007, 16384, 36000)
EPS = {np.complex64: 2.0**-23, np.complex128: 2.0**-52}


def check(ours: ember.Tensor, exact: np.ndarray, eps: float) -> None:
    size = np.sqrt((np.abs(exact) ** 2).mean())
    assert np.abs(ours.numpy() - exact).max() <= 40 * eps * size


@pytest.mark.parametrize("n", LENGTHS)
@pytest.mark.parametrize("shape", [(), (3,), (17,)], ids=str)
@pytest.mark.parametrize("dtype", EPS, ids=lambda d: d.__name__)
def test_transforms(n, shape, dtype):
    rng = np.random.default_rng(n)
    z = rng.standard_normal((*shape, n)) + 1j * rng.standard_normal((*shape, n))
    z = z.astype(dtype)
    x = np.ascontiguousarray(z.real)
    wide, half = z.astype(complex), z[..., : n // 2 + 1].copy()
    eps = EPS[dtype]
    check(ember.fft.fft(ember.from_numpy(z)), np.fft.fft(wide), eps)
    check(ember.fft.ifft(ember.from_numpy(z)), np.fft.ifft(wide), eps)
    check(ember.fft.rfft(ember.from_numpy(x)), np.fft.rfft(wide.real), eps)
    check(
        ember.fft.irfft(ember.from_numpy(half), n),
        np.fft.irfft(half.astype(complex), n),
        eps,
    )


@pytest.mark.parametrize("n", [4, 30, 131, 600])
def test_transforms_of_lines_side_by_side(n):
    rng = np.random.default_rng(n)
    z = rng.standard_normal((2, n, 19)) + 1j * rng.standard_normal((2, n, 19))
    x = np.ascontiguousarray(z.real)
    check(ember.fft.fft(ember.from_numpy(z), dim=1), np.fft.fft(z, axis=1), 2.0**-52)
    check(ember.fft.rfft(ember.from_numpy(x), dim=1), np.fft.rfft(x, axis=1), 2.0**-52)
    half = z[:, : n // 2 + 1].copy()
    check(
        ember.fft.irfft(ember.from_numpy(half), n, dim=1), np.fft.irfft(half, n, axis=1), 2.0**-52
    )


def test_values_that_stand_out_stay_in_their_line():
    x = ember.randn(33, 64)
    clean = ember.fft.rfft(x)
    x[5, 7], x[20, 0] = float("nan"), float("inf")
    dirty = ember.fft.rfft(x)
    others = [i for i in range(33) if i not in (5, 20)]
    assert ember.equal(dirty[others], clean[others])
    assert bool(dirty[5].isnan().any()) and not bool(dirty[20].isfinite().all())


@pytest.mark.parametrize("n", [600, 1031, 10007])
def test_same_bits_for_any_number_of_threads(n):
    x = ember.randn(3, n, dtype=ember.complex64)
    threads = ember.get_num_threads()
    results = []
    try:
        for count in (1, 2, 4):
            ember.set_num_threads(count)
            results.append(ember.fft.fft(x))
    finally:
        ember.set_num_threads(threads)
    assert ember.equal(results[0], results[1]) and ember.equal(results[0], results[2])
