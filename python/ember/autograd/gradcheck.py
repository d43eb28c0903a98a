"""Gradients checked against finite differences."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

from .. import _C

__all__ = ["GradcheckError", "gradcheck", "gradgradcheck"]

Tensor = _C.Tensor


class GradcheckError(RuntimeError):
    """A gradient that differs from the numerical one."""


def _as_tuple(x) -> tuple:
    return tuple(x) if isinstance(x, (tuple, list)) else (x,)


def _differentiable(outputs) -> tuple[Tensor, ...]:
    return tuple(o for o in _as_tuple(outputs) if isinstance(o, Tensor) and o.requires_grad)


def _set_item(x: Tensor, index: tuple[int, ...], value: complex) -> None:
    """Write one element, wherever it lies, without autograd taking notice."""
    x.data.as_strided(
        (), (), x.storage_offset() + sum(i * s for i, s in zip(index, x.stride(), strict=True))
    ).fill_(value)


def _numbers(x: Tensor) -> Tensor:
    """The elements as a vector of real numbers, two for each complex one."""
    return (_C.view_as_real(x) if x.is_complex() else x).reshape(-1)


def _flat(outputs: Sequence[Tensor], which: list[int]) -> list[Tensor]:
    return [_numbers(outputs[i].detach().clone()) for i in which]


def _numerical(fn, inputs, x: Tensor, eps: float, which: list[int]) -> list[list[Tensor]]:
    """Central differences: a row for each number of x, in it a flat tensor for each output."""
    rows = []
    steps = (eps, eps * 1j) if x.is_complex() else (eps,)
    places = itertools.product(*(range(n) for n in x.shape))
    for index, step in itertools.product(places, steps):
        before = x.detach()[index].item()
        _set_item(x, index, before + step)
        high = _flat(_as_tuple(fn(*inputs)), which)
        _set_item(x, index, before - step)
        low = _flat(_as_tuple(fn(*inputs)), which)
        _set_item(x, index, before)
        rows.append([(h - l) / (2 * eps) for h, l in zip(high, low, strict=True)])
    return rows


def _analytical(output: Tensor, inputs: Sequence[Tensor]) -> list[list[Tensor | None]]:
    """A row for each number of the output: the gradient of every input.

    The gradient that a complex output's seed of 1j gives is that of its imaginary part.
    """
    from . import grad

    rows = []
    seeds = (1, 1j) if output.is_complex() else (1,)
    for i, value in itertools.product(range(output.numel()), seeds):
        seed = _C.zeros(output.numel(), dtype=output.dtype, device=output.device)
        seed[i] = value
        rows.append(
            grad(output, inputs, seed.reshape(output.shape), retain_graph=True, allow_unused=True)
        )
    return rows


def _check_undefined(outputs: Sequence[Tensor], inputs: Sequence[Tensor]) -> None:
    """Outputs without a gradient count as zero gradients."""
    from . import grad

    if len(outputs) < 2:
        return
    for i, o in enumerate(outputs):
        alone = grad(o, inputs, _C.ones_like(o), retain_graph=True, allow_unused=True)
        # By position: one tensor may be several outputs.
        seeds = [_C.ones_like(p) if k == i else _C.zeros_like(p) for k, p in enumerate(outputs)]
        together = grad(outputs, inputs, seeds, retain_graph=True, allow_unused=True)
        for a, b in zip(alone, together, strict=True):
            zero = a is None or b is None
            same = (_is_zero(a) and _is_zero(b)) if zero else _C.allclose(a, b)
            if not same:
                raise GradcheckError("Expected backward function to handle undefined output grads.")


def _is_zero(g: Tensor | None) -> bool:
    return g is None or not bool((g != 0).any())


def gradcheck(
    func: Callable[..., Tensor | Sequence[Tensor]],
    inputs: Tensor | Sequence[Tensor],
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
) -> bool:
    """Check the gradients of ``func`` against central differences.

    Parameters
    ----------
    func
        Takes ``inputs``, returns a tensor or several.
    inputs
        Those that require gradients are checked; they should be float64 or complex128. Gradients
        of complex ones are checked part by part.
    eps
        Half the step of the differences.
    atol, rtol
        Tolerances of the comparison.
    raise_exception
        Raise :class:`GradcheckError` (``ValueError`` for unusable arguments) instead of returning
        ``False``.
    nondet_tol
        By how much two runs of the same backward may differ.
    check_undefined_grad
        Check that outputs without a gradient count as zeros.
    check_grad_dtypes
        Check that gradients have their inputs' dtypes.
    """
    try:
        _gradcheck(
            func,
            _as_tuple(inputs),
            eps,
            atol,
            rtol,
            nondet_tol,
            check_undefined_grad,
            check_grad_dtypes,
        )
    except GradcheckError:
        if raise_exception:
            raise
        return False
    return True


def _gradcheck(
    func, inputs, eps, atol, rtol, nondet_tol, check_undefined_grad, check_grad_dtypes
) -> None:
    checked = [x for x in inputs if isinstance(x, Tensor) and x.requires_grad]
    if not checked:
        raise ValueError(
            "gradcheck expects at least one input tensor to require gradient, but "
            "none of them has requires_grad=True."
        )
    for x in checked:
        layout = zip(x.stride(), x.shape, strict=True)
        if x.numel() > 1 and any(stride == 0 and size > 1 for stride, size in layout):
            raise RuntimeError("gradcheck: an input has elements that share memory; clone it first")
        x.retain_grad()
    results = _as_tuple(func(*inputs))
    which = [i for i, o in enumerate(results) if isinstance(o, Tensor) and o.requires_grad]
    outputs = _differentiable(results)
    if not outputs:
        floating = [
            i
            for i, o in enumerate(results)
            if isinstance(o, Tensor) and (o.is_floating_point() or o.is_complex())
        ]
        for n, x in enumerate(checked):
            rows = _numerical(func, inputs, x, eps, floating)
            if any(bool((d != 0).any()) for row in rows for d in row):
                raise GradcheckError(
                    "Numerical gradient for function expected to be zero, but "
                    f"input {n} changes its output."
                )
        return
    analytical = [_analytical(o, checked) for o in outputs]
    if nondet_tol >= 0:
        _check_deterministic([_analytical(o, checked) for o in outputs], analytical, nondet_tol)
    for n, x in enumerate(checked):
        numerical = _numerical(func, inputs, x, eps, which)
        for k, o in enumerate(outputs):
            if x.numel() == 0 or o.numel() == 0:
                continue
            expected = _C.stack([row[k] for row in numerical])  # (numbers of x, numbers of o)
            columns = [_column(row[n], x) for row in analytical[k]]
            got = _C.stack(columns, 1)
            if check_grad_dtypes:
                for row in analytical[k]:
                    if row[n] is not None and row[n].dtype != x.dtype:
                        raise GradcheckError(
                            f"the gradient of input {n} has dtype {row[n].dtype}, "
                            f"the input {x.dtype}"
                        )
            if not _C.allclose(
                got.to(expected.dtype), expected, rtol=rtol, atol=atol, equal_nan=True
            ):
                raise GradcheckError(
                    f"Jacobian mismatch for output {k} with respect to input {n},\n"
                    f"numerical:{expected}\nanalytical:{got}\n"
                )
    if check_undefined_grad:
        _check_undefined(outputs, checked)


def _column(g: Tensor | None, x: Tensor) -> Tensor:
    if g is None:
        return _numbers(_C.zeros(x.numel(), dtype=x.dtype, device=x.device))
    if g.shape != x.shape:
        raise GradcheckError(f"a gradient has shape {tuple(g.shape)}, its input {tuple(x.shape)}")
    if x.is_complex() and not g.is_complex():
        raise GradcheckError(f"a gradient has dtype {g.dtype}, its input {x.dtype}")
    return _numbers(g)


def _check_deterministic(again, before, tolerance: float) -> None:
    for rows_again, rows in zip(again, before, strict=True):
        for row_again, row in zip(rows_again, rows, strict=True):
            for a, b in zip(row_again, row, strict=True):
                if a is None or b is None:
                    continue
                if bool(((a - b).abs() > tolerance).any()):
                    raise GradcheckError(
                        "Backward is not reentrant: running it twice with the "
                        "same input and grad_output gives different values."
                    )


def gradgradcheck(
    func: Callable[..., Tensor | Sequence[Tensor]],
    inputs: Tensor | Sequence[Tensor],
    grad_outputs: Tensor | Sequence[Tensor] | None = None,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    gen_non_contig_grad_outputs: bool = False,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
) -> bool:
    """Check the gradients of the gradients of ``func`` against central differences.

    Parameters are those of :func:`gradcheck`.

    Parameters
    ----------
    grad_outputs
        The gradients to start from; by default random ones that require gradients themselves.
    gen_non_contig_grad_outputs
        Make the random ones non-contiguous.
    """
    from . import grad

    inputs = _as_tuple(inputs)
    if grad_outputs is None:
        outputs = _differentiable(func(*inputs))
        seeds = tuple(_random_like(o, gen_non_contig_grad_outputs) for o in outputs)
    else:
        seeds = _as_tuple(grad_outputs)
    count = len(seeds)

    def first_gradients(*args):
        given, seeds = args[:-count], args[-count:]
        outputs = _differentiable(func(*given))
        wanted = tuple(x for x in given if isinstance(x, Tensor) and x.requires_grad)
        got = grad(outputs, wanted, seeds, create_graph=True, allow_unused=True)
        return tuple(g for g in got if g is not None)

    return gradcheck(
        first_gradients,
        inputs + seeds,
        eps=eps,
        atol=atol,
        rtol=rtol,
        raise_exception=raise_exception,
        nondet_tol=nondet_tol,
        check_undefined_grad=check_undefined_grad,
        check_grad_dtypes=check_grad_dtypes,
    )


def _random_like(o: Tensor, non_contiguous: bool) -> Tensor:
    if not non_contiguous or o.dim() == 0:
        seed = _C.rand(o.shape, dtype=o.dtype, device=o.device)
    else:
        seed = _C.rand((*o.shape, 2), dtype=o.dtype, device=o.device).select(-1, 0)
    return seed.detach().requires_grad_()
