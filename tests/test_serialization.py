import collections
import io
import os
import pickle
import pickletools
import random
import struct
import subprocess
import sys
import zipfile
import zlib

import ember
import numpy as np
import pytest
from torch_bridge import to_ember, to_torch

torch = pytest.importorskip("torch")

DTYPES = "bool uint8 int8 int16 int32 int64 float16 bfloat16 float32 float64".split()
# What a damaged or hostile file may raise, whatever the damage.
REFUSALS = (pickle.UnpicklingError, RuntimeError)


def saved(obj, library=ember):
    buffer = io.BytesIO()
    library.save(obj, buffer)
    return buffer.getvalue()


def loaded(data, **options):
    return ember.load(io.BytesIO(data), **options)


def assert_alike(a, b):
    """Ember's object `a` and PyTorch's `b` hold the same."""
    if isinstance(a, ember.Tensor):
        assert isinstance(b, torch.Tensor)
        assert isinstance(a, ember.nn.Parameter) == isinstance(b, torch.nn.Parameter)
        assert a.requires_grad == b.requires_grad
        assert tuple(a.stride()) == tuple(b.stride())
        assert to_torch(a).dtype == b.dtype
        torch.testing.assert_close(to_torch(a), b.detach(), rtol=0, atol=0, equal_nan=True)
    elif isinstance(a, ember.Size):
        assert isinstance(b, torch.Size) and tuple(a) == tuple(b)
    elif isinstance(a, ember.dtype | ember.device):
        assert str(a).split(".")[-1] == str(b).split(".")[-1]
    elif isinstance(a, dict):
        assert type(a) is type(b) and list(a) == list(b)
        for key in a:
            assert_alike(a[key], b[key])
        if hasattr(a, "_metadata"):
            assert a._metadata == b._metadata
    elif isinstance(a, list | tuple):
        assert type(a) is type(b) and len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            assert_alike(x, y)
    else:
        assert type(a) is type(b) and (a == b or a != a)


def example(library):
    """The same object for either library: every kind of content there is."""
    base = library.arange(20.0)
    weight = library.nn.Parameter(library.arange(6.0).reshape(2, 3))
    state = collections.OrderedDict(weight=library.ones(2, 2), bias=library.zeros(2))
    state._metadata = collections.OrderedDict({"": {"version": 1}})
    return {
        "scalars": [None, True, False, 0, 255, 256, 65535, 65536, -1, 2**31, -(2**31), 2**63],
        "long": [2**64, -(2**64), 10**30],
        "floats": [0.0, -0.0, 1e300, float("inf"), float("nan"), 5e-324],
        "complex": 1 - 2j,
        "text": ["", "digits", "ß€𝄞", "x" * 300],
        "bytes": [b"", b"\x00\xff", bytes(range(256)), bytearray(b"ab\xfe")],
        "tuples": [(), (1,), (1, 2), (1, 2, 3), (1, (2, (3, (4,)))), tuple(range(10))],
        "nested": {"a": [{"b": ({},)}], 3: "int key", 2.5: "float", None: 0, (1, "t"): 1},
        "sets": [set(), {1, 2, 3}, {"a"}],
        "counter": collections.Counter("abca"),
        "size": library.Size([2, 0, 3]),
        "dtypes": [getattr(library, name) for name in DTYPES],
        "device": library.device("cpu"),
        "state": state,
        "parameter": weight,
        "frozen": library.nn.Parameter(library.ones(2), requires_grad=False),
        "grad": library.ones(3).requires_grad_(),
        "views": [base, base[3:7], base[::2], base.view(4, 5).t(), base[5], base[:0]],
        "expanded": library.ones(1, 3).expand(4, 3),
        "empty": [library.zeros(0), library.zeros(2, 0, 3), library.zeros(())],
        "tensors": [(library.arange(6) - 2).to(getattr(library, n)).view(2, 3) for n in DTYPES],
        "special": library.tensor([float("nan"), float("inf"), -0.0]),
    }


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


# Hostile files. The helpers make an archive around a pickle of one's choice.


