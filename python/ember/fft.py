"""Discrete Fourier transforms under PyTorch's names in ``torch.fft``.

``norm`` says where the factor of ``1 / n`` goes: ``"backward"`` (the default) into the inverse
transforms, ``"forward"`` into the others, and its root into both with ``"ortho"``. ``n`` and ``s``
cut the input or extend it by zeros. Integers transform in the default dtype; float32 and complex64
stay in single precision.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from . import _C

Tensor = _C.Tensor

__all__ = [
    "fft", "fft2", "fftfreq", "fftn", "fftshift", "hfft", "hfft2", "hfftn", "ifft", "ifft2",
    "ifftn", "ifftshift", "ihfft", "ihfft2", "ihfftn", "irfft", "irfft2", "irfftn", "rfft",
    "rfft2", "rfftfreq", "rfftn",
]  # fmt: skip

# What the conjugate's inverse takes in place of a factor.
_SWAPPED = {"backward": "forward", "forward": "backward", "ortho": "ortho"}


def _factor(norm: str, inverse: bool, sizes: list[int]) -> float:
    """What a transform of so many elements is multiplied by."""
    if norm != "ortho" and (norm == "backward") != inverse:
        return 1.0
    n = max(math.prod(sizes), 1)
    return n**-0.5 if norm == "ortho" else 1.0 / n


def _on_cpu(transform: Callable, x: Tensor, *args: Any) -> Tensor:
    """The transform by the CPU's kernel, of a tensor of any device and there again."""
    if not x.is_cuda:
        return transform(x, *args)
    return transform(x.cpu(), *args).to(x.device)


def _complex_to_complex(x: Tensor, dims: tuple[int, ...], norm: str, inverse: bool) -> Tensor:
    """The transform of a complex tensor over `dims`."""
    factor = _factor(norm, inverse, [x.shape[d] for d in dims])
    return _on_cpu(_C._fft_complex, x, dims, factor, inverse)


def _real_to_complex(x: Tensor, dim: int, norm: str) -> Tensor:
    """The first half of the transform of a real tensor over one dim."""
    return _on_cpu(_C._fft_to_half, x, dim, _factor(norm, False, [x.shape[dim]]))


def _complex_to_real(x: Tensor, dim: int, norm: str, n: int) -> Tensor:
    """The inverse of the above, with a result of `n` elements along `dim`."""
    return _on_cpu(_C._fft_to_real, x, dim, n, _factor(norm, True, [n]))


_REAL, _COMPLEX = (_C.float32, _C.float64), (_C.complex64, _C.complex128)


def _complex_of(dtype: _C.dtype) -> _C.dtype:
    return _C.complex128 if dtype in (_C.float64, _C.complex128) else _C.complex64


def _resized(x: Tensor, dim: int, n: int) -> Tensor:
    size = x.shape[dim]
    if n < size:
        return x.narrow(dim, 0, n)
    if n > size:
        after = [0] * (2 * x.dim())
        after[2 * (x.dim() - 1 - dim % x.dim()) + 1] = n - size
        return _C.pad(x, after)
    return x


def _prepared(name: str, x: Any, real: bool = False) -> Tensor:
    """The input in a floating dtype; complex unless `real`."""
    if not isinstance(x, Tensor):
        raise TypeError(f"fft.{name}: argument 'input' must be Tensor, not {type(x).__name__}")
    if x.dtype in (_REAL if real else _COMPLEX):
        return x
    if real and x.is_complex():
        raise RuntimeError(f"fft.{name}: expects a real input tensor, but got {x.dtype}")
    if x.dtype in (_C.float16, _C.bfloat16):
        raise RuntimeError(f"fft.{name}: unsupported dtype {x.dtype}")
    if not x.is_floating_point() and not x.is_complex():
        x = x.to(_C.get_default_dtype())
    return x if real else x.to(_complex_of(x.dtype))


