"""Runs a row on a sample and compares results."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import ember
import numpy as np

try:
    import torch
except ImportError:
    torch = None

from .base import EPS, FLOATS, INTS, LARGEST, Case, Spec, Tol, from_bfloat16

SEED = 20240607


def dtype_name(t: Any) -> str:
    return str(t.dtype).rpartition(".")[2]


def is_tensor(x: Any) -> bool:
    return isinstance(x, ember.Tensor) or (torch is not None and isinstance(x, torch.Tensor))


def to_numpy(t: Any) -> np.ndarray:
    """The values; bfloat16 becomes float32."""
    t = t.detach().cpu()
    if dtype_name(t) == "bfloat16":
        lib = torch if torch is not None and isinstance(t, torch.Tensor) else ember
        return from_bfloat16(t.view(lib.int16).numpy().view(np.uint16))
    return t.numpy()


def bits(t: Any) -> bytes:
    """The values as bytes in row-major order; every NaN is one NaN."""
    values = np.ascontiguousarray(to_numpy(t))
    if values.dtype.kind == "f":
        values = np.where(np.isnan(values), np.array(np.nan, values.dtype), values)
    return values.tobytes()


def flatten(result: Any) -> list:
    """Tensors and plain values of a result, in order."""
    if isinstance(result, (tuple, list)) and not isinstance(result, (ember.Size,)):
        if torch is not None and isinstance(result, torch.Size):
            return [tuple(result)]
        return [leaf for item in result for leaf in flatten(item)]
    if isinstance(result, ember.Size):
        return [tuple(result)]
    return [result]


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without PyTorch's warnings about deprecated forms that are tested on purpose."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        yield


@dataclass
class Outcome:
    """What a call gave: leaves, or the exception."""

    leaves: list
    error: Exception | None = None
    arguments: list | None = None
    keywords: dict | None = None


def run(spec: Spec, lib: Any, case: Case, *, exact: bool = False, grad: bool = False) -> Outcome:
    """Calls the row's function on freshly built arguments."""
    args, kwargs = case.build(lib, exact)
    if grad:
        for t in trainable(case, args, kwargs):
            t.requires_grad_()
    reference = lib is torch
    try:
        with quiet():
            if spec.seeded:
                lib.manual_seed(SEED)
            result = spec.function(lib, reference)(*args, **kwargs)
    except Exception as e:
        return Outcome([], e, args, kwargs)
    changed = [args[i] for i in spec.changes]
    return Outcome([*flatten(result), *changed], None, args, kwargs)


def trainable(case: Case, args: list, kwargs: dict) -> list:
    """The built tensors that ask for gradients, in order of the sample's arrays."""
    tensors = [t for t in flatten([args, list(kwargs.values())]) if is_tensor(t)]
    described = case.arrays()
    assert len(tensors) == len(described)
    return [t for t, a in zip(tensors, described, strict=True) if a.grad and a.is_float]


def same_type(ours: Exception, theirs: Exception) -> bool:
    """Whether Ember raised PyTorch's type: NotImplementedError is a RuntimeError."""
    return isinstance(ours, type(theirs)) or isinstance(theirs, type(ours))


def unsupported(e: Exception | None) -> bool:
    """PyTorch's ways of saying that it has no CPU kernel for a dtype."""
    text = str(e)
    return e is not None and any(
        part in text
        for part in (
            "not implemented for", "not supported for", "Expected object of scalar type",
            "unsupported dtype", "Unsupported dtype", "input must be", "only supports",
            "Could not run",
        )
    )  # fmt: skip


def check_dtype(ours: Any, theirs: Any, where: str) -> None:
    assert dtype_name(ours) == dtype_name(theirs), (
        f"{where}: dtype {dtype_name(ours)}, expected {dtype_name(theirs)}"
    )


def check_strides(ours: Any, theirs: Any, where: str) -> None:
    """Dense results lie in memory as PyTorch's do; the strides of dims of size 1 are free."""
    if theirs.numel() < 2:
        return
    a = [s for n, s in zip(ours.shape, ours.stride(), strict=True) if n > 1]
    b = [s for n, s in zip(theirs.shape, theirs.stride(), strict=True) if n > 1]
    assert a == b, f"{where}: strides {ours.stride()}, expected {theirs.stride()}"


