"""Every row of the table of operations against PyTorch, by a call: what is slower is listed.

Run as ``python bench/sweep.py | sort -n``; ``--only REGEX`` picks rows, ``--dtype NAME`` and
``--size small|large`` what they get. README.md says how to read the lines.
"""

from __future__ import annotations

import argparse
import re
import resource
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import ember
import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from opspecs import SPECS
from opspecs.base import COMPLEX, FLOATS, Arr, Case, Spec, rng_of

SMALL, LARGE, LONGEST, MEMORY = 200, 1 << 20, 0.3, 8 << 30
MATRICES = re.compile(
    r"linalg|det|inv|solve|chol|qr|svd|eig|lu_|matrix|mm$|matmul|bmm|einsum|addmv|mv$|lstsq|orgqr"
)


def arrays_to(case: Case, change: Callable[[Arr], Arr]) -> Case:
    """The case with every array changed."""

    def visit(x):
        if isinstance(x, Arr):
            return change(x)
        return type(x)(visit(y) for y in x) if type(x) in (list, tuple) else x

    return Case(visit(case.args), {k: visit(v) for k, v in case.kwargs.items()}, case.note)


def elements(case: Case) -> int:
    return max((a.data.size for a in case.arrays()), default=0)


def runs(spec: Spec, case: Case) -> bool:
    """Whether both packages take the case, PyTorch in at most `LONGEST` seconds."""
    try:
        for lib in (torch, ember):
            args, kwargs = case.build(lib)
            start = time.perf_counter()
            spec.function(lib, lib is torch)(*args, **kwargs)
            if time.perf_counter() - start > LONGEST:
                return False
    except Exception:
        return False
    return True


def small_case(spec: Spec, dtype: str) -> Case | None:
    """The row's largest dense sample of at most `SMALL` elements."""
    cases = [c for c in spec.cases(dtype, rng_of(spec, dtype)) if c.note != "extremes"]
    cases = [c for c in cases if elements(c) <= SMALL]
    dense = [c for c in cases if all(a.layout == "plain" for a in c.arrays())]
    for case in sorted(dense or cases, key=elements, reverse=True)[:8]:
        if runs(spec, case):
            return case
    return None


