"""Export to ONNX is missing; a program can ask whether it is being exported."""

from __future__ import annotations

from collections.abc import Callable

from .._missing import missing_names


def is_in_onnx_export() -> bool:
    """Whether the model is being exported: never."""
    return False


def register_custom_op_symbolic(name: str, symbolic: Callable, opset_version: int) -> None:
    """Ignore how an operator would be exported."""


def unregister_custom_op_symbolic(name: str, opset_version: int) -> None:
    """Ignore how an operator would be exported."""


__getattr__ = missing_names("torch.onnx")
