"""Ember against PyTorch: the same program texts, in turn, in fresh processes.

    python bench/versus.py --threads 2

prints a table and writes bench/results/<name>.json and a bar chart beside it. A ratio is PyTorch's
figure over Ember's, each the best of all rounds: above 1, Ember is faster or smaller.
"""

import argparse
import datetime
import json
import os
import platform
import re
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path

import footprint
import programs

RESULTS = Path(__file__).parent / "results"

PEAK_MEMORY = """
def status(key):
    for line in open("/proc/self/status"):
        if line.startswith(key):
            return int(line.split()[1]) * 1024
imported = status("VmRSS")
{lenet}
optimizer = {adam}
{step}
for _ in range(100):
    step()
peak = status("VmHWM")
"""


def time_row(row: programs.Row, package: str, threads: int, budget: float, repeats: int) -> float:
    """Seconds of one execution of the statement, the best of several loops of `budget` seconds."""
    names: dict = {}
    exec(row.text(package, threads), names)
    run = names["run"]

    def seconds(n: int) -> float:
        begin = time.perf_counter()
        run(n)
        return time.perf_counter() - begin

    n, elapsed = 1, seconds(1)
    while elapsed < budget:
        n = max(2 * n, int(n * min(budget / max(elapsed, 1e-9), 100) * 1.1))
        elapsed = seconds(n)
    return min(elapsed, *(seconds(n) for _ in range(repeats))) / n


def peak_memory(package: str, threads: int) -> dict[str, float]:
    """Bytes a process needs at most for 100 steps of LeNet: in all, and beyond the import."""
    text = PEAK_MEMORY.format(
        lenet=programs.MODELS["LeNet, batch 64"],
        adam=programs.OPTIMIZERS["Adam"],
        step=programs.TRAINING_STEP,
    )
    text = (programs.PRELUDE + text).replace("{package}", package)
    names: dict = {}
    exec(text.replace("{threads}", str(threads)), names)
    total, net = names["peak"], names["peak"] - names["imported"]
    return {"LeNet training, peak memory": total, "the same beyond the import": net}


def work(args: argparse.Namespace) -> None:
    """Measures one group of rows for one package, and prints the figures as JSON."""
    if args.group == "memory":
        figures = peak_memory(args.package, args.threads)
    elif args.group == "import":
        figures = {"import beyond numpy": footprint.import_seconds(args.package, args.repeats)}
    elif args.group == "size":
        figures = {"installed size": footprint.installed_bytes(args.package)}
    else:
        figures = {
            row.name: time_row(row, args.package, args.threads, args.budget, args.repeats)
            for row in programs.timed_rows()
            if row.group == args.group and re.search(args.rows, row.name)
        }
    json.dump(figures, sys.stdout)


def measure(args: argparse.Namespace, group: str, package: str) -> dict[str, float]:
    command = [sys.executable, __file__, "--group", group, "--package", package]
    command += ["--threads", str(args.threads), "--rows", args.rows]
    command += ["--budget", str(args.budget), "--repeats", str(args.repeats)]
    threads = dict.fromkeys(["OMP_NUM_THREADS", "EMBER_NUM_THREADS"], str(args.threads))
    run = subprocess.run(command, env=os.environ | threads, stdout=subprocess.PIPE, check=False)
    if run.returncode != 0:
        sys.exit(f"{package}: the rows of group {group} failed")
    return json.loads(run.stdout)


def wanted_rows(pattern: str) -> dict[str, tuple[str, str, float]]:
    """Name of each row that matches the pattern: its group, unit and the ratio asked for."""
    rows = {row.name: (row.group, "s", row.at_least) for row in programs.timed_rows()}
    rows["LeNet training, peak memory"] = ("memory", "bytes", 3)
    rows["the same beyond the import"] = ("memory", "bytes", 1)
    rows["import beyond numpy"] = ("import", "s", 1)
    rows["installed size"] = ("size", "bytes", 1)
    return {name: row for name, row in rows.items() if re.search(pattern, name)}


def machine() -> dict:
    info = Path("/proc/cpuinfo").read_text()
    model = re.search(r"model name\s*:\s*(.*)", info)
    return {
        "processor": model[1] if model else platform.processor(),
        "cores": len(os.sched_getaffinity(0)),
        "system": platform.platform(),
        "python": platform.python_version(),
    }


def version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed: from the source tree"


def human(value: float, unit: str) -> str:
    if unit == "bytes":
        return f"{value / 1e6:.1f} MB"
    for scale, name in ((1e-6, "ns"), (1e-3, "µs"), (1, "ms")):
        if value < scale:
            return f"{value / scale * 1e3:.3g} {name}"
    return f"{value:.3g} s"


