"""Gradients of every differentiable row: against PyTorch, against finite differences in float64 to
the second order, and the fused backward against the formula that create_graph runs."""

from __future__ import annotations

import contextlib
from typing import Any

import ember
import numpy as np
import pytest
import row_counts
from ember.autograd import gradcheck, gradgradcheck
from opspecs import SPECS
from opspecs.base import (
    COMPLEX,
    DEVICE,
    EPS,
    Arr,
    Case,
    DType,
    Spec,
    from_numpy,
    rng_of,
    seed_of,
)
from opspecs.compare import (
    SEED,
    bits,
    dtype_name,
    flatten,
    is_tensor,
    quiet,
    run,
    to_numpy,
    torch,
    trainable,
    wide,
)

pytestmark = pytest.mark.autograd

ROWS = [pytest.param(s, id=s.name) for s in SPECS if s.grad]


def grad_cases(spec: Spec) -> list[Case]:
    return list(spec.grad_cases(np.random.default_rng(seed_of(spec.name))))


def differentiable(leaves: list) -> list:
    return [y for y in leaves if is_tensor(y) and y.requires_grad]


def cotangents(lib: Any, outputs: list) -> list:
    """Fixed gradients of the outputs."""
    made = []
    for i, y in enumerate(outputs):
        rng = np.random.default_rng(i)
        values = rng.uniform(-1, 1, tuple(y.shape))
        if y.is_complex():
            values = values + 1j * rng.uniform(-1, 1, tuple(y.shape))
        t = from_numpy(lib, np.asarray(values))
        made.append(t if t.dtype == y.dtype else t.to(y.dtype))
    return made


def gradients(
    spec: Spec, lib: Any, case: Case, exact: bool = False, create_graph: bool = False
) -> list | None:
    """Gradients of the sample's arrays by .backward(), None for those that get none; None if
    nothing in the result needs gradients."""
    outcome = run(spec, lib, case, exact=exact, grad=True)
    if outcome.error is not None:
        raise outcome.error
    outputs = differentiable(outcome.leaves)
    if not outputs:
        return None
    with quiet():
        lib.autograd.backward(outputs, cotangents(lib, outputs), create_graph=create_graph)
    return [t.grad for t in trainable(case, outcome.arguments, outcome.keywords)]


def compare(ours: Any, theirs: Any, slack: float, where: str, truth: Any = None) -> None:
    """`slack` is relative to the largest of the gradient, or to the cotangents' size of 1 where all
    terms cancelled. Where there is a `truth` in float64 an element may agree with that instead."""
    if theirs is None or ours is None:
        # PyTorch gives zeros in places where Ember gives none, and the other way round.
        other = ours if theirs is None else theirs
        assert other is None or not to_numpy(other).any(), f"{where}: {ours} for {theirs}"
        return
    assert dtype_name(ours) == dtype_name(theirs), f"{where}: {ours.dtype} for {theirs.dtype}"
    assert tuple(ours.shape) == tuple(theirs.shape), f"{where}: {ours.shape} for {theirs.shape}"
    a, b = wide(to_numpy(ours)), wide(to_numpy(theirs))
    scale = np.abs(np.where(np.isfinite(b), b, 0)).max(initial=1 if truth is None else 2.0**-6)
    with np.errstate(all="ignore"):
        close = (np.abs(a - b) <= slack * scale) | (a == b) | (np.isnan(a) & np.isnan(b))
        if truth is not None:
            close |= np.abs(a - to_numpy(truth)) <= slack * scale
    assert close.all(), f"{where}: {a[~close][:4]} for {b[~close][:4]}, largest {scale:.3g}"


def coarsest(case: Case, dtype: str) -> str:
    """The dtype of a sample with the largest rounding."""
    names = [dtype, *(a.dtype for a in case.arrays() if a.is_float)]
    names += [d.name for d in (*case.args, *case.kwargs.values()) if isinstance(d, DType)]
    return max((n for n in names if n in EPS), key=EPS.__getitem__)


def exact_gradients(spec: Spec, case: Case) -> list:
    """PyTorch's gradients in float64; None where that run is another one."""
    if not spec.seeded:
        with contextlib.suppress(Exception):
            return gradients(spec, torch, case, exact=True)
    return [None] * len([a for a in case.arrays() if a.grad and a.is_float])


# Against PyTorch both round some hundred times in different orders, relative to the largest term.
AGAINST_TORCH = {
    "float64": 512, "float32": 512, "bfloat16": 4, "float16": 4, "complex64": 512, "complex128": 512,
}  # fmt: skip
IN_DTYPES = [
    pytest.param(s, d, id=f"{s.name}-{d}")
    for s in SPECS
    if s.grad
    for d in ("float64", "float32", "bfloat16", *COMPLEX)
    if d in s.dtypes
]


