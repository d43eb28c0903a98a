"""What the tests of saved files share."""

import collections
import io
import zipfile

import ember
import numpy as np
import pytest
from torch_bridge import to_torch

torch = pytest.importorskip("torch")

DTYPES = "bool uint8 int8 int16 int32 int64 float16 bfloat16 float32 float64".split()


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
