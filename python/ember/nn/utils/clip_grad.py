"""Limiting gradients."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable
from types import GeneratorType

from ... import _C
from ...autograd import no_grad

Tensor = _C.Tensor


def _as_list(tensors: Tensor | Iterable[Tensor]) -> list[Tensor]:
    return [tensors] if isinstance(tensors, Tensor) else list(tensors)


def _grads(parameters: list[Tensor]) -> list[Tensor]:
    return [p.grad for p in parameters if p.grad is not None]


def _in_one_pass(tensors: list[Tensor]) -> bool:
    """Whether one kernel takes the whole list, and its numbers are at hand without waiting."""
    return all(type(t) is Tensor and t.is_cpu and t.dtype.is_floating_point for t in tensors)


def get_total_norm(
    tensors: Tensor | Iterable[Tensor],
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """Return the norm of all tensors together, as if they were one vector.

    Parameters
    ----------
    tensors : Tensor or iterable of Tensor
        Tensors of any shapes.
    norm_type : float
        Order of the norm; ``inf`` is the largest absolute value.
    error_if_nonfinite : bool
        Raise where the norm is NaN or infinite.
    foreach : bool, optional
        Without effect, taken for compatibility.

    Returns
    -------
    Tensor
        A tensor without dimensions.
    """
    tensors = _as_list(tensors)
    norm_type = float(norm_type)
    if not tensors:
        return _C.tensor(0.0)
    if norm_type in (2.0, math.inf) and _in_one_pass(tensors):
        total = _C._list_norm(tensors, norm_type)
    else:
        with no_grad():
            device = tensors[0].device
            norms = [t.norm(norm_type).to(device) for t in tensors]
            total = _C.stack(norms).norm(norm_type)
    if error_if_nonfinite and not bool(_C.isfinite(total)):
        raise RuntimeError(
            f"the total norm of order {norm_type} is {total.item()}, so the gradients cannot be "
            "clipped; with error_if_nonfinite=False they are scaled by it all the same"
        )
    return total


def clip_grads_with_norm_(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    total_norm: Tensor,
    foreach: bool | None = None,
) -> None:
    """Scale the gradients by ``max_norm / total_norm`` where that is below 1.

    Parameters
    ----------
    parameters : Tensor or iterable of Tensor
        Whose gradients are scaled, in place.
    max_norm : float
        The norm they shall have at most.
    total_norm : Tensor
        The norm they have.
    foreach : bool, optional
        Without effect, taken for compatibility.
    """
    grads = _grads(_as_list(parameters))
    if not grads:
        return
    with no_grad():
        # Without asking for the value, so that a GPU need not be waited for.
        factor = (float(max_norm) / (total_norm + 1e-6)).clamp(max=1.0)
        if _in_one_pass([factor, *grads]):
            _C._list_scale_(grads, factor.item())
            return
        for grad in grads:
            grad.mul_(factor.to(grad.device))


def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """Scale the gradients so that their total norm is at most `max_norm`.

    Parameters
    ----------
    parameters : Tensor or iterable of Tensor
        Whose gradients are scaled, in place.
    max_norm : float
        The largest norm of all gradients together.
    norm_type : float
        Order of the norm; ``inf`` is the largest absolute value.
    error_if_nonfinite : bool
        Raise where the norm is NaN or infinite.
    foreach : bool, optional
        Without effect, taken for compatibility.

    Returns
    -------
    Tensor
        The total norm before scaling.
    """
    listed = _as_list(parameters)
    if not listed and isinstance(parameters, GeneratorType):
        warnings.warn("`parameters` is an empty generator, nothing is clipped", stacklevel=2)
    total_norm = get_total_norm(_grads(listed), norm_type, error_if_nonfinite)
    clip_grads_with_norm_(listed, max_norm, total_norm)
    return total_norm


def clip_grad_value_(
    parameters: Tensor | Iterable[Tensor], clip_value: float, foreach: bool | None = None
) -> None:
    """Limit each element of the gradients to ``[-clip_value, clip_value]``.

    Parameters
    ----------
    parameters : Tensor or iterable of Tensor
        Whose gradients are limited, in place.
    clip_value : float
        The largest absolute value.
    foreach : bool, optional
        Without effect, taken for compatibility.
    """
    clip_value = float(clip_value)
    with no_grad():
        for grad in _grads(_as_list(parameters)):
            grad.clamp_(-clip_value, clip_value)


def clip_grad_norm(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """Call `clip_grad_norm_`; deprecated."""
    warnings.warn(
        "nn.utils.clip_grad_norm is deprecated: nn.utils.clip_grad_norm_ does the same",
        FutureWarning,
        stacklevel=2,
    )
    return clip_grad_norm_(parameters, max_norm, norm_type, error_if_nonfinite, foreach)
