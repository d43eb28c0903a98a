"""Tensors from and to Python, numpy, buffers and DLPack."""

from __future__ import annotations

import ctypes
import gc
import pickle
import sys
import weakref

import ember
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from mirrored import DTYPES, assert_same, compare, mirror, run, sample, torch

ARRAY_DTYPES = ["bool", "uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64"]

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


def dtype_name(t):
    return str(t.dtype).split(".")[-1]


# ---- tensor()

DATA = [
    "1", "2.5", "True", "-3", "[]", "()", "[[]]", "[[], []]", "[1, 2]", "[1.0, 2]", "(1, 2.5)",
    "[True, False]", "[True, 2]", "[True, 2.5]", "[[1, 2], [3, 4]]", "[(1, 2), [3, 4]]",
    "[[[1.5]]]", "range(4)", "[range(2), range(2)]", "[1e40]", "[float('nan'), float('inf')]",
    "np.float64(1)", "np.float32(1)", "np.int32(3)", "np.bool_(True)", "np.float16(0.5)",
    "[np.float64(1)]", "[np.float32(1), 2.0]", "[np.int32(1), 2]",
    "np.arange(6).reshape(2, 3)", "np.zeros((0, 3))", "np.array(5.0)",
    "[np.arange(2), np.arange(2)]",
    "[lib.tensor(1.0), lib.tensor(2.0)]", "[lib.tensor(1), 2.5]", "lib.tensor([1.0, 2.0])",
    "[lib.tensor(1.0, dtype=lib.float64), 2]", "np.arange(10)[::3]", "np.ones((2, 3)).T",
    "2**62", "[-2**63]", "[[1, 2.5], [True, 3]]",
]  # fmt: skip


@pytest.mark.parametrize("text", DATA)
def test_tensor(text):
    ours, _ = compare(f"lib.tensor({text})", {})
    assert not ours.requires_grad
    assert ours.is_contiguous() or "T" in text
    compare(f"lib.as_tensor({text})", {})
    compare(f"lib.asarray({text})", {})


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("text", ["[1, 2, 3]", "[0.5, 2.0]", "[True, False]", "7", "1.9", "[]",
                                  "np.arange(3)", "np.array(2.5)", "[[1, 0.5]]"])  # fmt: skip
def test_tensor_of_dtype(text, dtype):
    compare(f"lib.tensor({text}, dtype=lib.{dtype})", {})
    compare(f"lib.as_tensor({text}, dtype=lib.{dtype})", {})
    compare(f"lib.ones(2, dtype=lib.{dtype}).new_tensor({text})", {})


BAD_DATA = [
    ("'a'", TypeError), ("b'ab'", TypeError), ("['a']", ValueError), ("[1, 'a']", TypeError),
    ("[1.0, 'a']", TypeError), ("None", RuntimeError), ("[None]", RuntimeError),
    ("[1, None]", RuntimeError), ("{}", RuntimeError), ("{1: 2}", RuntimeError),
    ("object()", RuntimeError), ("[[1, 2], [3]]", ValueError), ("[[1], [2, 3]]", ValueError),
    ("[1, [2]]", TypeError), ("[[1], 2]", TypeError),
    ("2**63", ValueError), ("[2**64]", ValueError), ("300, dtype=lib.uint8", RuntimeError),
    ("[300], dtype=lib.uint8", RuntimeError), ("[-300], dtype=lib.int8", RuntimeError),
    ("[1e30], dtype=lib.int64", RuntimeError), ("float('nan'), dtype=lib.int32", RuntimeError),
    ("[1, 2], requires_grad=True", RuntimeError), ("np.zeros(2, 'U3')", TypeError),
    ("np.zeros(2, object)", TypeError), ("np.zeros(2, 'M8[s]')", TypeError),
    ("np.zeros(3, '>f4')", ValueError), ("np.zeros(3)[::-1]", ValueError),
    ("[lib.ones(2), lib.ones(2)]", ValueError), ("[1, 2], dtype='float32'", TypeError),
    ("[1, 2], device='tpu'", RuntimeError), ("1, 2", TypeError), ("", TypeError),
]  # fmt: skip


@pytest.mark.parametrize("text, error", BAD_DATA)
def test_bad_data(text, error):
    with pytest.raises(error):
        run(f"lib.tensor({text})", {}, torch)
    with pytest.raises(error):
        run(f"lib.tensor({text})", {}, ember)


