"""Averages of models over training: stochastic weight averaging and moving averages."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from copy import deepcopy
from itertools import chain
from typing import Any

import ember
from ember import Tensor, nn

from ._scheduler import LRScheduler, check_optimizer, per_group
from .optimizer import Optimizer

__all__ = [
    "SWALR",
    "AveragedModel",
    "get_ema_avg_fn",
    "get_ema_multi_avg_fn",
    "get_swa_avg_fn",
    "get_swa_multi_avg_fn",
    "update_bn",
]


def _check_decay(decay: float) -> None:
    if not 0.0 <= decay <= 1.0:
        raise ValueError(f"moving average: decay must be in [0, 1], got {decay}")


def get_ema_avg_fn(decay: float = 0.999) -> Callable:
    """Return ``f(average, current, n)``, the moving average of one parameter."""
    _check_decay(decay)

    @ember.no_grad()
    def ema_update(averaged: Tensor, current: Tensor, num_averaged: Any) -> Tensor:
        return decay * averaged + (1 - decay) * current

    return ema_update


def get_ema_multi_avg_fn(decay: float = 0.999) -> Callable:
    """Return ``f(averages, currents, n)``, the moving average of a list, in place."""
    _check_decay(decay)

    @ember.no_grad()
    def ema_update(averaged: list[Tensor], current: list[Tensor], num_averaged: Any) -> None:
        for a, b in zip(averaged, current, strict=True):
            if a.is_floating_point():
                a.lerp_(b, 1 - decay)
            else:
                a.copy_(a * decay + b * (1 - decay))

    return ema_update


def get_swa_avg_fn() -> Callable:
    """Return ``f(average, current, n)``, the mean of one parameter over n + 1 models."""

    @ember.no_grad()
    def swa_update(averaged: Tensor, current: Tensor, num_averaged: Any) -> Tensor:
        return averaged + (current - averaged) / (num_averaged + 1)

    return swa_update


def get_swa_multi_avg_fn() -> Callable:
    """Return ``f(averages, currents, n)``, the mean of a list over n + 1 models, in place."""

    @ember.no_grad()
    def swa_update(averaged: list[Tensor], current: list[Tensor], num_averaged: Any) -> None:
        weight = 1.0 / (float(num_averaged) + 1)
        for a, b in zip(averaged, current, strict=True):
            if a.is_floating_point():
                a.lerp_(b, weight)
            else:
                a.copy_(a + (b - a) * weight)

    return swa_update


class AveragedModel(nn.Module):
    """A copy of a model whose parameters are averages over `update_parameters`'s calls.

    Parameters
    ----------
    model : Module
        The model to copy.
    device : Device, optional
        Where the copy is kept.
    avg_fn : callable, optional
        ``f(average, current, n)`` of one parameter; the mean by default.
    multi_avg_fn : callable, optional
        ``f(averages, currents, n)`` of a list, in place; not together with ``avg_fn``.
    use_buffers : bool
        Average the buffers too; otherwise they are copied.
    """

    def __init__(
        self,
        model: nn.Module,
        device: Any = None,
        avg_fn: Callable | None = None,
        multi_avg_fn: Callable | None = None,
        use_buffers: bool = False,
    ) -> None:
        super().__init__()
        if avg_fn is not None and multi_avg_fn is not None:
            raise AssertionError("AveragedModel: give either avg_fn or multi_avg_fn, got both")
        self.module = deepcopy(model)
        if device is not None:
            self.module = self.module.to(device)
        self.register_buffer("n_averaged", ember.tensor(0, dtype=ember.int64, device=device))
        self.avg_fn = avg_fn
        self.multi_avg_fn = multi_avg_fn
        self.use_buffers = use_buffers

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.module(*args, **kwargs)

    def _averaged(self, model: nn.Module) -> list[Tensor]:
        if self.use_buffers:
            return list(chain(model.parameters(), model.buffers()))
        return list(model.parameters())

    def update_parameters(self, model: nn.Module) -> None:
        """Take ``model``'s parameters into the averages; the first time, copy them."""
        averaged = [p.detach() for p in self._averaged(self.module)]
        current = [
            q.detach().to(p.device) for p, q in zip(averaged, self._averaged(model), strict=True)
        ]
        if self.n_averaged == 0:
            for a, b in zip(averaged, current, strict=True):
                a.copy_(b)
        elif self.multi_avg_fn is not None:
            groups: dict[Any, tuple[list, list]] = {}
            for a, b in zip(averaged, current, strict=True):
                mine, theirs = groups.setdefault((str(a.device), a.dtype), ([], []))
                mine.append(a)
                theirs.append(b)
            for mine, theirs in groups.values():
                self.multi_avg_fn(mine, theirs, self.n_averaged.to(mine[0].device))
        else:
            average = self.avg_fn or get_swa_avg_fn()
            for a, b in zip(averaged, current, strict=True):
                a.copy_(average(a, b, self.n_averaged.to(a.device)))
        if not self.use_buffers:
            for a, b in zip(self.module.buffers(), model.buffers(), strict=True):
                a.detach().copy_(b.detach().to(a.device))
        self.n_averaged += 1


