"""The regularised incomplete gamma functions, with derivatives in both arguments.

P(a, x) is a power series where x <= a + 1, and 1 - P = Q a continued fraction (modified Lentz)
elsewhere. Both are analytic in a, so that the imaginary part of their value at a + ih is their
derivative times h, without cancellation for any small h (Squire and Trapp, "Using complex variables
to estimate derivatives of real functions", SIAM Review 40, 1998).
"""

from __future__ import annotations

from typing import Any

import numpy as np

import ember
from ember import Tensor

from ._lapack import deliver

_STEP = 1e-100
_TINY = 1e-300
_LARGE = 1e5  # from here on the quantiles' expansion in 1 / sqrt(a) is exact to 1e-8


def numpy_lgamma(x: np.ndarray) -> np.ndarray:
    """Return the logarithm of the gamma function of an array."""
    return ember.lgamma(ember.from_numpy(np.ascontiguousarray(x))).numpy()


def _digamma(x: np.ndarray) -> np.ndarray:
    return ember.digamma(ember.from_numpy(np.ascontiguousarray(x))).numpy()


_SOME = 16  # iterations between looks at which items are done


def _series(a: np.ndarray, x: np.ndarray) -> np.ndarray:
    """The sum over n of x^n / ((a + 1) ... (a + n))."""
    out, left = np.ones_like(a), np.arange(a.size)
    total = term = np.ones_like(a)
    while left.size:
        for _ in range(_SOME):
            a = a + 1
            term = term * (x / a)
            total = total + term
        out[left] = total
        more = np.abs(term.real) > 1e-17 * total.real
        left, a, x, term, total = (v[more] for v in (left, a, x, term, total))
    return out


