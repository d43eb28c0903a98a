"""Adam for sparse gradients."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import ember

from .optimizer import Optimizer, check_non_negative

__all__ = ["SparseAdam"]


class SparseAdam(Optimizer):
    r"""Adam whose averages move only where the gradient has items.

    Parameters
    ----------
    params : iterable
        Strided tensors with sparse gradients, such as an ``Embedding``'s weight with
        ``sparse=True``.
    lr : float or one-element Tensor
        Learning rate.
    betas : (float, float)
        Decay of the two averages, each in [0, 1).
    eps : float
        Added to the denominator.
    maximize : bool
        Ascend instead of descend.
    """

    def __init__(
        self,
        params: Iterable,
        lr: Any = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        maximize: bool = False,
    ) -> None:
        check_non_negative("SparseAdam", lr=lr, eps=eps)
        for i, beta in enumerate(betas):
            if not 0.0 <= beta < 1.0:
                raise ValueError(f"SparseAdam: betas[{i}] must be in [0, 1), got {beta}")
        if not isinstance(params, ember.Tensor):
            params = list(params)
            for index, p in enumerate(params):
                found = p["params"] if isinstance(p, dict) else [p]
                for tensor in [found] if isinstance(found, ember.Tensor) else found:
                    tensor = tensor[1] if isinstance(tensor, tuple) else tensor
                    if tensor.layout is not ember.strided:
                        raise ValueError(
                            f"SparseAdam: params must be strided, got layout {tensor.layout} at "
                            f"{index}"
                        )
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "maximize": maximize})

    @ember.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        loss = None
        if closure is not None:
            with ember.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                if not p.grad.is_sparse:
                    raise RuntimeError("SparseAdam: does not support dense gradients")
                self._update(p, p.grad.coalesce(), group)
        return loss

    def _update(self, p: Any, grad: Any, group: dict[str, Any]) -> None:
        state = self.state[p]
        if not state:
            state["step"] = 0
            state["exp_avg"] = ember.zeros_like(p)
            state["exp_avg_sq"] = ember.zeros_like(p)
        state["step"] += 1
        values = grad.values()
        if values.numel() == 0:
            return
        if group["maximize"]:
            values = -values
        places = tuple(grad.indices())
        beta1, beta2 = group["betas"]
        first, second = state["exp_avg"][places], state["exp_avg_sq"][places]
        first = first + (values - first) * (1 - beta1)
        second = second + (values * values - second) * (1 - beta2)
        state["exp_avg"][places] = first
        state["exp_avg_sq"][places] = second
        correction1 = 1 - beta1 ** state["step"]
        correction2 = 1 - beta2 ** state["step"]
        step_size = float(group["lr"]) * correction2**0.5 / correction1
        p[places] -= step_size * first / (second.sqrt() + group["eps"])