def archive_of(pickled, members=None, compression=zipfile.ZIP_STORED):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        archive.writestr("archive/data.pkl", pickled)
        for name, data in (members or {}).items():
            archive.writestr(f"archive/{name}", data)
    return buffer.getvalue()


def pickle_of(obj):
    with zipfile.ZipFile(io.BytesIO(saved(obj))) as archive:
        return archive.read("archive/data.pkl")


def with_pickle(replace):
    pickled = pickle_of(ember.ones(2))
    assert replace[0] in pickled
    return archive_of(pickled.replace(*replace), {"data/0": np.ones(2, np.float32).tobytes()})


class Evil:
    def __reduce__(self):
        return os.mkdir, ("/tmp/ember-evil-was-here",)


def text(s):
    return b"X" + struct.pack("<I", len(s.encode())) + s.encode()


def tensor_pickle(offset=b"K\0", size=b"K\2\x85", stride=b"K\1\x85", grad=b"\x89", numel=b"K\2"):
    pid = text("storage") + b"ctorch\nFloatStorage\n" + text("0") + text("cpu") + numel
    return (
        b"\x80\2ctorch._utils\n_rebuild_tensor_v2\n(("
        + pid
        + b"tQ"
        + offset
        + size
        + stride
        + grad
        + b"ccollections\nOrderedDict\n)RtR."
    )


