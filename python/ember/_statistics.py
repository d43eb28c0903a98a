"""Statistics of samples: covariance, histograms, numerical gradients."""

from __future__ import annotations

import itertools
import math
from collections import namedtuple
from collections.abc import Sequence
from typing import Any

from . import _C
from ._lapack import deliver

Tensor = _C.Tensor

_Histogram = namedtuple("histogram", "hist bin_edges")
_HistogramDD = namedtuple("histogramdd", "hist bin_edges")


# ---- Covariance


def _weights(name: str, weights: Tensor, observations: int, kind: str) -> Tensor:
    if weights.dim() > 1:
        raise RuntimeError(f"cov: expected {name} to have one or fewer dimensions but got "
                           f"{weights.dim()}")  # fmt: skip
    floating = weights.dtype.is_floating_point
    if floating != (kind == "floating point") or weights.dtype == _C.bool:
        raise RuntimeError(f"cov: expected {name} to have {kind} dtype but got {weights.dtype}")
    if weights.numel() != observations:
        raise RuntimeError(
            f"cov: expected {name} to have the same numel as there are observations in the input "
            f"but got {weights.numel()} != {observations}"
        )
    if observations and bool((weights < 0).any()):
        raise RuntimeError(f"cov: {name} cannot be negative")
    return weights.reshape(-1)


def cov(
    input: Tensor,
    *,
    correction: int = 1,
    fweights: Tensor | None = None,
    aweights: Tensor | None = None,
) -> Tensor:
    """Estimate the covariance matrix of variables.

    Parameters
    ----------
    input : Tensor
        (variables, observations), or the observations of one variable.
    correction : int
        What is taken from the number of observations: 1 for an unbiased estimate.
    fweights : Tensor, optional
        How often each observation was made: whole numbers.
    aweights : Tensor, optional
        How much each observation counts.
    """
    if input.dim() > 2:
        raise RuntimeError(
            f"cov: expected input to have two or fewer dimensions but got {input.dim()}"
        )
    if input.dtype == _C.bool:
        raise RuntimeError("cov: bool dtype is not supported for input")
    x = input if input.dim() == 2 else input.reshape(1, -1)
    n = x.shape[1]
    weights = None
    if fweights is not None:
        weights = _weights("fweights", fweights, n, "integral")
    if aweights is not None:
        given = _weights("aweights", aweights, n, "floating point")
        weights = given if weights is None else weights * given
    if weights is None:
        total: Any = n
        mean = x.sum(1, keepdim=True) / n if n else x.sum(1, keepdim=True) * math.nan
    else:
        total = weights.sum()
        if n and float(total) == 0:
            raise RuntimeError("cov: weights sum to zero, can't be normalized")
        mean = (x * weights).sum(1, keepdim=True) / total
    if weights is None or aweights is None or correction == 0:
        norm = total - correction
    else:
        norm = total - correction * (weights * aweights).sum() / total
    norm = norm.clamp(min=0) if isinstance(norm, Tensor) else max(norm, 0)
    centred = x - mean
    scaled = centred if weights is None else centred * weights
    result = centred @ scaled.to(centred.dtype).t() / norm
    return result if input.dim() == 2 else result.squeeze()


def corrcoef(input: Tensor) -> Tensor:
    """Estimate the matrix of correlation coefficients of the variables in the rows."""
    if input.dim() > 2:
        raise RuntimeError(
            f"corrcoef: expected input to have two or fewer dimensions but got {input.dim()}"
        )
    c = cov(input)
    if c.dim() == 0:
        return c / c
    deviation = c.diagonal().sqrt()
    return (c / deviation.unsqueeze(1) / deviation.unsqueeze(0)).clip(-1, 1)


# ---- Numerical gradients


