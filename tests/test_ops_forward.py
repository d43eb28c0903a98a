"""Every row of the operation table forward: values, dtypes, shapes, layouts and errors as PyTorch's;
methods, in-place forms and ``out=`` as the function."""

from __future__ import annotations

import ember
import numpy as np
import pytest
import row_counts
from opspecs import SPECS
from opspecs.base import DEVICE, EPS, FLOATS, TINY, Case, Spec, rng_of
from opspecs.compare import (
    Outcome,
    bits,
    check_case,
    check_without_torch,
    dtype_name,
    flatten,
    is_tensor,
    quiet,
    run,
    same_type,
    torch,
    unsupported,
    wide,
)

pytestmark = pytest.mark.kernels

ROWS = [pytest.param(s, d, id=f"{s.name}-{d}") for s in SPECS for d in s.dtypes]


@pytest.mark.parametrize("spec, dtype", ROWS)
def test_values(spec: Spec, dtype: str) -> None:
    """Against PyTorch in the same dtype and in float64; without it against numpy."""
    if spec.seeded and DEVICE != "cpu":
        pytest.skip("a GPU draws from Philox, not from the CPU's stream that PyTorch shares")
    check = check_case if torch is not None else check_without_torch
    done = strided = 0
    for case in spec.cases(dtype, rng_of(spec, dtype)):
        compared = check(spec, case) != "theirs unsupported"
        done += compared
        strided += compared and any(a.layout != "plain" for a in case.arrays())
    row_counts.add("values", spec.name, done)
    row_counts.add(f"values in {dtype}", spec.name, done)
    row_counts.add("values, inputs with gaps or permuted", spec.name, strided)
    assert done


def call(spec: Spec, lib, case: Case, how) -> Outcome:
    """how(args, kwargs) on freshly built arguments."""
    args, kwargs = case.build(lib)
    try:
        with quiet():
            if spec.seeded:
                lib.manual_seed(1)
            return Outcome(flatten(how(args, kwargs)), None, args)
    except Exception as e:
        return Outcome([], e, args)


def same_bits(ours: Outcome, expected: Outcome, where: str) -> None:
    if expected.error is not None:
        assert ours.error is not None, f"{where}: does not raise {expected.error!r}"
        assert same_type(ours.error, expected.error), f"{where}: {ours.error!r}"
        return
    assert ours.error is None, f"{where}: raised {ours.error!r}"
    assert len(ours.leaves) == len(expected.leaves), where
    for a, b in zip(ours.leaves, expected.leaves, strict=True):
        if not is_tensor(b):
            assert a == b, where
            continue
        assert a.dtype == b.dtype and a.shape == b.shape, f"{where}: {a.dtype} {a.shape}"
        assert bits(a) == bits(b), f"{where}: {a} is not {b}"


def forms(spec: Spec, dtype: str):
    """Samples with the function's own outcome, apart from those the function refuses."""
    for case in spec.cases(dtype, rng_of(spec, dtype)):
        if spec.seeded or not case.args:
            continue
        outcome = run(spec, ember, case)
        if outcome.error is None:
            yield case, outcome


WITH_METHOD = [p for p in ROWS if p.values[0].method]


@pytest.mark.usefixtures("repeatable")
@pytest.mark.parametrize("spec, dtype", WITH_METHOD)
def test_method_is_the_function(spec: Spec, dtype: str) -> None:
    done = 0
    for case, outcome in forms(spec, dtype):
        if not is_tensor(outcome.arguments[0]):
            continue
        ours = call(spec, ember, case, lambda a, k: getattr(a[0], spec.method)(*a[1:], **k))
        same_bits(ours, outcome, f"{spec.name}{case} as a method")
        done += 1
    row_counts.add("methods", spec.name, done)


def in_place(spec: Spec, lib, case: Case) -> Outcome:
    def how(args, kwargs):
        result = getattr(args[0], spec.inplace)(*args[1:], **kwargs)
        assert result is args[0], "an in-place method returns its tensor"
        return result

    return call(spec, lib, case, how)


IN_PLACE = [p for p in ROWS if p.values[0].inplace]


