"""In-place initialisation of tensors, with PyTorch's random streams for the same seed."""

from __future__ import annotations

import math
import warnings

from .. import _C
from ..autograd import no_grad

__all__ = [
    "calculate_gain",
    "constant_",
    "dirac_",
    "eye_",
    "kaiming_normal_",
    "kaiming_uniform_",
    "normal_",
    "ones_",
    "orthogonal_",
    "sparse_",
    "trunc_normal_",
    "uniform_",
    "xavier_normal_",
    "xavier_uniform_",
    "zeros_",
]

Tensor = _C.Tensor

_UNIT_GAIN = frozenset(
    ["linear", "sigmoid"] + [f"conv{kind}{n}d" for kind in ("", "_transpose") for n in (1, 2, 3)]
)
_GAIN = {"tanh": 5.0 / 3, "relu": math.sqrt(2.0), "selu": 3.0 / 4}


_DEPRECATED = (
    "uniform normal constant eye dirac xavier_uniform xavier_normal kaiming_uniform "
    "kaiming_normal orthogonal sparse"
).split()


def __getattr__(name: str):
    if name not in _DEPRECATED:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    in_place = globals()[f"{name}_"]

    def deprecated(*args, **kwargs) -> Tensor:
        warnings.warn(
            f"nn.init.{name} is deprecated: nn.init.{name}_ does the same",
            FutureWarning,
            stacklevel=2,
        )
        return in_place(*args, **kwargs)

    deprecated.__name__ = deprecated.__qualname__ = name
    deprecated.__doc__ = f"Call `{name}_`; deprecated."
    globals()[name] = deprecated
    return deprecated


def __dir__() -> list[str]:
    return sorted({*globals(), *_DEPRECATED})


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """Return the factor by which weights before `nonlinearity` are scaled.

    Parameters
    ----------
    nonlinearity : str
        Name of the function in ``nn.functional``.
    param : float, optional
        The negative slope of ``"leaky_relu"`` (default 0.01).
    """
    if nonlinearity in _UNIT_GAIN:
        return 1
    if nonlinearity in _GAIN:
        return _GAIN[nonlinearity]
    if nonlinearity != "leaky_relu":
        raise ValueError(f"calculate_gain: unsupported nonlinearity {nonlinearity!r}")
    if param is None:
        param = 0.01
    elif isinstance(param, bool) or not isinstance(param, (int, float)):
        raise ValueError(f"calculate_gain: negative slope must be a number, got {param!r}")
    return math.sqrt(2.0 / (1 + param**2))


def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0, generator=None) -> Tensor:
    """Fill `tensor` with values drawn uniformly from ``[a, b)``."""
    with no_grad():
        return tensor.uniform_(a, b, generator=generator)


def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0, generator=None) -> Tensor:
    """Fill `tensor` with values drawn from the normal distribution."""
    with no_grad():
        return tensor.normal_(mean, std, generator=generator)


def trunc_normal_(
    tensor: Tensor,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    generator=None,
) -> Tensor:
    """Fill `tensor` with values drawn from the normal distribution restricted to ``[a, b]``.

    Values are drawn by rejection, from the normal distribution where most of it is kept and
    from the uniform distribution otherwise.
    """
    if mean < a - 2 * std or mean > b + 2 * std:
        warnings.warn(
            f"trunc_normal_: mean {mean} is more than 2 std from [{a}, {b}]; "
            "the distribution of values may be incorrect",
            stacklevel=2,
        )

    def cdf(x: float) -> float:
        return (1.0 + math.erf(x / math.sqrt(2.0))) / 2.0

    with no_grad():
        if cdf((b - mean) / std) - cdf((a - mean) / std) > 0.3:
            return _reject_from_normal(tensor, mean, std, a, b, generator)
        return _reject_from_uniform(tensor, mean, std, a, b, generator)


def _reject_from_normal(tensor: Tensor, mean, std, a, b, generator) -> Tensor:
    # The bounds are rounded to the tensor's dtype, or a value equal to one could never be kept.
    low = _C.tensor(a, dtype=tensor.dtype).item()
    high = _C.tensor(b, dtype=tensor.dtype).item()
    tensor.normal_(mean, std, generator=generator)
    while True:
        outside = (tensor < low) | (tensor > high)
        if not outside.any():
            return tensor
        # The whole tensor is drawn again: that is PyTorch's random stream.
        fresh = _C.empty_like(tensor).normal_(mean, std, generator=generator)
        tensor.copy_(_C.where(outside, fresh, tensor))


