"""The recorded graph: its nodes and edges, and hooks on what it saves."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from .. import _C

__all__ = [
    "GradientEdge",
    "Node",
    "get_gradient_edge",
    "increment_version",
    "register_multi_grad_hook",
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
    """Keep what operations inside the block save for backward in the CPU's memory.

    Parameters
    ----------
    pin_memory : bool
        Keep it in pinned memory, from which it is copied back while other work goes on.
    device_type : str
        The devices whose tensors are moved; Ember knows ``"cuda"`` alone.
    """

    def __init__(self, pin_memory: bool = False, device_type: str = "cuda") -> None:
        if device_type != "cuda":
            raise ValueError(f"save_on_cpu: expected device_type 'cuda', got {device_type!r}")

        def pack(tensor: Tensor) -> tuple[Any, Tensor]:
            pinned = pin_memory and tensor.is_cuda
            return tensor.device, tensor.cpu().pin_memory() if pinned else tensor.cpu()

        def unpack(packed: tuple[Any, Tensor]) -> Tensor:
            device, tensor = packed
            return tensor.to(device, non_blocking=pin_memory)

        super().__init__(pack, unpack)


class _Handles:
    """Removes several hooks at once."""

    def __init__(self, handles: Iterable[Any]) -> None:
        self.handles = tuple(handles)

    def remove(self) -> None:
        for handle in self.handles:
            handle.remove()

    def __enter__(self) -> _Handles:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.remove()


def register_multi_grad_hook(
    tensors: Sequence[Tensor], fn: Callable[[Any], None], *, mode: str = "all"
) -> _Handles:
    """Call a hook once in each backward pass that reaches any of several tensors.

    Parameters
    ----------
    tensors : sequence of Tensor
        Those that require no gradient are passed over.
    fn : callable
        In mode ``"all"`` called when the pass ends, with a list of the tensors' gradients, None for
        those that the pass did not reach. In mode ``"any"`` called with the first gradient, when it
        is there.
    mode : str
        ``"all"`` or ``"any"``.

    Returns
    -------
    handle
        Its ``remove()`` takes the hook away.
    """
    if mode not in ("all", "any"):
        raise ValueError(f"register_multi_grad_hook: mode must be 'all' or 'any', got {mode!r}")
    arrived: dict[int, Tensor] = {}  # in the pass that is under way

    def finish() -> None:
        grads = [arrived.get(i) for i in range(len(tensors))]
        arrived.clear()
        if mode == "all":
            fn(grads)

    def hook_of(index: int) -> Callable[[Tensor], None]:
        def hook(grad: Tensor) -> None:
            first = not arrived
            arrived[index] = grad
            if first:
                _C._queue_callback(finish)
                if mode == "any":
                    fn(grad)

        return hook

    return _Handles(t.register_hook(hook_of(i)) for i, t in enumerate(tensors) if t.requires_grad)
