"""Run models of public PyTorch repositories, their source unchanged, on PyTorch and on Ember.

Each model runs in two processes, with one text: under PyTorch, which saves its weights, and under
``ember.as_torch()``, which makes the model from the same seed, loads PyTorch's weights from the
file, and computes the same. Printed are the largest errors of outputs and of parameters' gradients
(the norm of a tensor's difference over the norm of PyTorch's tensor), whether the weights Ember
drew from the seed were PyTorch's (equal to the bit, or but for rounding in the last place, which
normal numbers have), and the seconds of one forward and backward on one thread, PyTorch's first.

    pip install --no-deps --target SITE $(python tools/public_models.py --requirements)
    python tools/public_models.py --site SITE [name ...]

Packages that the models' packages need beyond PyTorch have to be importable too.
"""

from __future__ import annotations

import argparse
import os
import pickle
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from public_models_table import MODELS, Model

ROOT = Path(__file__).resolve().parent.parent
TOLERANCE = {"float32": 1e-4, "float64": 1e-9}
# Gradients far smaller than the model's others are rounding errors of zero, a bias before a batch
# normalisation for example; an error counts against this share of the model's whole gradient.
NEGLIGIBLE = 1e-4


def _tensors(value: object) -> Iterator[Any]:
    """Yield the floating-point tensors in what a model returned."""
    import torch

    if isinstance(value, torch.Tensor):
        if value.is_floating_point() or value.is_complex():
            yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _tensors(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _tensors(item)
    elif hasattr(value, "mean") and hasattr(value, "covariance_matrix"):
        yield from (value.mean, value.covariance_matrix)  # a distribution


def _loss(outputs: list[Any]) -> Any:
    """Reduce outputs to one number whose gradient differs from entry to entry."""
    import torch

    total = 0.0
    for out in outputs:
        real = torch.view_as_real(out) if out.is_complex() else out
        weight = torch.linspace(-1.0, 1.0, real.numel(), dtype=real.dtype).cos().reshape(real.shape)
        total = total + (real * weight).mean()
    return total


def _import_torchvision() -> None:
    """Import torchvision, if it is there, into PyTorch of another build than its wheel's.

    Its compiled operators do not load then, of which it names two nevertheless.
    """
    from torch import library

    try:
        import torchvision  # noqa: F401
    except ImportError:
        return
    except RuntimeError:
        for name in ("nms", "qnms"):
            library.define(f"torchvision::{name}", "(Tensor a, Tensor b, float c) -> Tensor")


def _child(model: Model, weights: Path, results: Path, repeats: int) -> None:
    """Build and run one model with whatever ``import torch`` means, and write what came out."""
    import torch

    torch.set_num_threads(1)
    reference = "ember" not in sys.modules
    if reference:
        _import_torchvision()
    torch.set_default_dtype(getattr(torch, model.dtype))
    scope: dict[str, Any] = {"torch": torch, "nn": torch.nn}
    exec(model.imports, scope)
    torch.manual_seed(0)
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002 (what libraries draw from)
    net = eval(model.build, scope)
    net.to(getattr(torch, model.dtype)).train(model.train)
    drawn = {name: value.detach().cpu().numpy().copy() for name, value in net.state_dict().items()}
    torch.manual_seed(1)
    inputs = eval(model.inputs, scope)
    if reference:
        with torch.no_grad():  # a last layer that begins at zero would hide all before it
            for parameter in net.parameters():
                parameter.add_(torch.randn_like(parameter), alpha=0.02)
        torch.save({"state": net.state_dict(), "inputs": inputs}, weights)
    else:
        saved = torch.load(weights, weights_only=False)
        net.load_state_dict(saved["state"])
        inputs = saved["inputs"]
    call = eval(model.call, scope)
    seconds = []
    for repeat in range(repeats):
        net.zero_grad()
        torch.manual_seed(2)
        start = time.perf_counter()
        outputs = [out for out in _tensors(call(net, *inputs)) if out.requires_grad]
        loss = _loss(outputs)
        loss.backward()
        seconds.append(time.perf_counter() - start)
        if repeat == 0:
            if not outputs:
                raise RuntimeError(f"{model.name}: no output depends on a parameter")
            done = {
                "drawn": drawn,
                "outputs": [out.detach().numpy().copy() for out in outputs],
                "gradients": {
                    name: p.grad.numpy().copy()
                    for name, p in net.named_parameters()
                    if p.grad is not None
                },
                "parameters": sum(p.numel() for p in net.parameters()),
            }
        if sum(seconds) > 8:
            break
    if not reference:
        files = [getattr(module, "__file__", None) or "" for module in sys.modules.values()]
        foreign = [file for file in files if "site-packages/torch/" in file]
        assert "ember" in torch.__file__ and not foreign, foreign
    results.write_bytes(pickle.dumps(done | {"seconds": min(seconds)}))


def _worst(ours: dict[Any, Any], theirs: dict[Any, Any], floor: float) -> float:
    """Return the largest relative error of arrays, infinity where keys or shapes differ."""
    if ours.keys() != theirs.keys():
        return float("inf")
    worst = 0.0
    for key, reference in theirs.items():
        value = ours[key]
        if value.shape != reference.shape or value.dtype != reference.dtype:
            return float("inf")
        different = value != reference  # infinities are equal
        error = np.linalg.norm(value[different].astype(complex) - reference[different])
        size = max(np.linalg.norm(reference.ravel().astype(complex)), floor)
        if np.isnan(error):
            return float("inf")
        worst = max(worst, error / size if error else 0.0)
    return float(worst)


def _run(model: Model, folder: Path, site: Path, repeats: int) -> list[str]:
    """Run one model in both packages and return its row of the table."""
    path = os.pathsep.join([str(ROOT / "python"), str(site), str(Path(__file__).parent)])
    results = {}
    for package in ("torch", "ember"):
        file = folder / f"{model.name}.{package}"
        arguments = ["--child", model.name, "--package", package, "--folder", str(folder)]
        done = subprocess.run(
            [sys.executable, __file__, *arguments, "--repeats", str(repeats)],
            env=os.environ | {"PYTHONPATH": path, "HF_HUB_OFFLINE": "1"},
            capture_output=True,
            text=True,
        )
        if done.returncode:
            (folder / f"{model.name}.{package}.log").write_text(done.stderr)
            reason = (done.stderr.strip().splitlines() or [f"signal {-done.returncode}"])[-1]
            return [model.name, model.repository, "", "", "", "", "", "", f"{package}: {reason}"]
        results[package] = pickle.loads(file.read_bytes())
    ours, theirs = results["ember"], results["torch"]
    outputs = [dict(enumerate(result["outputs"])) for result in (ours, theirs)]
    whole = np.sqrt(sum(np.sum(np.abs(g) ** 2) for g in theirs["gradients"].values()))
    errors = (
        _worst(*outputs, 0.0),
        _worst(ours["gradients"], theirs["gradients"], NEGLIGIBLE * whole),
    )
    drawn = _worst(ours["drawn"], theirs["drawn"], 0.0)
    verdict = "same" if max(errors) <= TOLERANCE[model.dtype] else "DIFFERS"
    return [
        model.name,
        model.repository,
        f"{theirs['parameters']:,}",
        model.dtype,
        *(f"{error:.1e}" for error in errors),
        "equal" if drawn == 0 else "rounding" if drawn < 1e-6 else "differs",
        f"{theirs['seconds']:.3f} / {ours['seconds']:.3f}",
        verdict,
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="models to run; without any, all")
    parser.add_argument("--site", type=Path, help="where pip installed the models' packages")
    parser.add_argument(
        "--repeats", type=int, default=3, help="timed runs, of which the best counts"
    )
    parser.add_argument("--folder", type=Path, help="where results stay; without it, nowhere")
    parser.add_argument("--requirements", action="store_true", help="print what pip installs")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--package", help=argparse.SUPPRESS)
    options = parser.parse_args()
    models = {model.name: model for model in MODELS}
    if options.requirements:
        print("\n".join(sorted({model.requirement for model in MODELS})))
        return
    if options.child:
        if options.package == "ember":
            import ember

            ember.as_torch()
        file = options.folder / options.child
        _child(
            models[options.child],
            Path(f"{file}.pt"),
            Path(f"{file}.{options.package}"),
            options.repeats,
        )
        return
    unknown = set(options.names) - models.keys()
    if unknown or options.site is None:
        parser.error(f"unknown: {sorted(unknown)}" if unknown else "--site is needed")
    print("| model | repository | parameters | dtype | outputs | gradients | init | seconds | |")
    print("|---|---|---:|---|---:|---:|---|---:|---|")
    failed = 0
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        for name in options.names or models:
            row = _run(models[name], folder, options.site, options.repeats)
            failed += row[-1] != "same"
            print("| " + " | ".join(row) + " |", flush=True)
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