@ember.no_grad()
def update_bn(loader: Iterable, model: nn.Module, device: Any = None) -> None:
    """Compute the running statistics of a model's batch normalisations anew.

    Parameters
    ----------
    loader : iterable
        Gives inputs, or tuples or lists that begin with one.
    model : Module
        Called with each input in training mode.
    device : Device, optional
        Where the inputs are moved first.
    """
    momenta = {}
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.reset_running_stats()
            momenta[module] = module.momentum
    if not momenta:
        return
    was_training = model.training
    model.train()
    for module in momenta:
        module.momentum = None
    for batch in loader:
        if isinstance(batch, list | tuple):
            batch = batch[0]
        model(batch if device is None else batch.to(device))
    for module, momentum in momenta.items():
        module.momentum = momentum
    model.train(was_training)


class SWALR(LRScheduler):
    """Anneal the rates to ``swa_lr`` in ``anneal_epochs`` epochs, then hold them.

    Parameters
    ----------
    optimizer : Optimizer
        Whose groups' ``lr`` is scheduled.
    swa_lr : float or list of float
        The rate in the end, of all groups or of each.
    anneal_epochs : int
        Epochs on the way there.
    anneal_strategy : {"cos", "linear"}
        The way's shape.
    last_epoch : int
        Index of the last epoch done, to resume; -1 starts anew.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        swa_lr: float | list[float],
        anneal_epochs: int = 10,
        anneal_strategy: str = "cos",
        last_epoch: int = -1,
    ) -> None:
        check_optimizer(self, optimizer)
        rates = per_group("swa_lr", optimizer, swa_lr)
        for rate, group in zip(rates, optimizer.param_groups, strict=True):
            group["swa_lr"] = rate
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(
                f"SWALR: anneal_strategy must be 'cos' or 'linear', got {anneal_strategy!r}"
            )
        if not isinstance(anneal_epochs, int) or anneal_epochs < 0:
            raise ValueError(
                f"SWALR: anneal_epochs must be an integer of at least 0, got {anneal_epochs}"
            )
        self._anneal_strategy = anneal_strategy
        self.anneal_epochs = anneal_epochs
        super().__init__(optimizer, last_epoch)

    def _progress(self, step: int) -> float:
        t = max(0, min(1, step / max(1, self.anneal_epochs)))
        return t if self._anneal_strategy == "linear" else (1 - math.cos(math.pi * t)) / 2

    def get_lr(self) -> list:
        step = self._step_count - 1
        if self.anneal_epochs == 0:
            step = max(1, step)
        before, now = self._progress(step - 1), self._progress(step)
        values = []
        for group in self.optimizer.param_groups:
            rate, target = group["lr"], group["swa_lr"]
            start = target if before == 1 else (rate - before * target) / (1 - before)
            values.append(target * now + start * (1 - now))
        return values
