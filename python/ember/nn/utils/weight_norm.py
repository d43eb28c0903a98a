"""Weight normalisation by a hook; `parametrizations.weight_norm` is the newer form."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from ... import _C
from ..parameter import Parameter

if TYPE_CHECKING:
    from ..modules.module import Module

Tensor = _C.Tensor

__all__ = ["WeightNorm", "remove_weight_norm", "weight_norm"]


def norm_except_dim(v: Tensor, dim: int) -> Tensor:
    """Give the 2-norms over all dims but `dim`, of size 1; -1: over all, a zero-dim tensor."""
    if dim == -1:
        return v.norm()
    if not 0 <= dim < v.dim():
        raise IndexError(f"weight_norm: dim must be in [0, {v.dim() - 1}] or -1, got {dim}")
    others = [d for d in range(v.dim()) if d != dim]
    return v.norm(2, others, keepdim=True) if others else v.abs()


def normalised(v: Tensor, g: Tensor, dim: int) -> Tensor:
    """Give v with the norms g."""
    return v * (g / norm_except_dim(v, dim))


class WeightNorm:
    """The hook that makes the weight of its length and its direction before each call."""

    def __init__(self, name: str, dim: int | None) -> None:
        self.name = name
        self.dim = -1 if dim is None else dim

    def compute_weight(self, module: Module) -> Tensor:
        g, v = getattr(module, self.name + "_g"), getattr(module, self.name + "_v")
        return normalised(v, g, self.dim)

    @staticmethod
    def apply(module: Module, name: str, dim: int | None) -> WeightNorm:
        for hook in module._forward_pre_hooks.values():
            if isinstance(hook, WeightNorm) and hook.name == name:
                raise RuntimeError(f"weight_norm: {name} has weight normalisation already")
        hook = WeightNorm(name, dim)
        weight = getattr(module, name)
        norms = norm_except_dim(weight.detach(), hook.dim)
        del module._parameters[name]
        module.register_parameter(name + "_g", Parameter(norms))
        module.register_parameter(name + "_v", Parameter(weight.data))
        setattr(module, name, hook.compute_weight(module))
        module.register_forward_pre_hook(hook)
        return hook

    def remove(self, module: Module) -> None:
        weight = self.compute_weight(module)
        delattr(module, self.name)
        del module._parameters[self.name + "_g"]
        del module._parameters[self.name + "_v"]
        setattr(module, self.name, Parameter(weight.data))

    def __call__(self, module: Module, inputs: Any) -> None:
        setattr(module, self.name, self.compute_weight(module))


def weight_norm(module: Module, name: str = "weight", dim: int | None = 0) -> Module:
    """Replace a parameter by its length and its direction (Salimans and Kingma, 2016).

    Parameters
    ----------
    module : Module
        Changed in place: it gets the parameters ``<name>_g``, the norms, and ``<name>_v``.
    name : str
        Of the parameter.
    dim : int or None
        Dimension along which there are several norms; None for one norm of the whole.
    """
    warnings.warn(
        "nn.utils.weight_norm is deprecated in favour of nn.utils.parametrizations.weight_norm",
        FutureWarning,
        stacklevel=2,
    )
    WeightNorm.apply(module, name, dim)
    return module


def remove_weight_norm(module: Module, name: str = "weight") -> Module:
    """Undo `weight_norm`; ValueError where there is none."""
    for key, hook in module._forward_pre_hooks.items():
        if isinstance(hook, WeightNorm) and hook.name == name:
            hook.remove(module)
            del module._forward_pre_hooks[key]
            return module
    raise ValueError(f"remove_weight_norm: {name} has no weight normalisation in {module}")
