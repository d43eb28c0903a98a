"""CUDA devices. This build has no CUDA library, and the functions say so truthfully."""

from __future__ import annotations

__all__ = [
    "current_device",
    "device_count",
    "empty_cache",
    "is_available",
    "manual_seed",
    "manual_seed_all",
    "synchronize",
    "unavailable_reason",
]


def is_available() -> bool:
    """Whether a CUDA device can be used."""
    return False


def unavailable_reason() -> str:
    """Say why :func:`is_available` is False."""
    return "this build of ember has no CUDA library"


def device_count() -> int:
    """Return the number of usable CUDA devices."""
    return 0


def manual_seed(seed: int) -> None:
    """Seed the current device's generator; without a device there is nothing to seed."""


def manual_seed_all(seed: int) -> None:
    """Seed all devices' generators; without a device there is nothing to seed."""


def empty_cache() -> None:
    """Give cached device memory back; without a device there is none."""


def current_device() -> int:
    """Return the current device's index. Raises RuntimeError without a device."""
    raise RuntimeError(f"cuda.current_device: {unavailable_reason()}")


def synchronize(device: object = None) -> None:
    """Wait for the device's work. Raises RuntimeError without a device."""
    raise RuntimeError(f"cuda.synchronize: {unavailable_reason()}")
