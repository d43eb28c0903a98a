"""The table of a model's modules, and event files for TensorBoard."""

import builtins
import struct
import sys

import ember
import numpy as np
import pytest
from ember import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU())
        self.drop = nn.Dropout(0.5)
        self.head = nn.Linear(4 * 6 * 6, 10)
        self.tied = nn.Linear(4 * 6 * 6, 10)
        self.tied.weight = self.head.weight
        self.unused = nn.Linear(2, 2)
        self.unused.weight.requires_grad_(False)

    def forward(self, x, scale=None):
        x = self.drop(self.body(x)).flatten(1)
        out = self.head(x), {"tied": self.tied(x), "n": 3}
        return out if scale is None else (out[0] * scale,)


def test_the_table():
    model = Net()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    model.drop.eval()
    state = ember.get_rng_state()
    result = ember.summary(model, (2, 1, 8, 8))
    assert ember.get_rng_state().tolist() == state.tolist()
    rows = {row.name: row for row in result.rows}
    assert rows[""].output == "[(2, 10), {tied: (2, 10), n: int}]" and rows[""].depth == 0
    assert rows["body.0"].output == "(2, 4, 6, 6)" and rows["body.0"].parameters == 40
    assert rows["body.0"].depth == 2 and rows["body.0"].kind == "Conv2d"
    assert rows["body.1"].parameters == 8
    assert rows["head"].parameters == 1450 and rows["tied"].parameters == 10  # the shared once
    assert rows["unused"].output == "" and rows["unused"].calls == 0
    assert result.total_params == 40 + 8 + 1450 + 10 + 6
    assert result.trainable_params == result.total_params - 4
    assert result.param_bytes == 4 * result.total_params
    # Nothing of the model has changed.
    assert model.training and not model.drop.training
    for key, value in model.state_dict().items():
        assert value.tolist() == before[key].tolist()
    assert not model.body._forward_hooks


def test_the_text():
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1000))
    assert str(ember.summary(model, ember.ones(5, 3))) == "\n".join(
        [
            "Module       Output     Parameters",
            "----------------------------------",
            "Sequential   (5, 1000)           0",
            "  0: Linear  (5, 4)             16",
            "  1: ReLU    (5, 4)              0",
            "  2: Linear  (5, 1000)       5,000",
            "----------------------------------",
            "Parameters: 5,016",
            "Memory: 0.02 MB of parameters",
        ]
    )
    text = repr(ember.summary(nn.Sequential(nn.BatchNorm1d(3).requires_grad_(False))))
    assert "(not called)" in text and "(0 trainable, 6 fixed)" in text and "of buffers" in text


def test_inputs():
    model = Net()
    for given in (
        (2, 1, 8, 8),
        [(2, 1, 8, 8), (1,)],
        (ember.ones(2, 1, 8, 8), ember.ones(1)),
        {"x": ember.ones(2, 1, 8, 8), "scale": ember.ones(1)},
    ):
        rows = ember.summary(model, given).rows
        assert rows[1].output == "(2, 4, 6, 6)"
    double = nn.Linear(3, 2).double()
    assert ember.summary(double, input_size=(4, 3)).rows[0].output == "(4, 2)"
    layer = nn.Linear(3, 3)
    twice = ember.summary(nn.Sequential(layer, layer), (1, 3))
    assert "(1, 3) x2" in str(twice) and twice.total_params == 12
    with pytest.raises(ValueError, match="not both"):
        ember.summary(layer, (1, 3), input_size=(1, 3))
    with pytest.raises(TypeError, match="got int"):
        ember.summary(layer, 3)
    with pytest.raises(RuntimeError):
        ember.summary(model, (2, 3))
    assert model.training and not model.body._forward_hooks


def events(folder):
    """The summaries in a folder's event files, after TensorFlow's record format."""
    from tensorboardX.proto import event_pb2

    out = {}
    for path in folder.iterdir():
        contents = path.read_bytes()
        while contents:
            (size,) = struct.unpack("<Q", contents[:8])
            event = event_pb2.Event.FromString(contents[12 : 12 + size])
            contents = contents[16 + size :]
            for value in event.summary.value:
                out[value.tag, event.step] = value
    return out


def test_tensorboard(tmp_path):
    pytest.importorskip("tensorboardX")
    from ember.utils.tensorboard import SummaryWriter

    with SummaryWriter(tmp_path) as writer:
        assert writer.log_dir == writer.get_logdir() == str(tmp_path)
        for step in range(3):
            loss = ember.tensor(step / 2, requires_grad=True)
            writer.add_scalar("loss", loss, step)
            writer.add_scalar("plain", step, global_step=step)
        writer.add_histogram("weights", ember.arange(10.0).bfloat16(), 1)
        writer.add_image("image", ember.zeros(3, 4, 5), 2)
        writer.add_text("text", "hello", 0)
        with pytest.raises(NotImplementedError, match="tracer"):
            writer.add_graph(nn.Linear(1, 1), ember.ones(1))
    found = events(tmp_path)
    for step in range(3):
        assert found["loss", step].simple_value == step / 2
        assert found["plain", step].simple_value == step
    assert found["weights", 1].histo.num == 10
    assert found["weights", 1].histo.sum == np.arange(10).sum()
    assert (found["image", 2].image.height, found["image", 2].image.width) == (4, 5)


def test_tensorboard_missing(monkeypatch):
    original = builtins.__import__

    def without(name, *args, **kwargs):
        if name == "tensorboardX":
            raise ImportError(name)
        return original(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    monkeypatch.delitem(sys.modules, "ember.utils.tensorboard", raising=False)
    monkeypatch.delattr(ember.utils, "tensorboard", raising=False)
    with pytest.raises(ImportError, match=r"pip install 'ember\[tensorboard\]'"):
        ember.utils.tensorboard.SummaryWriter()