FLOATS = {"data/0": np.ones(2, np.float32).tobytes()}
HUGE = b"\x8a\x08" + struct.pack("<q", 2**62)
PICKLES = {
    "call": (pickle.dumps(Evil(), 2), {}, "posix.mkdir"),
    "call4": (pickle.dumps(Evil(), 4), {}, "posix.mkdir"),
    "eval": (b"\x80\2c__builtin__\neval\n" + text("1") + b"\x85R.", {}, "builtins.eval"),
    "getattr": (b"\x80\2cbuiltins\ngetattr\n.", {}, "builtins.getattr"),
    "class": (b"\x80\2ccollections\nOrderedDict\n.", {}, "OrderedDict as a value"),
    "class in a list": (b"\x80\2]ccollections\nCounter\na.", {}, "Counter as a value"),
    "class in a tuple": (b"\x80\2ccollections\nCounter\n\x85.", {}, "as a value"),
    "class in a dict": (b"\x80\2}K\1ccollections\nCounter\ns.", {}, "as a value"),
    "class as a key": (b"\x80\2}ccollections\nCounter\nK\1s.", {}, "as a value"),
    "class in a set": (b"\x80\4\x8f(ccollections\nCounter\n\x90.", {}, "as a value"),
    "dotted": (
        b"\x80\4" + text("collections") + text("OrderedDict.fromkeys") + b"\x93.",
        {},
        "from",
    ),
    "numpy": (pickle.dumps(np.zeros(2), 2), {}, "numpy"),
    "call of a value": (b"\x80\2K\1)R.", {}, "a call of int"),
    "arguments": (b"\x80\2ctorch\nSize\nK\1R.", {}, "arguments"),
    "build a list": (b"\x80\2]}b.", {}, "list with attributes"),
    "shadow items": (
        b"\x80\2ccollections\nOrderedDict\n)R}" + text("items") + b"K\1sb.",
        {},
        "items",
    ),
    "bad storage type": (
        b"\x80\2(" + text("storage") + b"ctorch\nSize\n" + text("0") + text("cpu") + b"K\2tQ.",
        FLOATS,
        "unknown type",
    ),
    "bare storage": (
        b"\x80\2("
        + text("storage")
        + b"ctorch\nFloatStorage\n"
        + text("0")
        + text("cpu")
        + b"K\2tQ.",
        FLOATS,
        "bare storage",
    ),
    "pid": (b"\x80\2K\1Q.", {}, "not to a storage"),
    "missing storage": (tensor_pickle(), {}, "not in the archive"),
    "storage count": (tensor_pickle(numel=b"K\3"), FLOATS, "3 elements of 4 bytes"),
    "storage count huge": (tensor_pickle(numel=HUGE), FLOATS, "elements of 4 bytes"),
    "negative count": (tensor_pickle(numel=b"J\xfe\xff\xff\xff"), FLOATS, "-2 elements"),
    "size": (tensor_pickle(size=b"K\3\x85"), FLOATS, "does not fit"),
    "stride": (tensor_pickle(stride=b"K\2\x85"), FLOATS, "does not fit"),
    "offset": (tensor_pickle(offset=b"K\1"), FLOATS, "does not fit"),
    "offset of nothing": (tensor_pickle(offset=b"K\7", size=b"K\0\x85"), FLOATS, "does not fit"),
    "negative stride": (tensor_pickle(stride=b"J\xff\xff\xff\xff\x85"), FLOATS, "no count"),
    "negative offset": (tensor_pickle(offset=b"J\xff\xff\xff\xff"), FLOATS, "no count"),
    "float size": (tensor_pickle(size=b"G" + struct.pack(">d", 2) + b"\x85"), FLOATS, "no count"),
    "bool size": (tensor_pickle(size=b"\x88\x85"), FLOATS, "no count"),
    "overflow": (
        tensor_pickle(size=HUGE + b"K\4\x86", stride=b"K\0K\0\x86"),
        FLOATS,
        "does not fit",
    ),
    "long size": (
        tensor_pickle(size=b"\x8a\x09" + b"\0" * 8 + b"\1" + b"\x85"),
        FLOATS,
        "no count",
    ),
    "ranks": (tensor_pickle(stride=b")"), FLOATS, "1 sizes and 0 strides"),
    "dims": (
        tensor_pickle(size=b"(" + b"K\1" * 65 + b"t", stride=b"(" + b"K\1" * 65 + b"t"),
        FLOATS,
        "65 sizes",
    ),
    "size list": (tensor_pickle(size=b"]"), FLOATS, "not a tuple"),
    "grad": (tensor_pickle(grad=b"K\1"), FLOATS, "requires a gradient"),
    "size of a size": (b"\x80\2ctorch\nSize\nJ\xff\xff\xff\xff\x85\x85R.", {}, "counts"),
    "device": (b"\x80\2ctorch\ndevice\n" + text("toaster") + b"\x85R.", {}, "toaster"),
    "no protocol": (b"N.", {}, "protocol"),
    "empty": (b"", {}, "protocol"),
    "unfinished": (b"\x80\2]", {}, "too early"),
    "two": (b"\x80\2NN.", {}, "more than one"),
    "open mark": (b"\x80\2N(N.", {}, "more than one"),
    "underflow": (b"\x80\2\x87.", {}, "too early"),
    "no mark": (b"\x80\2t.", {}, "too early"),
    "memo": (b"\x80\2h\7.", {}, "too early"),
    "opcode": (b"\x80\2I1\n.", {}, "not supported"),
    "extension": (b"\x80\2\x82\1.", {}, "not supported"),
    "append to a tuple": (b"\x80\2)Na.", {}, "append"),
    "item of a list": (b"\x80\2]NNs.", {}, "items"),
    "odd items": (b"\x80\2}(Nu.", {}, "without a value"),
    "list key": (b"\x80\2}]Ns.", {}, "list is a dict key"),
    "dict in a set": (b"\x80\4\x8f(}\x90.", {}, "dict is a dict key or set"),
    "string length": (b"\x80\2X\xff\xff\xff\xffa.", {}, "announced"),
    "long string length": (b"\x80\4\x8d" + b"\xff" * 8 + b".", {}, "announced"),
    "bytearray length": (b"\x80\5\x96" + b"\xff" * 7 + b"\x0f.", {}, "announced"),
    "bytes length": (b"\x80\4\x8e" + struct.pack("<Q", 2**40) + b".", {}, "announced"),
    "long length": (b"\x80\2\x8b\xff\xff\xff\x7f.", {}, "announced"),
    "utf-8": (b"\x80\2X\1\0\0\0\xff.", {}, "utf-8"),
    "encoding": (b"\x80\2c_codecs\nencode\n" + text("a") + text("hex") + b"\x86R.", {}, "latin1"),
    "latin1": (b"\x80\2c_codecs\nencode\n" + text("€") + text("latin1") + b"\x86R.", {}, "latin"),
    "uint16": (
        b"\x80\2(" + text("storage") + b"ctorch\nQInt8Storage\n" + text("0") + b"tQ.",
        FLOATS,
        "QInt8Storage",
    ),
}


