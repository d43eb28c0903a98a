"""Results and gradients are the same bits with 1, 2 and 4 threads, at sizes where all of them work."""

from __future__ import annotations

from collections.abc import Iterator

import ember
import numpy as np
import pytest
import row_counts
from opspecs import SPECS
from opspecs.base import Case, Spec, rng_of, seed_of
from opspecs.compare import bits, flatten, is_tensor, quiet, run, trainable

pytestmark = pytest.mark.kernels

LARGE = [pytest.param(s, id=s.name) for s in SPECS if s.large]
SMALL = [pytest.param(s, id=s.name) for s in SPECS if not s.large]


@pytest.fixture(autouse=True)
def restore_threads() -> Iterator[None]:
    before = ember.get_num_threads()
    yield
    ember.set_num_threads(before)


def results(spec: Spec, case: Case) -> list[bytes]:
    """The bits of the result and, of a differentiable row, of the gradients."""
    outcome = run(spec, ember, case, grad=spec.grad)
    if outcome.error is not None:
        return [repr(outcome.error).encode()]
    found = [bits(y) if is_tensor(y) else repr(y).encode() for y in outcome.leaves]
    outputs = [y for y in flatten(outcome.leaves) if is_tensor(y) and y.requires_grad]
    if not outputs:
        return found
    cotangents = [
        ember.from_numpy(np.random.default_rng(i).uniform(-1, 1, tuple(y.shape))).to(y.dtype)
        for i, y in enumerate(outputs)
    ]
    with quiet():
        ember.autograd.backward(outputs, cotangents)
    gradients = [t.grad for t in trainable(case, outcome.arguments, outcome.keywords)]
    return found + [bits(g) for g in gradients if g is not None]


def check(spec: Spec, cases: list[Case]) -> None:
    for case in cases:
        ember.set_num_threads(1)
        alone = results(spec, case)
        assert alone
        for threads in (2, 4):
            ember.set_num_threads(threads)
            assert results(spec, case) == alone, f"{spec.name}{case} with {threads} threads"


@pytest.mark.parametrize("spec", LARGE)
def test_large(spec: Spec) -> None:
    check(spec, [spec.large(np.random.default_rng(seed_of(spec.name)))])
    row_counts.add("threads, large", spec.name, 1)


@pytest.mark.parametrize("spec", SMALL)
def test_small(spec: Spec) -> None:
    dtype = spec.dtypes[0]
    cases = list(spec.cases(dtype, rng_of(spec, dtype)))[:6]
    check(spec, cases)
    row_counts.add("threads, small", spec.name, len(cases))
