"""Files from before PyTorch 1.6, and classes that the program admits."""

import argparse
import collections
import gzip
import io
import pickle
import re

import ember
import pytest
from file_support import assert_alike, example, loaded, saved
from torch_bridge import to_ember, to_torch

torch = pytest.importorskip("torch")


def legacy(obj, **options):
    buffer = io.BytesIO()
    torch.save(obj, buffer, _use_new_zipfile_serialization=False, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_every_content(protocol, tmp_path):
    reference = example(torch)
    data = legacy(reference, pickle_protocol=protocol)
    assert_alike(loaded(data), reference)
    path = tmp_path / "x.pth"
    path.write_bytes(data)
    assert_alike(ember.load(path), reference)
    assert_alike(ember.load(path, map_location="cpu"), reference)
    with path.open("rb") as file:
        assert_alike(ember.load(file, encoding="latin1"), reference)
    # A file object whose descriptor is that of other bytes.
    with gzip.open(tmp_path / "x.gz", "wb") as file:
        file.write(data)
    with gzip.open(tmp_path / "x.gz") as file:
        assert_alike(ember.load(file), reference)


def test_shared_memory_survives():
    base = torch.arange(6.0)
    a, b = loaded(legacy([base, base[2:]]))
    a[2] = 9
    assert b[0].item() == 9


def test_training_goes_on_from_a_legacy_checkpoint():
    torch.manual_seed(0)
    model = torch.nn.Linear(3, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    for _ in range(2):
        model(torch.ones(4, 3)).square().sum().backward()
        optimizer.step()
    checkpoint = {"epoch": 3, "model": model.state_dict(), "opt": optimizer.state_dict()}
    state = loaded(legacy(checkpoint))
    assert state["epoch"] == 3
    ours = ember.nn.Linear(3, 2)
    ours.load_state_dict(state["model"])
    ours_optimizer = ember.optim.SGD(ours.parameters(), lr=0.5)
    ours_optimizer.load_state_dict(state["opt"])
    for p, q in zip(ours.parameters(), model.parameters(), strict=True):
        p.grad = to_ember(q.grad)
    optimizer.step()
    ours_optimizer.step()
    for p, q in zip(ours.parameters(), model.parameters(), strict=True):
        torch.testing.assert_close(to_torch(p.detach()), q.detach())


def test_map_location():
    data = legacy({"a": torch.ones(2)})
    for location in ("cpu", ember.device("cpu"), {"cuda:0": "cpu"}, lambda s, _: s):
        assert loaded(data, map_location=location)["a"].tolist() == [1.0, 1.0]
    moved = data.replace(b"X\x03\x00\x00\x00cpu", b"X\x06\x00\x00\x00cuda:0")
    assert moved != data
    assert loaded(moved, map_location="cpu")["a"].tolist() == [1.0, 1.0]
    assert loaded(moved, map_location={"cuda:0": "cpu"})["a"].tolist() == [1.0, 1.0]
    if not ember.cuda.is_available():
        with pytest.raises(RuntimeError, match="map_location='cpu'"):
            loaded(moved)


def test_damaged_legacy_files(tmp_path):
    data = legacy([torch.arange(100.0), torch.ones(3, dtype=torch.int64)])
    for length in range(0, len(data), 7):
        with pytest.raises((RuntimeError, pickle.UnpicklingError)):
            loaded(data[:length])
    path = tmp_path / "x.pth"
    path.write_bytes(data)
    with pytest.raises(RuntimeError, match="mmap"):
        ember.load(path, mmap=True)
    with pytest.raises(RuntimeError, match="version"):
        loaded(data.replace(b"M\xe9\x03.", b"M\xe8\x03."))
    with pytest.raises(RuntimeError, match="big-endian"):
        loaded(re.sub(rb"(little_endianq.)\x88", b"\\1\x89", data))
    numel = data.rindex((100).to_bytes(8, "little"))
    huge = data[:numel] + (2**60).to_bytes(8, "little") + data[numel + 8 :]
    with pytest.raises(RuntimeError, match="elements"):
        loaded(huge)
    with pytest.raises(pickle.UnpicklingError, match=r"argparse\.Namespace"):
        loaded(legacy(argparse.Namespace(a=1)))


class Point:
    def __init__(self, x):
        self.x = x

    def __getstate__(self):
        return {"inner": self.x}

    def __setstate__(self, state):
        self.x = state["inner"]


Pair = collections.namedtuple("Pair", "a b")


@pytest.mark.parametrize("write", [legacy, lambda obj: saved(obj, torch)])
def test_admitted_classes(write):
    data = write(
        {"args": argparse.Namespace(lr=0.1, name="x"), "p": Point(3), "q": Pair(torch.ones(2), 2)}
    )
    serialization = ember.serialization
    with pytest.raises(pickle.UnpicklingError, match=r"argparse\.Namespace"):
        loaded(data)
    with serialization.safe_globals([argparse.Namespace, Point, Pair]):
        assert set(serialization.get_safe_globals()) == {argparse.Namespace, Point, Pair}
        out = loaded(data)
    assert serialization.get_safe_globals() == []
    assert out["args"] == argparse.Namespace(lr=0.1, name="x")
    assert out["p"].x == 3
    assert type(out["q"]) is Pair and out["q"].a.tolist() == [1.0, 1.0]
    with (
        serialization.safe_globals([argparse.Namespace, Pair]),
        pytest.raises(pickle.UnpicklingError, match="Point"),
    ):
        loaded(data)
    name = f"{Point.__module__}.Point"
    serialization.add_safe_globals([(Point, name)])
    assert loaded(write(Point(5))).x == 5
    serialization.clear_safe_globals()
    with pytest.raises(pickle.UnpicklingError, match="Point"):
        loaded(write(Point(5)))
    with pytest.raises(TypeError, match="classes and functions"):
        serialization.add_safe_globals([3])


def test_an_admitted_class_is_no_value():
    with ember.serialization.safe_globals([Point]):
        for obj in (Point, [Point], {1: Point}):
            with pytest.raises(pickle.UnpicklingError, match="Point as a value"):
                loaded(legacy(obj))


def test_the_admitted_names():
    """All that a file may name, besides dtypes and the storages of their tensors."""
    from ember import _unpickle

    assert set(_unpickle._GLOBALS) == {
        "_codecs.encode",
        "builtins.bytearray",
        "builtins.bytes",
        "builtins.complex",
        "builtins.frozenset",
        "builtins.set",
        "collections.Counter",
        "collections.OrderedDict",
        "torch.Size",
        "torch.Tensor",
        "torch.UntypedStorage",
        "torch._tensor._rebuild_from_type_v2",
        "torch._utils._rebuild_parameter",
        "torch._utils._rebuild_parameter_with_state",
        "torch._utils._rebuild_sparse_tensor",
        "torch._utils._rebuild_tensor",
        "torch._utils._rebuild_tensor_v2",
        "torch._utils._rebuild_tensor_v3",
        "torch.device",
        "torch.nn.parameter.Parameter",
        "torch.serialization._get_layout",
        "torch.storage.UntypedStorage",
    }