@pytest.mark.parametrize("name", PICKLES)
def test_hostile_pickles(name):
    pickled, members, match = PICKLES[name]
    for options in ({}, {"weights_only": False}):
        with pytest.raises(pickle.UnpicklingError, match=match):
            loaded(archive_of(pickled, members), **options)
    assert not os.path.exists("/tmp/ember-evil-was-here")


def test_the_helper_makes_a_good_tensor():
    out = loaded(archive_of(tensor_pickle(), FLOATS))
    assert out.tolist() == [1.0, 1.0]
    out = loaded(archive_of(tensor_pickle(grad=b"\x88"), FLOATS))
    assert out.requires_grad


def doubling_tuple(depth):
    """A tuple of two references to a tuple of two references to ..., `depth` deep."""
    return b"N" + b"".join(b"q" + bytes([i]) + b"h" + bytes([i]) + b"\x86" for i in range(depth))


@pytest.mark.parametrize(
    "body",
    [
        b"}" + doubling_tuple(200) + b"Ns",
        b"\x8f(" + doubling_tuple(200) + b"\x90",
        b"](" + doubling_tuple(200) + b"\x91a",
        # One long string, encoded again and again.
        text("a" * 50_000)
        + b"q\0"
        + text("latin1")
        + b"q\1](c_codecs\nencode\nq\2h\0h\1\x86R"
        + b"h\2h\0h\1\x86R" * 20_000
        + b"e",
        b"](" + b"N" * 50_000 + b"eq\0](" + b"ctorch\nSize\nq\1h\0\x85R" * 2_000 + b"e",
        b"K\1q\xff](r\xff\xff\xff\xff" + b"e",
        b"(" * 100_000,
        b"]" * 100_000 + b"a" * 99_999,
    ],
    ids=["key", "element", "frozenset", "encode", "size", "memo index", "marks", "deep"],
)
def test_hostile_pickles_take_no_time_and_memory(body):
    """Each would take hours or gigabytes if it were followed blindly; the limit is 1 GB."""
    script = (
        "import resource, sys, io, ember, pickle\n"
        "data = sys.stdin.buffer.read()\n"
        "used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "try:\n"
        "    ember.load(io.BytesIO(data))\n"
        "except (pickle.UnpicklingError, RuntimeError) as e:\n"
        "    pass\n"
        "grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - used\n"
        "sys.exit(grown > 200_000)\n"
    )
    data = archive_of(b"\x80\4" + body + b".")
    prefix = "import ember_shim\n" if "ember_shim" in sys.modules else ""
    subprocess.run([sys.executable, "-c", prefix + script], input=data, timeout=60, check=True)


def test_compressed_and_foreign_archives_are_refused(tmp_path):
    data = archive_of(b"\x80\2N.", {"data/0": bytes(10_000_000)}, zipfile.ZIP_DEFLATED)
    with pytest.raises(RuntimeError, match="compressed"):
        loaded(data)
    with pytest.raises(RuntimeError, match="not a zip archive"):
        loaded(b"")
    with pytest.raises(RuntimeError, match="not a zip archive"):
        loaded(pickle.dumps([1]))
    buffer = io.BytesIO()
    torch.save([torch.ones(2)], buffer, _use_new_zipfile_serialization=False)
    with pytest.raises(RuntimeError, match="not a zip archive"):
        loaded(buffer.getvalue())
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("notes.txt", "hello")
    with pytest.raises(RuntimeError, match=r"no member data\.pkl"):
        loaded(buffer.getvalue())
    with pytest.raises(RuntimeError, match="byte order"):
        loaded(archive_of(b"\x80\2N.", {"byteorder": b"big"}))
    with pytest.raises(FileNotFoundError):
        ember.load(tmp_path / "missing.pt")
    with pytest.raises(TypeError, match="path or a file"):
        ember.load(3)
    with pytest.raises(TypeError, match="path or a file"):
        ember.save([], 3)
    with pytest.raises(ValueError, match="mmap"):
        loaded(saved([]), mmap=True)


