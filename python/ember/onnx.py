"""Export to ONNX is missing; a program can ask whether it is being exported."""

from __future__ import annotations

from ._missing import missing_names

__path__: list[str] = []  # a package in PyTorch, whose submodules are missing too


def is_in_onnx_export() -> bool:
    """Whether the model is being exported: never."""
    return False


__getattr__ = missing_names("torch.onnx")
