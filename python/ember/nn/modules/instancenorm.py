"""Normalisation of each channel of each image."""

from __future__ import annotations

import warnings

from ... import _C
from .. import functional as F
from .batchnorm import _NormBase

Tensor = _C.Tensor


class _InstanceNorm(_NormBase):
    """Normalises with the statistics of one image; a subclass says how many spatial dims."""

    _dims: int

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        device=None,
        dtype=None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(
            num_features, eps, momentum, affine, track_running_stats, device, dtype, bias=bias
        )

    def _check_input_dim(self, input: Tensor) -> None:
        if input.dim() not in (self._dims + 1, self._dims + 2):
            raise ValueError(
                f"{type(self).__name__}: expected {self._dims + 1}D or {self._dims + 2}D input, "
                f"got {input.dim()}D input"
            )

    def _load_from_state_dict(
        self, state_dict, prefix, local_metadata, strict, missing, unexpected, errors
    ) -> None:
        if local_metadata.get("version") is None and not self.track_running_stats:
            # Before there were versions running statistics were always kept.
            names = [n for n in ("running_mean", "running_var") if prefix + n in state_dict]
            if names:
                errors.append(
                    f"{type(self).__name__} does not track running statistics, but the state holds "
                    f"{' and '.join(names)}; set track_running_stats=True or remove them"
                )
            for name in names:
                state_dict.pop(prefix + name)
        super()._load_from_state_dict(
            state_dict, prefix, local_metadata, strict, missing, unexpected, errors
        )

    def forward(self, input: Tensor) -> Tensor:
        self._check_input_dim(input)
        channels = input.shape[input.dim() - self._dims - 1]
        if channels != self.num_features:
            message = (
                f"{type(self).__name__}: expected {self.num_features} channels, got input of shape "
                f"{tuple(input.shape)}"
            )
            if self.affine:
                raise ValueError(message)
            warnings.warn(message, stacklevel=2)
        batched = input.dim() == self._dims + 2
        out = F.instance_norm(
            input if batched else input.unsqueeze(0),
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training or not self.track_running_stats,
            0.0 if self.momentum is None else self.momentum,
            self.eps,
        )
        return out if batched else out.squeeze(0)


_INSTANCE_NORM_DOC = """Normalise each channel of each {of}.

    Parameters
    ----------
    num_features : int
        Channels.
    eps : float
        Added to the variance.
    momentum : float
        Weight of the new batch in the running statistics.
    affine : bool
        Whether there are a learned weight and bias.
    track_running_stats : bool
        Keep running statistics and use them in evaluation mode.
    bias : bool
        Whether there is a bias where `affine` is true.
    """


class InstanceNorm1d(_InstanceNorm):
    __doc__ = _INSTANCE_NORM_DOC.format(of="sequence ``(N, C, L)`` or ``(C, L)``")

    _dims = 1


class InstanceNorm2d(_InstanceNorm):
    __doc__ = _INSTANCE_NORM_DOC.format(of="image ``(N, C, H, W)`` or ``(C, H, W)``")

    _dims = 2


class InstanceNorm3d(_InstanceNorm):
    __doc__ = _INSTANCE_NORM_DOC.format(of="volume ``(N, C, D, H, W)`` or ``(C, D, H, W)``")

    _dims = 3
