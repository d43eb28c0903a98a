"""Short runs of generated calls and files; `fuzz_calls.py` and `fuzz_files.py` make as many as wanted."""

import subprocess
import sys
from pathlib import Path

import pytest


def test_generated_calls_end_in_a_result_or_an_exception():
    command = [sys.executable, str(Path(__file__).with_name("fuzz_calls.py"))]
    command += ["--calls", "2000", "--seed", "7", "--batch", "1000"]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr


def test_mutated_files_load_or_are_refused():
    pytest.importorskip("torch")
    command = [sys.executable, str(Path(__file__).with_name("fuzz_files.py"))]
    run = subprocess.run(
        [*command, "--count", "500", "--seed", "7"], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr
