"""Tensors shared with other libraries without a copy, by the DLPack protocol."""

from ember import from_dlpack, to_dlpack

__all__ = ["from_dlpack", "to_dlpack"]