def _fraction(a: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Q(a, x) over x^a exp(-x) / Gamma(a)."""
    out, left = np.ones_like(a), np.arange(a.size)
    b = x + 1 - a
    c = np.full_like(b, 1 / _TINY)
    d = 1 / b
    product = d
    i = 0
    while left.size and i < 100_000:
        for _ in range(_SOME):
            i += 1
            factor = -i * (i - a)
            b = b + 2
            d = factor * d + b
            d = 1 / np.where(np.abs(d) < _TINY, _TINY, d)
            c = b + factor / c
            c = np.where(np.abs(c) < _TINY, _TINY, c)
            step = c * d
            product = product * step
        out[left] = product
        more = np.abs(step - 1) > 1e-16
        left, a, b, c, d, product = (v[more] for v in (left, a, b, c, d, product))
    return out


def _log_density_scale(a: np.ndarray, x: np.ndarray) -> np.ndarray:
    """The logarithm of x^a exp(-x) / Gamma(a + 1), without cancellation for large a."""
    big = a >= 30
    with np.errstate(all="ignore"):
        plain = a * np.log(x) - x - numpy_lgamma(a + 1)
        u = (x - a) / a
        correction = 1 / (12 * a) - 1 / (360 * a**3) + 1 / (1260 * a**5)
        stirling = a * (np.log1p(u) - u) - 0.5 * np.log(2 * np.pi * a) - correction
    return np.where(big, stirling, plain)


def _large(a: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """P, Q and dP/da for large a: Temme's uniform expansion (DLMF 8.12), of which one term is exact
    to 1e-10, and the quantile's slope times the density."""
    u = (x - a) / a
    powers = [(-1) ** k * u**k / k for k in range(2, 9)]
    half = np.where(np.abs(u) < 1e-2, sum(powers), u - np.log1p(u))
    eta = np.copysign(np.sqrt(2 * np.maximum(half, 0)), u)
    scaled = eta * np.sqrt(a / 2)
    near = np.abs(eta) < 1e-2
    safe = np.where(near, 1, eta)
    first = np.where(near, -1 / 3 + eta / 12 - 2 * eta**2 / 135 + eta**3 / 864,
                     1 / np.where(near, 1, u) - 1 / safe)  # fmt: skip
    rest = np.exp(-scaled * scaled) / np.sqrt(2 * np.pi * a) * first

    def tail(t: np.ndarray) -> np.ndarray:
        return 0.5 * ember.erfc(ember.from_numpy(np.ascontiguousarray(t))).numpy()

    lower, upper = np.clip(tail(-scaled) - rest, 0, 1), np.clip(tail(scaled) + rest, 0, 1)
    density = np.exp(-scaled * scaled) * np.sqrt(a / (2 * np.pi))  # times x
    slope = -density * log_quantile_slope(a, np.log(x))
    return lower, upper, np.where(density > 0, slope, 0.0)


def _evaluate(a: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """P, Q and dP/da for finite positive arguments."""
    scale = np.exp(_log_density_scale(a, x))
    lower, upper, slope = np.empty_like(a), np.empty_like(a), np.empty_like(a)
    large, low = a > _LARGE, x <= a + 1
    if large.any():
        with np.errstate(all="ignore"):
            lower[large], upper[large], slope[large] = _large(a[large], x[large])
    for side, function in ((low & ~large, _series), (~low & ~large, _fraction)):
        if not side.any():
            continue
        s, t, front = a[side], x[side], scale[side]
        value = function(s + 1j * _STEP, t)
        if function is _series:
            log_slope = np.log(t) - _digamma(s + 1)
        else:
            front = front * s
            log_slope = np.log(t) - _digamma(s)
        part = np.minimum(front * value.real, 1)
        change = front * (value.real * log_slope + value.imag / _STEP)
        first, second, sign = (lower, upper, 1) if function is _series else (upper, lower, -1)
        first[side], second[side], slope[side] = part, 1 - part, sign * change
    return lower, upper, slope


def _incomplete(a: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """P, Q and dP/da anywhere, as vectors; NaN outside the domain."""
    a, x = a.ravel(), x.ravel()
    bad = ~((a >= 0) & (x >= 0)) | ((a == 0) & (x == 0)) | (np.isinf(a) & np.isinf(x))
    ones = ~bad & ((a == 0) | np.isinf(x))
    lower = np.where(bad, np.nan, np.where(ones, 1.0, 0.0))
    upper, slope = 1 - lower, np.where(bad, np.nan, 0.0)
    inside = (a > 0) & (x > 0) & np.isfinite(a) & np.isfinite(x)
    if inside.any():
        lower[inside], upper[inside], slope[inside] = _evaluate(a[inside], x[inside])
    return lower, upper, slope


def log_quantile_slope(a: np.ndarray, log_x: np.ndarray) -> np.ndarray:
    """Return d log(x) / da at constant P(a, x): the implicit derivative of a gamma sample.

    dx/da = -(dP/da) / p(x) (Figurnov, Mohamed and Mnih, "Implicit reparameterization gradients",
    2018), in which the density's factor cancels.
    """
    shape, a, log_x = a.shape, a.ravel(), log_x.ravel()
    out = np.full_like(a, np.nan)
    with np.errstate(all="ignore"):
        x = np.exp(log_x)
        good = (a > 0) & np.isfinite(a) & np.isfinite(log_x)
        large = good & (a >= _LARGE)
        low = good & ~large & (x <= a + 1)
        high = good & ~large & (x > a + 1)
        if low.any():
            s = a[low]
            value = _series(s + 1j * _STEP, x[low])
            change = value.real * (log_x[low] - _digamma(s + 1)) + value.imag / _STEP
            out[low] = -change / s
        if high.any():
            s = a[high]
            value = _fraction(s + 1j * _STEP, x[high])
            out[high] = value.real * (log_x[high] - _digamma(s)) + value.imag / _STEP
        if large.any():
            # x = a + z sqrt(a) + (z^2 - 1) / 3 + z (z^2 - 7) / (36 sqrt(a)) + ..., where z is the
            # normal quantile (Cornish and Fisher), here from Wilson and Hilferty's cube root.
            s, root = a[large], np.sqrt(a[large])
            z = 3 * root * (np.cbrt(x[large] / s) - 1 + 1 / (9 * s))
            out[large] = (1 + z / (2 * root) - z * (z * z - 7) / (72 * s * root)) / x[large]
    return out.reshape(shape)


class _Gammainc(ember.autograd.Function):
    @staticmethod
    def forward(ctx: Any, a: Tensor, x: Tensor, upper: bool) -> Tensor:
        ctx.save_for_backward(a, x)
        ctx.sign = -1 if upper else 1
        s, t = (v.detach().cpu().double().numpy() for v in (a, x))
        values = [v.reshape(s.shape) for v in _incomplete(s, t)]
        ctx.slope = values[2]
        return ember.from_numpy(values[1 if upper else 0]).to(dtype=a.dtype, device=a.device)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor, None]:
        a, x = ctx.saved_tensors
        slope = ember.from_numpy(ctx.slope).to(dtype=a.dtype, device=a.device)
        density = ((a - 1) * x.log() - x - a.lgamma()).exp()
        return ctx.sign * slope * gradient, ctx.sign * density * gradient, None


def _apply(name: str, a: Tensor, x: Tensor, upper: bool) -> Tensor:
    if not (isinstance(a, Tensor) and isinstance(x, Tensor)):
        raise TypeError(
            f"{name}: expected two tensors, got {type(a).__name__} and {type(x).__name__}"
        )
    dtype = ember.result_type(a, x)
    if not dtype.is_floating_point:
        dtype = ember.get_default_dtype()
    a, x = ember.broadcast_tensors(a.to(dtype), x.to(dtype))
    return _Gammainc.apply(a, x, upper)


def gammainc(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Return the regularised lower incomplete gamma function P(input, other).

    Both are differentiable, once in ``input``.
    """
    return deliver(_apply("gammainc", input, other, False), out)


def gammaincc(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Return the regularised upper incomplete gamma function Q(input, other) = 1 - P."""
    return deliver(_apply("gammaincc", input, other, True), out)


igamma, igammac = gammainc, gammaincc


def igamma_(self: Tensor, other: Tensor) -> Tensor:
    """`igamma` in place."""
    return self.copy_(_apply("igamma_", self, other, False))


def igammac_(self: Tensor, other: Tensor) -> Tensor:
    """`igammac` in place."""
    return self.copy_(_apply("igammac_", self, other, True))
