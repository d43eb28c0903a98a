"""Parallel modules, as far as one device goes."""

from .modules.older import DataParallel

__all__ = ["DataParallel"]
