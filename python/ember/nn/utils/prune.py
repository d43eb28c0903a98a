"""Pruning: parameters multiplied by masks before every call."""

from __future__ import annotations

import numbers
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any

from ... import _C
from ..modules.module import Module
from .convert_parameters import parameters_to_vector

Tensor = _C.Tensor


class BasePruningMethod(ABC):
    """Prunes one parameter of a module; a subclass gives `compute_mask`.

    The parameter becomes ``<name>_orig``, a buffer ``<name>_mask`` holds the mask, and their
    product is put in the parameter's place before every call.

    Attributes
    ----------
    PRUNING_TYPE : {"unstructured", "structured", "global"}
        What a further pruning is shown: the elements that are left, the channels along ``dim``
        of which something is left, or all.
    """

    _tensor_name: str | None = None
    PRUNING_TYPE: str

    def __call__(self, module: Module, inputs: Any) -> None:
        setattr(module, self._tensor_name, self.apply_mask(module))

    @abstractmethod
    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """Return the mask of the importances ``t``, to be put on top of `default_mask`."""

    def _check_applied(self, module: Module) -> str:
        if self._tensor_name is None:
            raise AssertionError(f"Module {module} has to be pruned")
        return self._tensor_name

    def apply_mask(self, module: Module) -> Tensor:
        """Return the module's parameter times its mask."""
        name = self._check_applied(module)
        original = getattr(module, f"{name}_orig")
        return getattr(module, f"{name}_mask").to(original.dtype) * original

    @classmethod
    def apply(
        cls,
        module: Module,
        name: str,
        *args: Any,
        importance_scores: Tensor | None = None,
        **kwargs: Any,
    ) -> BasePruningMethod:
        """Prune the parameter `name`, on top of what was pruned before.

        Parameters
        ----------
        module : Module
            Whose parameter is pruned.
        name : str
            The parameter.
        importance_scores : Tensor, optional
            Judged in place of the parameter's values.
        *args, **kwargs
            For the method's constructor.

        Returns
        -------
        BasePruningMethod
            The method, or the container of all that were applied.
        """
        method = cls(*args, **kwargs)
        method._tensor_name = name
        current = getattr(module, name)
        scores = current if importance_scores is None else importance_scores
        if scores.shape != current.shape:
            raise AssertionError(
                f"importance_scores must have the shape of the parameter {name}, "
                f"{tuple(current.shape)}, got {tuple(scores.shape)}"
            )
        before = [
            (key, hook)
            for key, hook in module._forward_pre_hooks.items()
            if isinstance(hook, BasePruningMethod) and hook._tensor_name == name
        ]
        if before:
            key, earlier = before[0]
            container = earlier
            if not isinstance(earlier, PruningContainer):
                container = PruningContainer(earlier)
            container.add_pruning_method(method)
            mask = getattr(module, f"{name}_mask").detach().clone()
            mask = container.compute_mask(scores, mask)
            del module._forward_pre_hooks[key]
            method = container
        else:
            mask = method.compute_mask(scores, _C.ones_like(current, requires_grad=False))
            del module._parameters[name]
            module.register_parameter(f"{name}_orig", current)
        module.register_buffer(f"{name}_mask", mask)
        setattr(module, name, method.apply_mask(module))
        module.register_forward_pre_hook(method)
        return method

    def prune(
        self,
        t: Tensor,
        default_mask: Tensor | None = None,
        importance_scores: Tensor | None = None,
    ) -> Tensor:
        """Return ``t`` times the mask that would be computed."""
        scores = t if importance_scores is None else importance_scores
        if scores.shape != t.shape:
            raise AssertionError(
                f"importance_scores must have the tensor's shape {tuple(t.shape)}, "
                f"got {tuple(scores.shape)}"
            )
        mask = _C.ones_like(t, requires_grad=False) if default_mask is None else default_mask
        return t * self.compute_mask(scores, mask)

    def remove(self, module: Module) -> None:
        """Make the pruned values the parameter's own."""
        name = self._check_applied(module)
        pruned = self.apply_mask(module)
        if hasattr(module, name):
            delattr(module, name)
        original = module._parameters.pop(f"{name}_orig")
        original.data = pruned.data
        del module._buffers[f"{name}_mask"]
        setattr(module, name, original)


