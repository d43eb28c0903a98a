"""Ember on a GPU, beside PyTorch where that is installed with CUDA: the same program texts.

    python bench/gpu.py

prints a table and writes bench/results/gpu.json. Each figure is the best of several runs, timed by
the GPU's own events around many calls; packages take turns, each in a fresh process. Without a GPU
it says why and ends.
"""

from __future__ import annotations

import argparse
import importlib
import json
import subprocess
import sys
from pathlib import Path

RESULTS = Path(__file__).parent / "results"

# (name, unit, setup, statement, work of one call in units of 1e9: bytes, operations or calls)
ROWS = [
    ("copy, 256 MiB", "GB/s", "x = torch.ones(2**26, device=d); y = torch.empty_like(x)",
     "y.copy_(x)", 2 * 2**28 / 1e9),
    ("copy, transposed, 256 MiB", "GB/s",
     "x = torch.ones(2**13, 2**13, device=d); y = torch.empty_like(x)", "y.copy_(x.t())",
     2 * 2**28 / 1e9),
    ("add, 256 MiB", "GB/s", "x = torch.ones(2**26, device=d); y = torch.ones_like(x)", "x + y",
     3 * 2**28 / 1e9),
    ("gelu, bfloat16, 128 MiB", "GB/s", "x = torch.randn(2**26, device=d, dtype=torch.bfloat16)",
     "F.gelu(x)", 2 * 2**27 / 1e9),
    ("sum, 256 MiB", "GB/s", "x = torch.ones(2**26, device=d)", "x.sum()", 2**28 / 1e9),
    ("sum of columns, 256 MiB", "GB/s", "x = torch.ones(2**13, 2**13, device=d)", "x.sum(0)",
     2**28 / 1e9),
    ("softmax, 16384 x 4096", "GB/s", "x = torch.randn(2**14, 2**12, device=d)", "x.softmax(-1)",
     2 * 2**28 / 1e9),
    ("layer norm, 16384 x 4096", "GB/s", "x = torch.randn(2**14, 2**12, device=d)",
     "F.layer_norm(x, (4096,))", 2 * 2**28 / 1e9),
    ("matmul, float32, 4096", "TFLOP/s", "x = torch.randn(4096, 4096, device=d)", "x @ x",
     2 * 4096**3 / 1e12),
    ("matmul, bfloat16, 8192", "TFLOP/s",
     "x = torch.randn(8192, 8192, device=d, dtype=torch.bfloat16)", "x @ x", 2 * 8192**3 / 1e12),
    ("AdamW, 100 tensors, 50 M", "GB/s",
     "ps = [torch.randn(500_000, device=d, requires_grad=True) for _ in range(100)]\n"
     "o = torch.optim.AdamW(ps, lr=1e-3, fused=True)\n"
     "for p in ps: p.grad = torch.ones_like(p)", "o.step()", 7 * 4 * 5e7 / 1e9),
    ("LeNet, batch 256", "steps/ms",
     "net = torch.nn.Sequential(torch.nn.Conv2d(1, 6, 5, padding=2), torch.nn.ReLU(),\n"
     "    torch.nn.MaxPool2d(2), torch.nn.Conv2d(6, 16, 5), torch.nn.ReLU(),\n"
     "    torch.nn.MaxPool2d(2), torch.nn.Flatten(), torch.nn.Linear(400, 120), torch.nn.ReLU(),\n"
     "    torch.nn.Linear(120, 84), torch.nn.ReLU(), torch.nn.Linear(84, 10)).to(d)\n"
     "o = torch.optim.AdamW(net.parameters(), lr=1e-3, fused=True)\n"
     "x = torch.randn(256, 1, 28, 28, device=d)\n"
     "t = torch.arange(256, device=d) % 10\n"
     "def step():\n"
     "    o.zero_grad()\n"
     "    F.cross_entropy(net(x), t).backward()\n"
     "    o.step()", "step()", 1e-3),
]  # fmt: skip


def measure(package: str, runs: int) -> dict[str, float]:
    """The rate of each row, in its unit."""
    torch = importlib.import_module(package)
    functional = importlib.import_module(f"{package}.nn.functional")
    importlib.import_module(f"{package}.optim")
    rates = {}
    for name, _, setup, statement, work in ROWS:
        names = {"torch": torch, "F": functional, "d": "cuda"}
        exec(f"{setup}\ndef run(n):\n    for _ in range(n): {statement}", names)
        names["run"](3)
        best, n = float("inf"), 1
        for _ in range(runs):
            first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            torch.cuda.synchronize()
            first.record()
            names["run"](n)
            last.record()
            torch.cuda.synchronize()
            seconds = first.elapsed_time(last) / 1e3
            best = min(best, seconds / n)
            n = max(n, min(1000, int(0.1 / max(best, 1e-7))))
        rates[name] = work / best
        del names
        torch.cuda.empty_cache()
    return rates


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--runs", type=int, default=8, help="of a row in a round")
    parser.add_argument("--package", help=argparse.SUPPRESS)  # in the processes that measure
    args = parser.parse_args()
    if args.package:
        print(json.dumps(measure(args.package, args.runs)))
        return
    import ember

    if not ember.cuda.is_available():
        sys.exit(f"gpu.py: {ember.cuda.unavailable_reason()}")
    packages = ["ember"]
    try:
        import torch

        if torch.cuda.is_available():
            packages.append("torch")
    except ImportError:
        pass
    best: dict[str, dict[str, float]] = {package: {} for package in packages}
    for _ in range(args.rounds):
        for package in packages:
            command = [sys.executable, __file__, "--package", package, "--runs", str(args.runs)]
            found = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
            for name, rate in found.items():
                best[package][name] = max(rate, best[package].get(name, 0))
    print(f"{ember.cuda.get_device_name()}; the best of {args.rounds} rounds")
    print(f"{'':28}{'':>10}" + "".join(f"{package:>10}" for package in packages))
    for name, unit, *_ in ROWS:
        print(f"{name:28}{unit:>10}" + "".join(f"{best[p][name]:10.2f}" for p in packages))
    RESULTS.mkdir(exist_ok=True)
    result = {"device": ember.cuda.get_device_name(), "rates": best}
    (RESULTS / "gpu.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
