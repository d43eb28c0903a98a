"""The place of PixelShuffle and PixelUnshuffle in PyTorch."""

from .rearrange import PixelShuffle, PixelUnshuffle

__all__ = ["PixelShuffle", "PixelUnshuffle"]
