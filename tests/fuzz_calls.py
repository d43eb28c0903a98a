"""Generated calls with hostile arguments on every public function: none may crash or hang.

    python tests/fuzz_calls.py --calls 200000 --seed 1

Each call ends in a result or a Python exception; the exceptions of C++'s own library and Python's
SystemError count as failures, and so do a share of valid calls under 30 % and a function that was
never reached. Calls run in batches in processes of their own, with bounded memory; one that kills
its process is printed together with the command that makes it again. Not a test module by itself:
test_fuzz.py runs a short one.
"""

import argparse
import concurrent.futures
import importlib
import json
import os
import random
import re
import resource
import shlex
import signal
import struct
import subprocess
import sys
import tempfile
import time
import types
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fuzz_arguments import Arguments, signatures
from fuzz_recipes import RECIPES

for family in ("matrix_recipes", "more_recipes", "network_recipes", "recurrent"):
    importlib.import_module(f"fuzz_{family}")  # each adds to RECIPES

MODULES = ["", "nn.functional", "nn.init", "nn.utils", "autograd", "autograd.functional", "linalg"]
MODULES += ["autograd.graph", "fft", "special", "sparse", "random", "utils.checkpoint"]
MODULES += ["distributions", "overrides", "signal.windows"]

BINARY = "add sub mul truediv floordiv mod pow matmul and or xor eq ne lt le gt ge".split()
UNARY = "neg abs invert bool int float index len iter repr array dlpack".split()
OTHER = "getitem setitem contains iadd imul isub radd rsub rmul rtruediv rpow".split()
DUNDERS = [f"__{name}__" for name in [*BINARY, *UNARY, *OTHER]]

# Functions that change the process, and what puts it back so that each call stands alone.
RESTORE: dict[str, Callable[[Any], Any]] = {
    "set_num_threads": lambda torch: torch.set_num_threads(2),
    "set_default_dtype": lambda torch: torch.set_default_dtype(torch.float32),
    "set_grad_enabled": lambda torch: torch.set_grad_enabled(True),
    "set_flush_denormal": lambda torch: torch.set_flush_denormal(False),
    "set_printoptions": lambda torch: torch.set_printoptions(profile="default"),
    "use_deterministic_algorithms": lambda torch: torch.use_deterministic_algorithms(False),
    "set_deterministic_debug_mode": lambda torch: torch.set_deterministic_debug_mode(0),
    "set_autocast_dtype": lambda torch: torch.set_autocast_dtype("cpu", torch.bfloat16),
    "set_autocast_enabled": lambda torch: torch.set_autocast_enabled("cpu", False),
    "set_autocast_cpu_dtype": lambda torch: torch.set_autocast_cpu_dtype(torch.bfloat16),
    "set_autocast_cpu_enabled": lambda torch: torch.set_autocast_cpu_enabled(False),
}

# Texts of exceptions that a checked argument would have kept from being thrown.
CARELESS = re.compile(r"std::|basic_string|vector::|_M_|bad_alloc|bad_cast|bad_array")

Target = tuple[str, Callable, bool]  # name, function, whether it is a tensor method


def public_targets(package: str, pattern: str) -> list[Target]:
    """Every public function of the package and every method of its tensors, by qualified name."""
    torch = importlib.import_module(package)
    found: dict[str, Target] = {}
    for module_name in MODULES:
        qualified = ".".join(filter(None, [package, module_name]))
        try:
            module = importlib.import_module(qualified)
        except ModuleNotFoundError:
            continue
        for name in getattr(module, "__all__", None) or dir(module):
            function = getattr(module, name, None)
            plain = callable(function) and not isinstance(function, (type, types.ModuleType))
            if plain and not name.startswith("_"):
                found[f"{qualified}.{name}"] = (f"{qualified}.{name}", function, False)
    for name in dir(torch.Tensor):
        function = getattr(torch.Tensor, name)
        if callable(function) and (not name.startswith("_") or name in DUNDERS):
            found[f"Tensor.{name}"] = (f"Tensor.{name}", function, True)
    return [target for name, target in sorted(found.items()) if re.search(pattern, name)]


