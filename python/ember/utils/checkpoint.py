"""Checkpointing: memory for time, by computing activations again in the backward pass.

Chen, Xu, Zhang and Guestrin, "Training deep nets with sublinear memory cost", 2016.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

import ember
from ember.amp import autocast_mode
from ember.autograd.graph import saved_tensors_hooks
from ember.utils._pytree import tree_leaves

__all__ = [
    "CheckpointError",
    "checkpoint",
    "checkpoint_sequential",
    "get_device_states",
    "set_device_states",
]


class CheckpointError(RuntimeError):
    """The function saved other tensors when it ran again than the first time."""


class _Recomputation:
    """Stands for the tensors that a function saves, by number, and brings them back by running it.

    The first run saves numbers in place of tensors. The first number that the backward pass asks
    for runs the function again, and that run's tensors are handed out until each was asked for.
    """

    def __init__(self, run: Callable, keep_random_state: bool, check: bool, context: Any) -> None:
        self.run = run
        self.check = check
        self.context = context
        self.random_state = ember.get_rng_state() if keep_random_state else None
        self.autocast = autocast_mode.states() if ember._C._any_autocast() else []
        self.kinds: list[tuple] = []  # shape and dtype of what the first run saved
        self.tensors: dict[int, Any] = {}

    def pack(self, tensor: Any) -> int:
        self.kinds.append((tensor.shape, tensor.dtype))
        return len(self.kinds) - 1

    def unpack(self, number: int) -> Any:
        if number not in self.tensors:
            self.again()
        return self.tensors.pop(number)

    def again(self) -> None:
        tensors: list[Any] = []

        def keep(tensor: Any) -> Any:
            tensors.append(tensor.detach())
            return tensors[-1]

        now = None
        if self.random_state is not None:
            now = ember.get_rng_state()
            ember.set_rng_state(self.random_state)
        try:
            with contextlib.ExitStack() as modes:
                for mode in self.autocast:
                    modes.enter_context(mode)
                modes.enter_context(ember.enable_grad())
                modes.enter_context(self.context)
                modes.enter_context(saved_tensors_hooks(keep, lambda x: x))
                self.run()
        finally:
            if now is not None:
                ember.set_rng_state(now)
        kinds = [(x.shape, x.dtype) for x in tensors]
        if len(kinds) != len(self.kinds) or (self.check and kinds != self.kinds):
            raise CheckpointError(
                f"checkpoint: the function saved {describe(self.kinds)} in the forward pass but "
                f"{describe(kinds)} when it ran again"
            )
        self.tensors = dict(enumerate(tensors))


def describe(kinds: list[tuple]) -> str:
    shown = ", ".join(f"{dtype} {tuple(shape)}" for shape, dtype in kinds[:8])
    return f"{len(kinds)} tensors ({shown}{', …' if len(kinds) > 8 else ''})"


def get_device_states(*args: Any) -> tuple[list[int], list[Any]]:
    """Return the GPUs that tensors among the arguments are on, and those GPUs' random states."""
    leaves = tree_leaves(args)
    devices = [x.get_device() for x in leaves if isinstance(x, ember.Tensor) and x.is_cuda]
    return devices, [ember.cuda.get_rng_state(device) for device in devices]


def set_device_states(devices: list[int], states: list[Any]) -> None:
    """Set GPUs' random states, as `get_device_states` returned them."""
    for device, state in zip(devices, states, strict=True):
        ember.cuda.set_rng_state(state, device)


def checkpoint(
    function: Callable,
    *args: Any,
    use_reentrant: bool | None = None,
    preserve_rng_state: bool = True,
    context_fn: Callable[[], tuple] | None = None,
    determinism_check: str = "default",
    **kwargs: Any,
) -> Any:
    """Call ``function(*args, **kwargs)`` without keeping what its backward pass needs.

    The backward pass runs the function again, with the random state of the first run, so that
    dropout drops the same units.

    Parameters
    ----------
    function : callable
        Takes and returns anything; must do the same when it is run again.
    use_reentrant : bool, optional
        Accepted for PyTorch's sake: there is one implementation, PyTorch's for False.
    preserve_rng_state : bool
        Whether to go back to the random state of the first run.
    context_fn : callable, optional
        Gives the two contexts of the first and of the second run.
    determinism_check : str
        "default" compares shapes and dtypes of what both runs save, "none" their number only.

    Returns
    -------
    Any
        What ``function`` returns.

    Raises
    ------
    CheckpointError
        In the backward pass, if the second run saves other tensors.
    """
    del use_reentrant
    if determinism_check not in ("default", "none"):
        raise ValueError(
            f"checkpoint: determinism_check must be 'default' or 'none', got {determinism_check!r}"
        )
    if not ember.is_grad_enabled():
        return function(*args, **kwargs)
    first, second = context_fn() if context_fn else (contextlib.nullcontext(),) * 2
    recomputation = _Recomputation(
        lambda: function(*args, **kwargs), preserve_rng_state, determinism_check != "none", second
    )
    with first, saved_tensors_hooks(recomputation.pack, recomputation.unpack):
        return function(*args, **kwargs)


def checkpoint_sequential(
    functions: Any,
    segments: int,
    input: Any,
    use_reentrant: bool | None = None,
    preserve_rng_state: bool = True,
) -> Any:
    """Call functions one after the other, all but the last part of them checkpointed.

    Parameters
    ----------
    functions : Sequential or sequence of callable
        Each takes the result of the one before.
    segments : int
        Into how many parts of equal length to cut them.
    input : Tensor
        What the first one takes.
    """
    if isinstance(functions, ember.Tensor):
        raise TypeError("checkpoint_sequential: expected a sequence of functions, got a Tensor")
    functions = list(functions.children()) if hasattr(functions, "children") else list(functions)
    if not 1 <= segments <= len(functions):
        raise ValueError(
            f"checkpoint_sequential: segments must be between 1 and {len(functions)}, the number "
            f"of functions, got {segments}"
        )

    def run(part: Sequence[Callable]) -> Callable:
        def call(x: Any) -> Any:
            for function in part:
                x = function(x)
            return x

        return call

    length = len(functions) // segments
    for start in range(0, length * (segments - 1), length):
        input = checkpoint(
            run(functions[start : start + length]), input, preserve_rng_state=preserve_rng_state
        )
    return run(functions[length * (segments - 1) :])(input)