def gradient(
    input: Tensor,
    *,
    spacing: Any = 1,
    dim: int | Sequence[int] | None = None,
    edge_order: int = 1,
) -> tuple[Tensor, ...]:
    """Estimate the derivatives along dims by central differences of second order.

    Parameters
    ----------
    input : Tensor
        Samples of a function on a grid.
    spacing : number or sequence, optional
        The distance of samples, or one for each dim, or the coordinates along each dim.
    dim : int or sequence of int, optional
        By default all.
    edge_order : int
        1 or 2: order of the one-sided differences at the edges.
    """
    if edge_order not in (1, 2):
        raise RuntimeError("gradient: only edge_order=1 and edge_order=2 are supported")
    if dim is None:
        listed = isinstance(spacing, (tuple, list))
        dims = list(range(len(spacing) if listed else input.dim()))
    else:
        dims = [dim] if isinstance(dim, int) else list(dim)
    for d in dims:
        if not -input.dim() <= d < input.dim():
            raise IndexError(
                f"gradient: Dimension out of range (expected to be in range of "
                f"[{-input.dim()}, {input.dim() - 1}], but got {d})"
            )
    dims = [d % input.dim() for d in dims]
    if len(set(dims)) < len(dims):
        raise RuntimeError("gradient: dim appears multiple times in the list of dims")
    steps = list(spacing) if isinstance(spacing, (tuple, list)) else [spacing] * len(dims)
    if len(steps) != len(dims):
        raise RuntimeError(
            f"gradient: expected spacing to be unspecified, a scalar or of one item for each dim, "
            f"but got {len(steps)} for {len(dims)} dims"
        )
    for d in dims:
        if input.shape[d] < edge_order + 1:
            raise RuntimeError("gradient: expected each dimension size to be at least edge_order+1")
    return tuple(_gradient_along(input, d, h, edge_order) for d, h in zip(dims, steps, strict=True))


def _gradient_along(x: Tensor, d: int, step: Any, edge_order: int) -> Tensor:
    n = x.shape[d]
    if isinstance(step, Tensor) and step.dim() > 0:
        if step.dim() != 1 or step.shape[0] != n:
            raise RuntimeError(
                f"gradient: expected {n} coordinates for dim {d}, got shape {tuple(step.shape)}"
            )
        h = step.diff()
    else:
        h = None
    at = [slice(None)] * x.dim()

    def part(begin: int, end: int | None) -> Tensor:
        return x[(*at[:d], slice(begin, end))]

    def item(i: int) -> Tensor:
        return part(i, i + 1 if i != -1 else None)

    if h is None:
        inner = (part(2, None) - part(0, -2)) / (2 * step)
        if edge_order == 1:
            first, last = (item(1) - item(0)) / step, (item(-1) - item(-2)) / step
        else:
            first = (-1.5 * item(0) + 2 * item(1) - 0.5 * item(2)) / step
            last = (0.5 * item(-3) - 2 * item(-2) + 1.5 * item(-1)) / step
        return _C.cat([first, inner, last], d)
    wide = [1] * x.dim()
    wide[d] = -1
    a, b = h[:-1].reshape(wide), h[1:].reshape(wide)
    inner = (
        part(0, -2) * (-b / (a * (a + b)))
        + part(1, -1) * ((b - a) / (a * b))
        + part(2, None) * (a / (b * (a + b)))
    )
    if edge_order == 1:
        first, last = (item(1) - item(0)) / h[0], (item(-1) - item(-2)) / h[-1]
    else:
        a, b = h[0], h[1]
        first = (
            item(0) * (-(2 * a + b) / (a * (a + b)))
            + item(1) * ((a + b) / (a * b))
            - item(2) * (a / (b * (a + b)))
        )
        a, b = h[-2], h[-1]
        last = (
            item(-3) * (b / (a * (a + b)))
            - item(-2) * ((a + b) / (a * b))
            + item(-1) * ((2 * b + a) / (b * (a + b)))
        )
    return _C.cat([first, inner, last], d)


# ---- Histograms


