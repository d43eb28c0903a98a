"""Resizing of images and reading them at points; `functional` exports the functions."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any

from .. import _C
from .._autocast import in_float32
from ..autograd import grad
from ..autograd.function import Function

Tensor = _C.Tensor

# ---- Resampling

_RANKS = {"linear": 1, "bilinear": 2, "bicubic": 2, "trilinear": 3, "lanczos": 2}
_NEAREST = ("nearest", "nearest-exact", "area")
_ANTIALIASED = ("bilinear", "bicubic", "lanczos")


def interpolate(
    input: Tensor,
    size: int | Sequence[int] | None = None,
    scale_factor: float | Sequence[float] | None = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Tensor:
    """Resize images or volumes.

    Parameters
    ----------
    input : Tensor
        ``(N, C, dims...)`` with 1 to 3 spatial dims.
    size : int or sequence of int, optional
        The spatial size of the result.
    scale_factor : float or sequence of float, optional
        In place of `size`: multiplier of the input's.
    mode : str
        ``"nearest"``, ``"nearest-exact"``, ``"area"`` (means over windows); ``"linear"`` of 1,
        ``"bilinear"`` and ``"bicubic"`` of 2 and ``"trilinear"`` of 3 dims; ``"lanczos"`` of 2
        dims, with `antialias` alone.
    align_corners : bool, optional
        Let the centres of the corner pixels meet, instead of their outer edges; of the
        interpolating modes alone.
    recompute_scale_factor : bool, optional
        Take positions from the sizes, though they came from `scale_factor`.
    antialias : bool
        Widen the filter where the image shrinks, as Pillow does; ``"bilinear"``, ``"bicubic"``
        and ``"lanczos"`` alone.
    """
    rank = input.dim() - 2
    if mode in _NEAREST:
        if align_corners is not None:
            raise ValueError(f"interpolate: align_corners cannot be given for mode {mode!r}")
    elif mode not in _RANKS:
        raise NotImplementedError(f"interpolate: no mode {mode!r}")
    if (size is None) == (scale_factor is None):
        raise ValueError("interpolate: expected one of size and scale_factor")
    scales: Sequence[float] = ()
    if size is not None:
        if recompute_scale_factor:
            raise ValueError("interpolate: recompute_scale_factor needs a scale_factor")
        if isinstance(size, (tuple, list)):
            if len(size) != rank:
                raise ValueError(
                    f"interpolate: expected a size for each of {rank} spatial dims, got {size}"
                )
            if not all(hasattr(n, "__index__") for n in size):
                raise TypeError(f"interpolate: size must be whole numbers, got {size}")
            sizes = tuple(size)
        else:
            sizes = (size,) * rank
    else:
        if isinstance(scale_factor, (tuple, list)):
            if len(scale_factor) != rank:
                raise ValueError(
                    f"interpolate: expected a scale_factor for each of {rank} spatial dims, got "
                    f"{scale_factor}"
                )
            scales = scale_factor
        else:
            scales = (scale_factor,) * rank
        sizes = tuple(int(n * s) for n, s in zip(input.shape[2:], scales, strict=True))
        if recompute_scale_factor or mode == "area":
            scales = ()
    if antialias and not (mode in _ANTIALIASED and rank == 2):
        raise ValueError(
            f"interpolate: antialias needs a 4-D input and one of {_ANTIALIASED}, got a "
            f"{input.dim()}-D input and {mode!r}"
        )
    if not 1 <= rank <= 3 or _RANKS.get(mode, rank) != rank:
        raise NotImplementedError(
            f"interpolate: mode {mode!r} does not fit an input of {input.dim()} dims"
        )
    if mode == "lanczos" and not antialias:
        raise ValueError("interpolate: mode 'lanczos' needs antialias=True")
    if mode == "lanczos" and align_corners:
        raise ValueError("interpolate: mode 'lanczos' has no align_corners")
    if mode == "area":
        pools = (_C.adaptive_avg_pool1d, _C.adaptive_avg_pool2d, _C.adaptive_avg_pool3d)
        return pools[rank - 1](input, sizes)
    return _C._interpolate(input, sizes, mode, bool(align_corners), antialias, *scales)


def upsample(
    input: Tensor,
    size: int | Sequence[int] | None = None,
    scale_factor: float | Sequence[float] | None = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
) -> Tensor:
    """Call `interpolate`, which it is the older name of."""
    warnings.warn("upsample is deprecated, use interpolate", stacklevel=2)
    return interpolate(input, size, scale_factor, mode, align_corners)


def upsample_nearest(
    input: Tensor,
    size: int | Sequence[int] | None = None,
    scale_factor: float | Sequence[float] | None = None,
) -> Tensor:
    """Call `interpolate` with ``mode="nearest"``."""
    warnings.warn("upsample_nearest is deprecated, use interpolate", stacklevel=2)
    return interpolate(input, size, scale_factor, mode="nearest")


def upsample_bilinear(
    input: Tensor,
    size: int | Sequence[int] | None = None,
    scale_factor: float | Sequence[float] | None = None,
) -> Tensor:
    """Call `interpolate` with ``mode="bilinear", align_corners=True``."""
    warnings.warn("upsample_bilinear is deprecated, use interpolate", stacklevel=2)
    return interpolate(input, size, scale_factor, mode="bilinear", align_corners=True)


# ---- Sampling at points


def affine_grid(theta: Tensor, size: Sequence[int], align_corners: bool | None = None) -> Tensor:
    """Return the points that affine maps give for each pixel, for `grid_sample`.

    Parameters
    ----------
    theta : Tensor
        Maps ``(N, 2, 3)``, or ``(N, 3, 4)`` for volumes.
    size : sequence of int
        ``(N, C, H, W)`` or ``(N, C, D, H, W)`` of the result of sampling.
    align_corners : bool, optional
        Whether -1 and 1 are the centres of the corner pixels, or their outer edges (default).

    Returns
    -------
    Tensor
        ``(N, H, W, 2)`` or ``(N, D, H, W, 3)``, the coordinate of the last dim first.
    """
    if not theta.is_floating_point():
        raise ValueError(f"affine_grid: theta must be floating point, got {theta.dtype}")
    rank = len(size) - 2
    if rank not in (2, 3):
        raise NotImplementedError(f"affine_grid: expected 4 or 5 sizes, got {tuple(size)}")
    if theta.dim() != 3 or tuple(theta.shape[1:]) != (rank, rank + 1):
        raise ValueError(
            f"affine_grid: theta must have shape (N, {rank}, {rank + 1}) for size {tuple(size)}, "
            f"got {tuple(theta.shape)}"
        )
    if min(size) <= 0:
        raise ValueError(f"affine_grid: sizes must be positive, got {tuple(size)}")
    if theta.shape[0] != size[0]:
        raise RuntimeError(
            f"affine_grid: expected {size[0]} maps for size {tuple(size)}, got {theta.shape[0]}"
        )
    where = {"dtype": theta.dtype, "device": theta.device}
    spatial = tuple(size[2:])
    parts = []
    for d in reversed(range(rank)):
        n = spatial[d]
        line = _C.linspace(-1, 1, n, **where) if n > 1 else _C.zeros(1, **where)
        if not align_corners:
            line = line * ((n - 1) / n)
        shape = [1] * rank
        shape[d] = n
        parts.append(line.reshape(shape).expand(spatial).reshape(-1))
    parts.append(_C.ones(parts[0].shape, **where))
    points = _C.stack(parts, -1)  # (pixels, rank + 1)
    return _C.matmul(points, theta.transpose(1, 2)).reshape(size[0], *spatial, rank)


def _reflect(x: Tensor, low: float, high: float) -> Tensor:
    """Coordinates mirrored at `low` and `high` until they lie between."""
    if low == high:
        return x * 0
    span = high - low
    distance = (x - low).abs()
    flips = (distance.detach() / span).floor()
    rest = distance - flips * span
    return _C.where(flips.remainder(2) == 0, rest + low, high - rest)


def _clip(x: Tensor, size: int) -> Tensor:
    """Coordinates cut to ``[0, size - 1]``, with no gradient at the ends."""
    beyond = (x <= 0) | (x >= size - 1)
    return _C.where(beyond, x.detach().clamp(0, size - 1), x)


def _cubic_weights(t: Tensor) -> list[Tensor]:
    a = -0.75

    def near(x: Tensor) -> Tensor:
        return ((a + 2) * x - (a + 3)) * x * x + 1

    def far(x: Tensor) -> Tensor:
        return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a

    return [far(t + 1), near(t), near(1 - t), far(2 - t)]


@in_float32
def grid_sample(
    input: Tensor,
    grid: Tensor,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    align_corners: bool | None = None,
) -> Tensor:
    """Read images or volumes at the points of a grid.

    Parameters
    ----------
    input : Tensor
        ``(N, C, H, W)`` or ``(N, C, D, H, W)``.
    grid : Tensor
        Points ``(N, H_out, W_out, 2)`` or ``(N, D_out, H_out, W_out, 3)``; the coordinate of the
        last dim comes first, and -1 and 1 are the image's ends.
    mode : str
        ``"bilinear"`` (also of volumes), ``"nearest"`` or, of images, ``"bicubic"``.
    padding_mode : str
        What lies outside: ``"zeros"``, the ``"border"``, or the image's ``"reflection"``.
    align_corners : bool, optional
        Whether -1 and 1 are the centres of the corner pixels, or their outer edges (default).
    """
    if mode not in ("bilinear", "nearest", "bicubic"):
        raise ValueError(
            f"grid_sample: mode must be 'bilinear', 'nearest' or 'bicubic', got {mode!r}"
        )
    if padding_mode not in ("zeros", "border", "reflection"):
        raise ValueError(
            "grid_sample: padding_mode must be 'zeros', 'border' or 'reflection', got "
            f"{padding_mode!r}"
        )
    rank = input.dim() - 2
    if rank not in (2, 3) or grid.dim() != input.dim() or grid.shape[-1] != rank:
        raise RuntimeError(
            "grid_sample: expected a 4D or 5D input and a grid of as many dims whose last has a "
            f"size of the spatial dims, got {tuple(input.shape)} and {tuple(grid.shape)}"
        )
    if input.dtype != grid.dtype:
        raise RuntimeError(
            f"grid_sample: input and grid must have one dtype, got {input.dtype} and {grid.dtype}"
        )
    if input.shape[0] != grid.shape[0]:
        raise RuntimeError(
            f"grid_sample: expected one grid an image, got input {tuple(input.shape)} and grid "
            f"{tuple(grid.shape)}"
        )
    if min(input.shape[2:]) == 0:
        raise RuntimeError(
            f"grid_sample: expected non-empty spatial dims, got {tuple(input.shape)}"
        )
    if mode == "bicubic" and rank != 2:
        raise RuntimeError("grid_sample: mode 'bicubic' needs a 4D input")
    if not input.is_floating_point():
        raise NotImplementedError(f"grid_sample: no CPU kernel for {input.dtype}")
    if input.dtype in (_C.float16, _C.bfloat16):
        wide = grid_sample(input.float(), grid.float(), mode, padding_mode, align_corners)
        return wide.to(input.dtype)

    how = mode, padding_mode, bool(align_corners)
    if not _served(input, grid):
        return _sampled(input, grid, *how)
    if _C.is_grad_enabled() and (input.requires_grad or grid.requires_grad):
        return _GridSample.apply(input, grid, how)
    return _C._grid_sample(input, grid, *how)


def _served(input: Tensor, grid: Tensor) -> bool:
    """Whether the fused kernel takes these images."""
    sizes = input.shape[2:]
    small = max(sizes) <= 1 << 21 and math.prod(sizes) < 1 << 31
    return small and input.device.type == "cpu" and grid.device.type == "cpu"


class _GridSample(Function):
    @staticmethod
    def forward(ctx: Any, input: Tensor, grid: Tensor, how: tuple[str, str, bool]) -> Tensor:
        ctx.save_for_backward(input, grid)
        ctx.how = how
        return _C._grid_sample(input, grid, *how)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple:
        inputs, wanted = ctx.saved_tensors, ctx.needs_input_grad[:2]
        if not _C.is_grad_enabled():
            return *_C._grid_sample_backward(g, *inputs, *ctx.how, *wanted), None
        of = [x for x, want in zip(inputs, wanted, strict=True) if want]
        found = iter(grad(_sampled(*inputs, *ctx.how), of, g, create_graph=True, allow_unused=True))
        return *(next(found) if want else None for want in wanted), None


def _sampled(
    input: Tensor, grid: Tensor, mode: str, padding_mode: str, align_corners: bool
) -> Tensor:
    """`grid_sample` in differentiable functions."""
    rank = input.dim() - 2
    batch, channels = input.shape[:2]
    spatial, out = tuple(input.shape[2:]), tuple(grid.shape[1:-1])
    points = grid.reshape(batch, -1, rank)

    def pad(x: Tensor, size: int) -> Tensor:
        if padding_mode == "zeros":
            return x
        if padding_mode == "reflection":
            x = _reflect(x, 0, size - 1) if align_corners else _reflect(x, -0.5, size - 0.5)
        return _clip(x, size)

    # For each dim the taps: (index into the dim, weight or None, whether it is inside or None).
    taps = []
    for d, size in enumerate(spatial):
        x = points[..., rank - 1 - d]
        x = (x + 1) / 2 * (size - 1) if align_corners else ((x + 1) * size - 1) / 2
        if mode != "bicubic":
            x = pad(x, size)
        places: list[Tensor]
        weights: list[Any]
        if mode == "nearest":
            places, weights = [x.detach().round()], [None]
        else:
            low = x.detach().floor()
            t = x - low
            if mode == "bilinear":
                places, weights = [low, low + 1], [1 - t, t]
            else:
                places = [pad(low + i, size) for i in (-1, 0, 1, 2)]
                weights = _cubic_weights(t)
        taps.append([])
        for place, weight in zip(places, weights, strict=True):
            inside = (place >= 0) & (place <= size - 1)
            taps[d].append((place.to(_C.int64).clamp(0, size - 1), weight, inside))

    flat = input.reshape(batch, channels, -1)
    total = None

    def visit(d: int, index: Any, weight: Any, inside: Any) -> None:
        nonlocal total
        if d == rank:
            value = flat.gather(2, index.unsqueeze(1).expand(-1, channels, -1))
            factor = inside.to(flat.dtype) if weight is None else _C.where(inside, weight, 0.0)
            value = value * factor.unsqueeze(1)
            total = value if total is None else total + value
            return
        for i, w, ok in taps[d]:
            visit(
                d + 1,
                i if index is None else index * spatial[d] + i,
                w if weight is None else weight if w is None else weight * w,
                ok if inside is None else inside & ok,
            )

    visit(0, None, None, None)
    return total.reshape(batch, channels, *out)
