"""Adafactor."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import ember

from .optimizer import Optimizer, check_non_negative

__all__ = ["Adafactor"]


class Adafactor(Optimizer):
    r"""Adafactor (Shazeer and Stern, 2018): second moments kept as one row and one column.

    As PyTorch's, ``lr`` bounds the relative step :math:`\min(\mathrm{lr}, 1/\sqrt t)` and scales
    the decoupled weight decay.

    Parameters
    ----------
    params : iterable
        Tensors, ``(name, tensor)`` pairs or group dicts.
    lr : float or one-element Tensor
        Largest relative step.
    beta2_decay : float
        At step :math:`t` the second moment's average takes the new one with weight
        :math:`t^{\mathrm{beta2\_decay}}`; at most 0.
    eps : (float or None, float)
        Bound of the second moment (the dtype's eps by default) and of the parameter's scale.
    d : float
        An update's root mean square is clipped to it; at least 1.
    weight_decay : float
        The parameter shrinks by ``lr * weight_decay``.
    foreach : bool, optional
        Accepted for PyTorch's sake.
    maximize : bool
        Ascend instead of descend.
    """

    def __init__(
        self,
        params: Iterable,
        lr: Any = 1e-2,
        beta2_decay: float = -0.8,
        eps: tuple[float | None, float] = (None, 1e-3),
        d: float = 1.0,
        weight_decay: float = 0.0,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
    ) -> None:
        check_non_negative("Adafactor", lr=lr, weight_decay=weight_decay)
        if not beta2_decay <= 0.0:
            raise ValueError(f"Adafactor: beta2_decay must be at most 0, got {beta2_decay}")
        if eps[0] is not None and not eps[0] >= 0.0:
            raise ValueError(f"Adafactor: eps[0] must not be negative, got {eps[0]}")
        if not eps[1] >= 0.0:
            raise ValueError(f"Adafactor: eps[1] must not be negative, got {eps[1]}")
        if not d >= 1.0:
            raise ValueError(f"Adafactor: d must be at least 1, got {d}")
        defaults = {
            "lr": lr,
            "beta2_decay": beta2_decay,
            "eps": eps,
            "d": d,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for group in self.param_groups:
            group.setdefault("foreach", None)

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

    def _begin(self, grad: Any) -> dict[str, Any]:
        entry = {"step": ember.tensor(0.0, dtype=ember.float32)}
        if grad.dim() > 1:
            entry["row_var"] = ember.zeros_like(grad[..., :1], requires_grad=False)
            entry["col_var"] = ember.zeros_like(grad[..., :1, :], requires_grad=False)
        else:
            entry["variance"] = ember.zeros_like(grad, requires_grad=False)
        return entry

    def _step_one(self, p: Any, grad: Any, group: dict[str, Any]) -> None:
        if p.is_complex():
            raise RuntimeError("Adafactor: complex parameters are not supported")
        entry = self.state[p]
        if not entry:
            entry.update(self._begin(grad))
        lr = float(group["lr"])
        bound, smallest_scale = group["eps"]
        if bound is None:
            bound = ember.finfo(p.dtype).eps
        entry["step"] += 1
        step = entry["step"].item()
        weight = step ** group["beta2_decay"]
        scale = max(smallest_scale, p.norm(2).item() / p.numel() ** 0.5)
        step_size = scale * min(lr, 1 / step**0.5)

        if group["maximize"]:
            grad = -grad
        if group["weight_decay"] != 0:
            p.mul_(1 - lr * group["weight_decay"])
        if grad.dim() > 1:
            rows, cols = entry["row_var"], entry["col_var"]
            rows.lerp_(grad.norm(2, dim=-1, keepdim=True).square() / grad.size(-1), weight)
            cols.lerp_(grad.norm(2, dim=-2, keepdim=True).square() / grad.size(-2), weight)
            variance = rows @ cols / rows.mean(dim=-2, keepdim=True).clamp(min=bound)
        else:
            variance = entry["variance"].lerp_(grad * grad, weight)
        update = variance.clamp(min=bound * bound).rsqrt() * grad
        clip = max(1.0, update.norm(2).item() / (update.numel() ** 0.5 * group["d"]))
        p.add_(update, alpha=-step_size / clip)
