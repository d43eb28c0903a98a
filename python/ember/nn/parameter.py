"""Tensors that a module owns: trainable parameters and buffers."""

from __future__ import annotations

from collections import OrderedDict

from .. import _C

Tensor = _C.Tensor


class _FlaggedMeta(type(Tensor)):
    """Let ``isinstance`` also accept tensor subclasses that carry the class's flag."""

    def __instancecheck__(cls, instance: object) -> bool:
        if type.__instancecheck__(cls, instance):
            return True
        # `_flag` stands in the class's own namespace, so subclasses of Parameter stay strict.
        flag = cls.__dict__.get("_flag")
        return flag is not None and isinstance(instance, Tensor) and getattr(instance, flag, False)


class Parameter(Tensor, metaclass=_FlaggedMeta):
    """A tensor that a module registers when it is assigned to an attribute.

    Parameters
    ----------
    data : Tensor, optional
        The values; memory is shared. Default: an empty tensor.
    requires_grad : bool
        Whether gradients are computed, also when created under ``no_grad``.
    """

    _flag = "_is_param"
    # Results of functions are plain tensors.
    __torch_function__ = _C._disabled_torch_function_impl

    def __new__(cls, data: Tensor | None = None, requires_grad: bool = True) -> Parameter:
        if data is None:
            data = _C.empty(0)
        if type(data) is Tensor or type(data) is Parameter:
            return Tensor._make_subclass(cls, data, requires_grad)
        if not isinstance(data, Tensor):
            raise TypeError(f"Parameter: data must be a Tensor, got {type(data).__name__}")
        result = data.detach().requires_grad_(requires_grad)
        if type(result) is not type(data):
            raise RuntimeError(
                f"Parameter: {type(data).__name__}.detach() must return a "
                f"{type(data).__name__}, got {type(result).__name__}"
            )
        result._is_param = True
        return result

    def __deepcopy__(self, memo: dict) -> Parameter:
        copied = memo.get(id(self))
        if copied is None:
            copied = memo[id(self)] = type(self)(self.data.clone(), self.requires_grad)
        return copied

    def __repr__(self) -> str:
        return "Parameter containing:\n" + super().__repr__()

    __str__ = __repr__

    def __reduce_ex__(self, protocol: int):
        return _rebuild_parameter, (self.data, self.requires_grad, OrderedDict())


_C._set_parameter_type(Parameter)


def _rebuild_parameter(data: Tensor, requires_grad: bool, backward_hooks: dict) -> Parameter:
    """Rebuild a pickled parameter; the arguments are those of PyTorch's checkpoints."""
    return Parameter(data, requires_grad)


class Buffer(Tensor, metaclass=_FlaggedMeta):
    """A tensor that a module registers as a buffer when it is assigned to an attribute.

    The result is a plain tensor of the type of `data` that carries a flag.

    Parameters
    ----------
    data : Tensor, optional
        The values; memory is shared. Default: an empty tensor.
    persistent : bool
        Whether the buffer is part of the module's ``state_dict``.
    """

    _flag = "_is_buffer"

    def __new__(cls, data: Tensor | None = None, *, persistent: bool = True) -> Tensor:
        if data is None:
            data = _C.empty(0)
        result = data.detach().requires_grad_(data.requires_grad)
        result.persistent = persistent
        result._is_buffer = True
        return result


_LAZY = ("UninitializedBuffer", "UninitializedParameter", "UninitializedTensorMixin", "is_lazy")


def __getattr__(name: str):
    if name in _LAZY:
        from .modules import lazy

        return getattr(lazy, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})
