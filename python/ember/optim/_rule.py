"""The base of optimizers whose rule works element by element."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ember
from ember import _C

from .optimizer import Optimizer

__all__ = ["RuleOptimizer"]


class RuleOptimizer(Optimizer):
    """Counts the steps, works out a rule's numbers in Python and leaves the rest to one call.

    A subclass says which rule, which state it has, and what its numbers are at a step.
    """

    # Options that checkpoints of older versions of PyTorch lack.
    _later_options: tuple[tuple[str, Any], ...] = (
        ("foreach", None),
        ("maximize", False),
        ("capturable", False),
        ("differentiable", False),
    )
    # Whether a parameter's numbers depend on more than its group and step.
    _own_numbers = False

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for group in self.param_groups:
            for option, value in self._later_options:
                group.setdefault(option, value)
        # Older checkpoints of PyTorch count the steps with Python's numbers.
        for entry in self.state.values():
            if "step" in entry and not isinstance(entry["step"], ember.Tensor):
                entry["step"] = scalar(entry["step"])

    def _rule(self, group: dict[str, Any]) -> tuple[str, tuple[str, ...]]:
        """Return the rule's name and the names of its states in the rule's order."""
        raise NotImplementedError

    def _begin(self, p: Any, group: dict[str, Any]) -> dict[str, Any]:
        """Return the state of a parameter that takes its first step."""
        _, names = self._rule(group)
        entry = {"step": scalar(0.0)}
        for name in names:
            entry[name] = ember.zeros_like(p, requires_grad=False)
        return entry

    def _numbers(self, group: dict[str, Any], step: float, entry: dict[str, Any]) -> list[float]:
        """Return the rule's numbers at ``step``, which is counted from 1."""
        raise NotImplementedError

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        loss = None
        if closure is not None:
            with ember.enable_grad():
                loss = closure()
        with ember.no_grad():
            for group in self.param_groups:
                self._step_group(group)
        return loss

    def _step_group(self, group: dict[str, Any]) -> None:
        rule, names = self._rule(group)
        params, grads, states, numbers = [], [], [], []
        last, own = None, None
        for p in group["params"]:
            grad = p.grad
            if grad is None:
                continue
            entry = self.state[p]
            if not entry:
                entry.update(self._begin(p, group))
            count = entry["step"]
            count += 1
            count = count.item()
            if count != last or self._own_numbers:
                own = self._numbers(group, count, entry)
                last = count
            params.append(p)
            grads.append(grad)
            states.extend([entry[name] for name in names])
            numbers.extend(own)
        if params:
            decay = group.get("weight_decay", 0.0)
            keep = 1.0
            if group.get("decoupled_weight_decay", False):
                keep, decay = 1.0 - float(group["lr"]) * decay, 0.0
            _C._fused_step_(
                rule, params, grads, states, numbers, decay, keep, group.get("maximize", False)
            )


def filled_like(p: Any, value: float) -> Any:
    """Return a state that starts with ``value``, in a complex one's both parts."""
    fill = complex(value, value) if p.is_complex() else value
    return ember.full_like(p, fill, requires_grad=False)


def scalar(value: float) -> Any:
    return ember.tensor(float(value), dtype=ember.float32)
