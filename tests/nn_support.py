"""What the tests of ``nn`` share."""

import numpy as np


def same(a, b):
    return np.array_equal(a.detach().numpy(), b.detach().numpy())


def make_net(lib):
    nn = lib.nn

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU())
            self.head = nn.Linear(4, 2, bias=False)
            self.scale = nn.Parameter(lib.ones(2))
            self.register_parameter("absent", None)
            self.register_buffer("offset", lib.zeros(2))
            self.register_buffer("scratch", lib.zeros(1), persistent=False)
            self.note = "plain"

        def forward(self, x):
            return self.head(self.body(x)) * self.scale + self.offset

    return Net()


NAMES = ["scale", "body.0.weight", "body.0.bias", "body.1.weight", "body.1.bias", "head.weight"]
STATE = [
    "scale",
    "offset",
    "body.0.weight",
    "body.0.bias",
    "body.1.weight",
    "body.1.bias",
    "body.1.running_mean",
    "body.1.running_var",
    "body.1.num_batches_tracked",
    "head.weight",
]
