"""Checkpointing: memory for time, by computing activations again in the backward pass.

Chen, Xu, Zhang and Guestrin, "Training deep nets with sublinear memory cost", 2016.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import ember
from ember.autograd import Function

__all__ = ["checkpoint", "checkpoint_sequential"]


class _Checkpoint(Function):
    """Runs `function` without a graph, and again with one when its gradient is asked for.

    The first input is a tensor that requires a gradient, so that the output does even if only
    parameters inside `function` do.
    """

    @staticmethod
    def forward(
        ctx: Any, anchor: Any, function: Callable, keep_random_state: bool, *inputs: Any
    ) -> Any:
        ctx.function = function
        ctx.random_state = ember.get_rng_state() if keep_random_state else None
        ctx.is_tensor = [isinstance(x, ember.Tensor) for x in inputs]
        ctx.others = [None if isinstance(x, ember.Tensor) else x for x in inputs]
        ctx.save_for_backward(*(x for x in inputs if isinstance(x, ember.Tensor)))
        with ember.no_grad():
            return function(*inputs)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> tuple:
        saved = iter(ctx.saved_tensors)
        inputs = []
        for other, is_tensor in zip(ctx.others, ctx.is_tensor, strict=True):
            if is_tensor:
                x = next(saved)
                other = x.detach().requires_grad_(x.requires_grad)
            inputs.append(other)

        now = None
        if ctx.random_state is not None:
            now = ember.get_rng_state()
            ember.set_rng_state(ctx.random_state)
        try:
            with ember.enable_grad():
                outputs = ctx.function(*inputs)
        finally:
            if now is not None:
                ember.set_rng_state(now)
        if isinstance(outputs, ember.Tensor):
            outputs = (outputs,)

        wanted = [
            (out, grad)
            for out, grad in zip(outputs, grads, strict=True)
            if isinstance(out, ember.Tensor) and out.requires_grad and grad is not None
        ]
        if wanted:
            ember.autograd.backward([out for out, _ in wanted], [grad for _, grad in wanted])
        return (
            None,
            None,
            None,
            *(x.grad if isinstance(x, ember.Tensor) else None for x in inputs),
        )


def checkpoint(
    function: Callable,
    *args: Any,
    use_reentrant: bool | None = None,
    preserve_rng_state: bool = True,
    **kwargs: Any,
) -> Any:
    """Call ``function(*args, **kwargs)`` without keeping what its backward pass needs.

    The backward pass runs the function again, with the random state of the first run, so that
    dropout drops the same units.

    Parameters
    ----------
    function : callable
        Takes and returns tensors, and tuples of them; must do the same when it is run again.
    use_reentrant : bool, optional
        Accepted for PyTorch's sake: there is one implementation. Gradients reach the arguments
        and the parameters that the function uses through ``backward()``; `autograd.grad` gives
        those of the arguments only.
    preserve_rng_state : bool
        Whether to go back to the random state of the first run.

    Returns
    -------
    Tensor or tuple
        What ``function`` returns.
    """
    del use_reentrant
    if not ember.is_grad_enabled():
        return function(*args, **kwargs)
    names, count = tuple(kwargs), len(args)

    def run(*inputs: Any) -> Any:
        return function(*inputs[:count], **dict(zip(names, inputs[count:], strict=True)))

    anchor = ember.empty(0, requires_grad=True)
    return _Checkpoint.apply(anchor, run, preserve_rng_state, *args, *kwargs.values())


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
