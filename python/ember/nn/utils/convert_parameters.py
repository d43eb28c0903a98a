"""Parameters as one vector and back."""

from __future__ import annotations

from collections.abc import Iterable

from ... import _C

Tensor = _C.Tensor


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """Return all parameters' values, one after the other, as one vector."""
    parameters = list(parameters)
    _same_device("parameters_to_vector", parameters)
    return _C.cat([param.reshape(-1) for param in parameters])


def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """Make the parameters' data successive parts of `vec`."""
    if not isinstance(vec, Tensor):
        raise TypeError(f"vector_to_parameters: vec must be a Tensor, got {type(vec).__name__}")
    parameters = list(parameters)
    _same_device("vector_to_parameters", parameters)
    start = 0
    for param in parameters:
        end = start + param.numel()
        param.data = vec[start:end].view_as(param).data
        start = end


def _same_device(name: str, parameters: list[Tensor]) -> None:
    devices = {str(param.device) for param in parameters}
    if len(devices) > 1:
        raise TypeError(f"{name}: all parameters must be on one device, got {sorted(devices)}")
