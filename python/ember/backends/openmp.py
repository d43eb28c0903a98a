"""OpenMP, in whose place Ember has threads of its own."""

from __future__ import annotations


def is_available() -> bool:
    """Whether it is used."""
    return False
