"""The stubs that ship say what the compiled module has."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_stubs_are_up_to_date():
    subprocess.run([sys.executable, ROOT / "tools" / "make_stubs.py", "--check"], check=True)
