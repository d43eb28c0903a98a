"""One fresh process of versus.py: measures the rows of one group in one package, prints JSON."""

import argparse
import importlib
import json
import math
import re
import sys
import time

import footprint
import programs

CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
STEPS_COMPARED = 3
LONGEST = 4.0  # seconds that the loops of one row may take after the first

# What the machine can do at best is what the faster package does with its best case.
LIMITS = [
    programs.Row("limit", "float32 products", "a = torch.randn(2048, 2048)", "a @ a", 0, 2 * 2**33),
    programs.Row(
        "limit",
        "bfloat16 products",
        "a = torch.randn(2048, 2048).bfloat16()",
        "a @ a",
        0,
        2 * 2**33,
    ),
    programs.Row(
        "limit",
        "copy",
        "a, b = torch.ones(1 << 26), torch.zeros(1 << 26)",
        "b.copy_(a)",
        0,
        bytes=2**29,
    ),
]


def load(row: programs.Row, args: argparse.Namespace) -> dict:
    names: dict = {}
    try:
        exec(row.text(args.package, args.threads), names)
    except Exception as error:
        raise RuntimeError(f"{row.name} failed in {args.package}") from error
    return names


def seconds_of(run, args: argparse.Namespace) -> float:
    """Of one execution of the statement, the best of several loops of `budget` seconds."""
    clock = CLOCKS[args.clock]

    def seconds(n: int) -> float:
        begin = clock()
        run(n)
        return clock() - begin

    n, best = 1, seconds(1)
    while best < args.budget:
        n = max(2 * n, int(n * min(args.budget / max(best, 1e-9), 100) * 1.1))
        best = seconds(n)
    spent = 0.0
    for _ in range(args.repeats):
        elapsed = seconds(n)
        best, spent = min(best, elapsed), spent + elapsed
        if spent > LONGEST:
            break
    return best / n


def counted_flops(package: str, once) -> float:
    """By PyTorch's counter, which other packages lack; 0 there."""
    if package != "torch":
        return 0
    counter = importlib.import_module("torch.utils.flop_counter").FlopCounterMode(display=False)
    attention = importlib.import_module("torch.nn.attention")
    # The counter does not see into the fused kernel.
    with counter, attention.sdpa_kernel(attention.SDPBackend.MATH):
        once()
    return counter.get_total_flops()


def time_row(row: programs.Row, args: argparse.Namespace) -> dict:
    names = load(row, args)
    values = [v for _ in range(STEPS_COMPARED if row.step else 1) for v in names["once"]()]
    figure = seconds_of(names["run"], args)
    flops = row.flops or (counted_flops(args.package, names["once"]) if row.step else 0)
    # What differs from process to process says nothing.
    return {"figure": figure, "values": [] if row.group == "random" else values, "flops": flops}


def status(key: str) -> int:
    """A figure of this process in bytes."""
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(key))


def peak_memory(row: programs.Row, args: argparse.Namespace) -> dict:
    """Bytes a process needs at most for some steps: in all, and beyond the import."""
    exec(programs.PRELUDE.replace("{package}", args.package).replace("{threads}", "1"), {})
    imported = status("VmRSS")
    run = load(row, args)["run"]
    begin = time.perf_counter()
    for _ in range(100):
        run(1)
        if time.perf_counter() - begin > LONGEST:
            break
    peak = status("VmHWM")
    return {f"{row.name}: memory": peak, f"{row.name}: memory beyond import": peak - imported}


def figures(args: argparse.Namespace) -> dict[str, dict]:
    if args.group == "import":
        seconds = footprint.import_seconds(args.package, args.repeats)
        return {"import beyond numpy": {"figure": seconds}}
    if args.group == "size":
        return {"installed size": {"figure": footprint.installed_bytes(args.package)}}
    if args.group == "limit":
        return {row.name: time_row(row, args) for row in LIMITS}
    rows = programs.all_rows()
    if args.group.startswith("memory of "):
        (row,) = (row for row in rows if row.name == args.group.removeprefix("memory of "))
        return {name: {"figure": value} for name, value in peak_memory(row, args).items()}
    chosen = [r for r in rows if r.group == args.group and re.search(args.only, r.label())]
    return {row.name: time_row(row, args) for row in chosen}


def agree(ours: list[float], theirs: list[float], tolerance: float) -> bool:
    return len(ours) == len(theirs) and all(
        math.isclose(a, b, rel_tol=tolerance, abs_tol=1e-12)
        for a, b in zip(ours, theirs, strict=True)
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--group", required=True)
    parser.add_argument("--package", required=True)
    parser.add_argument("--only", required=True)
    parser.add_argument("--clock", choices=CLOCKS, required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--repeats", type=int, required=True)
    parser.add_argument("--budget", type=float, required=True)
    json.dump(figures(parser.parse_args()), sys.stdout)


if __name__ == "__main__":
    main()