def enlarged(case: Case, rng: np.random.Generator) -> Iterator[Case]:
    """The case with repeated arrays: in batches, or along their first dim."""
    largest = elements(case)
    if largest == 0:
        return

    def noisy(data: np.ndarray) -> np.ndarray:
        floating = np.issubdtype(data.dtype, np.floating)
        return data * rng.uniform(0.9, 1, data.shape).astype(data.dtype) if floating else data

    def along(first: Arr, count: int) -> Arr:
        if first.data.ndim == 0:
            return first
        data = np.tile(first.data, (count, *[1] * (first.data.ndim - 1)))
        return replace(first, data=noisy(data), layout="plain")

    def batched(a: Arr, count: int) -> Arr:
        data = np.tile(a.data, (count, *[1] * a.data.ndim))
        return replace(a, data=noisy(data), layout="plain")

    for goal in (LARGE, LARGE // 64, LARGE // 1024):
        count = max(goal // largest, 1)
        yield arrays_to(case, lambda a, n=count: along(a, n))
        yield arrays_to(case, lambda a, n=count: batched(a, n))


def square(case: Case, rng: np.random.Generator, size: int) -> Case:
    """Matrices of one size, well-conditioned, symmetric and positive definite; vectors with it."""

    def visit(a: Arr) -> Arr:
        if a.role != "value" or a.data.ndim == 0:
            return a
        shape = (size,) * min(a.data.ndim, 2)
        data = rng.standard_normal(shape)
        if a.dtype in COMPLEX:
            data = data + 1j * rng.standard_normal(shape)
        if a.data.ndim > 1:
            data = data @ data.conj().T / size + np.eye(size)
        return replace(a, data=data.astype(a.data.dtype), layout="plain")

    return arrays_to(case, visit)


def large_case(spec: Spec, dtype: str, small: Case) -> Case | None:
    rng = np.random.default_rng(0)
    found: list[Case] = []
    if spec.large is not None:
        case = spec.large(rng)
        if dtype not in FLOATS:
            low = 0 if dtype == "bool" else -1e9
            case = arrays_to(
                case,
                lambda a: (
                    replace(a, dtype=dtype, data=np.maximum(a.data, low).astype(dtype))
                    if a.role == "value"
                    else a
                ),
            )
        else:
            case = arrays_to(case, lambda a: replace(a, dtype=dtype) if a.is_float else a)
        found.append(case)
    elif MATRICES.search(spec.name):
        found += [square(small, rng, size) for size in (512, 128)]
    for case in (*found, *enlarged(small, rng)):
        if runs(spec, case):
            return case
    return None


def flat(x: object) -> list:
    if isinstance(x, (list, tuple)):
        return [leaf for item in x for leaf in flat(item)]
    return [x]


def call(spec: Spec, lib, case: Case, backward: bool) -> Callable[[], object]:
    args, kwargs = case.build(lib)
    function = spec.function(lib, lib is torch)
    if not backward:
        return lambda: function(*args, **kwargs)
    inputs = [
        x.requires_grad_()
        for x in flat([args, list(kwargs.values())])
        if isinstance(x, lib.Tensor) and (x.is_floating_point() or x.is_complex()) and x.is_leaf
    ]

    def step() -> object:
        results = [
            y for y in flat(function(*args, **kwargs))
            if isinstance(y, lib.Tensor) and y.requires_grad
        ]  # fmt: skip
        ones = [lib.ones_like(y) for y in results]
        return lib.autograd.grad(results, inputs, ones, allow_unused=True)

    return step


def compare(ours: Callable, theirs: Callable, rounds: int) -> tuple[float, float]:
    """Seconds of processor time a call, the best of loops of a millisecond in turn."""
    functions, best, counts = (ours, theirs), [float("inf")] * 2, [1, 1]
    for side, f in enumerate(functions):
        f()
        start = time.process_time()
        f()
        counts[side] = max(1, int(1e-3 / max(time.process_time() - start, 1e-6)))
    for _ in range(rounds):
        for side, f in enumerate(functions):
            start = time.process_time()
            for _ in range(counts[side]):
                f()
            best[side] = min(best[side], (time.process_time() - start) / counts[side])
    return best[0], best[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--size", choices=("small", "large", "both"), default="both")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--below", type=float, default=float("inf"), help="ratios to list")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    ember.set_num_threads(1)
    torch.set_num_threads(1)
    # What would not fit raises MemoryError or RuntimeError, and the row gets a smaller case.
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    for spec in SPECS:
        if not re.search(options.only, spec.name) or options.dtype not in spec.dtypes:
            continue
        small = small_case(spec, options.dtype)
        if small is None:
            continue
        cases = {"small": small} if options.size != "large" else {}
        if options.size != "small" and (large := large_case(spec, options.dtype, small)):
            cases["large"] = large
        for size, case in cases.items():
            for backward in (False, True) if spec.grad else (False,):
                try:
                    pair = [call(spec, lib, case, backward) for lib in (ember, torch)]
                    ours, theirs = compare(*pair, options.rounds)
                except Exception as error:
                    print(f"{spec.name} {size}: {error!r}"[:150], file=sys.stderr)
                    continue
                ratio, what = theirs / ours, "backward" if backward else "forward"
                if ratio < options.below:
                    print(
                        f"{ratio:7.2f} {ours * 1e6:12.2f} {theirs * 1e6:12.2f} us  {size} "
                        f"{what:8} {spec.name}  {str(case)[:70]}", flush=True
                    )  # fmt: skip


if __name__ == "__main__":
    main()
