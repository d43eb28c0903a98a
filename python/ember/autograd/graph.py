"""The recorded graph: its nodes and edges, and hooks on what it saves."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from .. import _C

__all__ = [
    "GradientEdge",
    "Node",
    "get_gradient_edge",
    "increment_version",
    "save_on_cpu",
    "saved_tensors_hooks",
]

Tensor = _C.Tensor
Node = _C._Node


class GradientEdge(NamedTuple):
    """The place in the graph where a tensor's gradient arrives.

    ``backward`` and ``grad`` take edges in place of tensors, so that the tensor need not live on.
    """

    node: Node
    output_nr: int


_C._set_edge_type(GradientEdge)


def get_gradient_edge(tensor: Tensor) -> GradientEdge:
    """Return the edge of ``tensor``, which must require gradients."""
    return GradientEdge(*_C._gradient_edge(tensor))


def increment_version(tensor: Tensor | Iterable[Tensor]) -> None:
    """Count a change in place that happened behind autograd's back."""
    for t in (tensor,) if isinstance(tensor, Tensor) else tensor:
        t._bump_version()


class saved_tensors_hooks:
    """Pack what operations inside the block save for backward, and unpack it there.

    Parameters
    ----------
    pack_hook
        Called with each tensor as it is saved; returns any object.
    unpack_hook
        Called with that object when backward needs the tensor; returns a tensor of its content.
    """

    def __init__(
        self, pack_hook: Callable[[Tensor], Any], unpack_hook: Callable[[Any], Tensor]
    ) -> None:
        self.pack_hook = pack_hook
        self.unpack_hook = unpack_hook

    def __enter__(self) -> None:
        _C._push_saved_hooks(self.pack_hook, self.unpack_hook)

    def __exit__(self, *args: object) -> None:
        _C._pop_saved_hooks()


class save_on_cpu(saved_tensors_hooks):
    """Keep what operations inside the block save for backward in the processor's memory.

    Parameters
    ----------
    pin_memory : bool
        Whether in memory that a GPU's copies reach without a detour.
    device_type : str
        Accepted for PyTorch's sake.
    """

    def __init__(self, pin_memory: bool = False, device_type: str = "cuda") -> None:
        def pack(tensor: Tensor) -> tuple[Any, Tensor]:
            kept = tensor.cpu()
            return tensor.device, kept.pin_memory() if pin_memory and tensor.is_cuda else kept

        def unpack(packed: tuple[Any, Tensor]) -> Tensor:
            device, kept = packed
            return kept.to(device, non_blocking=pin_memory)

        super().__init__(pack, unpack)