class Call:
    """The call that belongs to (seed, index)."""

    def __init__(self, torch: Any, targets: list[Target], seed: int, index: int) -> None:
        self.torch, self.rng = torch, random.Random(f"{seed}:{index}")
        self.name, self.function, self.is_method = targets[index % len(targets)]
        self.make = Arguments(torch, self.rng)
        self.args: list[Any] = []
        self.kwargs: dict[str, Any] = {}
        self.fill()
        if self.rng.random() < 0.35:
            self.spoil()

    def fill(self) -> None:
        """Plausible arguments: a recipe's, or by the names of the parameters."""
        short = self.name.rsplit(".", 1)[1]
        recipe = RECIPES.get(".".join(self.name.rsplit(".", 2)[-2:])) or RECIPES.get(short)
        if recipe and self.rng.random() < 0.9:
            self.args, self.kwargs = recipe(self.make)
            return
        if self.is_method:
            self.args.append(self.make.tensor(self.make.base))
        if short.startswith("__"):
            binary = short[2:-2] not in UNARY
            self.args += [self.make.plausible("other")] if binary else []
            return
        options = signatures(self.function)
        if not options:
            self.args += [self.make.plausible("other") for _ in range(self.rng.randrange(3))]
            return
        positional = True
        parameters = self.make.draw(options)
        if self.is_method and parameters and parameters[0].name in ("self", "input"):
            parameters = parameters[1:]
        for parameter in parameters:
            if parameter.variadic:
                values = self.make.plausible(parameter.name)
                self.args += list(values) if isinstance(values, (list, tuple)) else [values]
                continue
            if not parameter.required and self.rng.random() < 0.7:
                positional = False
                continue
            value = self.make.plausible(parameter.name)
            if positional and not parameter.keyword_only and self.rng.random() < 0.85:
                self.args.append(value)
            else:
                positional = False
                self.kwargs[parameter.name] = value

    def spoil(self) -> None:
        """Replaces, drops or adds arguments."""
        first = 1 if self.is_method else 0
        for _ in range(self.rng.choice([1, 1, 2])):
            places = [*range(first, len(self.args)), *self.kwargs]
            action = self.rng.randrange(8)
            if action == 0:
                self.args.append(self.make.hostile())
            elif action == 1:
                name = self.rng.choice(["out", "dim", "dtype", "size", "input", "nonsense"])
                self.kwargs[name] = self.make.hostile()
            elif action == 2 and len(self.args) > first:
                self.args.pop()
            elif action == 3 and self.args:
                self.args[0] = self.make.anything()
            elif places:
                place = self.rng.choice(places)
                (self.args if isinstance(place, int) else self.kwargs)[place] = self.make.hostile()

    def run(self) -> None:
        result = self.function(*self.args, **self.kwargs)
        if self.rng.random() < 0.05:
            repr(result)
        if isinstance(result, self.torch.Tensor) and result.requires_grad and result.numel() < 1e6:
            result.sum().backward()

    def __str__(self) -> str:
        parts = [self.describe(value) for value in self.args]
        parts += [f"{name}={self.describe(value)}" for name, value in self.kwargs.items()]
        return f"{self.name}({', '.join(parts)})"

    def describe(self, value: Any) -> str:
        if isinstance(value, self.torch.Tensor) and value.layout is not self.torch.strided:
            return f"<{value!r}>"
        if isinstance(value, self.torch.Tensor):
            text = f"<{value.dtype} {tuple(value.shape)} strides {tuple(value.stride())}"
            text += " requires_grad" if value.requires_grad else ""
            return text + (f" {value.tolist()}>" if value.numel() <= 12 else ">")
        if isinstance(value, (list, tuple)) and len(value) < 10:
            if any(item is value for item in value):
                return "[itself]"
            return type(value).__name__ + f"({', '.join(map(self.describe, value))})"
        return repr(value)[:80]


def work(args: argparse.Namespace) -> None:
    """Makes the calls [begin, end) and prints what came of them as JSON."""
    targets = public_targets(args.package, args.names)
    torch = importlib.import_module(args.package)
    warnings.simplefilter("ignore")
    signal.signal(signal.SIGALRM, signal.SIG_DFL)  # kills, also inside C++
    limit = int(args.memory_gb * 2**30)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    progress = os.open(args.progress, os.O_WRONLY)
    calls: Counter[str] = Counter()
    valid: Counter[str] = Counter()
    raised: Counter[str] = Counter()
    failures = []
    for index in range(args.begin, args.end):
        os.pwrite(progress, struct.pack("q", index), 0)
        signal.setitimer(signal.ITIMER_REAL, args.call_seconds)
        call = Call(torch, targets, args.seed, index)
        calls[call.name] += 1
        try:
            call.run()
            valid[call.name] += 1
        except Exception as error:
            raised[type(error).__name__] += 1
            if isinstance(error, SystemError) or CARELESS.search(str(error)):
                failures.append([index, f"raised {type(error).__name__}: {error}"[:300]])
        restore = RESTORE.get(call.name.rsplit(".", 1)[1])
        if restore:
            restore(torch)
        signal.setitimer(signal.ITIMER_REAL, 0)
    json.dump({"calls": calls, "valid": valid, "raised": raised, "failures": failures}, sys.stdout)


def show(args: argparse.Namespace) -> None:
    """Prints one call and makes it."""
    torch = importlib.import_module(args.package)
    call = Call(torch, public_targets(args.package, args.names), args.seed, args.only)
    print(call, flush=True)
    if not args.describe:
        call.run()


