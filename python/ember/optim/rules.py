"""Optimizers whose rule works element by element: a step is one fused call for each group.

The rules themselves are in ``csrc/kernels/formulas/optim.h``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import ember

from ._rule import RuleOptimizer, filled_like, scalar
from .optimizer import check_betas, check_non_negative, check_options

__all__ = ["ASGD", "Adadelta", "Adagrad", "Adamax", "NAdam", "RAdam", "RMSprop"]


class Adadelta(RuleOptimizer):
    r"""Adadelta (Zeiler, 2012): steps sized by the average of the steps before.

    With averages :math:`v` of squared gradients and :math:`u` of squared steps, which decay by
    :math:`\rho`, the parameter loses
    :math:`\mathrm{lr}\,\sqrt{u + \epsilon} / \sqrt{v + \epsilon}\;g`.

    Parameters
    ----------
    params : iterable
        Tensors, ``(name, tensor)`` pairs or group dicts.
    lr : float or one-element Tensor
        Factor on the step.
    rho : float
        Decay of the averages, in [0, 1].
    eps : float
        Added below both roots.
    weight_decay : float
        L2 penalty.
    maximize : bool
        Ascend instead of descend.
    foreach, capturable : bool, optional
        Accepted for PyTorch's sake; every step is one fused call.
    """

    def __init__(
        self,
        params: Iterable,
        lr: Any = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        capturable: bool = False,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_non_negative("Adadelta", lr=lr, eps=eps, weight_decay=weight_decay)
        if not 0.0 <= rho <= 1.0:
            raise ValueError(f"Adadelta: rho must be in [0, 1], got {rho}")
        check_options("Adadelta", differentiable=differentiable, foreach=foreach)
        defaults = {
            "lr": lr,
            "rho": rho,
            "eps": eps,
            "weight_decay": weight_decay,
            "maximize": maximize,
            "capturable": capturable,
            "foreach": foreach,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def _rule(self, group: dict[str, Any]) -> tuple[str, tuple[str, ...]]:
        return "adadelta", ("square_avg", "acc_delta")

    def _numbers(self, group: dict[str, Any], step: float, entry: dict[str, Any]) -> list[float]:
        return [group["lr"], group["rho"], 1 - group["rho"], group["eps"]]


class Adagrad(RuleOptimizer):
    r"""Adagrad (Duchi et al., 2011): divides by the root of all squared gradients' sum.

    Parameters
    ----------
    params : iterable
        Tensors, ``(name, tensor)`` pairs or group dicts.
    lr : float or one-element Tensor
        Learning rate.
    lr_decay : float
        At step :math:`t` the rate is :math:`\mathrm{lr} / (1 + (t - 1)\,\mathrm{lr\_decay})`.
    weight_decay : float
        L2 penalty.
    initial_accumulator_value : float
        What the sum starts with.
    eps : float
        Added to the denominator.
    maximize : bool
        Ascend instead of descend.
    foreach, fused : bool, optional
        Accepted for PyTorch's sake; every step is one fused call.
    """

    _later_options = (
        ("foreach", None),
        ("maximize", False),
        ("differentiable", False),
        ("fused", None),
    )

    def __init__(
        self,
        params: Iterable,
        lr: Any = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        check_non_negative(
            "Adagrad",
            lr=lr,
            lr_decay=lr_decay,
            weight_decay=weight_decay,
            initial_accumulator_value=initial_accumulator_value,
            eps=eps,
        )
        check_options("Adagrad", differentiable=differentiable, foreach=foreach, fused=fused)
        defaults = {
            "lr": lr,
            "lr_decay": lr_decay,
            "eps": eps,
            "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "fused": fused,
        }
        super().__init__(params, defaults)
        for group in self.param_groups:
            for p in group["params"]:
                self.state[p] = self._begin(p, group)

    def _rule(self, group: dict[str, Any]) -> tuple[str, tuple[str, ...]]:
        return "adagrad", ("sum",)

    def _begin(self, p: Any, group: dict[str, Any]) -> dict[str, Any]:
        start = self.defaults["initial_accumulator_value"]
        return {"step": scalar(0.0), "sum": filled_like(p, start)}

    def _numbers(self, group: dict[str, Any], step: float, entry: dict[str, Any]) -> list[float]:
        return [float(group["lr"]) / (1 + (step - 1) * group["lr_decay"]), group["eps"]]


class Adamax(RuleOptimizer):
    r"""Adamax (Kingma and Ba, 2015): Adam with the largest gradient in place of the second moment.

    Parameters
    ----------
    params : iterable
        Tensors, ``(name, tensor)`` pairs or group dicts.
    lr : float or one-element Tensor
        Learning rate.
    betas : (float, float)
        Decay of the average and of the largest gradient, each in [0, 1).
    eps : float
        Added to each gradient's magnitude.
    weight_decay : float
        L2 penalty.
    maximize : bool
        Ascend instead of descend.
    foreach, capturable : bool, optional
        Accepted for PyTorch's sake; every step is one fused call.
    """

    def __init__(
        self,
        params: Iterable,
        lr: Any = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        check_non_negative("Adamax", lr=lr, eps=eps, weight_decay=weight_decay)
        check_options("Adamax", differentiable=differentiable, foreach=foreach)
        defaults = {
            "lr": lr,
            "betas": check_betas("Adamax", betas),
            "eps": eps,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        super().__init__(params, defaults)

    def _rule(self, group: dict[str, Any]) -> tuple[str, tuple[str, ...]]:
        return "adamax", ("exp_avg", "exp_inf")

    def _numbers(self, group: dict[str, Any], step: float, entry: dict[str, Any]) -> list[float]:
        beta1, beta2 = group["betas"]
        return [float(group["lr"]) / (1 - beta1**step), 1 - beta1, beta2, group["eps"]]


class ASGD(RuleOptimizer):
    r"""Averaged stochastic gradient descent (Polyak and Juditsky, 1992).

    The parameter shrinks by :math:`1 - \lambda\eta` and loses :math:`\eta g` with
    :math:`\eta_t = \mathrm{lr} / (1 + \lambda\,\mathrm{lr}\,t)^\alpha`; the state ``ax`` is its
    average from step ``t0`` on.

    Parameters
    ----------
    params : iterable
        Tensors, ``(name, tensor)`` pairs or group dicts.
    lr : float or one-element Tensor
        Learning rate.
    lambd, alpha : float
        Decay term and power of the rate.
    t0 : float
        Where the averaging starts.
    weight_decay : float
        L2 penalty.
    maximize : bool
        Ascend instead of descend.
    foreach, capturable : bool, optional
        Accepted for PyTorch's sake; every step is one fused call.
    """

    _own_numbers = True

    def __init__(
        self,
        params: Iterable,
        lr: Any = 1e-2,
        lambd: float = 1e-4,
        alpha: float = 0.75,
        t0: float = 1e6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        check_non_negative("ASGD", lr=lr, weight_decay=weight_decay)
        check_options("ASGD", differentiable=differentiable, foreach=foreach)
        defaults = {
            "lr": lr,
            "lambd": lambd,
            "alpha": alpha,
            "t0": t0,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        super().__init__(params, defaults)

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for entry in self.state.values():
            for name in ("eta", "mu"):
                if name in entry and not isinstance(entry[name], ember.Tensor):
                    entry[name] = scalar(entry[name])

    def _rule(self, group: dict[str, Any]) -> tuple[str, tuple[str, ...]]:
        return "asgd", ("ax",)

    def _begin(self, p: Any, group: dict[str, Any]) -> dict[str, Any]:
        return {
            "step": scalar(0.0),
            "eta": scalar(group["lr"]),
            "mu": scalar(1.0),
            "ax": ember.zeros_like(p, requires_grad=False),
        }

    def _numbers(self, group: dict[str, Any], step: float, entry: dict[str, Any]) -> list[float]:
        lr, lambd = float(group["lr"]), group["lambd"]
        eta, mu = entry["eta"].item(), entry["mu"].item()
        entry["eta"].fill_(lr / (1 + lambd * lr * step) ** group["alpha"])
        entry["mu"].fill_(1 / max(1, step - group["t0"]))
        return [eta, 1 - lambd * eta, mu]


class NAdam(RuleOptimizer):
    r"""NAdam (Dozat, 2016): Adam with Nesterov's momentum.

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
    momentum_decay : float
        :math:`\psi` of the momentum :math:`\beta_1 (1 - 0.96^{t\psi} / 2)` at step :math:`t`.
    decoupled_weight_decay : bool
        Shrink the parameter by ``lr * weight_decay`` instead.
    maximize : bool
        Ascend instead of descend.
    foreach, capturable : bool, optional
        Accepted for PyTorch's sake; every step is one fused call.
    """

    _later_options = (*RuleOptimizer._later_options, ("decoupled_weight_decay", False))
    _own_numbers = True

    def __init__(
        self,
        params: Iterable,
        lr: Any = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_non_negative(
            "NAdam", lr=lr, eps=eps, weight_decay=weight_decay, momentum_decay=momentum_decay
        )
        check_options("NAdam", differentiable=differentiable, foreach=foreach)
        defaults = {
            "lr": lr,
            "betas": check_betas("NAdam", betas),
            "eps": eps,
            "weight_decay": weight_decay,
            "momentum_decay": momentum_decay,
            "decoupled_weight_decay": decoupled_weight_decay,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for entry in self.state.values():
            if "mu_product" in entry and not isinstance(entry["mu_product"], ember.Tensor):
                entry["mu_product"] = scalar(entry["mu_product"])

    def _rule(self, group: dict[str, Any]) -> tuple[str, tuple[str, ...]]:
        return "nadam", ("exp_avg", "exp_avg_sq")

    def _begin(self, p: Any, group: dict[str, Any]) -> dict[str, Any]:
        entry = super()._begin(p, group)
        return {"step": entry.pop("step"), "mu_product": scalar(1.0), **entry}

    def _numbers(self, group: dict[str, Any], step: float, entry: dict[str, Any]) -> list[float]:
        beta1, beta2 = group["betas"]
        lr, psi = float(group["lr"]), group["momentum_decay"]
        mu = beta1 * (1.0 - 0.5 * 0.96 ** (step * psi))
        mu_next = beta1 * (1.0 - 0.5 * 0.96 ** ((step + 1) * psi))
        product = entry["mu_product"]
        product *= mu
        product = product.item()
        return [
            lr * (1.0 - mu) / (1.0 - product),
            lr * mu_next / (1.0 - product * mu_next),
            1 - beta1,
            beta2,
            1 - beta2,
            1 - beta2**step,
            group["eps"],
        ]


class RAdam(RuleOptimizer):
    r"""RAdam (Liu et al., 2020): Adam that waits until the variance is known well enough.

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
    decoupled_weight_decay : bool
        Shrink the parameter by ``lr * weight_decay`` instead.
    maximize : bool
        Ascend instead of descend.
    foreach, capturable : bool, optional
        Accepted for PyTorch's sake; every step is one fused call.
    """

    _later_options = (*RuleOptimizer._later_options, ("decoupled_weight_decay", False))

    def __init__(
        self,
        params: Iterable,
        lr: Any = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_non_negative("RAdam", lr=lr, eps=eps, weight_decay=weight_decay)
        check_options("RAdam", differentiable=differentiable, foreach=foreach)
        defaults = {
            "lr": lr,
            "betas": check_betas("RAdam", betas),
            "eps": eps,
            "weight_decay": weight_decay,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "decoupled_weight_decay": decoupled_weight_decay,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def _rule(self, group: dict[str, Any]) -> tuple[str, tuple[str, ...]]:
        return "radam", ("exp_avg", "exp_avg_sq")

    def _numbers(self, group: dict[str, Any], step: float, entry: dict[str, Any]) -> list[float]:
        beta1, beta2 = group["betas"]
        correction = 1 - beta2**step
        # The length of the average's memory, at the end and now.
        longest = 2 / (1 - beta2) - 1
        length = longest - 2 * step * beta2**step / correction
        factor = 0.0
        if length > 5.0:
            factor = (length - 4) * (length - 2) * longest
            factor /= (longest - 4) * (longest - 2) * length
            factor = (factor * correction) ** 0.5
        corrected = float(group["lr"]) / (1 - beta1**step)
        return [corrected, factor, 1 - beta1, beta2, 1 - beta2, group["eps"]]


class RMSprop(RuleOptimizer):
    r"""RMSprop (Hinton, 2012): divides by the root of the average squared gradient.

    Parameters
    ----------
    params : iterable
        Tensors, ``(name, tensor)`` pairs or group dicts.
    lr : float or one-element Tensor
        Learning rate.
    alpha : float
        Decay of the average, at least 0.
    eps : float
        Added to the denominator.
    weight_decay : float
        L2 penalty.
    momentum : float
        Decay of the steps' running sum.
    centered : bool
        Divide by the gradient's standard deviation instead (Graves, 2013).
    maximize : bool
        Ascend instead of descend.
    foreach, capturable : bool, optional
        Accepted for PyTorch's sake; every step is one fused call.
    """

    _later_options = (*RuleOptimizer._later_options, ("momentum", 0), ("centered", False))

    def __init__(
        self,
        params: Iterable,
        lr: Any = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_non_negative(
            "RMSprop", lr=lr, eps=eps, momentum=momentum, weight_decay=weight_decay, alpha=alpha
        )
        check_options("RMSprop", differentiable=differentiable, foreach=foreach)
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "alpha": alpha,
            "eps": eps,
            "centered": centered,
            "weight_decay": weight_decay,
            "capturable": capturable,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def _rule(self, group: dict[str, Any]) -> tuple[str, tuple[str, ...]]:
        rule, names = "rmsprop", ("square_avg",)
        if group["centered"]:
            rule += "_centered"
        if group["momentum"] > 0:
            rule += "_momentum"
            names += ("momentum_buffer",)
        if group["centered"]:
            names += ("grad_avg",)
        return rule, names

    def _numbers(self, group: dict[str, Any], step: float, entry: dict[str, Any]) -> list[float]:
        alpha, momentum = group["alpha"], group["momentum"]
        numbers = [group["lr"], alpha, 1 - alpha, group["eps"]]
        return [*numbers, momentum] if momentum > 0 else numbers