class PruningContainer(BasePruningMethod):
    """The methods that were applied to one parameter, one after the other."""

    def __init__(self, *methods: BasePruningMethod) -> None:
        self._pruning_methods: tuple = ()
        if len(methods) == 1:
            self._tensor_name = methods[0]._tensor_name
        for method in methods:
            self.add_pruning_method(method)

    def add_pruning_method(self, method: BasePruningMethod | None) -> None:
        """Add a method of the same parameter."""
        if method is not None and not isinstance(method, BasePruningMethod):
            raise TypeError(f"{type(method)} is not a BasePruningMethod subclass")
        if method is not None and method._tensor_name != self._tensor_name:
            raise ValueError(
                f"this container prunes the parameter named '{self._tensor_name}', the method "
                f"'{method._tensor_name}'"
            )
        self._pruning_methods += (method,)

    def __len__(self) -> int:
        return len(self._pruning_methods)

    def __iter__(self):
        return iter(self._pruning_methods)

    def __getitem__(self, index: int) -> BasePruningMethod:
        return self._pruning_methods[index]

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """Let the last method prune what `default_mask` leaves."""
        method = self._pruning_methods[-1]
        rank = t.dim()
        where: Any = (slice(None),) * rank
        if method.PRUNING_TYPE == "unstructured":
            where = default_mask == 1
        elif method.PRUNING_TYPE == "structured":
            if not hasattr(method, "dim"):
                raise AttributeError("a structured pruning method must have the attribute `dim`")
            if not -rank <= method.dim < rank:
                raise IndexError(f"dim {method.dim} is out of range for a tensor of {rank} dims")
            dim = method.dim % rank
            left = default_mask.sum([d for d in range(rank) if d != dim]) != 0
            where = (*where[:dim], left, *where[dim + 1 :])
        elif method.PRUNING_TYPE != "global":
            raise ValueError(f"Unrecognized PRUNING_TYPE {method.PRUNING_TYPE}")
        mask = default_mask.to(t.dtype)
        if mask is default_mask:
            mask = mask.clone()
        mask[where] = method.compute_mask(t[where], default_mask[where]).to(mask.dtype)
        return mask


class Identity(BasePruningMethod):
    """Prunes nothing, but keeps a mask."""

    PRUNING_TYPE = "unstructured"

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        return default_mask


class _Amount(BasePruningMethod):
    """Prunes a number or a fraction of elements or channels."""

    def __init__(self, amount: float) -> None:
        if not isinstance(amount, numbers.Real):
            raise TypeError(f"Invalid type for amount: {amount}. Must be int or float.")
        whole = isinstance(amount, numbers.Integral)
        if amount < 0 or (not whole and amount > 1.0):
            raise ValueError(
                f"amount={amount} should either be a float in the range [0, 1] or a non-negative "
                "integer"
            )
        self.amount = amount

    def _count(self, size: int) -> int:
        if not isinstance(self.amount, numbers.Integral):
            return round(self.amount * size)
        if self.amount > size:
            raise ValueError(
                f"amount={self.amount} should be smaller than the number of parameters to "
                f"prune={size}"
            )
        return self.amount

    def _channels(self, t: Tensor) -> int:
        if t.dim() <= 1:
            raise ValueError(
                f"structured pruning needs a tensor of at least 2 dims, got shape {tuple(t.shape)}"
            )
        if self.dim >= t.dim():
            raise IndexError(f"Invalid index {self.dim} for tensor of size {tuple(t.shape)}")
        return t.shape[self.dim]


def _keep_channels(default_mask: Tensor, dim: int, kept: Any) -> Tensor:
    mask = _C.zeros_like(default_mask)
    where: list = [slice(None)] * mask.dim()
    where[dim] = kept
    mask[tuple(where)] = 1
    return mask * default_mask


class RandomUnstructured(_Amount):
    """Prunes elements at random."""

    PRUNING_TYPE = "unstructured"

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        count = self._count(t.numel())
        mask = default_mask.clone()
        if count:
            chosen = _C.topk(_C.rand_like(t, requires_grad=False).view(-1), count)[1]
            mask.view(-1)[chosen] = 0
        return mask


class L1Unstructured(_Amount):
    """Prunes the elements of the smallest magnitude."""

    PRUNING_TYPE = "unstructured"

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        count = self._count(t.numel())
        mask = default_mask.clone()
        if count:
            chosen = _C.topk(t.detach().abs().reshape(-1), count, largest=False)[1]
            mask.view(-1)[chosen] = 0
        return mask


class RandomStructured(_Amount):
    """Prunes channels along ``dim`` at random."""

    PRUNING_TYPE = "structured"

    def __init__(self, amount: float, dim: int = -1) -> None:
        super().__init__(amount)
        self.dim = dim

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        channels = self._channels(t)
        count = self._count(channels)
        if count == 0:
            return default_mask
        chance = _C.rand(channels)
        kept = chance > _C.kthvalue(chance, count)[0]
        return _keep_channels(default_mask, self.dim, kept.to(default_mask.device))


