"""The program texts that the comparisons run on Ember and on PyTorch alike."""

from dataclasses import dataclass

PRELUDE = """
import {package} as torch
import {package}.nn as nn
import {package}.nn.functional as F
torch.set_num_threads({threads})
torch.manual_seed(0)
"""

LENET = """
class LeNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 6, 5, padding=2)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.dropout = nn.Dropout(0.25)
        self.fc1 = nn.Linear(400, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, 10)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        x = self.dropout(x.flatten(1))
        return self.fc3(F.relu(self.fc2(F.relu(self.fc1(x)))))
"""

# Characters are predicted from those before: 64 at a time from 32 places of a text of 65 kinds.
RECURRENT = """
class Characters(nn.Module):
    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(65, 64)
        self.network = nn.{network}(64, 256, num_layers=2)
        self.head = nn.Linear(256, 65)

    def forward(self, x):
        return self.head(self.network(self.table(x))[0]).flatten(0, 1)

model = Characters()
x, y = torch.randint(0, 65, (64, 32)), torch.randint(0, 65, (64 * 32,))
"""

# Heads lie side by side, as the projection of a model leaves them.
ATTENTION = """
def attention(batch, heads, queries, keys, width, dtype, causal=False, gradient=True):
    def tensor(length):
        x = torch.randn(batch, length, heads, width).to(dtype).transpose(1, 2)
        return x.requires_grad_(gradient)
    q, k, v = tensor(queries), tensor(keys), tensor(keys)
    slope = torch.ones_like(q)
    def step():
        out = F.scaled_dot_product_attention(q, k, v, is_causal=causal)
        if gradient:
            torch.autograd.grad(out, (q, k, v), slope)
    return step
"""

OPTIMIZERS = {
    "SGD": "torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)",
    "Adam": "torch.optim.Adam(model.parameters(), lr=0.001)",
}

MODELS = {
    "tiny MLP 4-32-2, batch 1": (
        "model = nn.Sequential(nn.Linear(4, 32), nn.ReLU(), nn.Linear(32, 2))\n"
        "x, y = torch.randn(1, 4), torch.randint(0, 2, (1,))"
    ),
    "MLP 784-128-128-10, batch 64": (
        "model = nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU(),\n"
        "                      nn.Linear(128, 10))\n"
        "x, y = torch.randn(64, 784), torch.randint(0, 10, (64,))"
    ),
    "LeNet, batch 64": (
        LENET + "model = LeNet()\nx, y = torch.randn(64, 1, 28, 28), torch.randint(0, 10, (64,))"
    ),
}

TRAINING_STEP = """
def step():
    optimizer.zero_grad()
    F.cross_entropy(model(x), y).backward()
    optimizer.step()
"""


@dataclass(frozen=True)
class Row:
    """One comparison: the statement is timed after `setup` ran; both see PRELUDE's names."""

    group: str  # rows of a group share a process
    name: str
    setup: str
    statement: str
    at_least: float  # the ratio, PyTorch's time over Ember's, that the project asks for

    def text(self, package: str, threads: int) -> str:
        """A program whose function `run(n)` executes the statement n times."""
        run = f"def run(n):\n    for _ in range(n):\n        {self.statement}\n"
        text = "\n".join([PRELUDE, self.setup, run])
        return text.replace("{package}", package).replace("{threads}", str(threads))


def timed_rows() -> list[Row]:
    four = "a, b = torch.ones(4), torch.ones(4)"
    with_grad = "a = torch.ones(4, requires_grad=True)\nb = torch.ones(4, requires_grad=True)"
    large = "a, b, c = torch.randn(1 << 24), torch.randn(1 << 24), torch.empty(1 << 24)"
    rows = [
        Row("call", "a + b, 4 elements", four, "a + b", 5),
        Row("call", "a + b, 4 elements, with gradient", with_grad, "a + b", 4),
        Row("call", "(a * b).sum().backward(), 4 elements", with_grad, "(a*b).sum().backward()", 6),
    ]
    for size in (8, 16, 32, 48, 64, 96, 128, 256, 512, 1024, 2048):
        at_least = 1.3 if size <= 64 else 0.95
        setup = f"a, b, c = (torch.randn({size}, {size}) for _ in range(3))"
        rows.append(Row("matmul", f"a @ b, {size}", setup, "a @ b", at_least))
        statement = "torch.mm(a, b, out=c)"
        rows.append(Row("matmul", f"mm(a, b, out=c), {size}", setup, statement, at_least))
    for fresh in ("a + b", "a * b", "torch.relu(a)", "torch.exp(a)"):
        rows.append(Row("pointwise", f"{fresh}, 16M", large, fresh, 2))
    for out in ("torch.add(a, b, out=c)", "torch.mul(a, b, out=c)", "torch.exp(a, out=c)"):
        rows.append(Row("pointwise", f"{out}, 16M", large, out, 1))
    rows.append(Row("pointwise", "torch.relu_(a), 16M", large, "torch.relu_(a)", 1))
    rows.append(Row("reduction", "a.sum(), 16M", large, "a.sum()", 0.95))
    for name, arguments in (
        ("(64, 4, 64, 32), float32", "64, 4, 64, 64, 32, torch.float32"),
        ("(64, 4, 64, 32), bfloat16", "64, 4, 64, 64, 32, torch.bfloat16"),
        ("(16, 6, 256, 64), causal, float32", "16, 6, 256, 256, 64, torch.float32, causal=True"),
        ("(1, 8, 1024, 64), float32", "1, 8, 1024, 1024, 64, torch.float32"),
        ("one query, 256 keys, float32", "4, 8, 1, 256, 64, torch.float32, gradient=False"),
    ):
        setup = f"{ATTENTION}\nstep = attention({arguments})"
        rows.append(Row("attention", f"attention {name}", setup, "step()", 1))
    for name, model in MODELS.items():
        for optimizer, text in OPTIMIZERS.items():
            setup = f"{model}\noptimizer = {text}\n{TRAINING_STEP}"
            at_least = 6 if name.startswith("tiny") else 2
            rows.append(Row("training", f"{name}, {optimizer}", setup, "step()", at_least))
    for network, at_least in (("LSTM", 1.5), ("GRU", 2)):
        model = RECURRENT.replace("{network}", network)
        setup = f"{model}\noptimizer = {OPTIMIZERS['Adam']}\n{TRAINING_STEP}"
        name = f"{network} 2 x 256, 64 steps, batch 32, Adam"
        rows.append(Row("recurrent", name, setup, "step()", at_least))
    return rows
