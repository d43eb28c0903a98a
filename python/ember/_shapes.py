"""Functions of several tensors that shape functions make up."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from . import _C
from ._C import Size, Tensor


def _listed(name: str, tensors: tuple) -> list[Tensor]:
    """The tensors given as arguments."""
    for t in tensors:
        if not isinstance(t, Tensor):
            raise TypeError(f"{name}: expected tensors, got {type(t).__name__}")
    return list(tensors)


def broadcast_shapes(*shapes: int | Sequence[int]) -> Size:
    """Return the shape that all shapes broadcast to; RuntimeError where there is none."""
    result: list[int] = []
    for shape in shapes:
        sizes = [shape] if isinstance(shape, int) else list(shape)
        if any(n < 0 for n in sizes):
            raise ValueError(f"broadcast_shapes: sizes must not be negative, got {sizes}")
        result = [1] * (len(sizes) - len(result)) + result
        for i, n in enumerate(sizes, len(result) - len(sizes)):
            if n != 1 and result[i] not in (1, n):
                raise RuntimeError(f"broadcast_shapes: {shapes} do not broadcast to one shape")
            result[i] = n if result[i] == 1 else result[i]
    return Size(result)


def meshgrid(*tensors: Tensor, indexing: str | None = None) -> tuple[Tensor, ...]:
    """Return the coordinates of a grid, one tensor for each of the vectors.

    Parameters
    ----------
    *tensors
        Vectors (numbers count as vectors of one) of one dtype.
    indexing
        ``"ij"`` (the default): dim i of the grids goes along vector i; ``"xy"``: the first two dims
        change places.
    """
    if len(tensors) == 1 and isinstance(tensors[0], (list, tuple)):
        tensors = tuple(tensors[0])
    vectors = _listed("meshgrid", tensors)
    if not vectors:
        raise RuntimeError("meshgrid: expected at least one tensor")
    if indexing not in (None, "ij", "xy"):
        raise RuntimeError(f"meshgrid: indexing must be 'ij' or 'xy', got {indexing!r}")
    for v in vectors:
        if v.dim() > 1:
            raise RuntimeError(f"meshgrid: expected vectors or numbers, got shape {tuple(v.shape)}")
        if v.dtype != vectors[0].dtype:
            raise RuntimeError(
                f"meshgrid: expected tensors of one dtype, got {vectors[0].dtype} and {v.dtype}"
            )
    swap = indexing == "xy" and len(vectors) > 1
    if swap:
        vectors[:2] = vectors[1::-1]
    sizes = [v.numel() for v in vectors]
    grids = []
    for i, v in enumerate(vectors):
        column = [1] * len(sizes)
        column[i] = sizes[i]
        grids.append(v.reshape(column).expand(sizes))
    if swap:
        grids[:2] = grids[1::-1]
    return tuple(grids)


def cartesian_prod(*tensors: Tensor) -> Tensor:
    """Return all combinations of items of the vectors, one a row; one vector as it is."""
    vectors = _listed("cartesian_prod", tensors)
    for v in vectors:
        if v.dim() != 1:
            raise RuntimeError(f"cartesian_prod: expected vectors, got shape {tuple(v.shape)}")
    if len(vectors) == 1:
        return vectors[0]
    return _C.stack([g.flatten() for g in meshgrid(*vectors)], 1)


def combinations(input: Tensor, r: int = 2, with_replacement: bool = False) -> Tensor:
    """Return all r-combinations of the items of a vector, one a row, in the vector's order."""
    if input.dim() != 1:
        raise RuntimeError(f"combinations: expected a vector, got shape {tuple(input.shape)}")
    if r < 0:
        raise RuntimeError(f"combinations: r must not be negative, got {r}")
    if r == 0:
        return _C.empty(0, dtype=input.dtype, device=input.device)
    choose = itertools.combinations_with_replacement if with_replacement else itertools.combinations
    chosen = list(choose(range(input.numel()), r))
    places = _C.tensor(chosen, dtype=_C.int64, device=input.device).reshape(len(chosen), r)
    return input[places]


def block_diag(*tensors: Tensor) -> Tensor:
    """Return the matrix with these matrices on its diagonal; vectors count as rows."""
    blocks = _listed("block_diag", tensors)
    for b in blocks:
        if b.dim() > 2:
            raise RuntimeError(f"block_diag: expected at most 2 dims, got shape {tuple(b.shape)}")
    if not blocks:
        return _C.empty(1, 0)
    blocks = [_C._atleast_2d(b) for b in blocks]
    width = sum(b.shape[1] for b in blocks)
    rows, left = [], 0
    for b in blocks:
        rows.append(_C.pad(b, (left, width - left - b.shape[1])))
        left += b.shape[1]
    return _C.cat(rows)


def _each(name: str, one, tensors: tuple) -> Tensor | tuple[Tensor, ...]:
    if len(tensors) == 1 and isinstance(tensors[0], Tensor):
        return one(tensors[0])
    if len(tensors) == 1 and isinstance(tensors[0], (list, tuple)):
        tensors = tuple(tensors[0])
    return tuple(one(t) for t in _listed(name, tensors))


def atleast_1d(*tensors: Tensor) -> Tensor | tuple[Tensor, ...]:
    """Return tensors with numbers as vectors of one item."""
    return _each("atleast_1d", _C._atleast_1d, tensors)


def atleast_2d(*tensors: Tensor) -> Tensor | tuple[Tensor, ...]:
    """Return tensors with at least two dims: vectors become rows."""
    return _each("atleast_2d", _C._atleast_2d, tensors)


def atleast_3d(*tensors: Tensor) -> Tensor | tuple[Tensor, ...]:
    """Return tensors with at least three dims: (n,) becomes (1, n, 1), (m, n) (m, n, 1)."""
    return _each("atleast_3d", _C._atleast_3d, tensors)


def unravel_index(indices: Tensor, shape: int | Sequence[int]) -> tuple[Tensor, ...]:
    """Return the coordinates in `shape`, one tensor a dim, of indices into its flattened items."""
    if indices.dtype.is_floating_point or indices.dtype == _C.bool:
        raise TypeError(f"unravel_index: expected indices of integers, got {indices.dtype}")
    sizes = [shape] if isinstance(shape, int) else list(shape)
    if any(n < 0 for n in sizes):
        raise ValueError(f"unravel_index: sizes must not be negative, got {sizes}")
    coordinates, indices = [], indices.long()
    for n in reversed(sizes):
        coordinates.append(indices.remainder(n))
        indices = indices.floor_divide(n)
    return tuple(reversed(coordinates))


def vander(x: Tensor, N: int | None = None, increasing: bool = False) -> Tensor:
    """Return the Vandermonde matrix of a vector: its powers from N - 1 down to 0 as columns."""
    if x.dim() != 1:
        raise RuntimeError(f"vander: expected a vector, got shape {tuple(x.shape)}")
    n = x.numel() if N is None else N
    if n < 0:
        raise RuntimeError(f"vander: N must not be negative, got {n}")
    if not x.dtype.is_floating_point and not x.is_complex():
        x = x.long()
    if n == 0:
        return _C.empty(x.numel(), 0, dtype=x.dtype, device=x.device)
    ones = _C.ones_like(x).unsqueeze(1)
    powers = x.unsqueeze(1).expand(x.numel(), max(n - 1, 0)).cumprod(1)
    columns = _C.cat([ones, powers], 1)[:, :n]
    return columns if increasing else columns.flip(1)
