import collections
import io
import os
import pickletools
import struct
import zipfile
import zlib

import ember
import numpy as np
import pytest
from file_support import DTYPES, assert_alike, example, loaded, saved, with_pickle
from torch_bridge import to_ember, to_torch

torch = pytest.importorskip("torch")


def test_round_trip():
    assert_alike(loaded(saved(example(ember))), example(torch))


def test_pytorch_loads_what_ember_saves():
    data = saved(example(ember))
    assert_alike(example(ember), torch.load(io.BytesIO(data), weights_only=True))
    assert_alike(example(ember), torch.load(io.BytesIO(data), weights_only=False))


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_ember_loads_what_pytorch_saves(protocol):
    buffer = io.BytesIO()
    torch.save(example(torch), buffer, pickle_protocol=protocol)
    assert_alike(loaded(buffer.getvalue()), example(torch))


def test_paths_and_mapping(tmp_path):
    path = tmp_path / "model.v1.pt"
    for save, obj in ((ember.save, example(ember)), (torch.save, example(torch))):
        save(obj, path)
        for options in ({}, {"mmap": True}):
            assert_alike(ember.load(path, **options), example(torch))
            assert_alike(ember.load(str(path), **options), example(torch))
    ember.save(example(ember), path)
    assert_alike(example(ember), torch.load(path, mmap=True, weights_only=True))
    assert [p.name for p in tmp_path.iterdir()] == ["model.v1.pt"]

    before = path.read_bytes()
    mapped = ember.load(path, mmap=True)["views"][0]
    mapped[0] = 99.0
    assert mapped[0].item() == 99.0 and path.read_bytes() == before


def test_modules_and_optimizers_train_on_in_the_other_library():
    torch.manual_seed(0)
    model = torch.nn.Linear(3, 2)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    model(torch.ones(4, 3)).sum().backward()
    optimizer.step()
    state = loaded(saved({"model": model.state_dict(), "opt": optimizer.state_dict()}, torch))

    ours = [to_ember(p.detach()).requires_grad_() for p in model.parameters()]
    ours_optimizer = ember.optim.Adam(ours)
    ours_optimizer.load_state_dict(state["opt"])
    for p, q in zip(ours, model.parameters(), strict=True):
        p.grad = to_ember(q.grad)
    optimizer.step()
    ours_optimizer.step()
    for p, q in zip(ours, model.parameters(), strict=True):
        torch.testing.assert_close(to_torch(p), q.detach(), rtol=1e-6, atol=1e-7)

    again = torch.load(io.BytesIO(saved(ours_optimizer.state_dict())), weights_only=True)
    optimizer.load_state_dict(again)


def test_shared_memory_and_identity_survive():
    base = ember.arange(10.0)
    parameter = ember.nn.Parameter(ember.ones(3))
    inner = [1]
    obj = {"a": base, "b": base[2:5], "p": parameter, "q": parameter, "l": inner, "m": inner}
    for data in (saved(obj), saved(torch.load(io.BytesIO(saved(obj))), torch)):
        out = loaded(data)
        out["a"][3] = -1.0
        assert out["b"].tolist() == [2.0, -1.0, 4.0]
        assert out["p"] is out["q"]
        assert out["l"] is out["m"]
    with zipfile.ZipFile(io.BytesIO(saved(obj))) as archive:
        assert sum("/data/" in name for name in archive.namelist()) == 2


def test_recursive_containers():
    a = []
    a.append({"self": a})
    out = loaded(saved(a))
    assert out[0]["self"] is out
    for width in (1, 2, 4):
        inner = []
        t = (inner,) * width
        inner.append(t)
        out = loaded(saved(t))
        assert isinstance(out, tuple) and out[0][0] is out and len(out) == width


def test_numbers_of_derived_types_become_plain():
    out = loaded(saved([np.float64(1.5), np.float32(0.5), np.int64(7), np.bool_(True)]))
    assert out == [1.5, 0.5, 7, True]
    assert [type(x) for x in out] == [float, float, int, bool]


def test_data_is_aligned_and_files_are_equal():
    obj = {"a": ember.ones(3), "b": ember.zeros(100, dtype=ember.uint8), "c": ember.ones(7)}
    data = saved(obj)
    assert data == saved(obj)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        for entry in archive.infolist():
            head = data[entry.header_offset : entry.header_offset + 30]
            name, extra = struct.unpack("<2H", head[26:30])
            assert (entry.header_offset + 30 + name + extra) % 64 == 0
        stem = archive.namelist()[0].split("/")[0]
        assert archive.read(f"{stem}/version") == b"3\n"
        assert archive.read(f"{stem}/byteorder") == b"little"
        pickletools.dis(archive.read(f"{stem}/data.pkl"), out=io.StringIO())


class Pipe(io.RawIOBase):
    """Can be written, and nothing else."""

    def __init__(self):
        self.data = b""

    def writable(self):
        return True

    def write(self, data):
        self.data += bytes(data)
        return len(data)


def test_saving_needs_no_seek():
    pipe = Pipe()
    ember.save({"a": ember.ones(3)}, pipe)
    assert loaded(pipe.data)["a"].tolist() == [1.0, 1.0, 1.0]


