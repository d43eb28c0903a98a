"""The place of Fold and Unfold in PyTorch."""

from .rearrange import Fold, Unfold

__all__ = ["Fold", "Unfold"]
