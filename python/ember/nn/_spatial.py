"""Functions of images that are composed of others; `functional` exports them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from .. import _C
from .._autocast import in_float32

Tensor = _C.Tensor


def unfold(
    input: Tensor,
    kernel_size: int | Sequence[int],
    dilation: int | Sequence[int] = 1,
    padding: int | Sequence[int] = 0,
    stride: int | Sequence[int] = 1,
) -> Tensor:
    """Lay the items under each sliding window in a column.

    Parameters
    ----------
    input : Tensor
        Images ``(N, C, H, W)`` or ``(C, H, W)``.
    kernel_size, dilation, padding, stride : int or sequence of int
        As a convolution's: one value, or one for height and one for width.

    Returns
    -------
    Tensor
        ``(N, C * window items, windows)``, or without the batch.
    """
    return _C._im2col(input, kernel_size, dilation, padding, stride)


def fold(
    input: Tensor,
    output_size: int | Sequence[int],
    kernel_size: int | Sequence[int],
    dilation: int | Sequence[int] = 1,
    padding: int | Sequence[int] = 0,
    stride: int | Sequence[int] = 1,
) -> Tensor:
    """Add columns up in the places that `unfold` takes them from.

    Parameters
    ----------
    input : Tensor
        ``(N, C * window items, windows)``, or without the batch.
    output_size : int or sequence of int
        Height and width of the images.
    kernel_size, dilation, padding, stride : int or sequence of int
        As for `unfold`.
    """
    return _C._col2im(input, output_size, kernel_size, dilation, padding, stride)


# ---- Pooling


def _with_sizes(name: str, output_size: Any, input: Tensor) -> Any:
    """The output size with the input's own in the places of None."""
    if not isinstance(output_size, (tuple, list)) or None not in output_size:
        return output_size
    if len(output_size) >= input.dim():
        raise ValueError(
            f"{name}: input must have more than {len(output_size)} dims, got {input.dim()}"
        )
    sizes = input.shape[-len(output_size) :]
    return tuple(n if o is None else o for o, n in zip(output_size, sizes, strict=True))


def adaptive_avg_pool2d(input: Tensor, output_size: Any) -> Tensor:
    """Take means of as many windows as `output_size` says, which cover the image.

    Parameters
    ----------
    input : Tensor
        ``(N, C, H, W)`` or ``(C, H, W)``.
    output_size : int or tuple of (int or None)
        Height and width of the result; None keeps the input's.
    """
    return _C.adaptive_avg_pool2d(input, _with_sizes("adaptive_avg_pool2d", output_size, input))


def adaptive_avg_pool3d(input: Tensor, output_size: Any) -> Tensor:
    """Take means of windows of volumes; see `adaptive_avg_pool2d`."""
    return _C.adaptive_avg_pool3d(input, _with_sizes("adaptive_avg_pool3d", output_size, input))


def adaptive_max_pool2d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """Take maxima of as many windows as `output_size` says, which cover the image.

    Parameters
    ----------
    input : Tensor
        ``(N, C, H, W)`` or ``(C, H, W)``.
    output_size : int or tuple of (int or None)
        Height and width of the result; None keeps the input's.
    return_indices : bool
        Also return where the maxima stand in each image.
    """
    size = _with_sizes("adaptive_max_pool2d", output_size, input)
    return _C.adaptive_max_pool2d(input, size, return_indices)


def adaptive_max_pool3d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """Take maxima of windows of volumes; see `adaptive_max_pool2d`."""
    size = _with_sizes("adaptive_max_pool3d", output_size, input)
    return _C.adaptive_max_pool3d(input, size, return_indices)


def _lp_pool(
    rank: int,
    input: Tensor,
    norm_type: float,
    kernel_size: Any,
    stride: Any,
    ceil_mode: bool,
) -> Tensor:
    average = (_C.avg_pool1d, _C.avg_pool2d, _C.avg_pool3d)[rank - 1]
    mean = average(input.pow(norm_type), kernel_size, stride, 0, ceil_mode)
    items = math.prod(_tuple_of(kernel_size, rank))
    return (mean.sign() * mean.abs().relu() * items).pow(1.0 / norm_type)


