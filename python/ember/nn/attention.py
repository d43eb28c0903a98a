"""Which kernels attention may use: programs may ask, and get the only one there is."""

from __future__ import annotations

import contextlib
import enum
from collections.abc import Iterator

__all__ = ["SDPBackend", "sdpa_kernel"]

__path__: list[str] = []  # a package in PyTorch, whose submodules are missing


class SDPBackend(enum.IntEnum):
    """Ways to compute `functional.scaled_dot_product_attention`, with PyTorch's numbers."""

    ERROR = -1
    MATH = 0
    FLASH_ATTENTION = 1
    EFFICIENT_ATTENTION = 2
    CUDNN_ATTENTION = 3
    OVERRIDEABLE = 4


@contextlib.contextmanager
def sdpa_kernel(
    backends: list[SDPBackend] | SDPBackend, set_priority: bool = False
) -> Iterator[None]:
    """Allow these backends alone for the time of a ``with`` statement.

    The settings of `backends.cuda` say which are allowed. Ember computes attention in one way on
    each device whatever they say.

    Parameters
    ----------
    backends : SDPBackend or list of SDPBackend
        What to allow.
    set_priority : bool
        Has no effect.
    """
    from ..backends import cuda

    wanted = [backends] if isinstance(backends, SDPBackend) else list(backends)
    if not all(isinstance(b, SDPBackend) for b in wanted):
        raise AssertionError(f"sdpa_kernel: expected SDPBackend or a list of them, got {backends}")
    names = {
        "flash": SDPBackend.FLASH_ATTENTION,
        "mem_efficient": SDPBackend.EFFICIENT_ATTENTION,
        "math": SDPBackend.MATH,
        "cudnn": SDPBackend.CUDNN_ATTENTION,
    }
    before = dict(cuda._enabled)
    cuda._enabled.update({name: backend in wanted for name, backend in names.items()})
    try:
        yield
    finally:
        cuda._enabled.update(before)