def test_data_that_bites():
    with pytest.raises(ValueError, match="expected sequence of length 0"):
        ember.tensor([[], [1]])
    deep = 1
    for _ in range(70):
        deep = [deep]
    with pytest.raises(ValueError, match="too many dimensions"):
        ember.tensor(deep)
    endless = []
    endless.append(endless)
    with pytest.raises(ValueError, match="too many dimensions"):
        ember.tensor(endless)

    class Shrinks:
        def __init__(self, victim):
            self.victim = victim

        def __index__(self):
            self.victim.clear()
            return 1

        def __float__(self):
            self.victim.clear()
            return 1.0

    victim = []
    victim += [1, Shrinks(victim), 2, 3]
    with pytest.raises(ValueError, match="expected sequence of length"):
        ember.tensor(victim)
    victim += [1.0, Shrinks(victim), 2.0, 3.0]
    with pytest.raises(ValueError, match="expected sequence of length"):
        ember.tensor(victim, dtype=ember.float32)

    class Raises:
        def __len__(self):
            return 3

        def __getitem__(self, i):
            raise KeyError("no")

    with pytest.raises((KeyError, TypeError)):
        ember.tensor(Raises())


def test_tensor_copies_and_detaches():
    x = ember.tensor([1.0, 2.0], requires_grad=True)
    assert x.requires_grad
    assert x.is_leaf
    y = ember.tensor(x)
    assert not y.requires_grad
    assert y.data_ptr() != x.data_ptr()
    a = np.zeros(3)
    t = ember.tensor(a)
    t[0] = 1
    assert a[0] == 0
    shared = ember.as_tensor(a)
    shared[0] = 1
    assert a[0] == 1
    assert ember.as_tensor(x) is x
    assert ember.as_tensor(x, dtype=ember.float64).requires_grad


def test_asarray_copy():
    a = np.zeros(3)
    assert ember.asarray(a, copy=True).data_ptr() != a.ctypes.data
    assert ember.asarray(a, copy=False).data_ptr() == a.ctypes.data
    with pytest.raises(ValueError, match="alias"):
        ember.asarray([1.0], copy=False)
    with pytest.raises(ValueError, match="alias"):
        ember.asarray(ember.ones(2), dtype=ember.int64, copy=False)
    assert ember.asarray([1.0], requires_grad=True).requires_grad


def test_default_dtype():
    assert ember.get_default_dtype() is ember.float32
    try:
        ember.set_default_dtype(ember.float64)
        assert ember.tensor([1.0]).dtype is ember.float64
        assert ember.tensor([1, 2.0]).dtype is ember.float64
        assert ember.Tensor([1]).dtype is ember.float64
        assert ember.tensor([1]).dtype is ember.int64
    finally:
        ember.set_default_dtype(ember.float32)
    with pytest.raises(TypeError):
        ember.set_default_dtype(ember.int64)


@pytest.mark.parametrize("text", [
    "lib.Tensor([1, 2])", "lib.Tensor((2, 3))", "lib.Tensor([[1, 2], [3, 4]])",
    "lib.Tensor(np.arange(3))", "lib.Tensor(lib.tensor([1, 2]))",
])  # fmt: skip
def test_legacy_constructor(text):
    compare(text, {})


def test_legacy_constructor_of_sizes():
    assert ember.Tensor(2, 3).shape == (2, 3)
    assert ember.Tensor(5).shape == (5,)
    assert ember.Tensor().shape == (0,)
    assert ember.Tensor(ember.Size([2, 3])).shape == (2, 3)
    x = ember.ones(2)
    assert ember.Tensor(x).data_ptr() == x.data_ptr()
    for bad in [(2.5,), ("a",), (None,), ([1], [2]), ({},)]:
        with pytest.raises(TypeError):
            ember.Tensor(*bad)
    with pytest.raises(RuntimeError):
        ember.Tensor(-1)
    with pytest.raises(RuntimeError):
        ember.Tensor(2**40, 2**40)
    with pytest.raises(TypeError):
        ember.Tensor([1], dtype=ember.int64)


# ---- item, tolist


@pytest.mark.parametrize("dtype", DTYPES)
def test_item_and_tolist(dtype):
    x = sample((2, 3, 2), dtype)
    y = mirror(x)
    assert y.tolist() == x.tolist()
    assert y.transpose(0, 2).tolist() == x.transpose(0, 2).tolist()
    assert y[0, 1, 1].item() == x[0, 1, 1].item()
    assert type(y[0, 1, 1].item()) is type(x[0, 1, 1].item())
    assert y[0, 1, 1].tolist() == x[0, 1, 1].tolist()
    assert y[:, :0].tolist() == x[:, :0].tolist()
    for bad in (y, y[:0]):
        with pytest.raises(RuntimeError, match="item"):
            bad.item()