def lp_pool1d(
    input: Tensor,
    norm_type: float,
    kernel_size: int,
    stride: int | None = None,
    ceil_mode: bool = False,
) -> Tensor:
    """Return the `norm_type`-norm of each window of ``(N, C, L)``; see `lp_pool2d`."""
    return _lp_pool(1, input, norm_type, kernel_size, stride, ceil_mode)


def lp_pool2d(
    input: Tensor,
    norm_type: float,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] | None = None,
    ceil_mode: bool = False,
) -> Tensor:
    """Return the `norm_type`-norm of each window.

    Parameters
    ----------
    input : Tensor
        ``(N, C, H, W)`` or ``(C, H, W)``; the power is taken of its items as they are, whatever
        their sign.
    norm_type : float
        The power; 1 is the sum.
    kernel_size : int or sequence of int
        Size of the window.
    stride : int or sequence of int, optional
        Step of the window. Default: its size.
    ceil_mode : bool
        Keep windows that hang over the end.
    """
    return _lp_pool(2, input, norm_type, kernel_size, stride, ceil_mode)


def lp_pool3d(
    input: Tensor,
    norm_type: float,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] | None = None,
    ceil_mode: bool = False,
) -> Tensor:
    """Return the `norm_type`-norm of each window of volumes; see `lp_pool2d`."""
    return _lp_pool(3, input, norm_type, kernel_size, stride, ceil_mode)


def _tuple_of(value: Any, rank: int) -> tuple[int, ...]:
    if isinstance(value, Tensor):
        raise TypeError(f"pooling: expected an int or {rank} ints, got a tensor")
    return (value,) * rank if isinstance(value, int) else tuple(value)


def _max_unpool(
    rank: int,
    input: Tensor,
    indices: Tensor,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    output_size: Sequence[int] | None,
) -> Tensor:
    name = f"max_unpool{rank}d"
    kernel, pad = _tuple_of(kernel_size, rank), _tuple_of(padding, rank)
    step = kernel if stride is None else _tuple_of(stride, rank)
    if input.dim() not in (rank + 1, rank + 2):
        raise RuntimeError(f"{name}: expected {rank + 1}D or {rank + 2}D input, got {input.dim()}D")
    if indices.dtype != _C.int64 or indices.shape != input.shape:
        raise RuntimeError(
            f"{name}: indices must be int64 of shape {tuple(input.shape)}, got {indices.dtype} of "
            f"shape {tuple(indices.shape)}"
        )
    sizes = [
        (n - 1) * s + k - 2 * p
        for n, s, k, p in zip(input.shape[-rank:], step, kernel, pad, strict=True)
    ]
    if output_size is not None:
        given = list(output_size)[2:] if len(output_size) == rank + 2 else list(output_size)
        if len(given) != rank:
            raise ValueError(
                f"{name}: output_size must have {rank} or {rank + 2} elements, got {output_size}"
            )
        for n, s, g in zip(sizes, step, given, strict=True):
            if not n - s < g < n + s:
                raise ValueError(f"{name}: output_size must be near {sizes}, got {given}")
        sizes = given
    if min(sizes) < 0:
        raise ValueError(f"{name}: output sizes must not be negative, got {sizes}")
    if min(input.shape[-rank - 1 :]) == 0:
        raise RuntimeError(f"{name}: expected a non-empty input, got shape {tuple(input.shape)}")
    lead = tuple(input.shape[:-rank])
    items = 1
    for n in sizes:
        items *= n
    places = indices.flatten(-rank)
    if input.numel() and not 0 <= int(places.min()) <= int(places.max()) < items:
        raise RuntimeError(f"{name}: indices must lie in outputs of size {sizes}")
    flat = _C.zeros((*lead, items), dtype=input.dtype, device=input.device)
    return flat.scatter_(-1, places, input.flatten(-rank)).reshape(*lead, *sizes)


