"""Parametrizations to use: orthogonal matrices, weight and spectral normalisation."""

from __future__ import annotations

from typing import Any

import numpy as np

from ... import _C, finfo, linalg
from ...autograd import no_grad
from .. import functional as F
from ..modules.module import Module
from .parametrize import register_parametrization
from .spectral_norm import as_matrix, default_dim
from .weight_norm import norm_except_dim, normalised

Tensor = _C.Tensor

__all__ = ["orthogonal", "spectral_norm", "weight_norm"]


def _tensor_of(function: str, module: Module, name: str) -> Tensor:
    weight = getattr(module, name, None)
    if not isinstance(weight, Tensor):
        raise ValueError(f"{function}: {module} has no parameter or buffer {name!r}")
    return weight


# ---- Orthogonal matrices


def _reflectors(a: Tensor) -> tuple[Tensor, Tensor]:
    """QR's Householder vectors, below the diagonal of what they leave, and their factors."""
    packed, factors = np.linalg.qr(a.detach().numpy(), mode="raw")
    packed = np.ascontiguousarray(np.swapaxes(packed, -1, -2))
    return _C.from_numpy(packed).to(a.dtype), _C.from_numpy(factors).to(a.dtype)


def _product_of_reflections(a: Tensor, factors: Tensor) -> Tensor:
    """The first columns of the product of ``I - factor v v^T``; v are the columns of `a`, 1 on the
    diagonal and 0 above it."""
    n, k = a.shape[-2:]
    identity = _C.eye(n, k, dtype=a.dtype, device=a.device)
    vectors = a.tril(-1) + identity
    q = identity.expand(a.shape)
    for i in reversed(range(k)):
        v = vectors[..., i : i + 1]
        q = q - factors[..., i, None, None] * v @ (v.mT @ q)
    return q


def _orthonormal(a: Tensor) -> Tensor:
    """Q of a = Q R with a positive diagonal of R."""
    q, r = linalg.qr(a)
    return q * r.diagonal(dim1=-2, dim2=-1).sign().unsqueeze(-2)


def _is_orthonormal(q: Tensor) -> bool:
    n, k = q.shape[-2:]
    identity = _C.eye(k, dtype=q.dtype, device=q.device)
    return bool(_C.allclose(q.mT @ q, identity.expand(*q.shape[:-2], k, k),
                            atol=10.0 * n * finfo(q.dtype).eps))  # fmt: skip


class _Orthogonal(Module):
    def __init__(self, shape: Any, orthogonal_map: str, *, use_trivialization: bool) -> None:
        super().__init__()
        self.shape = shape
        self.orthogonal_map = orthogonal_map
        if use_trivialization:
            self.register_buffer("base", None)

    def forward(self, x: Tensor) -> Tensor:
        wide = x.size(-2) < x.size(-1)
        if wide:
            x = x.mT
        n, k = x.shape[-2:]
        if self.orthogonal_map == "householder":
            a = x.tril(-1)
            q = _product_of_reflections(a, 2.0 / (1.0 + (a * a).sum(-2)))
            q = q * x.diagonal(dim1=-2, dim2=-1).to(_C.int32).unsqueeze(-2)
        else:
            x = x.tril()
            if n != k:
                x = _C.cat([x, x.new_zeros(*x.shape[:-2], n, n - k)], -1)
            skew = x - x.mT
            if self.orthogonal_map == "matrix_exp":
                q = linalg.matrix_exp(skew)
            else:
                identity = _C.eye(n, dtype=x.dtype, device=x.device)
                q = linalg.solve(identity - skew * 0.5, identity + skew * 0.5)
            q = q[..., :k]
        if hasattr(self, "base"):
            q = self.base @ q
        return q.mT if wide else q

    @no_grad()
    def right_inverse(self, q: Tensor) -> Tensor:
        if q.shape != self.shape:
            raise ValueError(
                f"orthogonal: expected shape {tuple(self.shape)}, got {tuple(q.shape)}"
            )
        wide, given = q.size(-2) < q.size(-1), q
        if wide:
            q = q.mT
        n, k = q.shape[-2:]
        if not hasattr(self, "base"):
            if self.orthogonal_map != "householder":
                raise NotImplementedError(
                    f"orthogonal: without use_trivialization the map {self.orthogonal_map} cannot "
                    "be assigned to"
                )
            a, factors = _reflectors(q)
            signs = a.diagonal(dim1=-2, dim2=-1).sign()
            signs = _C.where(factors == 0, -signs, signs)
            a.diagonal(dim1=-2, dim2=-1).copy_(signs)
            return a.mT if wide else a
        if n != k:
            more = _C.randn((*q.shape[:-2], n, n - k), dtype=q.dtype, device=q.device)
            q = _orthonormal(_C.cat([q, more], -1))
        elif _is_orthonormal(q):
            q = q.clone()
        else:
            q = _orthonormal(q)
        self.base = q
        return (
            -_C.eye(*given.shape[-2:], dtype=q.dtype, device=q.device).expand(given.shape).clone()
        )