def _edges(name: str, x: Tensor, bins: Any, bounds: Sequence[float] | None) -> Tensor:
    """The edges of the bins of one coordinate."""
    if isinstance(bins, Tensor):
        if bins.dim() != 1 or bins.shape[0] == 0:
            raise RuntimeError(f"{name}: bins must be a vector of edges, got {tuple(bins.shape)}")
        if bins.dtype != x.dtype:
            raise RuntimeError(
                f"{name}: input tensor and bins tensors should have the same dtype, but got "
                f"{x.dtype} and {bins.dtype}"
            )
        return bins.detach().clone()
    if bins <= 0:
        raise RuntimeError(f"{name}: bins must be > 0, but got {bins}")
    if bounds is not None:
        low, high = float(bounds[0]), float(bounds[1])
    elif x.numel():
        low, high = float(x.min()), float(x.max())
    else:
        low, high = 0.0, 1.0
    if not (math.isfinite(low) and math.isfinite(high)):
        raise RuntimeError(f"{name}: range [{low}, {high}] is not finite")
    if low > high:
        raise RuntimeError(f"{name}: min should not exceed max, but got min {low} max {high}")
    if low == high:
        low, high = low - 0.5, high + 0.5
    return _C.linspace(low, high, bins + 1, dtype=x.dtype, device=x.device)


def _counts(
    name: str, points: Tensor, edges: list[Tensor], weight: Tensor | None, density: bool
) -> Tensor:
    """Points (n, d) in the bins between edges; the last bin of each takes its upper edge too."""
    sizes = [e.shape[0] - 1 for e in edges]
    # Of each dim a cell below the bins and one above, which are cut off.
    cells = [n + 2 for n in sizes]
    place = _C.zeros((), dtype=_C.int64, device=points.device)
    for d, e in enumerate(edges):
        x = points[:, d].contiguous()
        bin = _C.where(x == e[-1], sizes[d], _C.searchsorted(e, x, right=True))
        place = bin if d == 0 else place * cells[d] + bin
    amounts = _C.ones((), dtype=points.dtype, device=points.device) if weight is None else weight
    hist = _C.zeros(math.prod(cells), dtype=points.dtype, device=points.device)
    hist = hist.scatter_add(0, place, amounts.expand(place.shape)).reshape(cells)
    for d, n in enumerate(sizes):
        hist = hist.narrow(d, 1, n)
    hist = hist.contiguous()
    if not density:
        return hist
    hist = hist / hist.sum()
    for d, e in enumerate(edges):
        wide = [1] * len(sizes)
        wide[d] = -1
        hist = hist / e.diff().reshape(wide)
    return hist


def _check_input(name: str, x: Tensor, weight: Tensor | None, shape: Any) -> None:
    if x.dtype not in (_C.float32, _C.float64):
        raise NotImplementedError(f"{name}: not implemented for {x.dtype}")
    if weight is None:
        return
    if weight.shape != shape:
        raise RuntimeError(
            f"{name}: weight must have shape {tuple(shape)}, got {tuple(weight.shape)}"
        )
    if weight.dtype != x.dtype:
        raise RuntimeError(
            f"{name}: weight must have the input's dtype {x.dtype}, got {weight.dtype}"
        )


def histogram(
    input: Tensor,
    bins: int | Tensor,
    *,
    range: Sequence[float] | None = None,
    weight: Tensor | None = None,
    density: bool = False,
    out: Any = None,
) -> Any:
    """Count the items between edges: ``(hist, bin_edges)``.

    Parameters
    ----------
    input : Tensor
        float32 or float64, of any shape.
    bins : int or Tensor
        How many bins of equal width, or their edges in ascending order.
    range : (float, float), optional
        First and last edge; by default the smallest and largest item.
    weight : Tensor, optional
        What each item counts, of the input's shape; by default 1.
    density : bool
        Whether to scale so that the integral over the bins is 1.
    """
    name = "histogram"
    _check_input(name, input, weight, input.shape)
    if isinstance(bins, Tensor) and range is not None:
        raise TypeError(f"{name}: edges and a range exclude each other")
    x = input.detach().reshape(-1)
    edges = _edges(name, x, bins, range)
    flat = None if weight is None else weight.detach().reshape(-1)
    hist = _counts(name, x.unsqueeze(1), [edges], flat, density)
    return deliver(_Histogram(hist, edges), out)