def check_exact(ours: np.ndarray, expected: np.ndarray, where: str) -> None:
    assert ours.shape == expected.shape, f"{where}: shape {ours.shape}, expected {expected.shape}"
    nan = np.zeros(ours.shape, bool)
    same = ours == expected
    if ours.dtype.kind == "f":
        nan = np.isnan(ours) & np.isnan(expected)
        same &= np.signbit(ours) == np.signbit(expected)
    if not (same | nan).all():
        at = tuple(int(i) for i in np.argwhere(~(same | nan))[0])
        raise AssertionError(
            f"{where}: {(~(same | nan)).sum()} of {ours.size} differ, first at {at}: "
            f"got {ours[at]!r}, expected {expected[at]!r}"
        )


def check_close(
    ours: np.ndarray,
    truth: np.ndarray,
    fallback: np.ndarray,
    dtype: str,
    tol: Tol,
    size: np.ndarray,
    where: str,
) -> None:
    """`ours` against the float64 result `truth`; where either leaves the finite numbers of the
    dtype, against PyTorch's result in that dtype (`fallback`)."""
    assert ours.shape == truth.shape, f"{where}: shape {ours.shape}, expected {truth.shape}"
    ours, fallback = ours.astype(np.float64), fallback.astype(np.float64)
    with np.errstate(all="ignore"):
        within = np.abs(truth) <= LARGEST[dtype]
        bound = tol.bound(dtype, np.broadcast_to(size, truth.shape), truth)
        close = np.abs(ours - truth) <= np.where(np.isfinite(bound), bound, np.inf)
        same = (ours == fallback) | (np.isnan(ours) & np.isnan(fallback))
        beyond = ours == np.where(np.isnan(truth), truth, np.copysign(np.inf, truth))
        good = np.where(within, close | (same & ~np.isfinite(fallback)), same | beyond)
    if not good.all():
        at = tuple(int(i) for i in np.argwhere(~good)[0])
        with np.errstate(all="ignore"):
            off = abs(ours[at] - truth[at]) / max(abs(truth[at]) * EPS[dtype], 1e-300)
        raise AssertionError(
            f"{where}: {(~good).sum()} of {ours.size} differ, first at {at}: got {ours[at]!r}, "
            f"exact {truth[at]!r} ({off:.3g} ULP), PyTorch {fallback[at]!r}, allowed {bound[at]:.3g}"
        )


def sizes_of(spec: Spec, lib: Any, case: Case, truth: np.ndarray) -> np.ndarray:
    """The size of the numbers rounded on the way (Tol.scale), in float64."""
    if spec.tol.scale is None:
        return np.zeros(truth.shape)
    args, kwargs = case.build(lib, exact=True)
    with quiet():
        size = spec.tol.scale(lib, *args, **kwargs)
    return to_numpy(size) if is_tensor(size) else np.asarray(size, np.float64)


def truths(spec: Spec, case: Case) -> list | None:
    """PyTorch's result in float64, as arrays; None where the row needs none."""
    if spec.tol.ulps == 0:
        return None
    # Draws of float64 are other draws: there PyTorch's own are the measure.
    outcome = run(spec, torch, case, exact=not spec.seeded)
    return None if outcome.error else outcome.leaves


def check_leaf(
    spec: Spec, case: Case, ours: Any, theirs: Any, truth: Any, where: str, strides: bool
) -> None:
    if not is_tensor(theirs):
        if isinstance(theirs, torch.dtype):
            assert str(ours).rpartition(".")[2] == str(theirs).rpartition(".")[2], where
        else:
            assert ours == theirs and type(ours) is type(theirs), f"{where}: {ours!r}, {theirs!r}"
        return
    assert is_tensor(ours), f"{where}: got {type(ours)}"
    check_dtype(ours, theirs, where)
    assert tuple(ours.shape) == tuple(theirs.shape), (
        f"{where}: shape {tuple(ours.shape)}, expected {tuple(theirs.shape)}"
    )
    if strides:
        check_strides(ours, theirs, where)
    dtype = dtype_name(theirs)
    a, b = to_numpy(ours), to_numpy(theirs)
    if dtype not in FLOATS or truth is None or dtype in spec.tol.exact_in:
        check_exact(a, b, where)
        return
    exact = to_numpy(truth).astype(np.float64)
    check_close(a, exact, b, dtype, spec.tol, sizes_of(spec, torch, case, exact), where)


