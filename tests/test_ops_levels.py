"""Every instruction-set level gives the best level's results: the same bits where the row is exact,
within its tolerance elsewhere."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import ember
import numpy as np
import pytest
import row_counts
from opspecs import BY_NAME, SPECS
from opspecs.base import Case, rng_of
from opspecs.compare import check_alike
from opspecs.record_level import record

pytestmark = pytest.mark.kernels

SCRIPT = Path(__file__).parent / "opspecs" / "record_level.py"
LEVELS = ("baseline", "avx2", "avx512")
# Rows with kernels of their own; views and what is composed of other rows stay out.
NAMES = [
    s.name
    for s in SPECS
    if s.large is not None and s.name not in ("rand", "linspace", "getitem", "setitem")
]


@pytest.fixture(scope="module")
def here() -> dict[str, np.ndarray]:
    return record(NAMES)


@cache
def samples(name: str, dtype: str) -> list[Case]:
    spec = BY_NAME[name]
    return list(spec.cases(dtype, rng_of(spec, dtype)))


def sample(name: str, dtype: str, i: int) -> Case:
    return samples(name, dtype)[i]


def lower_levels() -> list[str]:
    known = [*LEVELS, "bf16", "amx"]
    return known[: known.index(ember._C._cpu_level())]


@pytest.mark.parametrize("level", LEVELS)
def test_level(level: str, here: dict[str, np.ndarray], tmp_path: Path) -> None:
    if level not in lower_levels():
        pytest.skip(f"this process runs at {level} or below")
    file = tmp_path / "results.npz"
    env = {**os.environ, "EMBER_ISA": level}
    env["PYTHONPATH"] = os.pathsep.join(sys.path)
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(file), *NAMES], env=env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    there = np.load(file)
    assert set(there.files) == set(here)
    cases = {}
    for key, ours in there.items():
        name, dtype, i, leaf, kind = key.split("/")
        where = f"{name} in {dtype}, sample {i}, result {leaf} at {level}"
        check_alike(BY_NAME[name], sample(name, dtype, int(i)), kind, ours, here[key], where)
        cases[name] = cases.get(name, 0) + 1
    for name, count in cases.items():
        row_counts.add(f"at level {level}", name, count)
    assert len(cases) == len(NAMES)


def test_lower_levels_multiply_as_float32_whatever_the_precision() -> None:
    if "avx2" not in lower_levels():
        pytest.skip("this process runs at avx2 or below")
    text = (
        "import ember; a, b = ember.randn(70, 90), ember.randn(90, 80); c = a @ b\n"
        "for name in ('high', 'medium'):\n"
        "    ember.set_float32_matmul_precision(name); assert ember.equal(a @ b, c)"
    )
    env = {**os.environ, "EMBER_ISA": "avx2", "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", text], env=env, check=True)