def _reject_from_uniform(tensor: Tensor, mean, std, a, b, generator) -> Tensor:
    peak = max(a, min(mean, b))
    log_peak = -0.5 * ((peak - mean) / std) ** 2
    chance = _C.empty_like(tensor)
    tensor.uniform_(a, b, generator=generator)
    candidates = tensor.clone()

    def rejected() -> Tensor:
        log_density = candidates.sub_(mean).div_(std).pow_(2).mul_(-0.5).sub_(log_peak)
        return chance.uniform_(generator=generator).log_() > log_density

    pending = rejected()
    while pending.any():
        candidates.uniform_(a, b, generator=generator)
        tensor.copy_(_C.where(pending, candidates, tensor))
        pending = pending & rejected()
    return tensor


def constant_(tensor: Tensor, val: float) -> Tensor:
    """Fill `tensor` with `val`."""
    with no_grad():
        return tensor.fill_(val)


def ones_(tensor: Tensor) -> Tensor:
    """Fill `tensor` with ones."""
    return constant_(tensor, 1.0)


def zeros_(tensor: Tensor) -> Tensor:
    """Fill `tensor` with zeros."""
    with no_grad():
        return tensor.zero_()


def eye_(tensor: Tensor) -> Tensor:
    """Fill a 2-d `tensor` with the identity matrix."""
    if tensor.dim() != 2:
        raise ValueError(f"eye_: tensor must have 2 dimensions, got {tensor.dim()}")
    with no_grad():
        tensor.zero_()
        diagonal = _C.arange(min(tensor.shape), device=tensor.device)
        tensor[diagonal, diagonal] = 1
    return tensor


def dirac_(tensor: Tensor, groups: int = 1) -> Tensor:
    """Fill a convolution's weight so that it passes its input channels through.

    Parameters
    ----------
    tensor : Tensor
        Weight of 3, 4 or 5 dimensions: ``(out_channels, in_channels / groups, *kernel)``.
    groups : int
        Groups of the convolution; each passes on its own channels.
    """
    if tensor.dim() not in (3, 4, 5):
        raise ValueError(f"dirac_: tensor must have 3, 4 or 5 dimensions, got {tensor.dim()}")
    out_channels, in_channels, *kernel = tensor.shape
    if out_channels % groups != 0:
        raise ValueError(
            f"dirac_: dim 0 must be divisible by groups, got {out_channels} and {groups}"
        )
    per_group = out_channels // groups
    centre = tuple(size // 2 for size in kernel)
    with no_grad():
        tensor.zero_()
        for group in range(groups):
            for channel in range(min(per_group, in_channels)):
                tensor[(group * per_group + channel, channel, *centre)] = 1
    return tensor


def _calculate_fan_in_and_fan_out(tensor: Tensor) -> tuple[int, int]:
    if tensor.dim() < 2:
        raise ValueError(
            f"fan in and fan out need a tensor of at least 2 dimensions, got {tensor.dim()}"
        )
    fan_out, fan_in, *kernel = tensor.shape
    receptive_field = math.prod(kernel)
    return fan_in * receptive_field, fan_out * receptive_field


def _calculate_correct_fan(tensor: Tensor, mode: str) -> int:
    mode = mode.lower()
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"mode must be 'fan_in' or 'fan_out', got {mode!r}")
    fan_in, fan_out = _calculate_fan_in_and_fan_out(tensor)
    return fan_in if mode == "fan_in" else fan_out


def _xavier_std(tensor: Tensor, gain: float) -> float:
    fan_in, fan_out = _calculate_fan_in_and_fan_out(tensor)
    return gain * math.sqrt(2.0 / float(fan_in + fan_out))