def max_unpool1d(
    input: Tensor,
    indices: Tensor,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] | None = None,
    padding: int | Sequence[int] = 0,
    output_size: Sequence[int] | None = None,
) -> Tensor:
    """Put maxima of `max_pool1d` back where they stood; see `max_unpool2d`."""
    return _max_unpool(1, input, indices, kernel_size, stride, padding, output_size)


def max_unpool2d(
    input: Tensor,
    indices: Tensor,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] | None = None,
    padding: int | Sequence[int] = 0,
    output_size: Sequence[int] | None = None,
) -> Tensor:
    """Put maxima of `max_pool2d` back where they stood, with zeros around them.

    Parameters
    ----------
    input, indices : Tensor
        Maxima and their indices as ``max_pool2d(..., return_indices=True)`` returns them.
    kernel_size, stride, padding : int or sequence of int
        As of the pooling.
    output_size : sequence of int, optional
        Height and width of the result, with or without batch and channels, where the pooling's
        options leave a choice.
    """
    return _max_unpool(2, input, indices, kernel_size, stride, padding, output_size)


def max_unpool3d(
    input: Tensor,
    indices: Tensor,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] | None = None,
    padding: int | Sequence[int] = 0,
    output_size: Sequence[int] | None = None,
) -> Tensor:
    """Put maxima of `max_pool3d` back where they stood; see `max_unpool2d`."""
    return _max_unpool(3, input, indices, kernel_size, stride, padding, output_size)


# ---- Normalisation