class LnStructured(_Amount):
    """Prunes the channels along ``dim`` of the smallest n-norm."""

    PRUNING_TYPE = "structured"

    def __init__(self, amount: float, n: Any, dim: int = -1) -> None:
        super().__init__(amount)
        self.n = n
        self.dim = dim

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        channels = self._channels(t)
        count = self._count(channels)
        if count == 0:
            return default_mask
        dim = self.dim % t.dim()
        norms = t.detach().norm(self.n, [d for d in range(t.dim()) if d != dim])
        return _keep_channels(default_mask, dim, _C.topk(norms, channels - count)[1])


class CustomFromMask(BasePruningMethod):
    """Prunes by a given mask."""

    PRUNING_TYPE = "global"

    def __init__(self, mask: Tensor) -> None:
        self.mask = mask

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        if default_mask.shape != self.mask.shape:
            raise AssertionError(
                f"the mask must have the parameter's shape {tuple(default_mask.shape)}, got "
                f"{tuple(self.mask.shape)}"
            )
        return default_mask * self.mask.to(default_mask.dtype)


def identity(module: Module, name: str) -> Module:
    """Give the parameter a mask of ones; return the module."""
    Identity.apply(module, name)
    return module


def random_unstructured(module: Module, name: str, amount: float) -> Module:
    """Prune a number or a fraction of elements at random; return the module."""
    RandomUnstructured.apply(module, name, amount)
    return module


def l1_unstructured(
    module: Module, name: str, amount: float, importance_scores: Tensor | None = None
) -> Module:
    """Prune the elements of the smallest magnitude; return the module."""
    L1Unstructured.apply(module, name, amount, importance_scores=importance_scores)
    return module


def random_structured(module: Module, name: str, amount: float, dim: int) -> Module:
    """Prune channels along `dim` at random; return the module."""
    RandomStructured.apply(module, name, amount, dim)
    return module


def ln_structured(
    module: Module,
    name: str,
    amount: float,
    n: Any,
    dim: int,
    importance_scores: Tensor | None = None,
) -> Module:
    """Prune the channels along `dim` of the smallest n-norm; return the module."""
    LnStructured.apply(module, name, amount, n, dim, importance_scores=importance_scores)
    return module


def custom_from_mask(module: Module, name: str, mask: Tensor) -> Module:
    """Prune by a mask; return the module."""
    CustomFromMask.apply(module, name, mask)
    return module


def global_unstructured(
    parameters: Iterable[tuple[Module, str]],
    pruning_method: type[BasePruningMethod],
    importance_scores: dict | None = None,
    **kwargs: Any,
) -> None:
    """Prune several parameters together, as if they were one vector.

    Parameters
    ----------
    parameters : iterable of (Module, str)
        Modules and their parameters' names.
    pruning_method : type
        An unstructured method, of which `kwargs` are the arguments.
    importance_scores : dict, optional
        From ``(module, name)`` to what is judged in place of the parameter's values.
    """
    if not isinstance(parameters, Iterable):
        raise TypeError("global_unstructured(): parameters is not an Iterable")
    if importance_scores is None:
        importance_scores = {}
    if not isinstance(importance_scores, dict):
        raise TypeError("global_unstructured(): importance_scores must be of type dict")
    parameters = list(parameters)
    method = pruning_method(**kwargs)
    if method.PRUNING_TYPE != "unstructured":
        raise TypeError(
            f"global_unstructured(): {pruning_method.__name__} is {method.PRUNING_TYPE}, only "
            "unstructured methods are supported"
        )
    scores = parameters_to_vector(
        [
            importance_scores.get((module, name), getattr(module, name))
            for module, name in parameters
        ]
    )
    masks = parameters_to_vector(
        [
            getattr(module, f"{name}_mask", _C.ones_like(getattr(module, name)))
            for module, name in parameters
        ]
    )
    method._tensor_name = "temp"
    mask = PruningContainer(method).compute_mask(scores.detach(), masks.detach())
    start = 0
    for module, name in parameters:
        param = getattr(module, name)
        part = mask[start : start + param.numel()].view(param.shape)
        custom_from_mask(module, name, part)
        start += param.numel()


def remove(module: Module, name: str) -> Module:
    """Make the pruned values the parameter's own; return the module."""
    for key, hook in module._forward_pre_hooks.items():
        if isinstance(hook, BasePruningMethod) and hook._tensor_name == name:
            hook.remove(module)
            del module._forward_pre_hooks[key]
            return module
    raise ValueError(
        f"Parameter '{name}' of module {module} has to be pruned before pruning can be removed"
    )


def is_pruned(module: Module) -> bool:
    """Whether a parameter of the module or of one in it is pruned."""
    return any(
        isinstance(hook, BasePruningMethod)
        for child in module.modules()
        for hook in child._forward_pre_hooks.values()
    )