def xavier_uniform_(tensor: Tensor, gain: float = 1.0, generator=None) -> Tensor:
    """Fill `tensor` uniformly, scaled by fan in and fan out (Glorot and Bengio, 2010).

    Parameters
    ----------
    tensor : Tensor
        Weight of at least 2 dimensions.
    gain : float
        Factor on the standard deviation ``sqrt(2 / (fan_in + fan_out))``.
    generator : Generator, optional
        Source of randomness.
    """
    bound = math.sqrt(3.0) * _xavier_std(tensor, gain)
    return uniform_(tensor, -bound, bound, generator)


def xavier_normal_(tensor: Tensor, gain: float = 1.0, generator=None) -> Tensor:
    """Fill `tensor` normally, scaled by fan in and fan out; see `xavier_uniform_`."""
    return normal_(tensor, 0.0, _xavier_std(tensor, gain), generator)


def _kaiming_std(tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float | None:
    if 0 in tensor.shape:
        warnings.warn("Initializing zero-element tensors is a no-op", stacklevel=3)
        return None
    fan = _calculate_correct_fan(tensor, mode)
    return calculate_gain(nonlinearity, a) / math.sqrt(fan)


def kaiming_uniform_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator=None,
) -> Tensor:
    """Fill `tensor` uniformly, scaled for rectifiers (He et al., 2015).

    Parameters
    ----------
    tensor : Tensor
        Weight of at least 2 dimensions, ``(fan_out, fan_in, *kernel)``.
    a : float
        Negative slope of the rectifier that follows (for ``"leaky_relu"``).
    mode : str
        ``"fan_in"`` keeps the variance of activations, ``"fan_out"`` that of gradients.
    nonlinearity : str
        Name for `calculate_gain`.
    generator : Generator, optional
        Source of randomness.
    """
    std = _kaiming_std(tensor, a, mode, nonlinearity)
    if std is None:
        return tensor
    bound = math.sqrt(3.0) * std
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator=None,
) -> Tensor:
    """Fill `tensor` normally, scaled for rectifiers; see `kaiming_uniform_`."""
    std = _kaiming_std(tensor, a, mode, nonlinearity)
    return tensor if std is None else normal_(tensor, 0, std, generator)


def orthogonal_(tensor: Tensor, gain: float = 1, generator=None) -> Tensor:
    """Fill `tensor` with a matrix of orthonormal rows or columns (Saxe et al., 2013).

    Parameters
    ----------
    tensor : Tensor
        At least 2 dimensions; the trailing ones are flattened.
    gain : float
        Factor on the result.
    generator : Generator, optional
        Source of randomness.
    """
    if tensor.dim() < 2:
        raise ValueError(f"orthogonal_: tensor must have at least 2 dimensions, got {tensor.dim()}")
    if tensor.numel() == 0:
        return tensor
    import numpy as np

    rows = tensor.shape[0]
    cols = tensor.numel() // rows
    normal = tensor.new_empty((rows, cols)).normal_(0, 1, generator=generator)
    matrix = normal.detach().cpu().numpy()
    q, r = np.linalg.qr(matrix.T if rows < cols else matrix)
    # The signs of R's diagonal make Q uniform over the orthogonal matrices (Mezzadri, 2007).
    q = q * np.sign(np.diagonal(r))
    if rows < cols:
        q = q.T
    with no_grad():
        tensor.copy_(_C.from_numpy(np.ascontiguousarray(q)).view(tensor.shape))
        tensor.mul_(gain)
    return tensor


def sparse_(tensor: Tensor, sparsity: float, std: float = 0.01, generator=None) -> Tensor:
    """Fill a 2-d `tensor` normally and set a fraction of each column to zero (Martens, 2010).

    Parameters
    ----------
    tensor : Tensor
        Matrix to fill.
    sparsity : float
        Fraction of each column that becomes zero.
    std : float
        Standard deviation of the other values.
    generator : Generator, optional
        Source of the values; which of them become zero is drawn from the default generator.
    """
    if tensor.dim() != 2:
        raise ValueError(f"sparse_: tensor must have 2 dimensions, got {tensor.dim()}")
    rows, cols = tensor.shape
    zeros = math.ceil(sparsity * rows)
    with no_grad():
        tensor.normal_(0, std, generator=generator)
        for col in range(cols):
            tensor[_C.randperm(rows)[:zeros], col] = 0
    return tensor