@pytest.mark.usefixtures("repeatable")
@pytest.mark.parametrize("spec, dtype", IN_PLACE)
def test_in_place(spec: Spec, dtype: str) -> None:
    """The function's result in the tensor's own dtype and memory, or PyTorch's error."""
    done = 0
    for case, outcome in forms(spec, dtype):
        where = f"{spec.inplace}{case}"
        if not is_tensor(outcome.arguments[0]):
            continue
        ours = in_place(spec, ember, case)
        done += 1
        if torch is not None:
            theirs = in_place(spec, torch, case)
            if unsupported(theirs.error):
                continue
            if theirs.error is not None:
                assert ours.error is not None, f"{where}: PyTorch raises {theirs.error!r}"
                assert same_type(ours.error, theirs.error), f"{where}: {ours.error!r}"
                continue
            assert ours.error is None, f"{where}: raised {ours.error!r}"
        elif ours.error is not None:
            continue
        before = outcome.arguments[0]
        now = ours.arguments[0]
        assert now.stride() == before.stride() and now.data_ptr() == ours.leaves[0].data_ptr(), (
            where
        )
        expected = Outcome([outcome.leaves[0].to(before.dtype)])
        same_bits(Outcome([now]), expected, where)
    row_counts.add("in place", spec.name, done)


def out_of(spec: Spec, lib, case: Case, make) -> Outcome:
    def how(args, kwargs):
        out = make(lib)
        result = spec.function(lib)(*args, **kwargs, out=out)
        assert result is out, "out= returns its tensor"
        return result

    return call(spec, lib, case, how)


def empty(lib, shape, dtype):
    return lib.empty(shape, dtype=dtype, device=DEVICE if lib is ember else "cpu")


def check_wide(spec: Spec, case: Case, kind: str, ours, theirs, where: str) -> None:
    """A result of dtype `kind` that went into a float64 tensor."""
    if spec.tol.ulps == 0:
        assert np.array_equal(ours, theirs, equal_nan=True), where + "float64"
        return
    slack = 4 * EPS.get(kind, EPS["float64"])
    with np.errstate(all="ignore"):
        terms = max(np.abs(wide(a.values())).sum() for a in case.arrays())
    largest = np.abs(np.where(np.isfinite(theirs), theirs, 0)).max(initial=0)
    near = slack * (terms if kind not in FLOATS else largest) + TINY.get(kind, 0)
    close = np.isclose(ours, theirs, slack, near, equal_nan=True)
    assert close.all(), f"{where}float64: {ours[~close][:3]} for {theirs[~close][:3]}"


COMPUTE_IN_OUT = ("sum", "prod", "cumsum", "cumprod")  # in the dtype of out=
WITH_OUT = [p for p in ROWS if p.values[0].out]


@pytest.mark.usefixtures("repeatable")
@pytest.mark.parametrize("spec, dtype", WITH_OUT)
def test_out(spec: Spec, dtype: str) -> None:
    """``out=`` gets the result, is resized when it is empty, strided or of another dtype that the
    result casts to; a dtype of a lower kind raises."""
    done = 0
    for case, outcome in list(forms(spec, dtype))[::4]:
        (y,) = outcome.leaves
        kind = dtype_name(y)
        where = f"{spec.name}{case} out="

        def target(shape, name):
            return lambda lib: empty(lib, shape, getattr(lib, name))

        same_bits(out_of(spec, ember, case, target(y.shape, kind)), outcome, where + "fitting")
        same_bits(out_of(spec, ember, case, target((0,), kind)), outcome, where + "empty")
        strided = out_of(
            spec, ember, case,
            lambda lib, y=y: empty(lib, (*y.shape, 2), y.dtype).select(-1, 1),
        )  # fmt: skip
        same_bits(strided, outcome, where + "strided")
        if kind != "float64" and torch is not None:
            ours = out_of(spec, ember, case, target(y.shape, "float64"))
            theirs = out_of(spec, torch, case, target(tuple(y.shape), "float64"))
            if ours.error is not None:  # PyTorch refuses wider ones more often than it must
                same_bits(ours, theirs, where + "float64")
            else:
                expected = y.to(ember.float64) if theirs.error else theirs.leaves[0]
                check_wide(
                    spec, case, kind, ours.leaves[0].cpu().numpy(), expected.cpu().numpy(), where
                )
        if kind in FLOATS and spec.name not in COMPUTE_IN_OUT:
            narrow = out_of(spec, ember, case, target(y.shape, "int32"))
            assert isinstance(narrow.error, RuntimeError), f"{where}int32: no error"
        done += 1
    row_counts.add("out=", spec.name, done)
