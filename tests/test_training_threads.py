"""Models trained by threads at once reach the losses they reach one after the other."""

from __future__ import annotations

import threading

import ember
import numpy as np
from ember import nn
from ember.nn import functional as F


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 6, 5, padding=2)
        self.norm = nn.BatchNorm2d(6)
        self.hidden = nn.Linear(6 * 14 * 14, 64)
        self.out = nn.Linear(64, 10)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.norm(self.conv(x))), 2)
        return self.out(F.gelu(self.hidden(x.flatten(1))))


def make_job(seed: int):
    """A model, its optimizer and data, from the global generator, so made one after the other."""
    ember.manual_seed(seed)
    model = Net()
    optimizer = (
        ember.optim.Adam(model.parameters(), lr=1e-3)
        if seed % 2
        else ember.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    )
    rng = np.random.default_rng(seed)
    x = ember.from_numpy(rng.standard_normal((4, 32, 1, 28, 28), dtype=np.float32))
    y = ember.from_numpy(rng.integers(0, 10, (4, 32)))
    return model, optimizer, x, y


def train(job, losses: list[float]) -> None:
    model, optimizer, x, y = job
    for step in range(12):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x[step % 4]), y[step % 4])
        loss.backward()
        optimizer.step()
        losses.append(loss.item())


def test_eight_threads_train_eight_models() -> None:
    alone: list[list[float]] = [[] for _ in range(8)]
    for seed in range(8):
        train(make_job(seed), alone[seed])
    jobs = [make_job(seed) for seed in range(8)]
    together: list[list[float]] = [[] for _ in range(8)]
    ready = threading.Barrier(8)

    def work(seed: int) -> None:
        ready.wait()
        train(jobs[seed], together[seed])

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert together == alone
    assert all(len(losses) == 12 and losses[-1] < losses[0] for losses in alone)
