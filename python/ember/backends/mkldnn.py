"""Intel's library of network kernels, in whose place Ember has its own."""

from __future__ import annotations

from ._precision import Float32Precision

matmul = Float32Precision("cpu")


def is_available() -> bool:
    """Whether it is used."""
    return False
