"""Runs rows in a process of its own and writes their results: python record_level.py FILE ROW…

The level is what EMBER_ISA says; samples are the same in every process."""

from __future__ import annotations

import pathlib
import sys

import numpy as np

if __package__ in (None, ""):
    sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

import ember

from opspecs import BY_NAME
from opspecs.base import FLOATS, rng_of
from opspecs.compare import dtype_name, is_tensor, run, to_numpy

DTYPES = (*FLOATS, "int8", "int64")


def record(names: list[str]) -> dict[str, np.ndarray]:
    """Results by "row/dtype/sample/leaf/dtype of the leaf"."""
    found = {}
    for name in names:
        spec = BY_NAME[name]
        for dtype in (d for d in DTYPES if d in spec.dtypes):
            for i, case in enumerate(spec.cases(dtype, rng_of(spec, dtype))):
                outcome = run(spec, ember, case)
                for k, leaf in enumerate(outcome.leaves):
                    if is_tensor(leaf):
                        key = f"{name}/{dtype}/{i}/{k}/{dtype_name(leaf)}"
                        found[key] = np.array(to_numpy(leaf))
    return found


if __name__ == "__main__":
    np.savez(sys.argv[1], **record(sys.argv[2:]))
