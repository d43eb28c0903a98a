"""How tensors print: the same text as PyTorch's for the same values and options."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

import ember

__all__ = ["get_printoptions", "printoptions", "set_printoptions"]


class _Options:
    precision: int = 4
    threshold: float = 1000
    edgeitems: int = 3
    linewidth: int = 80
    sci_mode: bool | None = None


_NAMES = ("precision", "threshold", "edgeitems", "linewidth", "sci_mode")
_PROFILES: dict[str, dict[str, Any]] = {
    "default": {"precision": 4, "threshold": 1000, "edgeitems": 3, "linewidth": 80},
    "short": {"precision": 2, "threshold": 1000, "edgeitems": 2, "linewidth": 80},
    "full": {"precision": 4, "threshold": math.inf, "edgeitems": 3, "linewidth": 80},
}
PRINT_OPTS = _Options()


def set_printoptions(
    precision: int | None = None,
    threshold: float | None = None,
    edgeitems: int | None = None,
    linewidth: int | None = None,
    profile: str | None = None,
    sci_mode: bool | None = None,
) -> None:
    """Choose how tensors print; what is not given stays as it is, but for ``sci_mode``.

    Parameters
    ----------
    precision : int
        Digits after the point (4).
    threshold : float
        Tensors of more elements are summarised (1000).
    edgeitems : int
        Elements shown at either end of a summarised dimension (3).
    linewidth : int
        Characters a line (80).
    profile : {"default", "short", "full"}
        Sets the four above before they are looked at.
    sci_mode : bool, optional
        Scientific notation always, never, or (None) where the values ask for it.
    """
    if profile is not None:
        if profile not in _PROFILES:
            raise ValueError(
                f"set_printoptions: profile must be one of {sorted(_PROFILES)}, got {profile!r}"
            )
        for name, value in _PROFILES[profile].items():
            setattr(PRINT_OPTS, name, value)
    for name, value in zip(_NAMES, (precision, threshold, edgeitems, linewidth), strict=False):
        if value is not None:
            setattr(PRINT_OPTS, name, value)
    PRINT_OPTS.sci_mode = sci_mode


def get_printoptions() -> dict[str, Any]:
    """Return the options as `set_printoptions` takes them."""
    return {name: getattr(PRINT_OPTS, name) for name in _NAMES}


@contextmanager
def printoptions(**options: Any) -> Iterator[None]:
    """Set options as `set_printoptions` does, for the time of a block."""
    before = get_printoptions()
    set_printoptions(**options)
    try:
        yield
    finally:
        set_printoptions(**before)


class _Formatter:
    """Decides from the values how each is written, and how wide.

    Parameters
    ----------
    values : ndarray
        All that will be shown: float64, int64 or bool.
    """

    def __init__(self, values: np.ndarray) -> None:
        self.floating = values.dtype.kind == "f"
        self.width = 1
        self._scientific = False
        self._integral = True
        if not self.floating:
            self.width = max([1, *(len(str(x)) for x in values.ravel().tolist())])
            return

        finite = values[np.isfinite(values) & (values != 0)]
        if finite.size == 0:
            return
        sizes = np.abs(finite)
        smallest, largest = float(sizes.min()), float(sizes.max())
        self._integral = bool((finite == np.ceil(finite)).all())
        self._scientific = (
            largest / smallest > 1000.0 or largest > 1.0e8 or smallest < 1.0e-4
            if PRINT_OPTS.sci_mode is None
            else PRINT_OPTS.sci_mode
        )
        shown = [self._bare(x) for x in finite.tolist()]
        # Whole numbers carry a point, which says that they are floating.
        point = self._integral and not self._scientific
        self.width = max([1, *(len(text) + point for text in shown)])

    def _bare(self, value: float) -> str:
        if self._scientific:
            return f"{value:.{PRINT_OPTS.precision}e}"
        return f"{value:.0f}" if self._integral else f"{value:.{PRINT_OPTS.precision}f}"

    def format(self, value: Any) -> str:
        """Return the text of one value, padded on the left."""
        if not self.floating:
            return str(value).rjust(self.width)
        text = self._bare(value)
        if self._integral and not self._scientific and math.isfinite(value):
            text += "."
        return text.rjust(self.width)


class _ComplexFormatter:
    def __init__(self, values: np.ndarray) -> None:
        self._real = _Formatter(values.real)
        self._imag = _Formatter(values.imag)
        self.width = self._real.width + self._imag.width + 1

    def format(self, value: complex) -> str:
        imag = (self._imag.format(value.imag) + "j").lstrip()
        sign = "" if imag[0] in "+-" else "+"
        return self._real.format(value.real) + sign + imag


def _edges(values: np.ndarray) -> np.ndarray:
    """What a summary shows: `edgeitems` at either end of every dimension."""
    edge = PRINT_OPTS.edgeitems
    for dim, size in enumerate(values.shape):
        if size > 2 * edge:
            keep = np.r_[0:edge, size - edge : size]
            values = np.take(values, keep, axis=dim)
    return values


def _lines(values: np.ndarray, indent: int, summarize: bool, formatter: Any) -> str:
    if values.ndim == 0:
        return formatter.format(values.item())
    edge = PRINT_OPTS.edgeitems
    cut = summarize and len(values) > 2 * edge
    if values.ndim == 1:
        if summarize and not edge:
            items = ["..."]
        elif cut:
            items = [formatter.format(x) for x in values[:edge].tolist()]
            items.append(" ...")
            items += [formatter.format(x) for x in values[-edge:].tolist()]
        else:
            items = [formatter.format(x) for x in values.tolist()]
        per_line = max(1, (PRINT_OPTS.linewidth - indent) // (formatter.width + 2))
        rows = [", ".join(items[i : i + per_line]) for i in range(0, len(items), per_line)]
        return "[" + (",\n" + " " * (indent + 1)).join(rows) + "]"

    inner = [values[i] for i in (range(edge) if cut else range(len(values)))]
    parts = [_lines(x, indent + 1, summarize, formatter) for x in inner]
    if cut:
        parts.append("...")
        parts += [
            _lines(values[i], indent + 1, summarize, formatter)
            for i in range(len(values) - edge, len(values))
        ]
    return "[" + ("," + "\n" * (values.ndim - 1) + " " * (indent + 1)).join(parts) + "]"


def _to_numpy(tensor: Any) -> np.ndarray:
    """The values as float64, int64, bool or complex128, in which all others are exact."""
    tensor = tensor.detach().cpu()
    if tensor.dtype.is_complex:
        return tensor.to(ember.complex128).numpy()
    if tensor.is_floating_point():
        return tensor.to(ember.float64).numpy()
    return tensor.numpy()


def _tensor_str(tensor: Any, indent: int) -> str:
    summarize = tensor.numel() > PRINT_OPTS.threshold
    if summarize:
        tensor = _cut(tensor)
    values = _to_numpy(tensor)
    kind = _ComplexFormatter if values.dtype.kind == "c" else _Formatter
    return _lines(values, indent, summarize, kind(_edges(values) if summarize else values))


def _cut(tensor: Any) -> Any:
    """Drop the middle of large dimensions, so that no more is copied than is shown.

    One element more than the edges stays, by which `_lines` sees that there was a middle.
    """
    edge = PRINT_OPTS.edgeitems
    for dim in range(tensor.dim()):
        size = tensor.size(dim)
        if size > 2 * edge + 1:
            ends = [tensor.narrow(dim, 0, edge + 1), tensor.narrow(dim, size - edge, edge)]
            tensor = ember.cat(ends, dim)
    return tensor


def _with_suffixes(text: str, suffixes: list[str], indent: int, new_line: bool = False) -> str:
    width = len(text) - text.rfind("\n") + 1
    for i, suffix in enumerate(suffixes):
        if (new_line and i == 0) or width + len(suffix) + 2 > PRINT_OPTS.linewidth:
            text += ",\n" + " " * indent + suffix
            width = indent + len(suffix)
        else:
            text += ", " + suffix
            width += len(suffix) + 2
    return text + ")"


def _str(tensor: Any) -> str:
    """Return ``repr(tensor)``."""
    with ember.no_grad():
        kind = type(tensor)
        plain = kind is ember.Tensor or kind is ember.nn.Parameter
        prefix = "tensor(" if plain else f"{kind.__name__}("
        indent = len(prefix)
        suffixes = []
        if tensor.device.type != "cpu":
            suffixes.append(f"device='{tensor.device}'")
        default = ember.get_default_dtype()
        if tensor.numel() == 0:
            text = "[]"
            if tensor.dim() != 1:
                suffixes.append(f"size={tuple(tensor.shape)}")
            if tensor.dtype != default:
                suffixes.append(f"dtype={tensor.dtype}")
        else:
            text = _tensor_str(tensor, indent)
            if not PRINT_OPTS.edgeitems:
                suffixes.append(f"size={tuple(tensor.shape)}")
            if tensor.dtype not in _unmarked(default):
                suffixes.append(f"dtype={tensor.dtype}")

        grad_fn = tensor.grad_fn
        if grad_fn is not None:
            suffixes.append(f"grad_fn=<{grad_fn.name().rsplit('::', 1)[-1]}>")
        elif tensor.requires_grad:
            suffixes.append("requires_grad=True")
        return _with_suffixes(prefix + text, suffixes, indent)


def _sparse_str(tensor: Any) -> str:
    """Return ``repr(tensor)`` of a sparse tensor."""
    with ember.no_grad():
        if tensor.layout is ember.sparse_coo:
            parts = {"indices": tensor._indices(), "values": tensor._values()}
        elif tensor.layout is ember.sparse_csr:
            parts = {"crow_indices": tensor.crow_indices(), "col_indices": tensor.col_indices()}
        else:
            parts = {"ccol_indices": tensor.ccol_indices(), "row_indices": tensor.row_indices()}
        parts.setdefault("values", tensor._items.detach())
        texts = []
        for name, part in parts.items():
            indent = len("tensor(" + name + "=tensor(")
            text = "[]" if part.numel() == 0 else _tensor_str(part, indent)
            if part.numel() == 0:
                text += f", size={tuple(part.shape)}"
            texts.append(f"{name}=tensor({text})")
        suffixes = [f"size={tuple(tensor.shape)}", f"nnz={tensor._nnz()}"]
        if tensor.device.type != "cpu":
            suffixes.insert(0, f"device='{tensor.device}'")
        if tensor.dtype not in _unmarked(ember.get_default_dtype()):
            suffixes.append(f"dtype={tensor.dtype}")
        suffixes.append(f"layout={tensor.layout}")
        if tensor.grad_fn is not None:
            suffixes.append(f"grad_fn=<{tensor.grad_fn.name().rsplit('::', 1)[-1]}>")
        elif tensor.requires_grad:
            suffixes.append("requires_grad=True")
        indent = len("tensor(")
        text = "tensor(" + (",\n" + " " * indent).join(texts)
        return _with_suffixes(text, suffixes, indent, tensor.layout is ember.sparse_coo)


def _unmarked(default: Any) -> tuple:
    """The dtypes that go without saying."""
    of_default = "complex128" if default == ember.float64 else "complex64"
    return default, ember.int64, ember.bool, getattr(ember, of_default, default)
