"""Transforms of vectors and matrices, and of the parts of a tensor."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import ember
from ember import Tensor

from . import constraints
from ._transform import Transform
from .utils import softplus, sum_rightmost, tril_matrix_to_vec, vec_to_tril_matrix


class SoftmaxTransform(Transform):
    """Softmax over the last dim, whose inverse gives the logarithms."""

    domain = constraints.real_vector
    codomain = constraints.simplex

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SoftmaxTransform)

    __hash__ = Transform.__hash__

    def _call(self, x: Tensor) -> Tensor:
        return x.softmax(-1)

    def _inverse(self, y: Tensor) -> Tensor:
        return y.log()

    def forward_shape(self, shape: Any) -> Any:
        if len(shape) < 1:
            raise ValueError("Too few dimensions on input")
        return shape

    inverse_shape = forward_shape


class StickBreakingTransform(Transform):
    """From K numbers to a point of the simplex of K + 1: each takes a share of what is left."""

    domain = constraints.real_vector
    codomain = constraints.simplex
    bijective = True

    def __eq__(self, other: object) -> bool:
        return isinstance(other, StickBreakingTransform)

    __hash__ = Transform.__hash__

    @staticmethod
    def _centre(x: Tensor) -> Tensor:
        """The log-odds that divide the stick evenly for x = 0."""
        n = x.shape[-1]
        return ember.arange(n, 0, -1, dtype=x.dtype, device=x.device).log()

    def _call(self, x: Tensor) -> Tensor:
        share = (x - self._centre(x)).sigmoid()
        left = (1 - share).cumprod(-1)
        return ember.cat([share, ember.ones_like(share[..., :1])], -1) * ember.cat(
            [ember.ones_like(left[..., :1]), left], -1
        )

    def _inverse(self, y: Tensor) -> Tensor:
        head = y[..., :-1]
        left = (1 - head.cumsum(-1)).clamp(min=ember.finfo(y.dtype).tiny)
        return head.log() - left.log() + self._centre(head)

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        # dy_k/dx_k = left_k share_k (1 - share_k), and y_k = left_k share_k.
        centred = x - self._centre(x)
        return (-softplus(centred) + y[..., :-1].log()).sum(-1)

    def forward_shape(self, shape: Any) -> Any:
        if len(shape) < 1:
            raise ValueError("Too few dimensions on input")
        return ember.Size([*shape[:-1], shape[-1] + 1])

    def inverse_shape(self, shape: Any) -> Any:
        if len(shape) < 1:
            raise ValueError("Too few dimensions on input")
        return ember.Size([*shape[:-1], shape[-1] - 1])


class CorrCholeskyTransform(Transform):
    """From D (D - 1) / 2 numbers to the Cholesky factor of a correlation matrix of D rows.

    The numbers fill the lower triangle row by row; in each row, whose length is 1, the hyperbolic
    tangent of one says what share of the length left is its element's.
    """

    domain = constraints.real_vector
    codomain = constraints.corr_cholesky
    bijective = True

    @staticmethod
    def _before(left: Tensor) -> Tensor:
        """What is left before each element, from what is left behind it."""
        return ember.cat([ember.ones_like(left[..., :1]), left[..., :-1]], -1)

    def _call(self, x: Tensor) -> Tensor:
        eps = ember.finfo(x.dtype).eps
        share = vec_to_tril_matrix(x.tanh().clamp(min=-1 + eps, max=1 - eps), diag=-1)
        left = (1 - share.square()).sqrt().cumprod(-1)
        eye = ember.eye(share.shape[-1], dtype=x.dtype, device=x.device)
        return (share + eye) * self._before(left)

    def _inverse(self, y: Tensor) -> Tensor:
        left = self._before(1 - y.square().cumsum(-1))
        share = tril_matrix_to_vec(y, -1) / tril_matrix_to_vec(left, -1).sqrt()
        return (share.log1p() - (-share).log1p()) / 2

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        # Of the elements below the diagonal: the length left before each, but for those at 1, and
        # the derivative of tanh, whose logarithm is 2 (log 2 - x - softplus(-2 x)).
        left = tril_matrix_to_vec(1 - y.square().cumsum(-1), -2)
        slope = 2 * (math.log(2) - x - softplus(-2 * x))
        return 0.5 * left.log().sum(-1) + slope.sum(-1)

    def forward_shape(self, shape: Any) -> Any:
        if len(shape) < 1:
            raise ValueError("Too few dimensions on input")
        n = round((0.25 + 2 * shape[-1]) ** 0.5 + 0.5)
        if n * (n - 1) // 2 != shape[-1]:
            raise ValueError("Input is not a flattened lower-diagonal number")
        return ember.Size([*shape[:-1], n, n])

    def inverse_shape(self, shape: Any) -> Any:
        if len(shape) < 2:
            raise ValueError("Too few dimensions on input")
        if shape[-2] != shape[-1]:
            raise ValueError("Input is not square")
        return ember.Size([*shape[:-2], shape[-1] * (shape[-1] - 1) // 2])


class LowerCholeskyTransform(Transform):
    """From any matrices to lower triangular ones with a positive diagonal."""

    domain = constraints.independent(constraints.real, 2)
    codomain = constraints.lower_cholesky

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LowerCholeskyTransform)

    __hash__ = Transform.__hash__

    def _call(self, x: Tensor) -> Tensor:
        return x.tril(-1) + ember.diag_embed(x.diagonal(0, -2, -1).exp())

    def _inverse(self, y: Tensor) -> Tensor:
        return y.tril(-1) + ember.diag_embed(y.diagonal(0, -2, -1).log())


class PositiveDefiniteTransform(Transform):
    """From any matrices to positive definite ones, by way of a Cholesky factor."""

    domain = constraints.independent(constraints.real, 2)
    codomain = constraints.positive_definite

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PositiveDefiniteTransform)

    __hash__ = Transform.__hash__

    def _call(self, x: Tensor) -> Tensor:
        factor = LowerCholeskyTransform()(x)
        return factor @ factor.mT

    def _inverse(self, y: Tensor) -> Tensor:
        return LowerCholeskyTransform().inv(ember.linalg.cholesky(y))


class _PartsTransform(Transform):
    """Transforms for the parts of a tensor along ``dim``."""

    def __init__(self, tseq: Sequence[Transform], dim: int, cache_size: int) -> None:
        if not all(isinstance(part, Transform) for part in tseq):
            raise AssertionError(f"{type(self).__name__}: expected transforms, got {tseq}")
        if cache_size:
            tseq = [part.with_cache(cache_size) for part in tseq]
        super().__init__(cache_size=cache_size)
        self.transforms = list(tseq)
        self.dim = dim

    @property
    def bijective(self) -> bool:
        return all(part.bijective for part in self.transforms)

    def _check(self, *values: Tensor) -> None:
        for value in values:
            if not -value.dim() <= self.dim < value.dim():
                raise AssertionError(f"{type(self).__name__}: dim {self.dim} of {value.dim()} dims")


class CatTransform(_PartsTransform):
    """Transforms for consecutive parts of a tensor along ``dim``, ``lengths`` of it each."""

    def __init__(
        self,
        tseq: Sequence[Transform],
        dim: int = 0,
        lengths: Sequence[int] | None = None,
        cache_size: int = 0,
    ) -> None:
        super().__init__(tseq, dim, cache_size)
        self.lengths = [1] * len(self.transforms) if lengths is None else list(lengths)
        if len(self.lengths) != len(self.transforms):
            raise AssertionError(
                f"CatTransform: {len(self.transforms)} parts, {len(self.lengths)} lengths"
            )

    @property
    def length(self) -> int:
        return sum(self.lengths)

    def with_cache(self, cache_size: int = 1) -> Transform:
        if self._cache_size == cache_size:
            return self
        return CatTransform(self.transforms, self.dim, self.lengths, cache_size)

    def _split(self, value: Tensor) -> list[Tensor]:
        self._check(value)
        if value.size(self.dim) != self.length:
            raise AssertionError(
                f"CatTransform: expected size {self.length} along dim {self.dim}, got "
                f"{value.size(self.dim)}"
            )
        return list(value.split(self.lengths, self.dim))

    def _call(self, x: Tensor) -> Tensor:
        parts = zip(self.transforms, self._split(x), strict=True)
        return ember.cat([part(v) for part, v in parts], self.dim)

    def _inverse(self, y: Tensor) -> Tensor:
        parts = zip(self.transforms, self._split(y), strict=True)
        return ember.cat([part.inv(v) for part, v in parts], self.dim)

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        event_dim = max(part.event_dim for part in self.transforms)
        terms = []
        for part, before, after in zip(
            self.transforms, self._split(x), self._split(y), strict=True
        ):
            term = part.log_abs_det_jacobian(before, after)
            terms.append(sum_rightmost(term, event_dim - part.event_dim))
        dim = (self.dim - x.dim() if self.dim >= 0 else self.dim) + event_dim
        return ember.cat(terms, dim) if dim < 0 else sum(terms)

    @property
    def domain(self) -> Any:
        return constraints.cat([part.domain for part in self.transforms], self.dim, self.lengths)

    @property
    def codomain(self) -> Any:
        return constraints.cat([part.codomain for part in self.transforms], self.dim, self.lengths)


class StackTransform(_PartsTransform):
    """One transform for each slice of a tensor along ``dim``."""

    def __init__(self, tseq: Sequence[Transform], dim: int = 0, cache_size: int = 0) -> None:
        super().__init__(tseq, dim, cache_size)

    def with_cache(self, cache_size: int = 1) -> Transform:
        if self._cache_size == cache_size:
            return self
        return StackTransform(self.transforms, self.dim, cache_size)

    def _slices(self, value: Tensor) -> list[Tensor]:
        self._check(value)
        if value.size(self.dim) != len(self.transforms):
            raise AssertionError(
                f"StackTransform: expected size {len(self.transforms)} along dim {self.dim}, got "
                f"{value.size(self.dim)}"
            )
        return list(value.unbind(self.dim))

    def _call(self, x: Tensor) -> Tensor:
        parts = zip(self.transforms, self._slices(x), strict=True)
        return ember.stack([part(v) for part, v in parts], self.dim)

    def _inverse(self, y: Tensor) -> Tensor:
        parts = zip(self.transforms, self._slices(y), strict=True)
        return ember.stack([part.inv(v) for part, v in parts], self.dim)

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        parts = zip(self.transforms, self._slices(x), self._slices(y), strict=True)
        return ember.stack([part.log_abs_det_jacobian(a, b) for part, a, b in parts], self.dim)

    @property
    def domain(self) -> Any:
        return constraints.stack([part.domain for part in self.transforms], self.dim)

    @property
    def codomain(self) -> Any:
        return constraints.stack([part.codomain for part in self.transforms], self.dim)