# ---- numpy


def test_comparison_with_an_array_is_by_element():
    x, array = ember.tensor([1.0, 2.0]), np.array([1.0, 3.0])
    for result in (x == array, array == x):
        assert isinstance(result, ember.Tensor) and result.tolist() == [True, False]
    assert (x != array).tolist() == [False, True]
    assert (x == None) is False and (x != "a") is True  # noqa: E711
    with pytest.raises(RuntimeError, match="eq"):
        assert x == np.ones(3)


@pytest.mark.parametrize("dtype", ARRAY_DTYPES)
def test_numpy_shares_memory(dtype):
    a = np.arange(12).reshape(3, 4).astype(dtype)
    t = ember.from_numpy(a)
    assert dtype_name(t) == dtype
    assert t.data_ptr() == a.ctypes.data
    b = t.numpy()
    assert b.dtype == a.dtype
    assert b.dtype.type is a.dtype.type
    assert b.ctypes.data == a.ctypes.data
    a[1, 1] = 0
    assert t[1, 1].item() == 0
    t[0, 0] = 1
    assert b[0, 0] == 1
    part = ember.from_numpy(a[:, ::2])
    assert part.stride() == (4, 2)
    assert part.tolist() == a[:, ::2].tolist()
    assert ember.from_numpy(a.T).numpy().strides == a.T.strides
    assert np.array_equal(t[1:, 2:].numpy(), a[1:, 2:])


@settings(max_examples=200, deadline=None)
@given(
    hnp.arrays(
        st.sampled_from(ARRAY_DTYPES),
        hnp.array_shapes(min_dims=0, min_side=0, max_dims=5),
        elements=st.integers(0, 1),
    ),
    st.data(),
)
def test_generated_arrays(a, data):
    if a.ndim > 1:
        a = a.transpose(data.draw(st.permutations(range(a.ndim))))
    t = ember.from_numpy(a)
    assert t.shape == a.shape
    assert t.tolist() == a.tolist()
    assert np.array_equal(t.numpy(), a)
    assert np.array_equal(ember.tensor(a).numpy(), a)
    assert np.array_equal(ember.tensor(a.tolist(), dtype=t.dtype).numpy().ravel(), a.ravel())
    assert np.array_equal(np.from_dlpack(t), a)
    assert np.array_equal(pickle.loads(pickle.dumps(t)).numpy(), a)


def test_arrays_live_as_long_as_tensors():
    a = np.zeros(100000)
    gone = weakref.ref(a)
    t = ember.from_numpy(a)
    view = t[5:]
    del a, t
    gc.collect()
    assert gone() is not None
    view.fill_(1)
    del view
    gc.collect()
    assert gone() is None
    x = ember.ones(100000)
    b = x.numpy()
    del x
    gc.collect()
    assert b.sum() == 100000


def test_read_only_arrays():
    a = np.arange(3.0)
    a.flags.writeable = False
    t = ember.from_numpy(a)
    for change in ("t.add_(1)", "t.zero_()", "t.copy_(t + 1)", "t.index_fill_(0, i, 1)",
                   "ember.add(t, 1, out=t)", "t.view(3).mul_(2)", "t[1:].fill_(0)"):  # fmt: skip
        with pytest.raises(RuntimeError, match="read-only"):
            eval(change, {"t": t, "ember": ember, "i": ember.tensor([0])})
    assert a.tolist() == [0, 1, 2]
    assert not t.numpy().flags.writeable
    assert (t + 1).numpy().flags.writeable
    assert ember.tensor(a).add_(1).tolist() == [1, 2, 3]


@pytest.mark.parametrize("make, error", [
    (lambda: np.zeros(3)[::-1], ValueError), (lambda: np.zeros(3, ">i4"), ValueError),
    (lambda: np.zeros(3, "U1"), TypeError), (lambda: np.zeros(3, object), TypeError),
    (lambda: np.zeros(3, "M8[s]"), TypeError), (lambda: np.zeros(3, "V3"), TypeError),
    (lambda: np.zeros(3, np.longdouble), TypeError), (lambda: [1, 2], TypeError),
    (lambda: np.float32(1), TypeError), (lambda: None, TypeError), (lambda: b"ab", TypeError),
    (lambda: np.zeros(3, [("a", "f4"), ("b", "i2")]), TypeError),
    (lambda: np.zeros(3, [("a", "f4"), ("b", "i1")])["a"], ValueError),
])  # fmt: skip
def test_bad_arrays(make, error):
    with pytest.raises(error):
        ember.from_numpy(make())


