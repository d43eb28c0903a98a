"""How Ember was built, under PyTorch's names."""

from __future__ import annotations

from . import show_config as show
from ._C import get_num_threads

__all__ = ["parallel_info", "show"]


def parallel_info() -> str:
    """Say how many threads kernels use."""
    return f"threads: {get_num_threads()}"
