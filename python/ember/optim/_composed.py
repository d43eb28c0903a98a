"""Schedules made of others."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

from ._plateau import ReduceLROnPlateau
from ._scheduler import LRScheduler, rates, set_rate
from .optimizer import Optimizer

__all__ = ["ChainedScheduler", "SequentialLR"]


def _check_schedulers(name: str, schedulers: Sequence, optimizer: Optimizer | None) -> None:
    if not schedulers:
        raise ValueError(f"{name}: expected at least one scheduler, got none")
    for i, scheduler in enumerate(schedulers):
        if not isinstance(scheduler, LRScheduler):
            raise TypeError(f"{name}: schedulers[{i}] is a {type(scheduler).__name__}")
        if isinstance(scheduler, ReduceLROnPlateau):
            raise ValueError(
                f"{name}: schedulers[{i}] is a ReduceLROnPlateau, which needs a metric"
            )
        if scheduler.optimizer is not (optimizer or schedulers[0].optimizer):
            raise ValueError(f"{name}: schedulers[{i}] belongs to another optimizer")


class _Composed(LRScheduler):
    """Keeps its schedulers' states in its own."""

    def _undo_initial_step(self) -> None:
        for scheduler in self._schedulers:
            if isinstance(scheduler, _Composed):
                scheduler._undo_initial_step()
            else:
                scheduler.last_epoch -= 1

    def state_dict(self) -> dict[str, Any]:
        """Return the state, with those of the schedulers."""
        state = super().state_dict()
        state["_schedulers"] = [scheduler.state_dict() for scheduler in self._schedulers]
        return state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what `state_dict` returned."""
        state = dict(state_dict)
        for scheduler, inner in zip(self._schedulers, state.pop("_schedulers"), strict=True):
            scheduler.load_state_dict(inner)
        self.__dict__.update(state)


class SequentialLR(_Composed):
    """One schedule after the other; ``milestones`` are the epochs where the next begins.

    Parameters
    ----------
    optimizer : Optimizer
        The one that all ``schedulers`` belong to.
    schedulers : list of LRScheduler
        In order.
    milestones : list of int
        One fewer than there are schedulers, rising.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        schedulers: list[LRScheduler],
        milestones: list[int],
        last_epoch: int = -1,
    ) -> None:
        _check_schedulers("SequentialLR", schedulers, optimizer)
        if len(milestones) != len(schedulers) - 1:
            raise ValueError(
                f"SequentialLR: {len(schedulers)} schedulers need {len(schedulers) - 1} "
                f"milestones, got {len(milestones)}"
            )
        self._schedulers = schedulers
        self._milestones = milestones
        self.last_epoch = last_epoch + 1
        self.optimizer = optimizer

        # Every scheduler has made its initial step on being built: take those back, in nested
        # sequences too, and make the first one's again.
        for group in optimizer.param_groups:
            set_rate(group, group["initial_lr"])
        self._undo_initial_step()
        first = schedulers[bisect_right(milestones, 0)]
        first._initial_step()
        self._last_lr = first.get_last_lr()

    def step(self) -> None:
        """Go on to the next epoch and set the rates."""
        self.last_epoch += 1
        idx = bisect_right(self._milestones, self.last_epoch)
        scheduler = self._schedulers[idx]
        if idx > 0 and self._milestones[idx - 1] == self.last_epoch:
            scheduler._update_lr(0)
        else:
            scheduler.step()
        self._last_lr = scheduler.get_last_lr()


class ChainedScheduler(_Composed):
    """Several schedules at once: each multiplies what the one before has set.

    Parameters
    ----------
    schedulers : list of LRScheduler
        All of one optimizer.
    optimizer : Optimizer, optional
        The one they belong to.
    """

    def __init__(
        self, schedulers: Sequence[LRScheduler], optimizer: Optimizer | None = None
    ) -> None:
        _check_schedulers("ChainedScheduler", schedulers, optimizer)
        self._schedulers = schedulers
        self.optimizer = optimizer or schedulers[0].optimizer
        self._last_lr = rates(self.optimizer)

    def step(self) -> None:
        """Make a step of every schedule."""
        for scheduler in self._schedulers:
            scheduler.step()
        self._last_lr = rates(self.optimizer)