def test_members_that_share_bytes_are_refused():
    """Many directory entries for one large member would multiply a small file."""
    data = bytearray(saved([ember.zeros(1000), ember.zeros(1000) + 1]))
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        first, second = (archive.getinfo(f"archive/data/{i}") for i in (0, 1))
    entry = data.rindex(b"archive/data/1") - 46
    assert data[entry : entry + 4] == b"PK\1\2"
    data[entry + 42 : entry + 46] = struct.pack("<I", first.header_offset)
    data[entry + 16 : entry + 20] = struct.pack("<I", first.CRC)
    assert second.file_size == first.file_size
    with pytest.raises(RuntimeError, match="overlaps"):
        loaded(bytes(data))


def test_damage_is_noticed():
    data = bytearray(saved([ember.arange(1000.0)]))
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        entry = archive.getinfo("archive/data/0")
    data[entry.header_offset + 200] ^= 1
    with pytest.raises(RuntimeError, match="checksum"):
        loaded(bytes(data))


def test_every_truncation_raises():
    data = saved(example(ember))
    for length in [*range(0, len(data), 37), *range(len(data) - 40, len(data))]:
        with pytest.raises(REFUSALS):
            loaded(data[:length])


def consistent(pickled, members):
    """An archive with right checksums around a damaged pickle."""
    return archive_of(pickled, members)


def mutants(data, count, seed):
    rng = random.Random(seed)
    for _ in range(count):
        out = bytearray(data)
        for _ in range(rng.choice([1, 1, 2, 8])):
            at = rng.randrange(len(out))
            kind = rng.randrange(5)
            if kind == 0:
                out[at] ^= 1 << rng.randrange(8)
            elif kind == 1:
                out[at] = rng.choice([0, 1, 0x7F, 0x80, 0xFF, *b"()[]}.RbtuQhqrcX\x85\x86\x87"])
            elif kind == 2:
                del out[at : at + rng.randrange(1, 20)]
            elif kind == 3:
                out[at:at] = out[rng.randrange(len(out)) :][: rng.randrange(1, 30)]
            else:
                out[at : at + 4] = struct.pack("<I", rng.choice([0, 2**31, 2**32 - 1, 65536]))
            if not out:
                break
        yield bytes(out)


def outcome(data):
    try:
        loaded(data)
    except REFUSALS:
        return "refused"
    return "loaded"


def test_mutated_files_load_or_raise():
    data = saved({"a": ember.arange(30.0)[2:9], "b": [ember.ones(2, 2), {"c": (1, "x")}]})
    outcomes = collections.Counter(outcome(m) for m in mutants(data, 300, 1))
    assert outcomes["refused"] > 100


def test_mutated_pickles_load_or_raise():
    with zipfile.ZipFile(io.BytesIO(saved(example(ember)))) as archive:
        members = {
            name.split("/", 1)[1]: archive.read(name)
            for name in archive.namelist()
            if "/data/" in name
        }
        pickled = archive.read("archive/data.pkl")
    outcomes = collections.Counter(
        outcome(consistent(m, members)) for m in mutants(pickled, 500, 2)
    )
    assert outcomes["refused"] > 200 and outcomes["loaded"] > 20


def test_mutated_directories_load_or_raise():
    data = saved([ember.ones(5)])
    at = data.index(b"PK\1\2")
    outcomes = collections.Counter(outcome(data[:at] + m) for m in mutants(data[at:], 400, 3))
    assert outcomes["refused"] > 100


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
