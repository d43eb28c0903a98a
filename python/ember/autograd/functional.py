"""Derivatives of functions: Jacobians, Hessians and their products with vectors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .. import _C
from . import grad
from .grad_mode import enable_grad

__all__ = ["hessian", "hvp", "jacobian", "jvp", "vhp", "vjp"]

Tensor = _C.Tensor
Tensors = Tensor | Sequence[Tensor]


def _tuple(name: str, what: str, values: Any) -> tuple[Tensor, ...]:
    made = values if isinstance(values, (tuple, list)) else (values,)
    for i, value in enumerate(made):
        if not isinstance(value, Tensor):
            raise TypeError(
                f"{name}: {what} must be tensors, got {type(value).__name__} at position {i}"
            )
    return tuple(made)


def _fresh(inputs: tuple[Tensor, ...], create_graph: bool) -> tuple[Tensor, ...]:
    """Inputs of one evaluation: with `create_graph` still connected to the given ones."""
    if create_graph:
        return tuple(
            x.view_as(x) if x.requires_grad else x.detach().requires_grad_() for x in inputs
        )
    return tuple(x.detach().requires_grad_() for x in inputs)


def _unused(name: str, which: str) -> RuntimeError:
    return RuntimeError(f"{name}: with strict=True {which}")


def _evaluate(
    name: str, func: Callable, inputs: tuple[Tensor, ...], strict: bool
) -> tuple[tuple[Tensor, ...], bool]:
    result = func(*inputs)
    outputs = _tuple(name, "the function's results", result)
    if strict and not all(y.requires_grad for y in outputs):
        raise _unused(name, "the results must depend on the inputs")
    return outputs, isinstance(result, (tuple, list))


def _grad(
    name: str,
    outputs: tuple[Tensor, ...],
    inputs: tuple[Tensor, ...],
    vectors: tuple[Tensor | None, ...],
    create_graph: bool,
    strict: bool,
) -> tuple[Tensor, ...]:
    """Gradients, with zeros for what the outputs do not depend on."""
    known = [(y, v) for y, v in zip(outputs, vectors, strict=True) if y.requires_grad]
    found: tuple = (None,) * len(inputs)
    if known:
        ys, vs = zip(*known, strict=True)
        found = grad(
            ys, inputs, vs, retain_graph=True, create_graph=create_graph, allow_unused=True
        )
    if strict and any(g is None for g in found):
        raise _unused(name, "all results must depend on all inputs")
    return tuple(_C.zeros_like(x) if g is None else g for g, x in zip(found, inputs, strict=True))


def _vectors(
    name: str, v: Tensors | None, like: tuple[Tensor, ...], several: bool
) -> tuple[Tensor, ...]:
    if v is None:
        if len(like) != 1 or like[0].numel() != 1:
            raise RuntimeError(f"{name}: v may be None for a single element alone")
        return (_C.ones_like(like[0]),)
    made = _tuple(name, "v", v)
    if len(made) != len(like):
        raise RuntimeError(f"{name}: v must have {len(like)} tensors, got {len(made)}")
    for vector, x in zip(made, like, strict=True):
        if vector.shape != x.shape:
            raise RuntimeError(
                f"{name}: v must have shape {tuple(x.shape)}, got {tuple(vector.shape)}"
            )
    return made


def _result(values: tuple[Tensor, ...], several: bool, keep: bool) -> Any:
    kept = values if keep else tuple(v.detach() for v in values)
    return kept if several else kept[0]


def vjp(
    func: Callable,
    inputs: Tensors,
    v: Tensors | None = None,
    create_graph: bool = False,
    strict: bool = False,
) -> tuple[Any, Any]:
    """Return ``func(*inputs)`` and the product of a vector with its Jacobian.

    Parameters
    ----------
    func : callable
        From tensors to a tensor or a tuple of them.
    inputs : Tensor or sequence of Tensor
        Where to differentiate.
    v : Tensor or sequence of Tensor, optional
        Of the shapes of the results; may be absent for a result of one element.
    create_graph : bool
        Let the results be differentiated.
    strict : bool
        Raise RuntimeError where a result does not depend on an input, instead of giving zeros.
    """
    with enable_grad():
        several_in = isinstance(inputs, (tuple, list))
        xs = _fresh(_tuple("vjp", "inputs", inputs), create_graph)
        outputs, several = _evaluate("vjp", func, xs, strict)
        vectors = _vectors("vjp", v, outputs, several)
        products = _grad("vjp", outputs, xs, vectors, create_graph, strict)
    return _result(outputs, several, create_graph), _result(products, several_in, create_graph)


def jvp(
    func: Callable,
    inputs: Tensors,
    v: Tensors | None = None,
    create_graph: bool = False,
    strict: bool = False,
) -> tuple[Any, Any]:
    """Return ``func(*inputs)`` and the product of its Jacobian with a vector.

    By differentiating a product of a vector with the Jacobian by that vector. Parameters as
    `vjp`'s, with `v` of the shapes of the inputs.
    """
    with enable_grad():
        several_in = isinstance(inputs, (tuple, list))
        xs = _fresh(_tuple("jvp", "inputs", inputs), create_graph)
        vectors = _vectors("jvp", v, xs, several_in)
        outputs, several = _evaluate("jvp", func, xs, strict)
        weights = tuple(_C.zeros_like(y).requires_grad_() for y in outputs)
        through = _grad("jvp", outputs, xs, weights, True, strict)
        products = _grad("jvp", through, weights, vectors, create_graph, False)
    return _result(outputs, several, create_graph), _result(products, several, create_graph)


def jacobian(
    func: Callable,
    inputs: Tensors,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    strategy: str = "reverse-mode",
) -> Any:
    """Return the Jacobian: for each result and each input a tensor of both shapes, joined.

    Parameters
    ----------
    func, inputs, create_graph, strict
        As in `vjp`.
    vectorize : bool
        Has no effect.
    strategy : str
        ``"reverse-mode"``, or ``"forward-mode"`` with `vectorize`, which has the same results.
    """
    if strategy not in ("reverse-mode", "forward-mode"):
        raise AssertionError(f"jacobian: unknown strategy {strategy!r}")
    if strategy == "forward-mode" and create_graph:
        raise NotImplementedError("jacobian: create_graph needs strategy 'reverse-mode'")
    if strategy == "forward-mode" and not vectorize:
        raise NotImplementedError("jacobian: strategy 'forward-mode' needs vectorize=True")
    with enable_grad():
        several_in = isinstance(inputs, (tuple, list))
        xs = _fresh(_tuple("jacobian", "inputs", inputs), create_graph)
        outputs, several = _evaluate("jacobian", func, xs, strict)
        rows = []
        for y in outputs:
            parts: list[list[Tensor]] = [[] for _ in xs]
            for element in y.reshape(-1):
                one = (_C.ones_like(element),)
                found = _grad("jacobian", (element,), xs, one, create_graph, strict)
                for part, g in zip(parts, found, strict=True):
                    part.append(g)
            rows.append(
                tuple(
                    (_C.stack(part) if part else x.new_zeros((0,))).reshape((*y.shape, *x.shape))
                    for part, x in zip(parts, xs, strict=True)
                )
            )
    rows = [_result(row, several_in, create_graph) for row in rows]
    return tuple(rows) if several else rows[0]


def _scalar(name: str, func: Callable, strict: bool) -> Callable:
    def checked(*inputs: Tensor) -> Tensor:
        outputs, several = _evaluate(name, func, inputs, strict)
        if several or outputs[0].numel() != 1:
            raise RuntimeError(f"{name}: the function must return one tensor of one element")
        return outputs[0].reshape(())

    return checked


def hessian(
    func: Callable,
    inputs: Tensors,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    outer_jacobian_strategy: str = "reverse-mode",
) -> Any:
    """Return the second derivatives of a function with one element.

    Parameters
    ----------
    func, inputs, create_graph, strict
        As in `vjp`; the function returns a tensor of one element.
    vectorize, outer_jacobian_strategy
        As in `jacobian`.
    """
    several_in = isinstance(inputs, (tuple, list))
    checked = _scalar("hessian", func, strict)

    def gradient(*xs: Tensor) -> tuple[Tensor, ...]:
        y = (checked(*xs),)
        return _grad("hessian", y, xs, (_C.ones_like(y[0]),), True, strict)

    found = jacobian(
        gradient,
        _tuple("hessian", "inputs", inputs),
        create_graph,
        strict,
        vectorize,
        outer_jacobian_strategy,
    )
    return found if several_in else found[0][0]


def vhp(
    func: Callable,
    inputs: Tensors,
    v: Tensors | None = None,
    create_graph: bool = False,
    strict: bool = False,
) -> tuple[Any, Any]:
    """Return ``func(*inputs)`` and the product of a vector with its Hessian.

    Parameters as `vjp`'s, with `v` of the shapes of the inputs.
    """
    with enable_grad():
        several_in = isinstance(inputs, (tuple, list))
        xs = _fresh(_tuple("vhp", "inputs", inputs), create_graph)
        vectors = _vectors("vhp", v, xs, several_in)
        y = _scalar("vhp", func, strict)(*xs)
        gradient = _grad("vhp", (y,), xs, (_C.ones_like(y),), True, strict)
        products = _grad("vhp", gradient, xs, vectors, create_graph, strict)
    return _result((y,), False, create_graph), _result(products, several_in, create_graph)


def hvp(
    func: Callable,
    inputs: Tensors,
    v: Tensors | None = None,
    create_graph: bool = False,
    strict: bool = False,
) -> tuple[Any, Any]:
    """Return ``func(*inputs)`` and the product of its Hessian with a vector; as `vhp`."""
    return vhp(func, inputs, v, create_graph, strict)