def test_large_archives_use_zip64(monkeypatch):
    from ember import _archive

    monkeypatch.setattr(_archive, "_LIMIT", 300)
    data = saved({"a": ember.arange(200.0), "b": ember.ones(3)})
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
    out = torch.load(io.BytesIO(data), weights_only=True)
    assert out["a"].tolist() == [float(i) for i in range(200)]
    assert loaded(data)["b"].tolist() == [1.0] * 3


@pytest.mark.parametrize(
    ("obj", "place"),
    [
        ({"a": [0, {"b": object()}]}, r"obj\['a'\]\[1\]\['b'\] is a builtins.object"),
        (lambda: 0, "obj is a builtins.function"),
        (collections.defaultdict(int), "collections.defaultdict"),
        ([np.zeros(3)], r"obj\[0\] is a numpy.ndarray"),
        (torch.nn.Linear, "builtins.type"),
    ],
)
def test_what_cannot_be_loaded_is_not_saved(tmp_path, obj, place):
    path = tmp_path / "x.pt"
    path.write_bytes(b"old")
    with pytest.raises(TypeError, match=place):
        ember.save(obj, path)
    assert path.read_bytes() == b"old" and len(list(tmp_path.iterdir())) == 1


def test_interrupted_save_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "x.pt"
    ember.save([1], path)

    def fail(*args):
        raise OSError("no space")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="no space"):
        ember.save([2], path)
    assert ember.load(path) == [1] and len(list(tmp_path.iterdir())) == 1


def test_new_files_have_the_usual_mode_and_links_are_followed(tmp_path):
    path = tmp_path / "x.pt"
    link = tmp_path / "link.pt"
    link.symlink_to(path)
    mask = os.umask(0o027)
    try:
        ember.save([1], link)
        assert path.stat().st_mode & 0o777 == 0o640
        os.chmod(path, 0o600)
        ember.save([2], link)
    finally:
        os.umask(mask)
    assert path.stat().st_mode & 0o777 == 0o600
    assert link.is_symlink() and ember.load(path) == [2]


def test_two_dtypes_over_one_memory_are_refused():
    a = ember.zeros(4)
    try:
        b = a.view(ember.int32)
    except (RuntimeError, TypeError):
        pytest.skip("no view of another dtype")
    with pytest.raises(RuntimeError, match="same memory as different dtypes"):
        saved([a, b])


# map_location


def test_map_location():
    data = saved({"a": ember.ones(2)})
    calls = []

    def function(storage, location):
        calls.append((storage.numel(), location))

    for location in ("cpu", ember.device("cpu"), {"cuda:0": "cpu"}, function):
        assert loaded(data, map_location=location)["a"].tolist() == [1.0, 1.0]
    assert calls == [(8, "cpu")]
    assert loaded(data, map_location=lambda s, _: s)["a"].tolist() == [1.0, 1.0]
    with pytest.raises(RuntimeError, match="map_location must return"):
        loaded(data, map_location=lambda s, _: s[:4])
    with pytest.raises(RuntimeError, match="map_location failed"):
        loaded(data, map_location=lambda s, _: {}[0])


def test_tensors_of_a_missing_device():
    data = with_pickle(replace=(b"cpu", b"xpu"))
    assert loaded(data, map_location="cpu").tolist() == [1.0, 1.0]
    with pytest.raises(RuntimeError, match="map_location='cpu'"):
        loaded(data)


# safetensors


def test_safetensors(tmp_path):
    st = pytest.importorskip("safetensors.torch")
    from ember.utils.safetensors import load_file, save_file

    path = tmp_path / "x.safetensors"
    torch.manual_seed(0)
    reference = {n: (10 * torch.randn(3, 4)).to(getattr(torch, n)) for n in DTYPES}
    reference |= {"empty": torch.zeros(0, 3), "scalar": torch.tensor(2.5)}
    ours = {n: to_ember(t) for n, t in reference.items()}
    save_file(ours | {"view": ours["float32"].t()[1:]}, path, {"note": "x"})
    out = st.load_file(path)
    for name, tensor in reference.items():
        assert out[name].dtype == tensor.dtype and torch.equal(out[name], tensor)
    assert torch.equal(out["view"], reference["float32"].t()[1:])

    st.save_file(reference, path)
    out = load_file(path)
    assert out.keys() == reference.keys()
    for name, tensor in reference.items():
        assert torch.equal(to_torch(out[name]), tensor)
    out["float32"][0, 0] = 5.0
    assert [p.name for p in tmp_path.iterdir()] == ["x.safetensors"]

    with pytest.raises(TypeError, match="names to tensors"):
        save_file({"a": 1}, path)
    data = path.read_bytes()
    for cut in (0, 4, 100, len(data) - 1):
        path.write_bytes(data[:cut])
        with pytest.raises(ValueError, match="damaged"):
            load_file(path)
    st.save_file({"a": torch.zeros(2, dtype=torch.uint16)}, path)
    with pytest.raises(ValueError, match="U16"):
        load_file(path)


def test_checksums_are_those_of_zlib():
    data = saved([ember.ones(4)])
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for entry in archive.infolist():
            assert zlib.crc32(archive.read(entry)) == entry.CRC