def check_case(spec: Spec, case: Case) -> str:
    """One sample against PyTorch. Returns what happened: "ok", "raised" or "theirs unsupported"."""
    where = f"{spec.name}{case}"
    theirs, ours = run(spec, torch, case), run(spec, ember, case)
    if theirs.error is not None:
        if unsupported(theirs.error):
            return "theirs unsupported"
        assert ours.error is not None, f"{where}: PyTorch raises {theirs.error!r}, Ember does not"
        assert same_type(ours.error, theirs.error), f"{where}: {ours.error!r} for {theirs.error!r}"
        return "raised"
    if ours.error is not None:
        raise AssertionError(f"{where}: raised {ours.error!r}") from ours.error
    assert len(ours.leaves) == len(theirs.leaves), f"{where}: {len(ours.leaves)} results"
    truth = truths(spec, case) or [None] * len(theirs.leaves)
    for i, (a, b, t) in enumerate(zip(ours.leaves, theirs.leaves, truth, strict=True)):
        check_leaf(spec, case, a, b, t, f"{where}[{i}]", spec.strides)
    return "ok"


def check_without_torch(spec: Spec, case: Case) -> str:
    """One sample where there is no PyTorch: the layout must not matter, and numpy, where the row
    names its function, must agree."""
    where = f"{spec.name}{case}"
    ours, plain = run(spec, ember, case), run(spec, ember, case.plain())
    assert plain.error is None or ours.error is not None, f"{where}: {plain.error!r}"
    if ours.error is not None:  # views may need the plain layout
        return "raised"
    for a, b in zip(ours.leaves, plain.leaves, strict=True):
        if is_tensor(a) and not spec.seeded:
            check_alike(spec, case, dtype_name(a), to_numpy(a), to_numpy(b), where)
    if spec.numpy is None or "extremes" in case.note or not is_tensor(ours.leaves[0]):
        return "ok"
    y = ours.leaves[0]
    kinds = {a.dtype for a in case.arrays()}
    if dtype_name(y) in FLOATS and len(kinds) == 1 and kinds <= {dtype_name(y), *INTS, "bool"}:
        arrays = [
            to_numpy(t).astype(np.float64) if is_tensor(t) else t for t in case.build(ember)[0]
        ]
        with np.errstate(all="ignore"):
            expected = np.asarray(spec.numpy(*arrays, **case.kwargs), np.float64)
        rounded = replace(spec, tol=replace(spec.tol, ulps=max(spec.tol.ulps, 1)))
        check_alike(rounded, case, dtype_name(y), to_numpy(y), expected, where + " against numpy")
    return "ok"


def check_alike(
    spec: Spec, case: Case, dtype: str, ours: np.ndarray, other: np.ndarray, where: str
) -> None:
    """Two results that both may be off by the row's tolerance."""
    assert ours.shape == other.shape, f"{where}: shape {ours.shape}, expected {other.shape}"
    if dtype not in FLOATS or spec.tol.ulps == 0:
        check_exact(ours, other, where)
        return
    ours, other = ours.astype(np.float64), other.astype(np.float64)
    with np.errstate(all="ignore"):
        size = np.broadcast_to(scale_of(spec, case, other), other.shape)
        bound = 2 * spec.tol.bound(dtype, size, other)
        # Halves round what differs before: to neighbours, at the most.
        bound += EPS[dtype] * np.abs(other) if dtype in ("float16", "bfloat16") else 0
        same = (ours == other) | (np.isnan(ours) & np.isnan(other))
        good = same | (np.abs(ours - other) <= np.where(np.isfinite(bound), bound, np.inf))
    assert good.all(), f"{where}: {ours[~good][:3]} for {other[~good][:3]}"


def scale_of(spec: Spec, case: Case, result: np.ndarray) -> np.ndarray:
    """Tol.scale where PyTorch computes it, else the largest number around."""
    if spec.tol.scale is None or torch is not None:
        return sizes_of(spec, torch, case, result)
    values = [np.abs(a.values().astype(np.float64)) for a in case.arrays() if a.is_float]
    finite = [v[np.isfinite(v)].max(initial=1) for v in (*values, np.abs(result))]
    return np.asarray(np.prod(finite) * max(v.size for v in (*values, result)))
