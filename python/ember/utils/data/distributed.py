"""Where PyTorch has its `DistributedSampler`."""

from .sampler import DistributedSampler

__all__ = ["DistributedSampler"]
