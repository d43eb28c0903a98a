"""Calling a module with other parameters and buffers than its own."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ... import _C
from ..modules.module import Module

Tensor = _C.Tensor

__all__ = ["functional_call"]


def functional_call(
    module: Module,
    parameters_and_buffers: dict[str, Tensor],
    args: Any = None,
    kwargs: dict[str, Any] | None = None,
    *,
    tie_weights: bool = True,
    strict: bool = False,
) -> Any:
    """Call ``torch.func.functional_call`` under its deprecated name."""
    warnings.warn(
        "nn.utils.stateless.functional_call is deprecated: func.functional_call does the same",
        FutureWarning,
        stacklevel=2,
    )
    return call_with(module, parameters_and_buffers, args, kwargs, tie_weights, strict)


def call_with(
    module: Module,
    tensors: dict[str, Tensor],
    args: Any = None,
    kwargs: dict[str, Any] | None = None,
    tie_weights: bool = True,
    strict: bool = False,
) -> Any:
    """Call a module with `tensors` in place of its parameters and buffers of those names.

    Parameters
    ----------
    module : Module
        What is called; it is as before afterwards.
    tensors : dict
        By qualified name; names of nothing are left out, unless `strict`. A buffer that the call
        replaces is replaced here.
    args : tuple or object, optional
        Of the call.
    kwargs : dict, optional
        Of the call.
    tie_weights : bool
        Whether a tensor also stands for the other names of the same parameter.
    strict : bool
        Raise unless `tensors` has exactly the module's names.
    """
    if args is None:
        args = ()
    elif not isinstance(args, tuple):
        args = (args,)
    own = {
        name: tensor
        for members in (module.named_parameters, module.named_buffers)
        for name, tensor in members(remove_duplicate=False)
    }
    if strict and own.keys() != tensors.keys():
        raise RuntimeError(
            f"functional_call: {type(module).__name__} has missing keys "
            f"{sorted(own.keys() - tensors.keys())} and unexpected keys "
            f"{sorted(tensors.keys() - own.keys())}"
        )
    with _replaced(module, tensors, _tied(own, tensors) if tie_weights else tensors):
        return module(*args, **(kwargs or {}))


def _tied(own: dict[str, Tensor], tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors under all names of what they stand for."""
    names: dict[int, list[str]] = {}
    for name, tensor in own.items():
        names.setdefault(id(tensor), []).append(name)
    tied = dict(tensors)
    for same in names.values():
        given = [name for name in same if name in tensors]
        if len({id(tensors[name]) for name in given}) > 1:
            raise ValueError(
                f"functional_call: got different values for {sorted(given)}, which are tied; "
                "tie_weights=False allows it"
            )
        if given:
            tied.update(dict.fromkeys(same, tensors[given[0]]))
    return tied


def _place(module: Module, name: str) -> tuple[dict, str] | None:
    path, _, last = name.rpartition(".")
    owner = module.get_submodule(path)
    for registry in (owner._parameters, owner._buffers):
        if last in registry:
            return registry, last
    return None


@contextmanager
def _replaced(
    module: Module, tensors: dict[str, Tensor], used: dict[str, Tensor]
) -> Iterator[None]:
    found = {name: _place(module, name) for name in used}
    places = {name: place for name, place in found.items() if place is not None}
    before = {name: registry[last] for name, (registry, last) in places.items()}
    try:
        for name, (registry, last) in places.items():
            registry[last] = used[name]
        yield
    finally:
        for name, (registry, last) in places.items():
            if name in tensors:
                tensors[name] = registry[last]
            registry[last] = before[name]
