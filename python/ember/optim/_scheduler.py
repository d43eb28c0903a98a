"""The base class of learning-rate schedules.

A scheduler multiplies the rate that stands in the optimizer rather than setting it, so that
several can be chained; the closed form serves `SequentialLR`, which restarts a schedule at 0.
"""

from __future__ import annotations

from typing import Any

import ember

from .optimizer import Optimizer

__all__ = ["LRScheduler"]

EPOCH_DEPRECATION_WARNING = (
    "`scheduler.step(epoch)` is deprecated: without the argument the scheduler goes on from the "
    "epoch before; with it, the closed form is used where there is one"
)


def rates(optimizer: Optimizer, key: str = "lr") -> list:
    """The groups' values; tensors are copied, for the next step changes them in place."""
    values = [group[key] for group in optimizer.param_groups]
    return [v.clone() if isinstance(v, ember.Tensor) else v for v in values]


def set_rate(group: dict[str, Any], rate: Any) -> None:
    if isinstance(group["lr"], ember.Tensor):
        group["lr"].fill_(float(rate))
    else:
        group["lr"] = rate


def per_group(name: str, optimizer: Optimizer, value: Any) -> list:
    """Return one value for each group; tensors are copied."""
    count = len(optimizer.param_groups)
    if not isinstance(value, list | tuple):
        value = [value] * count
    elif len(value) != count:
        raise ValueError(f"{name} must have one value for each of {count} groups, got {len(value)}")
    return [v.clone() if isinstance(v, ember.Tensor) else v for v in value]


def check_optimizer(scheduler: Any, optimizer: Any) -> None:
    if not isinstance(optimizer, Optimizer):
        raise TypeError(
            f"{type(scheduler).__name__}: expected an Optimizer, got {type(optimizer).__name__}"
        )


def _warn(message: str) -> None:
    import warnings

    warnings.warn(message, UserWarning, stacklevel=4)


def _watch_first_step(optimizer: Optimizer) -> None:
    """Note the optimizer's next step, so that a scheduler that steps before it can warn."""
    if "_opt_called" in optimizer.__dict__:
        return
    optimizer._opt_called = False

    def note(optimizer: Optimizer, args: tuple, kwargs: dict) -> None:
        optimizer._opt_called = True
        handle.remove()

    handle = optimizer.register_step_post_hook(note)


class LRScheduler:
    """Base class: a subclass gives `get_lr`, the rates of the groups at ``self.last_epoch``.

    Parameters
    ----------
    optimizer : Optimizer
        Whose groups' ``lr`` is scheduled. ``initial_lr`` is added to each group.
    last_epoch : int
        Index of the last epoch done, to resume; -1 starts anew.
    """

    _is_initial = False

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        check_optimizer(self, optimizer)
        self.optimizer = optimizer
        for i, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                rate = group["lr"]
                group.setdefault(
                    "initial_lr", rate.clone() if isinstance(rate, ember.Tensor) else rate
                )
            elif "initial_lr" not in group:
                raise KeyError(
                    f"param 'initial_lr' is not specified in param_groups[{i}]: to resume with "
                    f"last_epoch={last_epoch}, load the optimizer's state dict first"
                )
        self.base_lrs = rates(optimizer, "initial_lr")
        self.last_epoch = last_epoch
        _watch_first_step(optimizer)
        self._initial_step()

    def _initial_step(self) -> None:
        self._step_count = 0
        self._is_initial = True
        try:
            self.step()
        finally:
            self._is_initial = False

    def state_dict(self) -> dict[str, Any]:
        """Return everything but the optimizer."""
        return {key: value for key, value in self.__dict__.items() if key != "optimizer"}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what `state_dict` returned, here or in PyTorch."""
        self.__dict__.update(state_dict)

    def get_last_lr(self) -> list:
        """Return the rates that the last `step` set."""
        return self._last_lr

    def get_lr(self) -> list:
        """Compute the rates of epoch ``self.last_epoch`` from those that stand."""
        raise NotImplementedError(f"{type(self).__name__}.get_lr")

    def step(self, epoch: int | None = None) -> None:
        """Go on to the next epoch, or to ``epoch``, and set the rates."""
        if self._step_count == 1 and not getattr(self.optimizer, "_opt_called", True):
            _warn(
                "`lr_scheduler.step()` was called before `optimizer.step()`: the first value of "
                "the schedule is skipped"
            )
        self._step_count += 1
        if epoch is not None:
            _warn(EPOCH_DEPRECATION_WARNING)
        self._update_lr(epoch)

    def _update_lr(self, epoch: int | None = None) -> None:
        if epoch is None:
            self.last_epoch += 1
            values = self.get_lr()
        else:
            self.last_epoch = epoch
            closed_form = getattr(self, "_get_closed_form_lr", self.get_lr)
            values = closed_form()
        for group, rate in zip(self.optimizer.param_groups, values, strict=True):
            set_rate(group, rate)
        self._last_lr = rates(self.optimizer)

    def _scaled(self, factor: float) -> list:
        return [group["lr"] * factor for group in self.optimizer.param_groups]
