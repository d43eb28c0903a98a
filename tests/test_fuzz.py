"""A short run of the generated calls; `python tests/fuzz_calls.py` makes as many as wanted."""

import subprocess
import sys
from pathlib import Path


def test_generated_calls_end_in_a_result_or_an_exception():
    command = [sys.executable, str(Path(__file__).with_name("fuzz_calls.py"))]
    command += ["--calls", "2000", "--seed", "7", "--batch", "1000"]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
