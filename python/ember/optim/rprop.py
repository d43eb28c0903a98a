"""Resilient backpropagation."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ._rule import RuleOptimizer, filled_like
from .optimizer import check_non_negative, check_options

__all__ = ["Rprop"]


class Rprop(RuleOptimizer):
    r"""Resilient backpropagation (Riedmiller and Braun, 1993): only the gradient's sign counts.

    Each element's step grows while the sign holds and shrinks when it changes.

    Parameters
    ----------
    params : iterable
        Tensors, ``(name, tensor)`` pairs or group dicts.
    lr : float or one-element Tensor
        The first step.
    etas : (float, float)
        Factors on the step after a change of sign, below 1, and without one, above 1.
    step_sizes : (float, float)
        Smallest and largest step.
    maximize : bool
        Ascend instead of descend.
    foreach, capturable : bool, optional
        Accepted for PyTorch's sake; every step is one fused call.
    """

    def __init__(
        self,
        params: Iterable,
        lr: Any = 1e-2,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50),
        *,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_non_negative("Rprop", lr=lr)
        if not 0.0 < etas[0] < 1.0 < etas[1]:
            raise ValueError(f"Rprop: etas must be in (0, 1) and above 1, got {etas}")
        check_options("Rprop", differentiable=differentiable, foreach=foreach)
        defaults = {
            "lr": lr,
            "etas": etas,
            "step_sizes": step_sizes,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        super().__init__(params, defaults)

    def _rule(self, group: dict[str, Any]) -> tuple[str, tuple[str, ...]]:
        return "rprop", ("prev", "step_size")

    def _begin(self, p: Any, group: dict[str, Any]) -> dict[str, Any]:
        entry = super()._begin(p, group)
        entry["step_size"] = filled_like(p, float(group["lr"]))
        return entry

    def _numbers(self, group: dict[str, Any], step: float, entry: dict[str, Any]) -> list[float]:
        return [*group["etas"], *group["step_sizes"]]