def histogramdd(
    input: Tensor,
    bins: int | Sequence[int] | Sequence[Tensor],
    *,
    range: Sequence[float] | None = None,
    weight: Tensor | None = None,
    density: bool = False,
) -> Any:
    """Count points in boxes between edges: ``(hist, bin_edges)``; see `histogram`.

    Parameters
    ----------
    input : Tensor
        (…, d): points of d coordinates.
    bins : int, or sequence of int or of Tensor
        For each coordinate.
    range : sequence of float, optional
        First and last edge of each coordinate, 2 d numbers.
    """
    name = "histogramdd"
    if input.dim() < 2:
        raise RuntimeError(f"{name}: input tensor should have at least 2 dimensions, but got "
                           f"{input.dim()}")  # fmt: skip
    _check_input(name, input, weight, input.shape[:-1])
    d = input.shape[-1]
    each = [bins] * d if isinstance(bins, int) else list(bins)
    if len(each) != d:
        raise RuntimeError(
            f"{name}: The size of bins must be equal to the innermost dimension of the input."
        )
    if range is not None and len(range) != 2 * d:
        raise RuntimeError(f"{name}: expected {2 * d} numbers as range, got {len(range)}")
    points = input.detach().reshape(-1, d)
    edges = [
        _edges(name, points[:, i], b, None if range is None else range[2 * i : 2 * i + 2])
        for i, b in zip(itertools.count(), each, strict=False)
    ]
    flat = None if weight is None else weight.detach().reshape(-1)
    return _HistogramDD(_counts(name, points, edges, flat, density), tuple(edges))


# ---- Small ones


def positive(input: Tensor) -> Tensor:
    """The tensor itself; RuntimeError for bool."""
    if input.dtype == _C.bool:
        raise RuntimeError("positive: the `+` operator is not supported on a bool tensor")
    return input


def fill(input: Tensor, value: Any) -> Tensor:
    """A number in a tensor of input's shape and dtype."""
    out = input.clone() if input.requires_grad else _C.empty_like(input)
    return out.fill_(value)


def is_nonzero(input: Tensor) -> bool:
    """Whether the one item is not 0."""
    if input.numel() != 1:
        raise RuntimeError(f"is_nonzero: expected one item, got {input.numel()}")
    return bool(input)


def apply_(self: Tensor, callable: Any) -> Tensor:
    """Replace each item by what a Python function makes of it, one after another: slow."""
    if self.requires_grad:
        raise TypeError("apply_: cannot be called on a tensor that requires grad")
    items = [callable(v) for v in self.reshape(-1).tolist()]
    return self.copy_(_C.tensor(items, dtype=self.dtype).reshape(self.shape))


def map_(self: Tensor, tensor: Tensor, callable: Any) -> Tensor:
    """Replace each item by what a Python function makes of it and of one of `tensor`'s: slow."""
    if self.requires_grad:
        raise TypeError("map_: cannot be called on a tensor that requires grad")
    other = tensor.expand(self.shape).reshape(-1).tolist()
    items = [callable(a, b) for a, b in zip(self.reshape(-1).tolist(), other, strict=True)]
    return self.copy_(_C.tensor(items, dtype=self.dtype).reshape(self.shape))


def logspace(
    start: float,
    end: float,
    steps: int,
    base: float = 10.0,
    *,
    out: Tensor | None = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """`steps` powers of base whose exponents are evenly spaced from start to end."""
    if steps < 0:
        raise RuntimeError(f"logspace: number of steps must be non-negative, got {steps}")
    kind = dtype or (_C.get_default_dtype() if out is None else out.dtype)
    exponents = _C.linspace(start, end, steps, dtype=_C.float64, layout=layout, device=device)
    result = _C.pow(float(base), exponents).to(kind)
    return deliver(result, out) if out is not None else result.requires_grad_(requires_grad)