def test_array_protocol():
    t = ember.arange(6.0).reshape(2, 3)
    a = np.asarray(t)
    assert a.ctypes.data == t.data_ptr()
    assert np.array(t).ctypes.data != t.data_ptr()
    assert np.asarray(t, dtype=np.float64).dtype == np.float64
    assert t.__array__(np.int32).dtype == np.int32
    with pytest.raises(ValueError, match="copy"):
        t.__array__(np.float64, copy=False)
    assert t.__array__(copy=True).ctypes.data != t.data_ptr()
    assert isinstance(np.exp(t), ember.Tensor)
    assert isinstance(t * np.ones((2, 3), np.float32), ember.Tensor)
    assert isinstance(t * np.float32(2), ember.Tensor)
    assert np.add(t, t).tolist() == (t + t).tolist()
    g = ember.ones(2, requires_grad=True)
    for call in (g.numpy, lambda: np.asarray(g), lambda: (g * 2).numpy()):
        with pytest.raises(RuntimeError, match="requires grad"):
            call()
    assert g.numpy(force=True).tolist() == [1, 1]
    assert g.detach().numpy().tolist() == [1, 1]
    with pytest.raises(TypeError, match="bfloat16"):
        ember.ones(2, dtype=ember.bfloat16).numpy()
    assert ember.tensor(3).numpy().shape == ()


# ---- Buffers


def test_frombuffer():
    memory = bytearray(range(16))
    t = ember.frombuffer(memory, dtype=ember.int16)
    assert t.tolist() == np.frombuffer(memory, np.int16).tolist()
    t[0] = -1
    assert memory[:2] == b"\xff\xff"
    with pytest.raises(BufferError):
        memory.append(1)
    del t
    memory.append(1)
    part = ember.frombuffer(memory, dtype=ember.uint8, count=3, offset=5)
    assert part.tolist() == [5, 6, 7]
    fixed = ember.frombuffer(b"\0\0\x80\x3f", dtype=ember.float32)
    assert fixed.tolist() == [1.0]
    with pytest.raises(RuntimeError, match="read-only"):
        fixed.add_(1)
    assert ember.frombuffer(memory, dtype=ember.float32, count=1, requires_grad=True).requires_grad


@pytest.mark.parametrize("text", [
    "1, dtype=lib.uint8", "bytearray(), dtype=lib.uint8", "bytearray(4), dtype=lib.uint8, count=0",
    "bytearray(5), dtype=lib.int32", "bytearray(4), dtype=lib.int32, count=2",
    "bytearray(4), dtype=lib.uint8, offset=4", "bytearray(4), dtype=lib.uint8, offset=-1",
    "bytearray(4), dtype=lib.uint8, count=2**62",
    "bytearray(8), dtype=lib.int64, offset=1, count=1",
])  # fmt: skip
def test_bad_buffers(text):
    for lib in (torch, ember):
        with pytest.raises(ValueError):
            run(f"lib.frombuffer({text})", {}, lib)


# ---- DLPack


@pytest.mark.parametrize("dtype", DTYPES)
def test_dlpack_with_pytorch(dtype):
    x = sample((3, 4), dtype)
    y = ember.from_dlpack(x.t())
    assert y.data_ptr() == x.data_ptr()
    assert y.stride() == (1, 4)
    assert_same(y, x.t())
    back = torch.from_dlpack(y[1:])
    assert back.data_ptr() == y[1:].data_ptr()
    assert_same(y[1:], back)


def test_dlpack_with_numpy():
    a = np.arange(12.0).reshape(3, 4)
    t = ember.from_dlpack(a)
    assert t.data_ptr() == a.ctypes.data
    t[0, 0] = 5
    assert a[0, 0] == 5
    assert np.from_dlpack(t).ctypes.data == a.ctypes.data
    a.flags.writeable = False
    fixed = ember.from_dlpack(a)
    with pytest.raises(RuntimeError, match="read-only"):
        fixed.add_(1)
    assert not np.from_dlpack(fixed).flags.writeable
    with pytest.raises(BufferError, match="read-only"):
        fixed.__dlpack__()
    gone = weakref.ref(a)
    del a, t
    gc.collect()
    assert gone() is not None
    del fixed
    gc.collect()
    assert gone() is None