def instance_norm(
    input: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Normalise each channel of each image (Ulyanov et al., 2016).

    Parameters
    ----------
    input : Tensor
        ``(N, C, ...)``.
    running_mean, running_var : Tensor, optional
        Running statistics ``(C,)``; with `use_input_stats` they move towards the batch's.
    weight, bias : Tensor, optional
        ``(C,)``.
    use_input_stats : bool
        Normalise by each image's own statistics, else by the running ones.
    momentum : float
        Weight of the batch in the running statistics.
    eps : float
        Added to the variance.
    """
    if use_input_stats:
        items = 1
        for n in input.shape[2:]:
            items *= n
        if items == 1:
            raise ValueError(
                "instance_norm: expected more than 1 value per channel when training, got shape "
                f"{tuple(input.shape)}"
            )
    return _C._instance_norm(
        input, running_mean, running_var, weight, bias, use_input_stats, momentum, eps
    )


@in_float32
def local_response_norm(
    input: Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Tensor:
    """Divide by a power of the mean square over neighbouring channels (Krizhevsky et al., 2012).

    Parameters
    ----------
    input : Tensor
        ``(N, C, ...)`` with at least 3 dims.
    size : int
        Number of channels of one mean.
    alpha, beta, k : float
        The divisor is ``(k + alpha * mean) ** beta``.
    """
    if input.dim() < 3:
        raise ValueError(f"local_response_norm: expected 3D or higher input, got {input.dim()}D")
    if input.numel() == 0:
        return input
    squares = (input * input).flatten(2).unsqueeze(1)  # (N, 1, C, items)
    around = _C.pad(squares, (0, 0, size // 2, (size - 1) // 2))
    mean = _C.avg_pool2d(around, (size, 1), stride=1).reshape(input.shape)
    return input / (mean * alpha + k).pow(beta)


def _fractional_max_pool(
    rank: int,
    input: Tensor,
    kernel_size: Any,
    output_size: Any,
    output_ratio: Any,
    return_indices: bool,
    samples: Tensor | None,
) -> Any:
    name = f"fractional_max_pool{rank}d"
    if input.dim() not in (rank + 1, rank + 2) or min(input.shape[-rank - 1 :]) == 0:
        raise RuntimeError(
            f"{name}: expected a non-empty {rank + 1}D or {rank + 2}D input, got shape "
            f"{tuple(input.shape)}"
        )
    if (output_size is None) == (output_ratio is None):
        raise ValueError(f"{name}: expected one of output_size and output_ratio")
    spatial = tuple(input.shape[-rank:])
    if output_size is None:
        ratios = (output_ratio,) * rank if isinstance(output_ratio, float) else tuple(output_ratio)
        output_size = tuple(int(n * r) for n, r in zip(spatial, ratios, strict=True))
    kernel, out = _tuple_of(kernel_size, rank), _tuple_of(output_size, rank)
    for n, k, o in zip(spatial, kernel, out, strict=True):
        if k < 1 or o < 1 or o + k - 1 > n:
            raise RuntimeError(
                f"{name}: windows of {kernel} do not fit {out} times into an input of {spatial}"
            )
    lead = (1, *input.shape[:1]) if input.dim() == rank + 1 else tuple(input.shape[:2])
    if samples is None:
        samples = _C.rand((*lead, rank), dtype=input.dtype, device=input.device)
    elif tuple(samples.shape) != (*lead, rank):
        raise RuntimeError(
            f"{name}: expected samples of shape {(*lead, rank)}, got {tuple(samples.shape)}"
        )
    # Where each window stands in its plane, then each item of it: (N, C, windows, items).
    places = None
    for d, (n, k, o) in enumerate(zip(spatial, kernel, out, strict=True)):
        # The sample of the last dim comes first.
        sample = samples[..., rank - 1 - d if rank == 2 else d].unsqueeze(-1)
        starts = _C.full((*lead, o), n - k, dtype=_C.int64, device=samples.device)
        if o > 1:
            alpha = (n - k) / (o - 1)
            steps = _C.arange(o - 1, dtype=samples.dtype, device=samples.device)
            moved = ((steps + sample) * alpha).to(_C.int64) - (sample * alpha).to(_C.int64)
            starts[..., :-1] = moved
        items = starts.unsqueeze(-1) + _C.arange(k, device=samples.device)  # (N, C, o, k)
        if places is None:
            places = items
            continue
        before = places.unsqueeze(-2).unsqueeze(-1)  # (N, C, windows, 1, items, 1)
        places = (before * n + items.unsqueeze(2).unsqueeze(-2)).flatten(4).flatten(2, 3)
    windows, items_each = places.shape[2:]
    planes = input.reshape(*lead, -1)
    values = planes.gather(2, places.flatten(2)).reshape(*lead, windows, items_each)
    best, which = values.max(-1)
    shape = (*input.shape[:-rank], *out)
    if not return_indices:
        return best.reshape(shape)
    indices = places.gather(3, which.unsqueeze(-1))
    return best.reshape(shape), indices.reshape(shape)


def fractional_max_pool2d(
    input: Tensor,
    kernel_size: int | Sequence[int],
    output_size: int | Sequence[int] | None = None,
    output_ratio: float | Sequence[float] | None = None,
    return_indices: bool = False,
    _random_samples: Tensor | None = None,
) -> Any:
    """Take maxima of windows at random distances (Graham, 2014).

    Parameters
    ----------
    input : Tensor
        ``(N, C, H, W)`` or ``(C, H, W)``.
    kernel_size : int or sequence of int
        Size of the windows.
    output_size : int or sequence of int, optional
        Height and width of the result.
    output_ratio : float or sequence of float, optional
        In place of `output_size`: the part of the input's size.
    return_indices : bool
        Also return where the maxima stand in each image.
    """
    return _fractional_max_pool(
        2, input, kernel_size, output_size, output_ratio, return_indices, _random_samples
    )


def fractional_max_pool3d(
    input: Tensor,
    kernel_size: int | Sequence[int],
    output_size: int | Sequence[int] | None = None,
    output_ratio: float | Sequence[float] | None = None,
    return_indices: bool = False,
    _random_samples: Tensor | None = None,
) -> Any:
    """Take maxima of windows of volumes at random distances; see `fractional_max_pool2d`."""
    return _fractional_max_pool(
        3, input, kernel_size, output_size, output_ratio, return_indices, _random_samples
    )
