"""Ember: a small, fast deep-learning framework with PyTorch's names and semantics.

``import ember as torch`` is enough for a program that uses what Ember has.
"""

from __future__ import annotations

import importlib

from . import _C
from ._C import *
from ._C import Tensor

__version__ = "0.1.0"

# Loaded on first use.
_LAZY = {
    "autograd", "cuda", "distributions", "jit", "linalg", "nn", "optim", "random", "serialization",
    "utils",
}


def __getattr__(name: str):
    if name in _LAZY:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
