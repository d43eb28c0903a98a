"""The place of ChannelShuffle in PyTorch."""

from .rearrange import ChannelShuffle

__all__ = ["ChannelShuffle"]
