"""Automatic differentiation.

Operations on tensors that require gradients are recorded in a graph as they run; :func:`backward`
and :func:`grad` run it backward.
"""

from __future__ import annotations

from collections.abc import Sequence

from .. import _C
from . import function, grad_mode, graph
from .anomaly_mode import detect_anomaly, set_detect_anomaly
from .function import Function
from .grad_mode import enable_grad, inference_mode, no_grad, set_grad_enabled
from .gradcheck import GradcheckError, gradcheck, gradgradcheck
from .variable import Variable

__all__ = [
    "Function",
    "GradcheckError",
    "Variable",
    "backward",
    "detect_anomaly",
    "enable_grad",
    "grad",
    "gradcheck",
    "gradgradcheck",
    "inference_mode",
    "no_grad",
    "set_detect_anomaly",
    "set_grad_enabled",
]

Tensor = _C.Tensor

is_anomaly_enabled = _C.is_anomaly_enabled
is_anomaly_check_nan_enabled = _C.is_anomaly_check_nan_enabled


def backward(
    tensors: Tensor | Sequence[Tensor],
    grad_tensors: Tensor | Sequence[Tensor | None] | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    grad_variables: Tensor | Sequence[Tensor | None] | None = None,
    inputs: Tensor | Sequence[Tensor] | dict[str, Tensor] | None = None,
) -> None:
    """Add the gradients of ``tensors`` to the ``.grad`` of the leaves they depend on.

    Parameters
    ----------
    tensors
        Tensors (or gradient edges) to differentiate.
    grad_tensors
        The vector of the vector-Jacobian product, one for each tensor; ``None`` stands for ones
        where the tensor has one element.
    retain_graph
        Keep the graph for another pass. Default: the value of ``create_graph``.
    create_graph
        Record the pass itself, so that its results can be differentiated.
    grad_variables
        The old name of ``grad_tensors``.
    inputs
        Only these tensors get gradients, leaves or not.
    """
    _C._backward(tensors, grad_tensors, retain_graph, create_graph, grad_variables, inputs)


def grad(
    outputs: Tensor | Sequence[Tensor],
    inputs: Tensor | Sequence[Tensor] | dict[str, Tensor],
    grad_outputs: Tensor | Sequence[Tensor | None] | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    only_inputs: bool = True,
    allow_unused: bool | None = None,
    is_grads_batched: bool = False,
    materialize_grads: bool = False,
) -> tuple[Tensor | None, ...]:
    """Compute the gradients of ``outputs`` with respect to ``inputs``, leaving ``.grad`` alone.

    Parameters
    ----------
    outputs
        Tensors (or gradient edges) to differentiate; their gradients are summed.
    inputs
        Tensors (or gradient edges) to differentiate with respect to.
    grad_outputs
        The vector of the vector-Jacobian product, one for each output; ``None`` stands for ones
        where the output has one element.
    retain_graph
        Keep the graph for another pass. Default: the value of ``create_graph``.
    create_graph
        Record the pass itself, so that its results can be differentiated.
    allow_unused
        Return ``None`` for inputs that the outputs do not depend on, instead of raising
        ``RuntimeError``. Default: the value of ``materialize_grads``.
    is_grads_batched
        The first dim of each of ``grad_outputs`` counts independent passes; results get that dim.
    materialize_grads
        Return zeros for inputs that the outputs do not depend on.
    """
    if not only_inputs:
        raise ValueError("grad: only_inputs=False is no longer supported; use backward")
    if isinstance(inputs, dict):
        inputs = tuple(inputs.values())
    if is_grads_batched:
        return _batched_grad(
            outputs,
            inputs,
            grad_outputs,
            retain_graph,
            create_graph,
            allow_unused,
            materialize_grads,
        )
    result = _C._grad(
        outputs, inputs, grad_outputs, retain_graph, create_graph, allow_unused, materialize_grads
    )
    if not materialize_grads:
        return result
    targets = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
    return tuple(
        _C.zeros_like(x, requires_grad=create_graph) if g is None else g
        for g, x in zip(result, targets, strict=True)
    )


def _batched_grad(
    outputs, inputs, grad_outputs, retain_graph, create_graph, allow_unused, materialize_grads
):
    if isinstance(grad_outputs, Tensor):
        grad_outputs = (grad_outputs,)
    if not grad_outputs or any(g is None or g.dim() == 0 for g in grad_outputs):
        raise RuntimeError("grad: is_grads_batched needs grad_outputs with a batch dim in front")
    size = grad_outputs[0].size(0)
    if any(g.size(0) != size for g in grad_outputs):
        raise RuntimeError("grad: the batch dims of grad_outputs must be equal")
    keep = create_graph if retain_graph is None else retain_graph
    rows = [
        grad(
            outputs,
            inputs,
            tuple(g[i] for g in grad_outputs),
            keep or i + 1 < size,
            create_graph,
            True,
            allow_unused,
            False,
            materialize_grads,
        )
        for i in range(size)
    ]
    return tuple(None if row[0] is None else _C.stack(list(row)) for row in zip(*rows, strict=True))


_SUBMODULES = ("functional", "profiler")


def __getattr__(name: str):
    if name in _SUBMODULES:
        import importlib

        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_SUBMODULES})