def command(args: argparse.Namespace, *more: str) -> list[str]:
    line = [sys.executable, __file__, "--package", args.package, "--seed", str(args.seed)]
    line += ["--names", args.names] if args.names else []
    return [*line, *more]


class Tally:
    """What came of all calls so far."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.valid: Counter[str] = Counter()
        self.raised: Counter[str] = Counter()
        self.failures: list[tuple[int, str]] = []

    def add(self, batch: dict) -> None:
        self.calls.update(batch["calls"])
        self.valid.update(batch["valid"])
        self.raised.update(batch["raised"])
        self.failures += [tuple(failure) for failure in batch["failures"]]


def run_batch(args: argparse.Namespace, begin: int, end: int, folder: Path) -> Tally:
    """The calls [begin, end), started anew after each call that kills its process."""
    tally = Tally()
    progress = folder / f"progress-{begin}"
    progress.write_bytes(bytes(8))
    environment = os.environ | {"EMBER_NUM_THREADS": "2", "OMP_NUM_THREADS": "2"}
    while begin < end:
        options = ["--begin", str(begin), "--end", str(end), "--progress", str(progress)]
        options += ["--call-seconds", str(args.call_seconds), "--memory-gb", str(args.memory_gb)]
        run = subprocess.run(
            command(args, *options), cwd=folder, env=environment, capture_output=True, check=False
        )
        if run.returncode == 0:
            tally.add(json.loads(run.stdout.splitlines()[-1]))
            break
        index = struct.unpack("q", progress.read_bytes())[0]
        if run.returncode > 0:  # a sanitizer's report, or the fuzzer's own mistake
            why = f"ended with status {run.returncode}"
        elif run.returncode == -signal.SIGALRM:
            why = f"took over {args.call_seconds} s"
        else:
            why = f"died of {signal.Signals(-run.returncode).name}"
        tally.failures.append((index, f"{why}\n{run.stderr.decode()[-2000:]}".rstrip()))
        if index > begin:  # what the dead process had done counts
            again = run_batch(args, begin, index, folder)
            tally.add(vars(again))
        begin = index + 1
    return tally


def fuzz(args: argparse.Namespace) -> Tally:
    tally = Tally()
    started = time.monotonic()
    with (
        tempfile.TemporaryDirectory() as folder,
        concurrent.futures.ThreadPoolExecutor(args.jobs) as pool,
    ):
        batches = [
            pool.submit(run_batch, args, begin, min(begin + args.batch, args.calls), Path(folder))
            for begin in range(0, args.calls, args.batch)
        ]
        for done in concurrent.futures.as_completed(batches):
            tally.add(vars(done.result()))
    tally.seconds = time.monotonic() - started
    return tally


def report(args: argparse.Namespace, tally: Tally) -> bool:
    """Prints the outcome; True when everything held."""
    for index, what in sorted(tally.failures):
        again = command(args, "--only", str(index))
        described = subprocess.run([*again, "--describe"], capture_output=True, text=True)
        print(f"call {index}: {described.stdout.strip() or described.stderr.strip()[-300:]}")
        print(f"    {what}\n    again: {shlex.join(again)}")
    total, valid = sum(tally.calls.values()), sum(tally.valid.values())
    functions = [name for name, _, _ in public_targets(args.package, args.names)]
    missed = [name for name in functions if name not in tally.calls]
    never = [name for name in functions if name not in tally.valid]
    print(
        f"{total} calls on {len(functions)} functions in {tally.seconds:.0f} s: {valid / total:.1%}"
        f" valid, {len(tally.failures)} failures; raised: {dict(tally.raised.most_common())}"
    )
    if missed:
        print(f"never reached: {', '.join(missed)}")
    if never:
        print(f"never valid: {', '.join(never)}")
    return not tally.failures and not missed and valid >= 0.3 * total


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--calls", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--package", default="ember")
    parser.add_argument("--names", default="", help="regular expression for functions to call")
    parser.add_argument("--jobs", type=int, default=2, help="processes at a time")
    parser.add_argument("--batch", type=int, default=2000, help="calls of one process")
    parser.add_argument("--call-seconds", type=float, default=20)
    parser.add_argument("--memory-gb", type=float, default=4)
    parser.add_argument("--only", type=int, help="make this one call again")
    parser.add_argument("--describe", action="store_true", help="with --only: print, do not call")
    parser.add_argument("--begin", type=int, help=argparse.SUPPRESS)  # of a batch's process
    parser.add_argument("--end", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--progress", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.only is not None:
        show(args)
    elif args.begin is not None:
        work(args)
    else:
        sys.exit(0 if report(args, fuzz(args)) else 1)


if __name__ == "__main__":
    main()
