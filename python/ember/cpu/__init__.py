"""The CPU, named as PyTorch names it where programs treat devices alike."""

from __future__ import annotations

from typing import Any

from . import amp

__all__ = ["amp", "current_device", "device_count", "is_available", "synchronize"]


def is_available() -> bool:
    """Whether there is a CPU: True."""
    return True


def device_count() -> int:
    """Return 1."""
    return 1


def current_device() -> str:
    """Return ``"cpu"``."""
    return "cpu"


def synchronize(device: Any = None) -> None:
    """Do nothing: work on the CPU is done when a function returns."""