def capsule_name(capsule):
    get = ctypes.pythonapi.PyCapsule_GetName
    get.restype, get.argtypes = ctypes.c_char_p, [ctypes.py_object]
    return get(capsule)


def test_capsules():
    x = ember.arange(3.0)
    assert x.__dlpack_device__() == (1, 0)
    for make, name in [(ember.to_dlpack, b"dltensor"), (lambda t: t.__dlpack__(), b"dltensor"),
                       (lambda t: t.__dlpack__(max_version=(1, 0)), b"dltensor_versioned"),
                       (lambda t: t.__dlpack__(max_version=(0, 8)), b"dltensor")]:  # fmt: skip
        capsule = make(x)
        assert capsule_name(capsule) == name
        y = ember.from_dlpack(capsule)
        assert capsule_name(capsule) == b"used_" + name
        assert y.data_ptr() == x.data_ptr()
        with pytest.raises(RuntimeError, match="consumed"):
            ember.from_dlpack(capsule)
        unused = make(x)
        del unused, y, capsule
    moved = ember.from_dlpack(x.__dlpack__(copy=True, max_version=(1, 0)))
    assert moved.data_ptr() != x.data_ptr()
    assert ember.from_dlpack(x, copy=True).data_ptr() != x.data_ptr()
    refs = sys.getrefcount(x)
    for _ in range(10):
        ember.from_dlpack(x.__dlpack__())
        x.__dlpack__(max_version=(1, 0))
    assert sys.getrefcount(x) == refs


def test_memory_lives_in_a_capsule():
    capsule = ember.to_dlpack(ember.full((1000,), 7.0))
    gc.collect()
    assert ember.from_dlpack(capsule).sum().item() == 7000


def test_bad_dlpack():
    x = ember.ones(2, requires_grad=True)
    with pytest.raises(BufferError, match="gradient"):
        x.__dlpack__()
    x = x.detach()
    for kwargs in [{"stream": 1}, {"dl_device": (2, 0)}]:
        with pytest.raises(BufferError):
            x.__dlpack__(**kwargs)
    for kwargs in [{"dl_device": 1}, {"max_version": "1"}, {"max_version": (1,)}]:
        with pytest.raises(TypeError):
            x.__dlpack__(**kwargs)
    for bad in (5, "a", None, [1.0]):
        with pytest.raises((TypeError, RuntimeError)):
            ember.from_dlpack(bad)
    with pytest.raises(BufferError):
        ember.from_dlpack(np.zeros(3, np.uint16))
    with pytest.raises(BufferError):
        ember.from_dlpack(np.zeros(3, np.uint32))
    with pytest.raises(ValueError, match="negative"):
        ember.from_dlpack(np.zeros(3)[::-1])
    foreign = datetime_capsule()
    with pytest.raises(RuntimeError, match="dltensor"):
        ember.from_dlpack(foreign)


def datetime_capsule():
    import datetime

    return datetime.datetime_CAPI


def test_python_types_are_dtypes():
    assert ember.ones(2, dtype=float).dtype is ember.float64
    assert ember.ones(2).to(int).dtype is ember.int64
    assert ember.arange(3).sum(dtype=bool).dtype is ember.bool
    with pytest.raises(TypeError, match="dtype"):
        ember.ones(2, dtype=str)


def test_to_another_tensors_kind():
    for other in (ember.zeros(1, dtype=ember.int32), ember.tensor(True), ember.zeros(2)):
        assert ember.ones(2).to(other).dtype is other.dtype


def test_endless_sequences_end():
    class Endless:
        def __len__(self):
            return 1

        def __getitem__(self, i):
            return Endless()

    with pytest.raises(ValueError, match="too many dimensions"):
        ember.tensor(Endless())


def test_numbers_for_bools_are_refused():
    with pytest.raises(TypeError, match="bool"):
        ember.ones(2).sum(0, 1)


def test_conversions_to_numbers_need_one_element():
    for t in (ember.ones(2), ember.ones(0)):
        for convert in (float, int):
            with pytest.raises(ValueError, match="one element"):
                convert(t)
    with pytest.raises(TypeError, match="@"):
        ember.ones(1) @ 2
