"""Parallel modules, as far as one device goes."""

from .._missing import missing_names
from .modules.older import DataParallel

__all__ = ["DataParallel"]
__path__: list[str] = []  # a package in PyTorch, whose submodules are missing

__getattr__ = missing_names("torch.nn.parallel")