def orthogonal(
    module: Module,
    name: str = "weight",
    orthogonal_map: str | None = None,
    *,
    use_trivialization: bool = True,
) -> Module:
    """Make a matrix, or a batch of them, orthogonal, or its rows or columns orthonormal.

    Parameters
    ----------
    module : Module
        Changed in place; see `parametrize.register_parametrization`.
    name : str
        Of the parameter.
    orthogonal_map : {"matrix_exp", "cayley", "householder"}, optional
        How: ``exp(A)`` or ``(I - A / 2)^-1 (I + A / 2)`` of a skew-symmetric A, or a product of
        reflections. By default matrix_exp for square matrices, else householder.
    use_trivialization : bool
        Whether the result is multiplied by a fixed orthogonal matrix, so that the map starts from
        the identity (Lezcano-Casado, 2019); needed to assign to the parameter with the first two.
    """
    weight = _tensor_of("orthogonal", module, name)
    if weight.dim() < 2:
        raise ValueError(f"orthogonal: expected a matrix or a batch, got {weight.dim()} dims")
    if orthogonal_map is None:
        orthogonal_map = "matrix_exp" if weight.size(-2) == weight.size(-1) else "householder"
    if orthogonal_map not in ("matrix_exp", "cayley", "householder"):
        raise ValueError(
            "orthogonal: orthogonal_map must be one of 'matrix_exp', 'cayley', 'householder', got "
            f"{orthogonal_map!r}"
        )
    function = _Orthogonal(weight.shape, orthogonal_map, use_trivialization=use_trivialization)
    return register_parametrization(module, name, function, unsafe=True)


# ---- Normalisation


class _WeightNorm(Module):
    def __init__(self, dim: int | None = 0) -> None:
        super().__init__()
        self.dim = -1 if dim is None else dim

    def forward(self, weight_g: Tensor, weight_v: Tensor) -> Tensor:
        return normalised(weight_v, weight_g, self.dim)

    def right_inverse(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        return norm_except_dim(weight, self.dim), weight


def weight_norm(module: Module, name: str = "weight", dim: int | None = 0) -> Module:
    """Replace a parameter by its length and its direction (Salimans and Kingma, 2016).

    Parameters
    ----------
    module : Module
        Changed in place; ``parametrizations.<name>.original0`` are the norms, ``original1`` the
        directions. Loads the states of `nn.utils.weight_norm` too.
    name : str
        Of the parameter.
    dim : int or None
        Dimension along which there are several norms; None for one norm of the whole.
    """
    _tensor_of("weight_norm", module, name)
    register_parametrization(module, name, _WeightNorm(dim), unsafe=True)

    def rename(state_dict: dict, prefix: str, *_: Any) -> None:
        old = [f"{prefix}{name}_g", f"{prefix}{name}_v"]
        if all(key in state_dict for key in old):
            for i, key in enumerate(old):
                new = f"{prefix}parametrizations.{name}.original{i}"
                state_dict[new] = state_dict.pop(key)

    module._register_load_state_dict_pre_hook(rename)
    return module


class _SpectralNorm(Module):
    def __init__(
        self, weight: Tensor, n_power_iterations: int = 1, dim: int = 0, eps: float = 1e-12
    ) -> None:
        super().__init__()
        dims = weight.dim()
        if not -dims <= dim < dims:
            raise IndexError(f"spectral_norm: dim must be in [{-dims}, {dims - 1}], got {dim}")
        if n_power_iterations <= 0:
            raise ValueError(
                f"spectral_norm: n_power_iterations must be positive, got {n_power_iterations}"
            )
        self.dim = dim % dims
        self.eps = eps
        if dims > 1:
            self.n_power_iterations = n_power_iterations
            matrix = as_matrix(weight.detach(), self.dim)
            rows, columns = matrix.shape
            u, v = matrix.new_empty(rows).normal_(), matrix.new_empty(columns).normal_()
            self.register_buffer("_u", F.normalize(u, dim=0, eps=eps))
            self.register_buffer("_v", F.normalize(v, dim=0, eps=eps))
            self._power_method(matrix, 15)

    @no_grad()
    def _power_method(self, matrix: Tensor, steps: int) -> None:
        for _ in range(steps):
            self._u.copy_(F.normalize(matrix.mv(self._v), dim=0, eps=self.eps))
            self._v.copy_(F.normalize(matrix.t().mv(self._u), dim=0, eps=self.eps))

    def forward(self, weight: Tensor) -> Tensor:
        if weight.dim() == 1:
            return F.normalize(weight, dim=0, eps=self.eps)
        matrix = as_matrix(weight, self.dim)
        if self.training:
            self._power_method(matrix, self.n_power_iterations)
        # The buffers change again at the next call, maybe before this one's backward.
        u, v = self._u.clone(), self._v.clone()
        return weight / u.dot(matrix.mv(v))

    def right_inverse(self, value: Tensor) -> Tensor:
        return value


def spectral_norm(
    module: Module,
    name: str = "weight",
    n_power_iterations: int = 1,
    eps: float = 1e-12,
    dim: int | None = None,
) -> Module:
    """Divide a parameter by its largest singular value (Miyato et al., 2018).

    Parameters
    ----------
    module : Module
        Changed in place; see `parametrize.register_parametrization`.
    name : str
        Of the parameter. One with a single dimension is divided by its norm.
    n_power_iterations : int
        Steps of the power method whenever the parameter is read while training.
    eps : float
        Least norm that the method divides by.
    dim : int, optional
        Dimension of the outputs: 1 for transposed convolutions, else 0.
    """
    weight = _tensor_of("spectral_norm", module, name)
    if dim is None:
        dim = default_dim(module)
    function = _SpectralNorm(weight, n_power_iterations, dim, eps)
    return register_parametrization(module, name, function)
