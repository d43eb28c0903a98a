"""The CPU's generator and its state."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterable
from typing import Any

from . import _C
from ._C import default_generator, get_rng_state, initial_seed, manual_seed, seed, set_rng_state

__all__ = [
    "fork_rng",
    "get_rng_state",
    "initial_seed",
    "manual_seed",
    "seed",
    "set_rng_state",
]

default_generator = default_generator


@contextlib.contextmanager
def fork_rng(
    devices: Iterable[Any] | None = None, enabled: bool = True, device_type: str = "cuda"
) -> Generator[None, None, None]:
    """Put the generators' states back after the block.

    Parameters
    ----------
    devices : iterable of GPUs, optional
        Those whose states to put back besides the CPU's; all by default.
    enabled : bool
        Whether to do anything.
    device_type : str
        Of `devices`: ``"cuda"``, or ``"cpu"``, which has none.

    Raises
    ------
    RuntimeError
        Another `device_type`.
    """
    if device_type not in ("cuda", "cpu"):
        raise RuntimeError(f"fork_rng: expected device_type 'cuda' or 'cpu', got {device_type!r}")
    if not enabled:
        yield
        return
    from . import cuda

    if device_type == "cpu":
        devices = ()
    elif devices is None:
        devices = range(cuda.device_count())
    states = [(device, cuda.get_rng_state(device)) for device in devices]
    state = _C.get_rng_state()
    try:
        yield
    finally:
        _C.set_rng_state(state)
        for device, kept in states:
            cuda.set_rng_state(kept, device)
