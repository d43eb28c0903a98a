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
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from statistics import geometric_mean

import programs
from measure import CLOCKS, LIMITS, agree

RESULTS = Path(__file__).parent / "results"

MEASURE = Path(__file__).with_name("measure.py")
MEMORY_AT_LEAST = 1 / 0.7  # a step's peak memory, PyTorch's over Ember's
GEOMETRIC_MEAN = {1: 2.2}  # of the steps' ratios by threads, or else:
GEOMETRIC_MEAN_ELSE = 2.5
TOLERANCE = {False: 1e-3, True: 2e-2}  # relative, of results; the latter in bfloat16


@dataclass
class Wanted:
    """What is asked of one figure, and the row it comes from where there is one."""

    group: str
    unit: str
    at_least: float
    row: programs.Row | None = None


def measure(args: argparse.Namespace, group: str, package: str) -> dict[str, dict]:
    command = [sys.executable, str(MEASURE), "--group", group, "--package", package]
    for option in ("only", "clock", "threads", "repeats", "budget"):
        command += [f"--{option}", str(getattr(args, option))]
    threads = dict.fromkeys(["OMP_NUM_THREADS", "EMBER_NUM_THREADS"], str(args.threads))
    run = subprocess.run(command, env=os.environ | threads, stdout=subprocess.PIPE, check=False)
    if run.returncode != 0:
        sys.exit(f"{package}: the rows of group {group} failed")
    return json.loads(run.stdout)


def wanted_rows(pattern: str) -> dict[str, Wanted]:
    """What is asked of each figure whose label (group: name) matches the pattern."""
    all_rows = programs.all_rows()
    rows = {row.name: Wanted(row.group, "s", row.at_least, row) for row in all_rows}
    for row in all_rows:
        if row.step:
            group = f"memory of {row.name}"
            least = max(MEMORY_AT_LEAST, row.memory_at_least)
            rows[f"{row.name}: memory"] = Wanted(group, "bytes", least)
            rows[f"{row.name}: memory beyond import"] = Wanted(group, "bytes", 1)
    rows["import beyond numpy"] = Wanted("import", "s", 1)
    rows["installed size"] = Wanted("size", "bytes", 1)
    return {
        name: wanted
        for name, wanted in rows.items()
        if re.search(pattern, wanted.row.label() if wanted.row else f"{wanted.group}: {name}")
    }


def limits_of(runs: dict[str, dict[str, list[dict]]]) -> dict[str, float]:
    """Operations or bytes a second at best: what the faster package reached."""
    return {
        row.name: max(row.flops, row.bytes)
        / min(run["figure"] for side in runs[row.name].values() for run in side)
        for row in LIMITS
    }


def fraction_of_limit(
    row: programs.Row | None, flops: float, seconds: float, limits: dict[str, float]
) -> float | None:
    """How much of the time the machine's limit explains; nothing where the work is not known."""
    if row is None or not (flops or row.bytes):
        return None
    # A step under autocast keeps some of its products in float32; the higher limit is the honest.
    kinds = ["float32 products"] + ["bfloat16 products"] * row.bf16
    peak = max(limits[kind] for kind in kinds)
    return max(flops / peak, row.bytes / limits["copy"]) / seconds


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


def run_all(args: argparse.Namespace, wanted: dict[str, Wanted]) -> dict:
    """What each side gave for each name, round by round."""
    groups = ["limit", *dict.fromkeys(w.group for w in wanted.values())]
    names = [row.name for row in LIMITS] + list(wanted)
    runs: dict[str, dict[str, list[dict]]] = {name: {"ours": [], "theirs": []} for name in names}
    sides = [("ours", args.ours), ("theirs", args.theirs)]
    for turn in range(args.rounds):
        for group in groups:
            # Memory does not depend on what the neighbours do.
            if turn > 0 and group.startswith("memory of "):
                continue
            for side, package in sides if turn % 2 == 0 else sides[::-1]:
                for name, run in measure(args, group, package).items():
                    if name in runs:
                        runs[name][side].append(run)
        print(f"round {turn + 1} of {args.rounds} is done", file=sys.stderr, flush=True)
    return runs