@pytest.mark.skipif(torch is None, reason="PyTorch is the reference")
@pytest.mark.parametrize("spec, dtype", IN_DTYPES)
def test_against_torch(spec: Spec, dtype: str) -> None:
    """On all forward samples: every layout, broadcast, zero size and extreme value."""
    if spec.seeded and DEVICE != "cpu":
        pytest.skip("a GPU draws from Philox, not from the CPU's stream that PyTorch shares")
    done = 0
    for case in spec.cases(dtype, rng_of(spec, dtype)):
        if (dtype not in ("float64", "complex128") and "extremes" in case.note) or case.note in (
            "no dims",
            "edges",
        ):
            continue  # PyTorch counts no items there and divides by them, or does not bound log(0)
        try:
            theirs = gradients(spec, torch, case)
        except Exception:
            continue  # the forward tests compare errors
        where = f"{spec.name}{case}"
        ours = gradients(spec, ember, case)
        assert (ours is None) == (theirs is None), f"{where}: {ours} for {theirs}"
        if theirs is None:
            continue
        kind = coarsest(case, dtype)
        truth = exact_gradients(spec, case) if kind == "bfloat16" else [None] * len(theirs)
        for i, (a, b, t) in enumerate(zip(ours, theirs, truth, strict=True)):
            compare(a, b, AGAINST_TORCH[kind] * EPS[kind], f"{where} gradient {i}", t)
        done += 1
    row_counts.add(f"gradients against PyTorch in {dtype}", spec.name, done)


def as_function(spec: Spec, case: Case):
    """The row as a function of the arrays that gradients are asked for, and these."""
    args, kwargs = case.build(ember)
    inputs = trainable(case, args, kwargs)
    places = {id(t): i for i, t in enumerate(inputs)}
    for t in inputs:
        t.requires_grad_()

    def function(*leaves):
        def put(x):
            if is_tensor(x):
                return leaves[places[id(x)]] if id(x) in places else x
            if type(x) in (list, tuple):
                return type(x)(put(item) for item in x)
            return x

        if spec.seeded:
            ember.manual_seed(SEED)
        result = spec.function(ember)(*map(put, args), **{k: put(v) for k, v in kwargs.items()})
        return tuple(differentiable(flatten(result)))

    return function, inputs


@pytest.mark.usefixtures("repeatable")
@pytest.mark.parametrize("spec", ROWS)
def test_gradcheck(spec: Spec) -> None:
    cases = grad_cases(spec)
    for case in cases:
        function, inputs = as_function(spec, case)
        if sum(t.numel() for t in inputs):
            assert gradcheck(function, inputs), f"{spec.name}{case}"
    row_counts.add("gradcheck", spec.name, len(cases))


@pytest.mark.usefixtures("repeatable")
@pytest.mark.parametrize("spec", ROWS)
def test_gradgradcheck(spec: Spec) -> None:
    cases = grad_cases(spec)
    for case in cases:
        function, inputs = as_function(spec, case)
        if sum(t.numel() for t in inputs):
            assert gradgradcheck(function, inputs), f"{spec.name}{case}"
    row_counts.add("gradgradcheck", spec.name, len(cases))


# The formula rounds each of its steps, the fused kernel once.
FUSED = {"float64": 64, "float32": 64, "complex64": 64, "complex128": 64}


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("spec", ROWS)
def test_fused_backward_is_the_formula(spec: Spec, dtype: str) -> None:
    cases = grad_cases(spec)
    if dtype in spec.dtypes:
        cases += [c for c in spec.cases(dtype, rng_of(spec, dtype)) if "extremes" not in c.note]
    done = 0
    for case in cases:
        try:
            fused = gradients(spec, ember, case)
        except Exception:
            continue  # the forward tests compare errors
        if fused is None:
            continue
        formula = gradients(spec, ember, case, create_graph=True)
        kind = coarsest(case, dtype)
        for a, b in zip(fused, formula, strict=True):
            compare(a, b, FUSED.get(kind, 8) * EPS[kind], f"{spec.name}{case}")
        done += 1
    row_counts.add(f"fused backward against the formula in {dtype}", spec.name, done)


def test_arrays_are_described() -> None:
    """Samples of differentiable rows hold at least one array that gradients are asked for."""
    for spec in (p.values[0] for p in ROWS):
        for case in grad_cases(spec):
            assert any(a.grad and a.is_float for a in case.arrays() if isinstance(a, Arr)), (
                spec.name
            )


@pytest.mark.skipif(torch is None, reason="PyTorch is the reference")
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16"])
@pytest.mark.parametrize("inplace", [False, True])
def test_dropout_is_torchs_to_the_bit(dtype: str, inplace: bool) -> None:
    """Forward and backward, for probabilities whose factor rounds differently in every dtype."""
    values = np.random.default_rng(0).uniform(-4, 4, 999)
    for p in (0.1, 0.2, 0.35, 0.5, 0.7, 0.123456, 1 / 3):
        results = []
        for lib in (ember, torch):
            lib.manual_seed(SEED)
            x = lib.from_numpy(values.copy()).to(getattr(lib, dtype)).requires_grad_()
            y = lib.nn.functional.dropout(x * 1, p, True, inplace)
            y.backward(lib.from_numpy(values[::-1].copy()).to(y.dtype))
            results.append((bits(y), bits(x.grad)))
        assert results[0] == results[1], p
