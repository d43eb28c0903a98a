"""Window functions: what a frame of a signal is multiplied by.

Computed in float64 and rounded once. A periodic window is a symmetric one of one element more,
without its last element.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from . import _C

Tensor = _C.Tensor


def window(name: str, length: Any, periodic: bool, formula: Callable, options: dict) -> Tensor:
    """A window of a formula of the elements' places and of the last place."""
    if not isinstance(length, int) or isinstance(length, bool):
        raise TypeError(f"{name}: expected an int as length, got {type(length).__name__}")
    if length < 0:
        raise RuntimeError(f"{name}: requires non-negative window_length, got {length}")
    dtype = options.pop("dtype", None) or _C.get_default_dtype()
    if not dtype.is_floating_point:
        raise RuntimeError(f"{name}: expects floating point dtypes, got {dtype}")
    if options.pop("layout", None) not in (None, _C.strided):
        raise RuntimeError(f"{name}: windows are strided tensors only")
    requires_grad = options.pop("requires_grad", False)
    last = length if periodic else length - 1
    if length <= 1:
        values = _C.ones(length, dtype=_C.float64)
    else:
        values = formula(_C.arange(length, dtype=_C.float64), last)
    made = values.to(device=options.get("device"), dtype=dtype)
    return made.requires_grad_() if requires_grad else made


def cosines(weights: Sequence[float]) -> Callable:
    """The formula of a sum of cosines whose signs alternate."""

    def formula(n: Tensor, last: int) -> Tensor:
        angle = n * (2 * math.pi / last)
        return sum((-1) ** k * w * (angle * k).cos() for k, w in enumerate(weights))

    return formula


def _triangle(n: Tensor, last: int) -> Tensor:
    return 1 - (n * (2 / last) - 1).abs()


def kaiser_formula(beta: float) -> Callable:
    """I0(beta sqrt(1 - x^2)) / I0(beta) with x from -1 to 1."""

    def formula(n: Tensor, last: int) -> Tensor:
        x = n * (2 / last) - 1
        # e^-beta apart, for I0 overflows where the ratio does not.
        root = beta * (1 - x * x).clamp(min=0).sqrt()
        scale = (root - beta).exp()
        return _C.special_i0e(root) * scale / _C.special_i0e(_C.tensor(float(beta)).double())

    return formula


HANN, HAMMING, BLACKMAN = (0.5, 0.5), (0.54, 0.46), (0.42, 0.5, 0.08)


def hann_window(window_length: int, periodic: bool = True, **options: Any) -> Tensor:
    """Hann's window, ``0.5 - 0.5 cos(2 pi n / N)``.

    Options are dtype, layout, device and requires_grad.
    """
    return window("hann_window", window_length, periodic, cosines(HANN), options)


def hamming_window(
    window_length: int,
    periodic: bool = True,
    alpha: float = 0.54,
    beta: float = 0.46,
    **options: Any,
) -> Tensor:
    """Hamming's window, ``alpha - beta cos(2 pi n / N)``; options as of `hann_window`."""
    return window("hamming_window", window_length, periodic, cosines((alpha, beta)), options)


def blackman_window(window_length: int, periodic: bool = True, **options: Any) -> Tensor:
    """Blackman's window of three cosines, 0.42, 0.5, 0.08; options as of `hann_window`."""
    return window("blackman_window", window_length, periodic, cosines(BLACKMAN), options)


def bartlett_window(window_length: int, periodic: bool = True, **options: Any) -> Tensor:
    """Bartlett's window, a triangle; options as of `hann_window`."""
    return window("bartlett_window", window_length, periodic, _triangle, options)


def kaiser_window(
    window_length: int, periodic: bool = True, beta: float = 12.0, **options: Any
) -> Tensor:
    """Kaiser's window, ``I0(beta sqrt(1 - x^2)) / I0(beta)``; options as of `hann_window`."""
    return window("kaiser_window", window_length, periodic, kaiser_formula(beta), options)
