"""Intel's library of mathematics, which Ember does not use."""

from __future__ import annotations


def is_available() -> bool:
    """Whether it is used."""
    return False