def _norm(name: str, norm: str | None) -> str:
    if norm is None:
        return "backward"
    if norm not in _SWAPPED:
        raise RuntimeError(f'fft.{name}: invalid normalization mode: "{norm}"')
    return norm


def _dim(name: str, x: Tensor, dim: int) -> int:
    rank = x.dim()
    if not -rank <= dim < rank:
        raise IndexError(
            f"fft.{name}: Dimension out of range (expected to be in range of "
            f"[{-x.dim()}, {x.dim() - 1}], but got {dim})"
            if x.dim()
            else f"fft.{name}: Dimension specified as {dim} but tensor has no dimensions"
        )
    return dim % rank


def _count(name: str, n: int) -> int:
    if n < 1:
        raise RuntimeError(f"fft.{name}: invalid number of data points ({n}) specified")
    return n


def _shape(
    name: str, x: Tensor, s: Any, dim: Any, last: bool = False
) -> tuple[list[int], list[int]]:
    """The dims to transform and their sizes; -1 in `s` keeps a size (`last`: is left out here)."""
    if isinstance(s, int):
        s = (s,)
    if isinstance(dim, int):
        dim = (dim,)
    if dim is not None:
        dims = [_dim(name, x, d) for d in dim]
        if len(dims) > 1 and len(set(dims)) != len(dims):
            raise RuntimeError(f"fft.{name}: FFT dims must be unique")
        if s is not None and len(s) != len(dims):
            raise RuntimeError(
                f"fft.{name}: when given, dim and shape arguments must have the same length"
            )
    elif s is not None:
        if len(s) > x.dim():
            raise RuntimeError(
                f"fft.{name}: got shape with {len(s)} values but input tensor only has "
                f"{x.dim()} dimensions"
            )
        dims = list(range(x.dim() - len(s), x.dim()))
    else:
        dims = list(range(x.dim()))
    if s is None:
        shape = x.shape
        sizes = [shape[d] for d in dims]
    else:
        sizes = [x.shape[d] if n == -1 else n for n, d in zip(s, dims, strict=True)]
    if last:
        if not dims:
            raise RuntimeError(f"fft.{name}: must transform at least one axis")
        if s is None or s[-1] == -1:
            sizes[-1] = 2 * (x.shape[dims[-1]] - 1)
    for n in sizes:
        _count(name, n)
    return dims, sizes


def _deliver(result: Tensor, out: Tensor | None) -> Tensor:
    if out is None:
        return result
    return _C.where(_C.ones((), dtype=_C.bool, device=result.device), result, result, out=out)


def _fftn(
    name: str, x: Tensor, s: Any, dim: Any, norm: str | None, inverse: bool, out: Tensor | None
) -> Tensor:
    x, norm = _prepared(name, x), _norm(name, norm)
    dims, sizes = _shape(name, x, s, dim)
    if s is not None:
        for d, n in zip(dims, sizes, strict=True):
            x = _resized(x, d, n)
    if not dims:
        return _deliver(x.clone(), out)
    return _deliver(_complex_to_complex(x, tuple(dims), norm, inverse), out)


def _rfftn(name: str, x: Tensor, s: Any, dim: Any, norm: str) -> Tensor:
    x = _prepared(name, x, real=True)
    dims, sizes = _shape(name, x, s, dim)
    if not dims:
        raise RuntimeError(f"fft.{name}: must transform at least one axis")
    if s is not None:
        for d, n in zip(dims, sizes, strict=True):
            x = _resized(x, d, n)
    half = _real_to_complex(x, dims[-1], norm)
    return _complex_to_complex(half, tuple(dims[:-1]), norm, False) if dims[1:] else half


