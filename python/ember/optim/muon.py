"""Muon."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import ember

from .optimizer import Optimizer, check_non_negative

__all__ = ["Muon"]


class Muon(Optimizer):
    r"""Muon (Jordan et al., 2024): momentum whose singular values are all driven to one.

    The matrix is made nearly orthogonal by Newton-Schulz iterations in bfloat16. It is meant for
    the matrices of hidden layers; other parameters want another optimizer.

    Parameters
    ----------
    params : iterable
        Matrices, ``(name, matrix)`` pairs or group dicts.
    lr : float or one-element Tensor
        Learning rate.
    weight_decay : float
        The parameter shrinks by ``lr * weight_decay``.
    momentum : float
        Decay of the gradients' average.
    nesterov : bool
        Nesterov's momentum.
    ns_coefficients : (float, float, float)
        Of the iteration :math:`X \leftarrow aX + (bXX^\top + c(XX^\top)^2)X`.
    eps : float
        Lower bound of the norm that is divided by.
    ns_steps : int
        Number of iterations, below 100.
    adjust_lr_fn : {None, "original", "match_rms_adamw"}
        How the rate depends on the matrix's shape: by :math:`\sqrt{\max(1, A/B)}`, or by
        :math:`0.2\sqrt{\max(A, B)}`, which steps as far as AdamW does.
    """

    def __init__(
        self,
        params: Iterable,
        lr: Any = 1e-3,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_coefficients: tuple[float, float, float] = (3.4445, -4.7750, 2.0315),
        eps: float = 1e-7,
        ns_steps: int = 5,
        adjust_lr_fn: str | None = None,
    ) -> None:
        check_non_negative("Muon", lr=lr, momentum=momentum, weight_decay=weight_decay)
        if adjust_lr_fn not in (None, "original", "match_rms_adamw"):
            raise ValueError(f"Muon: adjust_lr_fn {adjust_lr_fn!r} is not supported")
        defaults = {
            "lr": lr,
            "weight_decay": weight_decay,
            "momentum": momentum,
            "nesterov": nesterov,
            "ns_coefficients": ns_coefficients,
            "eps": eps,
            "ns_steps": ns_steps,
            "adjust_lr_fn": adjust_lr_fn,
        }
        super().__init__(params, defaults)
        for group in self.param_groups:
            for p in group["params"]:
                if p.dim() != 2:
                    raise ValueError(
                        f"Muon: every parameter must be a matrix, got one of shape {tuple(p.shape)}"
                    )

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        loss = None
        if closure is not None:
            with ember.enable_grad():
                loss = closure()
        with ember.no_grad():
            for group in self.param_groups:
                for p in group["params"]:
                    if p.grad is not None:
                        self._step_one(p, p.grad, group)
        return loss

    def _step_one(self, p: Any, grad: Any, group: dict[str, Any]) -> None:
        entry = self.state[p]
        if "momentum_buffer" not in entry:
            entry["momentum_buffer"] = ember.zeros_like(grad, requires_grad=False)
        lr, momentum = float(group["lr"]), group["momentum"]
        average = entry["momentum_buffer"].lerp_(grad, 1 - momentum)
        update = grad.lerp(average, momentum) if group["nesterov"] else average
        update = _orthogonalized(update, group["ns_coefficients"], group["ns_steps"], group["eps"])

        rows, cols = p.shape
        if group["adjust_lr_fn"] == "match_rms_adamw":
            ratio = 0.2 * math.sqrt(max(rows, cols))
        else:
            ratio = math.sqrt(max(1, rows / cols))
        p.mul_(1 - lr * group["weight_decay"])
        p.add_(update.to(p.dtype), alpha=-lr * ratio)


def _orthogonalized(matrix: Any, coefficients: Any, steps: int, eps: float) -> Any:
    if steps >= 100:
        raise ValueError(f"Muon: ns_steps must be below 100, got {steps}")
    if len(coefficients) != 3:
        raise ValueError(f"Muon: ns_coefficients must be three numbers, got {coefficients}")
    a, b, c = coefficients
    tall = matrix.size(0) > matrix.size(1)
    x = matrix.to(ember.bfloat16)
    x = x.T if tall else x
    x = x / x.norm().clamp(min=eps)  # the largest singular value is at most 1
    for _ in range(steps):
        gram = x @ x.T
        x = ember.addmm(x, ember.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.T if tall else x
