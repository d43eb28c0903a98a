"""Modules that take their input's width from the first input they see."""

from __future__ import annotations

from itertools import chain
from typing import Any

from ... import _C
from ...autograd import no_grad
from ..parameter import Parameter
from .batchnorm import BatchNorm1d, BatchNorm2d, BatchNorm3d
from .conv import Conv1d, Conv2d, Conv3d, ConvTranspose1d, ConvTranspose2d, ConvTranspose3d
from .instancenorm import InstanceNorm1d, InstanceNorm2d, InstanceNorm3d
from .linear import Linear

Tensor = _C.Tensor

__all__ = [
    "LazyBatchNorm1d",
    "LazyBatchNorm2d",
    "LazyBatchNorm3d",
    "LazyConv1d",
    "LazyConv2d",
    "LazyConv3d",
    "LazyConvTranspose1d",
    "LazyConvTranspose2d",
    "LazyConvTranspose3d",
    "LazyInstanceNorm1d",
    "LazyInstanceNorm2d",
    "LazyInstanceNorm3d",
    "LazyLinear",
    "LazyModuleMixin",
    "UninitializedBuffer",
    "UninitializedParameter",
    "is_lazy",
]


class UninitializedTensorMixin:
    """A tensor whose shape is not known yet."""

    cls_to_become: type

    def materialize(self, shape: Any, device: Any = None, dtype: Any = None) -> None:
        """Become an ordinary parameter or buffer of that shape, its values undefined."""
        device = self.data.device if device is None else device
        dtype = self.data.dtype if dtype is None else dtype
        self.data = _C.empty(tuple(shape), device=device, dtype=dtype)
        self.__class__ = self.cls_to_become

    @property
    def shape(self) -> Any:
        raise RuntimeError(
            "an uninitialized parameter or buffer has no shape yet: call the module once to give "
            "it one"
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    __str__ = __repr__

    def __deepcopy__(self, memo: dict) -> Any:
        copied = memo.get(id(self))
        if copied is None:
            data = self.data
            copied = type(self)(self.requires_grad, data.device, data.dtype)
            memo[id(self)] = copied
        return copied

    def __reduce_ex__(self, protocol: int) -> Any:
        return type(self), (self.requires_grad, self.data.device, self.data.dtype)


class UninitializedParameter(UninitializedTensorMixin, Parameter):
    """A parameter whose shape is not known yet; `materialize` makes it a `Parameter`."""

    cls_to_become = Parameter

    def __new__(cls, requires_grad: bool = True, device: Any = None, dtype: Any = None) -> Any:
        return Tensor._make_subclass(cls, _C.empty(0, device=device, dtype=dtype), requires_grad)


class UninitializedBuffer(UninitializedTensorMixin, Tensor):
    """A buffer whose shape is not known yet; `materialize` makes it a `Tensor`."""

    cls_to_become = Tensor

    def __new__(cls, requires_grad: bool = False, device: Any = None, dtype: Any = None) -> Any:
        return Tensor._make_subclass(cls, _C.empty(0, device=device, dtype=dtype), requires_grad)


def is_lazy(param: Any) -> bool:
    """Whether a parameter or buffer has no shape yet."""
    return isinstance(param, UninitializedTensorMixin)


class LazyModuleMixin:
    """Completes a module at its first call, by `initialize_parameters`, or when a state is loaded.

    Afterwards the module is of the class `cls_to_become`, if that is given. An optimizer may hold
    the parameters before: they stay the same objects.
    """

    cls_to_become: type | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._load_hook = self._register_load_state_dict_pre_hook(_materialize_loaded, True)
        self._initialize_hook = self.register_forward_pre_hook(_initialize, with_kwargs=True)

    def initialize_parameters(self, *args: Any, **kwargs: Any) -> None:
        """Give the parameters their shapes and values, from the first call's arguments."""
        raise NotImplementedError(f"{type(self).__name__} does not define initialize_parameters")

    def has_uninitialized_params(self) -> bool:
        """Whether a parameter or buffer has no shape yet."""
        return any(map(is_lazy, chain(self._parameters.values(), self._buffers.values())))

    def _save_to_state_dict(self, destination: dict, prefix: str, keep_vars: bool) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        for name, value in self._local_state().items():
            if is_lazy(value):
                destination[prefix + name] = value

    def _load_tensor(self, name: str, current: Tensor, key: str, value: Any, assign: bool) -> Any:
        if is_lazy(current) and is_lazy(value):
            return None
        return super()._load_tensor(name, current, key, value, assign)

    def _apply(self, fn: Any, recurse: bool = True) -> Any:
        lazy = [name for name, buffer in self._buffers.items() if is_lazy(buffer)]
        super()._apply(fn, recurse)
        for name in lazy:
            moved = self._buffers[name]
            self._buffers[name] = UninitializedBuffer(False, moved.device, moved.dtype)
        return self


def _materialize_loaded(module: Any, state_dict: dict, prefix: str, *report: Any) -> None:
    for name, param in chain(module._parameters.items(), module._buffers.items()):
        value = state_dict.get(prefix + name)
        if is_lazy(param) and isinstance(value, Tensor) and not is_lazy(value):
            with no_grad():
                param.materialize(value.shape)


def _initialize(module: Any, args: tuple, kwargs: dict) -> None:
    module.initialize_parameters(*args, **kwargs)
    if module.has_uninitialized_params():
        raise RuntimeError(f"module {module._get_name()} has not been fully initialized")
    for name in ("_initialize_hook", "_load_hook"):
        getattr(module, name).remove()
        delattr(module, name)
    if module.cls_to_become is not None:
        module.__class__ = module.cls_to_become


class LazyLinear(LazyModuleMixin, Linear):
    """A `Linear` that takes ``in_features`` from its first input.

    Parameters
    ----------
    out_features : int
        Size of the output's last dimension.
    bias : bool
        Whether there is a bias.
    """

    cls_to_become = Linear

    def __init__(self, out_features: int, bias: bool = True, device=None, dtype=None) -> None:
        super().__init__(0, 0, False)
        self.weight = UninitializedParameter(device=device, dtype=dtype)
        self.out_features = out_features
        if bias:
            self.bias = UninitializedParameter(device=device, dtype=dtype)

    def reset_parameters(self) -> None:
        """Draw weight and bias anew, once they have a shape."""
        if self.in_features != 0 and not self.has_uninitialized_params():
            super().reset_parameters()

    def initialize_parameters(self, input: Tensor) -> None:
        """Take ``in_features`` from the input."""
        if self.has_uninitialized_params():
            self.in_features = input.shape[-1]
            self.weight.materialize((self.out_features, self.in_features))
            if self.bias is not None:
                self.bias.materialize((self.out_features,))
            self.reset_parameters()
        elif self.in_features == 0:  # a state was loaded
            self.in_features = self.weight.shape[-1]
            if input.shape[-1] != self.in_features:
                raise AssertionError(
                    f"LazyLinear: the input has {input.shape[-1]} features, but the weight that "
                    f"was loaded takes {self.in_features}"
                )


class _LazyConv(LazyModuleMixin):
    """The signature of convolutions without ``in_channels``."""

    def __init__(
        self,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device=None,
        dtype=None,
    ) -> None:
        super().__init__(0, 0, kernel_size, stride, padding, dilation, groups, False, padding_mode)
        self._leave_open(out_channels, bias, device, dtype)

    def _leave_open(self, out_channels: int, bias: bool, device: Any, dtype: Any) -> None:
        self.weight = UninitializedParameter(device=device, dtype=dtype)
        self.out_channels = out_channels
        if bias:
            self.bias = UninitializedParameter(device=device, dtype=dtype)

    def reset_parameters(self) -> None:
        """Draw weight and bias anew, once they have a shape."""
        if self.in_channels != 0 and not self.has_uninitialized_params():
            super().reset_parameters()

    def initialize_parameters(self, input: Tensor, *args: Any, **kwargs: Any) -> None:
        """Take ``in_channels`` from the input."""
        if not self.has_uninitialized_params():
            if self.in_channels == 0:  # a state was loaded
                first, second = self.weight.shape[:2]
                self.in_channels = first if self.transposed else second * self.groups
            return
        rank = len(self.kernel_size)
        if input.dim() not in (rank + 1, rank + 2):
            raise RuntimeError(
                f"{type(self).__name__}: expected {rank + 1}D (unbatched) or {rank + 2}D "
                f"(batched) input, got input of size {tuple(input.shape)}"
            )
        self.in_channels = input.shape[input.dim() - rank - 1]
        for name in ("in_channels", "out_channels"):
            if getattr(self, name) % self.groups != 0:
                raise ValueError(
                    f"{name} must be divisible by groups, got {getattr(self, name)} and "
                    f"{self.groups}"
                )
        first, second = self.out_channels, self.in_channels
        if self.transposed:
            first, second = second, first
        self.weight.materialize((first, second // self.groups, *self.kernel_size))
        if self.bias is not None:
            self.bias.materialize((self.out_channels,))
        self.reset_parameters()


class _LazyConvTranspose(_LazyConv):
    """The signature of transposed convolutions without ``in_channels``."""

    def __init__(
        self,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        output_padding: Any = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Any = 1,
        padding_mode: str = "zeros",
        device=None,
        dtype=None,
    ) -> None:
        LazyModuleMixin.__init__(
            self, 0, 0, kernel_size, stride, padding, output_padding, groups, False, dilation,
            padding_mode,
        )  # fmt: skip
        self._leave_open(out_channels, bias, device, dtype)


class _LazyNorm(LazyModuleMixin):
    """The signature of normalisations of channels without ``num_features``."""

    def __init__(
        self,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device=None,
        dtype=None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(0, eps, momentum, False, False, bias=False)
        self.affine = affine
        self.track_running_stats = track_running_stats
        where = {"device": device, "dtype": dtype}
        if affine:
            self.weight = UninitializedParameter(**where)
            if bias:
                self.bias = UninitializedParameter(**where)
        if track_running_stats:
            self.running_mean = UninitializedBuffer(**where)
            self.running_var = UninitializedBuffer(**where)
            self.num_batches_tracked = _C.zeros((), dtype=_C.int64, device=device)

    def reset_parameters(self) -> None:
        """Set weight 1, bias 0 and fresh statistics, once they have a shape."""
        if self.num_features != 0 and not self.has_uninitialized_params():
            super().reset_parameters()

    def initialize_parameters(self, input: Tensor) -> None:
        """Take ``num_features`` from the input."""
        if self.has_uninitialized_params():
            self.num_features = input.shape[1]
            for value in chain(self._parameters.values(), self._buffers.values()):
                if is_lazy(value):
                    value.materialize((self.num_features,))
            self.reset_parameters()
        elif self.num_features == 0:  # a state was loaded
            known = self.weight if self.affine else self.running_mean
            self.num_features = input.shape[1] if known is None else known.shape[0]


def _lazy(mixin: type, base: type, width: str) -> type:
    name = f"Lazy{base.__name__}"
    doc = f"A `{base.__name__}` that takes ``{width}`` from its first input."
    namespace = {"__doc__": doc, "__module__": __name__, "cls_to_become": base}
    return type(name, (mixin, base), namespace)


LazyConv1d = _lazy(_LazyConv, Conv1d, "in_channels")
LazyConv2d = _lazy(_LazyConv, Conv2d, "in_channels")
LazyConv3d = _lazy(_LazyConv, Conv3d, "in_channels")
LazyConvTranspose1d = _lazy(_LazyConvTranspose, ConvTranspose1d, "in_channels")
LazyConvTranspose2d = _lazy(_LazyConvTranspose, ConvTranspose2d, "in_channels")
LazyConvTranspose3d = _lazy(_LazyConvTranspose, ConvTranspose3d, "in_channels")
LazyBatchNorm1d = _lazy(_LazyNorm, BatchNorm1d, "num_features")
LazyBatchNorm2d = _lazy(_LazyNorm, BatchNorm2d, "num_features")
LazyBatchNorm3d = _lazy(_LazyNorm, BatchNorm3d, "num_features")
LazyInstanceNorm1d = _lazy(_LazyNorm, InstanceNorm1d, "num_features")
LazyInstanceNorm2d = _lazy(_LazyNorm, InstanceNorm2d, "num_features")
LazyInstanceNorm3d = _lazy(_LazyNorm, InstanceNorm3d, "num_features")