def _irfftn(name: str, x: Tensor, s: Any, dim: Any, norm: str) -> Tensor:
    x = _prepared(name, x)
    dims, sizes = _shape(name, x, s, dim, last=True)
    for d, n in zip(dims[:-1], sizes[:-1], strict=True):
        x = _resized(x, d, n)
    x = _resized(x, dims[-1], sizes[-1] // 2 + 1)
    if dims[1:]:
        x = _complex_to_complex(x, tuple(dims[:-1]), norm, True)
    return _complex_to_real(x, dims[-1], norm, sizes[-1])


def _one(x: Any, n: int | None, dim: int) -> tuple[Any, tuple[int, ...]]:
    return (None if n is None else (n,)), (dim,)


def fft(
    input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None, *,
    out: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """Transform over one dim: complex, ``n`` elements."""
    return _fftn("fft", input, *_one(input, n, dim), norm, False, out)


def ifft(
    input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None, *,
    out: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """Inverse transform over one dim."""
    return _fftn("ifft", input, *_one(input, n, dim), norm, True, out)


def fftn(
    input: Tensor, s: Any = None, dim: Any = None, norm: str | None = None, *,
    out: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """Transform over several dims (all by default, or as many last ones as ``s`` has sizes)."""
    return _fftn("fftn", input, s, dim, norm, False, out)


def ifftn(
    input: Tensor, s: Any = None, dim: Any = None, norm: str | None = None, *,
    out: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """Inverse transform over several dims."""
    return _fftn("ifftn", input, s, dim, norm, True, out)


def fft2(
    input: Tensor, s: Any = None, dim: Any = (-2, -1), norm: str | None = None, *,
    out: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """Transform over two dims."""
    return _fftn("fft2", input, s, dim, norm, False, out)


def ifft2(
    input: Tensor, s: Any = None, dim: Any = (-2, -1), norm: str | None = None, *,
    out: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """Inverse transform over two dims."""
    return _fftn("ifft2", input, s, dim, norm, True, out)


def rfft(
    input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None, *,
    out: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """Transform of a real tensor over one dim: the first ``n // 2 + 1`` elements."""
    return _deliver(_rfftn("rfft", input, *_one(input, n, dim), _norm("rfft", norm)), out)


def irfft(
    input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None, *,
    out: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """Inverse of `rfft`: real, ``n`` elements (``2 * (size - 1)`` by default)."""
    return _deliver(_irfftn("irfft", input, *_one(input, n, dim), _norm("irfft", norm)), out)


def rfftn(
    input: Tensor, s: Any = None, dim: Any = None, norm: str | None = None, *,
    out: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """Transform of a real tensor over several dims, half of the last one."""
    return _deliver(_rfftn("rfftn", input, s, dim, _norm("rfftn", norm)), out)


def irfftn(
    input: Tensor, s: Any = None, dim: Any = None, norm: str | None = None, *,
    out: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """Inverse of `rfftn`: real."""
    return _deliver(_irfftn("irfftn", input, s, dim, _norm("irfftn", norm)), out)


def rfft2(
    input: Tensor, s: Any = None, dim: Any = (-2, -1), norm: str | None = None, *,
    out: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """Transform of a real tensor over two dims, half of the last one."""
    return _deliver(_rfftn("rfft2", input, s, dim, _norm("rfft2", norm)), out)


def irfft2(
    input: Tensor, s: Any = None, dim: Any = (-2, -1), norm: str | None = None, *,
    out: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """Inverse of `rfft2`: real."""
    return _deliver(_irfftn("irfft2", input, s, dim, _norm("irfft2", norm)), out)


def _hermitian(name: str, x: Tensor, s: Any, dim: Any, norm: str | None) -> Tensor:
    """The real transform of what is symmetric up to conjugation, given by its first half."""
    return _irfftn(name, _prepared(name, x).conj(), s, dim, _SWAPPED[_norm(name, norm)])


def _inverse_hermitian(name: str, x: Tensor, s: Any, dim: Any, norm: str | None) -> Tensor:
    return _rfftn(name, x, s, dim, _SWAPPED[_norm(name, norm)]).conj()


def hfft(
    input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None, *,
    out: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """Transform over one dim of a Hermitian signal, given by its first half: real."""
    return _deliver(_hermitian("hfft", input, *_one(input, n, dim), norm), out)


def ihfft(
    input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None, *,
    out: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """Inverse of `hfft`: the first ``n // 2 + 1`` elements."""
    return _deliver(_inverse_hermitian("ihfft", input, *_one(input, n, dim), norm), out)


def hfftn(
    input: Tensor, s: Any = None, dim: Any = None, norm: str | None = None, *,
    out: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """Transform over several dims of a Hermitian signal, given by half of the last dim: real."""
    return _deliver(_hermitian("hfftn", input, s, dim, norm), out)


def ihfftn(
    input: Tensor, s: Any = None, dim: Any = None, norm: str | None = None, *,
    out: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """Inverse of `hfftn`."""
    return _deliver(_inverse_hermitian("ihfftn", input, s, dim, norm), out)


def hfft2(
    input: Tensor, s: Any = None, dim: Any = (-2, -1), norm: str | None = None, *,
    out: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """Transform over two dims of a Hermitian signal: real."""
    return _deliver(_hermitian("hfft2", input, s, dim, norm), out)


def ihfft2(
    input: Tensor, s: Any = None, dim: Any = (-2, -1), norm: str | None = None, *,
    out: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """Inverse of `hfft2`."""
    return _deliver(_inverse_hermitian("ihfft2", input, s, dim, norm), out)


def _frequencies(
    name: str, n: int, whole: Any, d: float, out: Any, dtype: Any, device: Any, grad: bool
) -> Tensor:
    dtype = (out.dtype if out is not None else _C.get_default_dtype()) if dtype is None else dtype
    if not dtype.is_floating_point and not dtype.is_complex:
        raise RuntimeError(f"fft.{name}: requires a floating point or complex dtype, got {dtype}")
    values = _C.tensor(whole, dtype=dtype, device=device) * (1.0 / (n * d) if n * d else _C_INF)
    return _deliver(values.detach().requires_grad_(grad), out)


_C_INF = float("inf")


def _check_length(name: str, n: int) -> None:
    if n < 0:
        raise RuntimeError(f"fft.{name}: n must not be negative, got {n}")


def fftfreq(
    n: int, d: float = 1.0, *, out: Tensor | None = None, dtype: Any = None, layout: Any = None,
    device: Any = None, requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """Frequencies of `fft`'s result for ``n`` samples at distance ``d``."""
    _check_length("fftfreq", n)
    whole = [*range((n + 1) // 2), *range(-(n // 2), 0)]
    return _frequencies("fftfreq", n, whole, d, out, dtype, device, requires_grad)


def rfftfreq(
    n: int, d: float = 1.0, *, out: Tensor | None = None, dtype: Any = None, layout: Any = None,
    device: Any = None, requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """Frequencies of `rfft`'s result for ``n`` samples at distance ``d``."""
    _check_length("rfftfreq", n)
    whole = list(range(n // 2 + 1))
    return _frequencies("rfftfreq", n, whole, d, out, dtype, device, requires_grad)


def _shifted(name: str, x: Tensor, dim: Any, back: bool) -> Tensor:
    dims = range(x.dim()) if dim is None else (dim,) if isinstance(dim, int) else dim
    dims = [_dim(name, x, d) for d in dims]
    if not dims:
        return x.clone()
    return _C.roll(x, [(x.shape[d] + back) // 2 for d in dims], dims)


def fftshift(input: Tensor, dim: Any = None) -> Tensor:
    """Roll dims (all by default) so that frequency 0 stands in the middle."""
    return _shifted("fftshift", input, dim, False)


def ifftshift(input: Tensor, dim: Any = None) -> Tensor:
    """Undo `fftshift`."""
    return _shifted("ifftshift", input, dim, True)


from ._overridable import publish  # noqa: E402  needs the functions above

publish(globals(), __all__)
