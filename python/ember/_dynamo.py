"""PyTorch's other name of `ember.compiler`; what more it has there is missing."""

from __future__ import annotations

from ._missing import missing_names
from .compiler import allow_in_graph, assume_constant_result, disable, is_compiling, reset

__all__ = ["allow_in_graph", "assume_constant_result", "disable", "is_compiling", "reset"]

__path__: list[str] = []  # a package in PyTorch, whose submodules are missing too
__getattr__ = missing_names("torch._dynamo")