def draw(result: dict, path: Path) -> None:
    """Bars of the ratios on a logarithmic axis; a tick marks what the project asks for."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    rows = result["rows"][::-1]
    figure, axes = plt.subplots(figsize=(9, 1.2 + 0.24 * len(rows)), layout="constrained")
    ratios = [row["ratio"] for row in rows]
    colors = ["#2a7f62" if row["ratio"] >= row["at_least"] else "#c0552b" for row in rows]
    axes.barh(range(len(rows)), [r - 1 for r in ratios], left=1, color=colors, height=0.7)
    axes.plot([row["at_least"] for row in rows], range(len(rows)), "|k", markersize=7)
    axes.set_xscale("log", base=2)
    low, high = min(0.5, *ratios) / 1.4, max(8, *ratios) * 1.6
    axes.set_xlim(low, high)
    ticks = [2.0**k for k in range(-3, 10) if low <= 2.0**k <= high]
    axes.set_xticks(ticks, [f"{t:g}" for t in ticks])
    for y, ratio in enumerate(ratios):
        left = ratio < 1
        axes.text(
            ratio * (0.97 if left else 1.03),
            y,
            f"{ratio:.2f}",
            va="center",
            ha="right" if left else "left",
            fontsize=7,
        )
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_yticks(range(len(rows)), [row["name"] for row in rows], fontsize=8)
    axes.set_ylim(-0.8, len(rows) - 0.2)
    axes.set_xlabel(
        f"times faster or smaller than {result['theirs']} (tick: asked for)\n"
        f"{result['machine']['processor']}, {result['threads']} threads, {result['date']}"
    )
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=150)


def compare(args: argparse.Namespace) -> int:
    wanted = wanted_rows(args.rows)
    if not wanted:
        sys.exit(f"no row matches {args.rows!r}")
    groups = list(dict.fromkeys(group for group, _, _ in wanted.values()))
    runs: dict[str, dict[str, list[float]]] = {name: {"ours": [], "theirs": []} for name in wanted}
    sides = [("ours", args.ours), ("theirs", args.theirs)]
    for turn in range(args.rounds):
        for group in groups:
            for side, package in sides if turn % 2 == 0 else sides[::-1]:
                for name, value in measure(args, group, package).items():
                    if name in runs:
                        runs[name][side].append(value)
        print(f"round {turn + 1} of {args.rounds} is done", file=sys.stderr, flush=True)

    rows = []
    for name, (group, unit, at_least) in wanted.items():
        ours, theirs = min(runs[name]["ours"]), min(runs[name]["theirs"])
        row = {"group": group, "name": name, "unit": unit, "ours": ours, "theirs": theirs}
        rows.append(row | {"ratio": theirs / ours, "at_least": at_least, "rounds": runs[name]})

    result = {
        "machine": machine(),
        "date": datetime.date.today().isoformat(),
        "ours": f"{args.ours} {version(args.ours)}",
        "theirs": f"{args.theirs} {version(args.theirs)}",
        "threads": args.threads,
        "rounds": args.rounds,
        "rows": rows,
    }
    print(f"{'':44}{args.ours:>12}{args.theirs:>12}{'ratio':>9}{'at least':>10}")
    for row in rows:
        ours, theirs = (human(row[side], row["unit"]) for side in ("ours", "theirs"))
        low = "  below" if row["ratio"] < row["at_least"] else ""
        ratio, at_least = row["ratio"], row["at_least"]
        print(f"{row['name']:44}{ours:>12}{theirs:>12}{ratio:9.2f}{at_least:10g}{low}")
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{args.name}.json").write_text(json.dumps(result, indent=1) + "\n")
    draw(result, RESULTS / f"{args.name}.png")
    return sum(row["ratio"] < row["at_least"] for row in rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rows", default="", help="regular expression that row names must match")
    parser.add_argument("--quick", action="store_true", help="one round of short loops")
    parser.add_argument("--check", action="store_true", help="fail when a ratio is below its mark")
    parser.add_argument("--name", help="of the files in bench/results (versus_<threads>_threads)")
    parser.add_argument("--ours", default="ember", help="the package measured")
    parser.add_argument("--theirs", default="torch", help="the package it is measured against")
    parser.add_argument("--budget", type=float, default=0.05, help="seconds of one timed loop")
    parser.add_argument("--repeats", type=int, default=7, help="loops in each process")
    parser.add_argument("--group", help=argparse.SUPPRESS)  # the two options of a fresh process
    parser.add_argument("--package", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.group:
        work(args)
        return
    if args.quick:
        args.rounds, args.budget, args.repeats = 1, 0.01, 2
    args.name = args.name or f"versus_{args.threads}_threads"
    below = compare(args)
    sys.exit(1 if below and args.check else 0)


if __name__ == "__main__":
    main()
