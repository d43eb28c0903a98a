"""Export to ONNX is missing; functions that describe operators to it can be marked as such."""

from __future__ import annotations

from collections.abc import Callable

from .._missing import missing_names


def parse_args(*arg_descriptors: str) -> Callable:
    """Return a decorator that returns the function itself."""
    return lambda function: function


__getattr__ = missing_names("torch.onnx.symbolic_helper")
