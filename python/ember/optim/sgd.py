"""Stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import ember
from ember import _C

from .optimizer import Optimizer, check_non_negative, check_options

__all__ = ["SGD"]


class SGD(Optimizer):
    r"""Stochastic gradient descent, with momentum if wanted.

    With gradient :math:`g` (plus ``weight_decay`` times the parameter) the buffer becomes
    :math:`b \leftarrow \mu b + (1 - \tau) g`, on the first step :math:`b \leftarrow g`, and the
    parameter loses ``lr`` times :math:`b`, or with ``nesterov`` times :math:`g + \mu b`.

    Parameters
    ----------
    params : iterable
        Tensors, ``(name, tensor)`` pairs or group dicts.
    lr : float or one-element Tensor
        Learning rate.
    momentum, dampening : float
        :math:`\mu` and :math:`\tau` above.
    weight_decay : float
        L2 penalty.
    nesterov : bool
        Nesterov's momentum (Sutskever et al., 2013); needs ``momentum > 0``, ``dampening == 0``.
    maximize : bool
        Ascend instead of descend.
    foreach, fused : bool, optional
        Accepted for PyTorch's sake; every step is one fused call.
    """

    def __init__(
        self,
        params: Iterable,
        lr: Any = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        check_non_negative("SGD", lr=lr, momentum=momentum, weight_decay=weight_decay)
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ValueError("SGD: nesterov requires a momentum and zero dampening")
        check_options("SGD", differentiable=differentiable, foreach=foreach, fused=fused)
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "maximize": maximize,
            "foreach": foreach,
            "differentiable": differentiable,
            "fused": fused,
        }
        super().__init__(params, defaults)

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for group in self.param_groups:
            group.setdefault("nesterov", False)
            group.setdefault("maximize", False)
            group.setdefault("foreach", None)
            group.setdefault("differentiable", False)
            group.setdefault("fused", None)
        # Older checkpoints of PyTorch store None for a buffer that does not exist.
        for entry in self.state.values():
            if entry.get("momentum_buffer", entry) is None:
                del entry["momentum_buffer"]

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        loss = None
        if closure is not None:
            with ember.enable_grad():
                loss = closure()

        state = self.state
        for group in self.param_groups:
            params, grads, buffers = [], [], []
            momentum = group["momentum"]
            try:
                for p in group["params"]:
                    grad = p.grad
                    if grad is not None:
                        if momentum != 0:
                            buffers.append(state[p]["momentum_buffer"])
                        params.append(p)
                        grads.append(grad)
            except KeyError:
                params, grads, buffers = self._first_step(group)
            if not params:
                continue
            _C._fused_sgd_(
                params,
                grads,
                buffers,
                group["lr"],
                momentum,
                group["dampening"],
                group["weight_decay"],
                group["nesterov"],
                group["maximize"],
                False,
            )
        return loss

    def _first_step(self, group: dict[str, Any]) -> tuple[list, list, list]:
        """Step the parameters that have no buffer yet; return the others with theirs."""
        state = self.state
        stepped = [p for p in group["params"] if p.grad is not None]
        new = [p for p in stepped if "momentum_buffer" not in state[p]]
        old = [p for p in stepped if "momentum_buffer" in state[p]]
        grads = [p.grad for p in new]
        buffers = [ember.empty_like(grad) for grad in grads]
        _C._fused_sgd_(
            new,
            grads,
            buffers,
            group["lr"],
            group["momentum"],
            group["dampening"],
            group["weight_decay"],
            group["nesterov"],
            group["maximize"],
            True,
        )
        for p, buffer in zip(new, buffers, strict=True):
            state[p]["momentum_buffer"] = buffer
        return old, [p.grad for p in old], [state[p]["momentum_buffer"] for p in old]
