"""The chi-squared distribution."""

from __future__ import annotations

from typing import Any

from ember import Tensor

from . import constraints
from .gamma import Gamma
from .utils import broadcast_all

__all__ = ["Chi2"]


class Chi2(Gamma):
    """The sum of the squares of ``df`` standard normal numbers."""

    arg_constraints = {"df": constraints.positive}

    def __init__(self, df: Any, validate_args: bool | None = None) -> None:
        (half,) = broadcast_all(0.5 * df)
        super().__init__(half, 0.5, validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Chi2:
        new = super().expand(batch_shape, _instance)
        for name in ("concentration", "rate"):
            setattr(new, name, getattr(self, name).expand(new.batch_shape))
        return new

    @property
    def df(self) -> Tensor:
        return 2 * self.concentration
