"""What one comparison is: a program text that runs on Ember and on PyTorch alike."""

from dataclasses import dataclass

PRELUDE = """
import math
import {package} as torch
import {package}.nn as nn
import {package}.nn.functional as F
torch.set_num_threads({threads})
torch.manual_seed(0)
"""

# Numbers that stand for what a statement gave: the mean magnitude of each tensor.
VALUES = """
def values(results):
    if not isinstance(results, (tuple, list)):
        results = [results]
    return [float(t.detach().double().abs().mean()) for t in results if t is not None]
"""


@dataclass(frozen=True)
class Row:
    """One comparison: the statement is timed after `setup` ran; both see PRELUDE's names.

    What the statement gives is compared between the packages before anything is timed. `flops` are
    floating-point operations and `bytes` what must cross memory at least; they tell how far a
    figure is from the machine's limit. Steps of models leave `flops` to PyTorch's counter.
    """

    group: str  # rows of a group share a process
    name: str
    setup: str
    statement: str
    at_least: float  # the ratio, PyTorch's time over Ember's, that the project asks for
    flops: float = 0
    bytes: float = 0
    fraction: float = 0  # of the limit, that the project asks for
    bf16: bool = False  # computes in bfloat16: another limit, wider tolerance
    step: bool = False  # a whole step of a model, counted in the geometric mean
    memory_at_least: float = 0  # the ratio of its peak memory, beyond what is asked of all steps

    def label(self) -> str:
        """What a pattern that picks rows sees."""
        return f"{self.group}: {self.name}"

    def text(self, package: str, threads: int) -> str:
        """A program of `run(n)`, which executes the statement n times, and `once()`."""
        run = f"def run(n):\n    for _ in range(n):\n        {self.statement}\n"
        once = f"def once():\n    return values({self.statement})\n"
        text = "\n".join([PRELUDE, VALUES, self.setup, run, once])
        return text.replace("{package}", package).replace("{threads}", str(threads))


# Every loss of a model comes from loss(), so that one step serves them all.
STEP = """
optimizer = {optimizer}
def step():
    optimizer.zero_grad()
    value = loss()
    value.backward()
    optimizer.step()
    return value
"""

CLASSIFY = """
def loss():
    return F.cross_entropy(model(x), y)
"""

OPTIMIZERS = {
    "SGD": "torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)",
    "Adam": "torch.optim.Adam(model.parameters(), lr=0.001)",
}


def training(
    group: str, name: str, model: str, at_least: float = 1.3, optimizer: str = "Adam", **more
) -> Row:
    """The row of a training step of a text that makes `model` and `loss()`."""
    setup = model + STEP.replace("{optimizer}", OPTIMIZERS[optimizer])
    return Row(group, f"{name}, {optimizer}", setup, "step()", at_least, step=True, **more)


def under_autocast(model: str) -> str:
    """The text of a model whose loss is computed under bfloat16 autocast."""
    return (
        model
        + """
loss_in_float32 = loss
def loss():
    with torch.autocast("cpu", dtype=torch.bfloat16):
        return loss_in_float32()
"""
    )
