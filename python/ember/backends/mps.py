"""Apple's GPUs, which Ember does not run on."""

from __future__ import annotations


def is_available() -> bool:
    """Whether such a device can be used."""
    return False


def is_built() -> bool:
    """Whether this build has kernels for them."""
    return False
