"""Window functions by the names of ``torch.signal.windows``; symmetric by default.

All take the length ``M``, ``sym`` (False: periodic) and the options dtype, layout, device and
requires_grad.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from .. import _windows
from .._windows import BLACKMAN, HANN, Tensor, cosines, window

__all__ = [
    "bartlett",
    "blackman",
    "cosine",
    "exponential",
    "gaussian",
    "general_cosine",
    "general_hamming",
    "hamming",
    "hann",
    "kaiser",
    "nuttall",
]


def bartlett(M: int, *, sym: bool = True, **options: Any) -> Tensor:
    """A triangle that is zero at the ends."""
    return window("bartlett", M, not sym, _windows._triangle, options)


def general_cosine(M: int, *, a: Iterable[float], sym: bool = True, **options: Any) -> Tensor:
    """The sum of ``(-1)^k a[k] cos(2 pi k n / N)``; ValueError where `a` is empty."""
    weights = list(a)
    if not weights:
        raise ValueError("general_cosine: coefficients cannot be empty")
    return window("general_cosine", M, not sym, cosines(weights), options)


def general_hamming(M: int, *, alpha: float = 0.54, sym: bool = True, **options: Any) -> Tensor:
    """``alpha - (1 - alpha) cos(2 pi n / N)``."""
    return window("general_hamming", M, not sym, cosines((alpha, 1 - alpha)), options)


def hamming(M: int, *, sym: bool = True, **options: Any) -> Tensor:
    """``0.54 - 0.46 cos(2 pi n / N)``."""
    return general_hamming(M, sym=sym, **options)


def hann(M: int, *, sym: bool = True, **options: Any) -> Tensor:
    """``0.5 - 0.5 cos(2 pi n / N)``."""
    return window("hann", M, not sym, cosines(HANN), options)


def blackman(M: int, *, sym: bool = True, **options: Any) -> Tensor:
    """``0.42 - 0.5 cos(2 pi n / N) + 0.08 cos(4 pi n / N)``."""
    return window("blackman", M, not sym, cosines(BLACKMAN), options)


def nuttall(M: int, *, sym: bool = True, **options: Any) -> Tensor:
    """Nuttall's minimal four-term window (Nuttall, 1981)."""
    weights = (0.3635819, 0.4891775, 0.1365995, 0.0106411)
    return window("nuttall", M, not sym, cosines(weights), options)


def cosine(M: int, *, sym: bool = True, **options: Any) -> Tensor:
    """Half a wave of a sine."""
    return window(
        "cosine", M, not sym, lambda n, last: ((n + 0.5) * (math.pi / (last + 1))).sin(), options
    )


def gaussian(M: int, *, std: float = 1.0, sym: bool = True, **options: Any) -> Tensor:
    """``exp(-(n - N / 2)^2 / (2 std^2))``; ValueError unless std is positive."""
    if std <= 0:
        raise ValueError(f"gaussian: standard deviation must be positive, got {std}")
    return window(
        "gaussian", M, not sym, lambda n, last: (-0.5 * ((n - last / 2) / std) ** 2).exp(), options
    )


def exponential(
    M: int, *, center: float | None = None, tau: float = 1.0, sym: bool = True, **options: Any
) -> Tensor:
    """``exp(-|n - center| / tau)``, the middle by default; ValueError unless tau is positive."""
    if tau <= 0:
        raise ValueError(f"exponential: tau must be positive, got {tau}")
    if sym and center is not None:
        raise ValueError("exponential: center must be None for symmetric windows")
    return window(
        "exponential",
        M,
        not sym,
        lambda n, last: (-(n - (last / 2 if center is None else center)).abs() / tau).exp(),
        options,
    )


def kaiser(M: int, *, beta: float = 12.0, sym: bool = True, **options: Any) -> Tensor:
    """``I0(beta sqrt(1 - x^2)) / I0(beta)`` with x from -1 to 1; ValueError where beta < 0."""
    if beta < 0:
        raise ValueError(f"kaiser: beta must be non-negative, got {beta}")
    return window("kaiser", M, not sym, _windows.kaiser_formula(beta), options)
