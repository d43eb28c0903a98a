"""How much a package weighs: import time beyond numpy, installed size, size of a wheel.

Run as a script it measures Ember and fails when a limit given on the command line is exceeded.
"""

import argparse
import importlib.util
import subprocess
import sys
from pathlib import Path

IMPORT = """
import numpy, time
begin = time.perf_counter()
import {package}
print(time.perf_counter() - begin)
"""


def import_seconds(package: str, processes: int = 15) -> float:
    """Best time of `import package` over fresh processes that have imported numpy already."""
    command = [sys.executable, "-c", IMPORT.format(package=package)]
    runs = (subprocess.run(command, check=True, capture_output=True) for _ in range(processes))
    return min(float(run.stdout) for run in runs)


def installed_bytes(package: str) -> int:
    """Bytes of the files in the package's folder, without compiled Python."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(f"{package} is not an installed package")
    return sum(
        path.stat().st_size
        for folder in spec.submodule_search_locations
        for path in Path(folder).rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--wheel", type=Path, help="a wheel to weigh")
    parser.add_argument("--max-wheel-mb", type=float, default=float("inf"))
    parser.add_argument("--max-import-ms", type=float, default=float("inf"))
    args = parser.parse_args()

    exceeded = False
    import_ms = import_seconds("ember") * 1e3
    print(f"import beyond numpy: {import_ms:.1f} ms (at most {args.max_import_ms:g})")
    exceeded |= import_ms > args.max_import_ms
    print(f"installed: {installed_bytes('ember') / 1e6:.2f} MB")
    if args.wheel:
        wheel_mb = args.wheel.stat().st_size / 1e6
        print(f"{args.wheel.name}: {wheel_mb:.2f} MB (at most {args.max_wheel_mb:g})")
        exceeded |= wheel_mb > args.max_wheel_mb
    sys.exit("a limit is exceeded" if exceeded else 0)


if __name__ == "__main__":
    main()
