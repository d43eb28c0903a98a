"""Files that are damaged or made to do harm: all raise, none runs code or exhausts the machine."""

import collections
import io
import os
import pickle
import random
import struct
import subprocess
import sys
import zipfile

import ember
import numpy as np
import pytest
from file_support import archive_of, example, loaded, saved

torch = pytest.importorskip("torch")

# What a damaged or hostile file may raise, whatever the damage.
REFUSALS = (pickle.UnpicklingError, RuntimeError)


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
    subprocess.run([sys.executable, "-c", script], input=data, timeout=60, check=True)


def test_compressed_and_foreign_archives_are_refused(tmp_path):
    data = archive_of(b"\x80\2N.", {"data/0": bytes(10_000_000)}, zipfile.ZIP_DEFLATED)
    with pytest.raises(RuntimeError, match="compressed"):
        loaded(data)
    with pytest.raises(RuntimeError, match="not a zip archive"):
        loaded(b"")
    with pytest.raises(RuntimeError, match="not a zip archive"):
        loaded(pickle.dumps([1]))
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
        outcome(archive_of(m, members)) for m in mutants(pickled, 500, 2)
    )
    assert outcomes["refused"] > 200 and outcomes["loaded"] > 20


def test_mutated_directories_load_or_raise():
    data = saved([ember.ones(5)])
    at = data.index(b"PK\1\2")
    outcomes = collections.Counter(outcome(data[:at] + m) for m in mutants(data[at:], 400, 3))
    assert outcomes["refused"] > 100
