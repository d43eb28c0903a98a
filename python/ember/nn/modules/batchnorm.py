"""Batch normalisation."""

from __future__ import annotations

from ... import _C
from .. import functional as F
from .. import init
from ..parameter import Parameter
from .module import Module

Tensor = _C.Tensor


class _NormBase(Module):
    """Affine parameters and running statistics of ``num_features`` channels."""

    # Version 2 added num_batches_tracked.
    _version = 2

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device=None,
        dtype=None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.num_features = num_features
        self.eps = eps
        self.momentum = momentum
        self.affine = affine
        self.track_running_stats = track_running_stats
        where = {"device": device, "dtype": dtype}
        for name, wanted in (("weight", affine), ("bias", affine and bias)):
            param = Parameter(_C.empty(num_features, **where)) if wanted else None
            self.register_parameter(name, param)
        if track_running_stats:
            self.register_buffer("running_mean", _C.zeros(num_features, **where))
            self.register_buffer("running_var", _C.ones(num_features, **where))
            self.register_buffer("num_batches_tracked", _C.zeros((), dtype=_C.int64, device=device))
        else:
            for name in ("running_mean", "running_var", "num_batches_tracked"):
                self.register_buffer(name, None)
        self.reset_parameters()

    def reset_running_stats(self) -> None:
        """Start the running statistics anew: mean 0, variance 1, no batches."""
        if self.track_running_stats:
            self.running_mean.zero_()
            self.running_var.fill_(1)
            self.num_batches_tracked.zero_()

    def reset_parameters(self) -> None:
        """Set weight 1 and bias 0, and start the running statistics anew."""
        self.reset_running_stats()
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def _check_input_dim(self, input: Tensor) -> None:
        raise NotImplementedError

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, "
            f"affine={self.affine}, bias={self.bias is not None}, "
            f"track_running_stats={self.track_running_stats}"
        )

    def _load_from_state_dict(self, state_dict, prefix, local_metadata, *report) -> None:
        version = local_metadata.get("version")
        if (version is None or version < 2) and self.track_running_stats:
            key = prefix + "num_batches_tracked"
            if key not in state_dict:
                state_dict[key] = self.num_batches_tracked
        super()._load_from_state_dict(state_dict, prefix, local_metadata, *report)


class _BatchNorm(_NormBase):
    def forward(self, input: Tensor) -> Tensor:
        self._check_input_dim(input)
        factor = self.momentum
        if self.training and self.num_batches_tracked is not None and self.track_running_stats:
            self.num_batches_tracked.add_(1)
            if factor is None:
                # Without a momentum all batches count the same.
                factor = 1.0 / float(self.num_batches_tracked)
        # While training without tracking the running statistics are left alone.
        use_running = self.track_running_stats or not self.training
        return F.batch_norm(
            input,
            self.running_mean if use_running else None,
            self.running_var if use_running else None,
            self.weight,
            self.bias,
            self.training or (self.running_mean is None and self.running_var is None),
            0.0 if factor is None else factor,
            self.eps,
        )


_BATCH_NORM_DOC = """Normalise each channel over the batch{over}.

    Parameters
    ----------
    num_features : int
        Channels, the size of dimension 1.
    eps : float
        Added to the variance.
    momentum : float or None
        Weight of the new batch in the running statistics; None averages all batches alike.
    affine : bool
        Whether there are a learned weight and bias.
    track_running_stats : bool
        Keep running statistics and use them in evaluation mode.
    bias : bool
        Whether there is a bias where `affine` is true.
    """


class BatchNorm1d(_BatchNorm):
    __doc__ = _BATCH_NORM_DOC.format(over=": input ``(N, C)`` or ``(N, C, L)``")

    def _check_input_dim(self, input: Tensor) -> None:
        if input.dim() not in (2, 3):
            raise ValueError(f"BatchNorm1d: expected 2D or 3D input, got {input.dim()}D input")


class BatchNorm2d(_BatchNorm):
    __doc__ = _BATCH_NORM_DOC.format(over=" and the image: input ``(N, C, H, W)``")

    def _check_input_dim(self, input: Tensor) -> None:
        if input.dim() != 4:
            raise ValueError(f"BatchNorm2d: expected 4D input, got {input.dim()}D input")


class BatchNorm3d(_BatchNorm):
    __doc__ = _BATCH_NORM_DOC.format(over=" and the volume: input ``(N, C, D, H, W)``")

    def _check_input_dim(self, input: Tensor) -> None:
        if input.dim() != 5:
            raise ValueError(f"BatchNorm3d: expected 5D input, got {input.dim()}D input")
