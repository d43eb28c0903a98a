"""The old name of tensors that record gradients."""

from __future__ import annotations

from typing import Any

from .. import _C

Tensor = _C.Tensor


class _VariableType(type):
    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, Tensor)

    def __call__(
        cls, data: Tensor | None = None, requires_grad: bool = False, volatile: bool | None = None
    ) -> Tensor:
        if data is None:
            return _C.empty(0, requires_grad=requires_grad)
        if not isinstance(data, Tensor):
            raise TypeError(f"Variable: data must be a Tensor, got {type(data).__name__}")
        made = data.detach()
        return made.requires_grad_() if requires_grad else made


class Variable(metaclass=_VariableType):
    """Return a tensor that shares `data`'s memory; every tensor is an instance."""
