"""The program texts that the comparisons run on Ember and on PyTorch alike."""

from . import kernels, language, small, vision
from .row import OPTIMIZERS, PRELUDE, Row
from .small import LENET

__all__ = ["LENET", "OPTIMIZERS", "PRELUDE", "Row", "all_rows"]


def all_rows() -> list[Row]:
    """Steps of models first, then operations by family."""
    return [row for theme in (small, vision, language, kernels) for row in theme.rows()]