def judge(name: str, wanted: Wanted, runs: dict, limits: dict[str, float]) -> dict:
    """A row of the results: figures, ratio, distance from the limit, and what is amiss."""
    ours, theirs = (min(run["figure"] for run in runs[side]) for side in ("ours", "theirs"))
    result = {"group": wanted.group, "name": name, "unit": wanted.unit}
    result |= {"ours": ours, "theirs": theirs, "ratio": theirs / ours, "at_least": wanted.at_least}
    amiss = ["below"] if theirs / ours < wanted.at_least else []
    row = wanted.row
    if row is not None:
        values = [runs[side][0]["values"] for side in ("ours", "theirs")]
        result |= {"values": values, "step": row.step}
        if not agree(*values, TOLERANCE[row.bf16]):
            amiss.append("results differ")
        flops = max(run["flops"] for side in runs.values() for run in side)
        fraction = fraction_of_limit(row, flops, ours, limits)
        result |= {"fraction": fraction, "fraction_at_least": row.fraction}
        if fraction is not None and fraction < row.fraction:
            amiss.append("far from the limit")
    result["amiss"] = amiss
    result["rounds"] = {side: [run["figure"] for run in runs[side]] for side in runs}
    return result


def print_table(args: argparse.Namespace, result: dict) -> None:
    print(f"{'':56}{args.ours:>10}{args.theirs:>10}{'ratio':>8}{'at least':>10}{'limit':>7}")
    for row in result["rows"]:
        ours, theirs = (human(row[side], row["unit"]) for side in ("ours", "theirs"))
        fraction = row.get("fraction")
        limit = f"{fraction:7.2f}" if fraction is not None else " " * 7
        ratio, at_least = f"{row['ratio']:8.2f}", f"{row['at_least']:10.3g}"
        amiss = ", ".join(row["amiss"])
        print(f"{row['name']:56}{ours:>10}{theirs:>10}{ratio}{at_least}{limit}  {amiss}".rstrip())
    for name, value in result["limits"].items():
        print(f"limit, {name}: {value / 1e9:.4g} G{'B' if name == 'copy' else 'FLOP'}/s")
    if result["geometric_mean"]:
        mean, least = result["geometric_mean"], result["geometric_mean_at_least"]
        print(f"geometric mean of the steps: {mean:.2f}, asked for {least}")


def compare(args: argparse.Namespace) -> int:
    """Measures, prints and writes; returns how many things are amiss."""
    wanted = wanted_rows(args.only)
    if not wanted:
        sys.exit(f"no row matches {args.only!r}")
    runs = run_all(args, wanted)
    limits = limits_of(runs)
    rows = [judge(name, w, runs[name], limits) for name, w in wanted.items()]
    steps = [row["ratio"] for row in rows if row.get("step")]
    mean, least = geometric_mean(steps) if steps else 0, GEOMETRIC_MEAN_ELSE
    least = GEOMETRIC_MEAN.get(args.threads, least)
    result = {
        "machine": machine(),
        "date": datetime.date.today().isoformat(),
        "ours": f"{args.ours} {version(args.ours)}",
        "theirs": f"{args.theirs} {version(args.theirs)}",
        "threads": args.threads,
        "clock": args.clock,
        "rounds": args.rounds,
        "limits": limits,
        "geometric_mean": mean,
        "geometric_mean_at_least": least,
        "rows": rows,
    }
    print_table(args, result)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{args.name}.json").write_text(json.dumps(result, indent=1) + "\n")
    draw(result, RESULTS / f"{args.name}.png")
    return sum(bool(row["amiss"]) for row in rows) + (bool(steps) and mean < least)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="", help="regular expression that `group: name` matches")
    parser.add_argument("--clock", choices=CLOCKS, default="wall", help="or the processor's time")
    parser.add_argument("--quick", action="store_true", help="one round of short loops")
    parser.add_argument("--check", action="store_true", help="fail when anything is amiss")
    parser.add_argument("--name", help="of the files in bench/results (versus_<threads>_threads)")
    parser.add_argument("--ours", default="ember", help="the package measured")
    parser.add_argument("--theirs", default="torch", help="the package it is measured against")
    parser.add_argument("--budget", type=float, default=0.05, help="seconds of one timed loop")
    parser.add_argument("--repeats", type=int, default=7, help="loops in each process")
    args = parser.parse_args()
    if args.quick:
        args.rounds, args.budget, args.repeats = 1, 0.01, 2
    args.name = args.name or f"versus_{args.threads}_threads"
    below = compare(args)
    sys.exit(1 if below and args.check else 0)


if __name__ == "__main__":
    main()
