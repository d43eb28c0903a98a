"""The random state of the default generators, under PyTorch's names in ``torch.random``."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import ember

from ._C import get_rng_state, initial_seed, manual_seed, seed, set_rng_state

__all__ = ["fork_rng", "get_rng_state", "initial_seed", "manual_seed", "seed", "set_rng_state"]


@contextlib.contextmanager
def fork_rng(
    devices: Sequence[Any] | None = None, enabled: bool = True, device_type: str = "cuda"
) -> Iterator[None]:
    """Bring the random state back at the end: what is drawn inside changes nothing outside.

    Parameters
    ----------
    devices : sequence, optional
        The GPUs whose state comes back too, all unless told; the processor's always does.
    enabled : bool
        False does nothing.
    device_type : str
        "cuda", or "cpu" for the processor alone.

    Raises
    ------
    RuntimeError
        There is no such `device_type`.
    """
    if device_type not in ("cuda", "cpu"):
        raise RuntimeError(f"fork_rng: expected device_type 'cuda' or 'cpu', got {device_type!r}")
    if not enabled:
        yield
        return
    if device_type == "cpu" or not ember.cuda.is_available():
        devices = []
    elif devices is None:
        devices = range(ember.cuda.device_count())
    state = get_rng_state()
    states = [(device, ember.cuda.get_rng_state(device)) for device in devices]
    try:
        yield
    finally:
        set_rng_state(state)
        for device, kept in states:
            ember.cuda.set_rng_state(kept, device)
