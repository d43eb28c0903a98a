"""Adam and AdamW."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import ember
from ember import _C

from .optimizer import Optimizer, check_betas, check_non_negative, check_options

__all__ = ["Adam", "AdamW"]


class Adam(Optimizer):
    r"""Adam (Kingma and Ba, 2015).

    With gradient :math:`g` at step :math:`t`: :math:`m \leftarrow \beta_1 m + (1 - \beta_1) g`,
    :math:`v \leftarrow \beta_2 v + (1 - \beta_2) g^2`, and the parameter loses
    :math:`\mathrm{lr}\,\hat m / (\sqrt{\hat v} + \epsilon)` with
    :math:`\hat m = m / (1 - \beta_1^t)`, :math:`\hat v = v / (1 - \beta_2^t)`.

    Parameters
    ----------
    params : iterable
        Tensors, ``(name, tensor)`` pairs or group dicts.
    lr : float or one-element Tensor
        Learning rate.
    betas : (float, float)
        Decay of the two averages, each in [0, 1).
    eps : float
        Added to the denominator.
    weight_decay : float
        L2 penalty, added to the gradient unless ``decoupled_weight_decay``.
    amsgrad : bool
        Divide by the largest :math:`v` so far (Reddi et al., 2018).
    maximize : bool
        Ascend instead of descend.
    decoupled_weight_decay : bool
        Shrink the parameter by ``lr * weight_decay`` instead (Loshchilov and Hutter, 2019).
    foreach, fused, capturable : bool, optional
        Accepted for PyTorch's sake; every step is one fused call.
    """

    def __init__(
        self,
        params: Iterable,
        lr: Any = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        decoupled_weight_decay: bool = False,
    ) -> None:
        name = type(self).__name__
        check_non_negative(name, lr=lr, eps=eps, weight_decay=weight_decay)
        betas = check_betas(name, betas)
        check_options(name, differentiable=differentiable, foreach=foreach, fused=fused)
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "differentiable": differentiable,
            "fused": fused,
            "decoupled_weight_decay": decoupled_weight_decay,
        }
        super().__init__(params, defaults)

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for group in self.param_groups:
            group.setdefault("amsgrad", False)
            group.setdefault("maximize", False)
            group.setdefault("foreach", None)
            group.setdefault("capturable", False)
            group.setdefault("differentiable", False)
            group.setdefault("fused", None)
            group.setdefault("decoupled_weight_decay", False)
        # Older checkpoints of PyTorch count the steps with Python's numbers.
        for entry in self.state.values():
            if "step" in entry and not isinstance(entry["step"], ember.Tensor):
                entry["step"] = ember.tensor(float(entry["step"]), dtype=ember.float32)

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        loss = None
        if closure is not None:
            with ember.enable_grad():
                loss = closure()

        for group in self.param_groups:
            amsgrad = group["amsgrad"]
            try:
                lists = _gather(group["params"], self.state, amsgrad)
            except KeyError:
                _begin(group["params"], self.state, amsgrad)
                lists = _gather(group["params"], self.state, amsgrad)
            if not lists[0]:
                continue
            beta1, beta2 = group["betas"]
            _C._fused_adam_(
                *lists,
                group["lr"],
                beta1,
                beta2,
                group["eps"],
                group["weight_decay"],
                group["decoupled_weight_decay"],
                amsgrad,
                group["maximize"],
            )
        return loss


def _gather(params: list, state: dict, amsgrad: bool) -> tuple[list, ...]:
    """List the parameters that have a gradient, and what belongs to each."""
    stepped, grads, exp_avgs, exp_avg_sqs, max_exp_avg_sqs, steps = [], [], [], [], [], []
    for p in params:
        grad = p.grad
        if grad is not None:
            entry = state[p]
            steps.append(entry["step"])
            exp_avgs.append(entry["exp_avg"])
            exp_avg_sqs.append(entry["exp_avg_sq"])
            if amsgrad:
                max_exp_avg_sqs.append(entry["max_exp_avg_sq"])
            stepped.append(p)
            grads.append(grad)
    return stepped, grads, exp_avgs, exp_avg_sqs, max_exp_avg_sqs, steps


def _begin(params: list, state: dict, amsgrad: bool) -> None:
    """Complete the state of parameters that take their first step, or their first with amsgrad."""
    averages = ["exp_avg", "exp_avg_sq"] + ["max_exp_avg_sq"] * amsgrad
    for p in params:
        if p.grad is not None:
            entry = state[p]
            if "step" not in entry:
                entry["step"] = ember.zeros((), dtype=ember.float32)
            for name in averages:
                if name not in entry:
                    entry[name] = ember.zeros_like(p, requires_grad=False)


class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov and Hutter, 2019).

    As `Adam`, but every step first shrinks the parameter by ``lr * weight_decay``.
    """

    def __init__(
        self,
        params: Iterable,
        lr: Any = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        super().__init__(
            params,
            lr,
            betas,
            eps,
            weight_decay,
            amsgrad,
            foreach=foreach,
            maximize=maximize,
            capturable=capturable,
            differentiable=differentiable,
            fused=fused,
            decoupled_weight_decay=True,
        )

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for group in self.param_groups:
            group["decoupled_weight_decay"] = True
