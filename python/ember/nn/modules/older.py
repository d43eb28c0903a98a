"""Modules that PyTorch keeps for older programs, or that one process needs none of."""

from __future__ import annotations

import warnings
from typing import Any

from ... import _C
from .batchnorm import _BatchNorm
from .loss import NLLLoss
from .module import Module

Tensor = _C.Tensor


class Container(Module):
    """A module of the given children; deprecated, `ModuleDict` is what replaced it."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__()
        warnings.warn(
            "nn.Container is deprecated: derive from nn.Module instead", FutureWarning, stacklevel=2
        )
        for name, module in kwargs.items():
            self.add_module(name, module)


class NLLLoss2d(NLLLoss):
    """`NLLLoss` under a deprecated name."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        warnings.warn("NLLLoss2d is deprecated: NLLLoss does the same", FutureWarning, stacklevel=2)
        super().__init__(*args, **kwargs)


class SyncBatchNorm(_BatchNorm):
    """Batch normalisation over the batches of all processes, of which there is one here.

    Parameters
    ----------
    num_features, eps, momentum, affine, track_running_stats
        As of `BatchNorm2d`.
    process_group : None
        There is no other.
    """

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        process_group: None = None,
        device=None,
        dtype=None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(
            num_features, eps, momentum, affine, track_running_stats, device, dtype, bias=bias
        )
        self.process_group = process_group

    def _check_input_dim(self, input: Tensor) -> None:
        if input.dim() < 2:
            raise ValueError(f"SyncBatchNorm: expected at least 2D input, got {input.dim()}D input")

    @classmethod
    def convert_sync_batchnorm(cls, module: Module, process_group: None = None) -> Module:
        """Return `module` with every batch normalisation replaced by one of this class."""
        result = module
        if isinstance(module, _BatchNorm):
            result = cls(
                module.num_features,
                module.eps,
                module.momentum,
                module.affine,
                module.track_running_stats,
                process_group,
                bias=module.bias is not None,
            )
            for registry in ("_parameters", "_buffers"):
                for name, value in getattr(module, registry).items():
                    getattr(result, registry)[name] = value
            result.training = module.training
        for name, child in module.named_children():
            result.add_module(name, cls.convert_sync_batchnorm(child, process_group))
        return result


class DataParallel(Module):
    """Calls the module on one device; its state's names begin with ``module.`` as PyTorch's.

    Parameters
    ----------
    module : Module
        What is called.
    device_ids : list, optional
        The first one is where the module and the inputs are moved; others are not used.
    output_device, dim
        Accepted for PyTorch's sake.
    """

    def __init__(
        self, module: Module, device_ids: Any = None, output_device: Any = None, dim: int = 0
    ) -> None:
        super().__init__()
        self.dim = dim
        self.module = module
        self.device_ids = [] if device_ids is None else list(device_ids)[:1]
        self.output_device = output_device
        if self.device_ids:
            device = self.device_ids[0]
            self.src_device_obj = _C.device("cuda", device if isinstance(device, int) else 0)
            self.module.to(self.src_device_obj)

    def forward(self, *inputs: Any, **kwargs: Any) -> Any:
        if self.device_ids:
            inputs = _moved(inputs, self.src_device_obj)
            kwargs = _moved(kwargs, self.src_device_obj)
        return self.module(*inputs, **kwargs)


def _moved(value: Any, device: Any) -> Any:
    if isinstance(value, Tensor):
        return value.to(device)
    if isinstance(value, dict):
        return {key: _moved(item, device) for key, item in value.items()}
    if isinstance(value, list | tuple) and not hasattr(value, "_fields"):
        return type(value)(_moved(item, device) for item in value)
    return value
