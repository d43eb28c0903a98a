"""Pickle, copies, storages and metadata of tensors."""

from __future__ import annotations

import copy
import pickle

import ember
import pytest
from mirrored import DTYPES, compare, mirror, run, sample, torch

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


# ---- Pickle and copies

LAYOUTS = [
    lambda: ember.arange(24.0).reshape(2, 3, 4),
    lambda: ember.arange(24.0).reshape(2, 3, 4).transpose(0, 2),
    lambda: ember.arange(24.0)[3:20:4],
    lambda: ember.arange(3.0).expand(2, 3),
    lambda: ember.tensor(5),
    lambda: ember.zeros(0, 3),
    lambda: ember.ones(2, 3, dtype=ember.bfloat16),
    lambda: ember.tensor([True, False]),
    lambda: ember.ones(3, requires_grad=True),
]


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("make", LAYOUTS)
def test_pickle(make, protocol):
    x = make()
    y = pickle.loads(pickle.dumps(x, protocol))
    assert type(y) is ember.Tensor
    assert y.dtype is x.dtype
    assert y.tolist() == x.tolist()
    assert y.requires_grad == x.requires_grad
    assert y.is_leaf
    if x.is_contiguous() or x.shape == (4, 3, 2):
        assert y.stride() == x.stride()


class Named(ember.Tensor):
    pass


def test_pickle_keeps_class_and_attributes():
    x = ember.ones(2).as_subclass(Named)
    x.name, x.notes = "weights", ["a"]
    for y in (pickle.loads(pickle.dumps(x)), copy.deepcopy(x), copy.copy(x)):
        assert type(y) is Named
        assert y.name == "weights"
        assert y.notes == ["a"]
        assert y.tolist() == [1, 1]
    assert copy.copy(x).notes is x.notes
    assert copy.deepcopy(x).notes is not x.notes
    plain = ember.ones(2)
    plain.tag = 3
    assert pickle.loads(pickle.dumps(plain)).tag == 3


def test_pickle_writes_the_elements_alone():
    big = ember.zeros(100000)
    assert len(pickle.dumps(big[5:10])) < 1000
    assert len(pickle.dumps(big.reshape(1000, 100)[:, 0])) < 10000


@pytest.mark.parametrize("change", [
    {1: b"short"}, {1: "text"}, {0: int}, {0: 5}, {2: 5}, {3: (3,)}, {3: (-1,)},
    {3: (2**40, 2**40)},
    {4: (2,)}, {4: (0,)}, {4: (1, 1)}, {4: (-1,)}, {5: True, 2: ember.int32}, {6: 5},
])  # fmt: skip
def test_bad_pickles(change):
    function, args = ember.ones(2).__reduce_ex__(4)
    args = [change.get(i, item) for i, item in enumerate(args)]
    with pytest.raises((TypeError, RuntimeError)):
        function(*args)


@pytest.mark.parametrize("make", LAYOUTS)
def test_deepcopy(make):
    x = make()
    y = copy.deepcopy(x)
    assert y.tolist() == x.tolist()
    assert y.stride() == x.stride()
    assert y.storage_offset() == x.storage_offset()
    assert y.dtype is x.dtype
    assert y.requires_grad == x.requires_grad
    assert x.numel() == 0 or y.data_ptr() != x.data_ptr()


def test_deepcopy_keeps_sharing():
    x = ember.arange(6.0)
    pair = [x, x[2:], x, ember.arange(6.0)]
    a, b, c, d = copy.deepcopy(pair)
    assert a is c
    b[0] = 77
    assert a[2].item() == 77
    assert d[2].item() == 2
    assert x[2].item() == 2
    assert a._storage_id() == b._storage_id() != d._storage_id()


@pytest.mark.autograd
def test_deepcopy_of_gradients():
    x = ember.ones(2, requires_grad=True)
    with pytest.raises(RuntimeError, match="leaves"):
        copy.deepcopy(x * 2)
    assert copy.deepcopy((x * 2).detach()).tolist() == [2, 2]
    (x * 3).sum().backward()
    y = copy.deepcopy(x)
    assert y.grad.tolist() == [3, 3]
    y.grad.zero_()
    assert x.grad.tolist() == [3, 3]
    with ember.no_grad():
        assert copy.deepcopy(x).requires_grad


def test_copy_shares_memory():
    x = ember.ones(2, requires_grad=True)
    y = copy.copy(x)
    assert y is not x
    assert y.data_ptr() == x.data_ptr()
    assert y.requires_grad
    assert y.is_leaf


def test_subclasses():
    data = ember.ones(2)
    x = ember.Tensor._make_subclass(Named, data, True)
    assert type(x) is Named
    assert x.requires_grad
    assert x.is_leaf
    assert x.data_ptr() == data.data_ptr()
    assert not data.requires_grad
    assert type(Named([1, 2])) is Named
    assert Named([1, 2]).tolist() == [1, 2]
    assert Named(2, 3).shape == (2, 3)
    for bad in (int, 5, None, object):
        with pytest.raises(TypeError, match="subclass"):
            ember.Tensor._make_subclass(bad, data)
        with pytest.raises(TypeError, match="subclass"):
            data.as_subclass(bad)
    with pytest.raises(RuntimeError):
        ember.Tensor._make_subclass(Named, ember.tensor([1]), True)
    with pytest.raises(TypeError):
        ember.Tensor._make_subclass(Named, [1.0])
    with pytest.raises(TypeError):
        object.__new__(ember.Tensor)


# ---- Storages


def test_storages():
    x = ember.arange(12, dtype=ember.int32)
    storage = ember._C._storage_tensor(x[3:6])
    assert storage.dtype is ember.uint8
    assert storage.shape == (48,)
    assert storage.data_ptr() == x.data_ptr()
    assert x[3:]._storage_id() == x._storage_id() != ember.ones(1)._storage_id()
    y = ember._C._tensor_from_storage(storage, ember.int32, 2, (2, 3), (4, 1))
    assert y.tolist() == [[2, 3, 4], [6, 7, 8]]
    y[0, 0] = 99
    assert x[2].item() == 99
    assert x[5:].untyped_storage().nbytes() == 48
    assert len(x.untyped_storage()) == 48
    assert x.untyped_storage().data_ptr() == x.data_ptr()
    assert x.untyped_storage()._cdata == x[1:].untyped_storage()._cdata
    empty = ember._C._tensor_from_storage(
        ember.zeros(0, dtype=ember.uint8), ember.float32, 0, (0, 3), (3, 1)
    )
    assert empty.shape == (0, 3)


@pytest.mark.parametrize("args", [
    (0, (13,), (1,)), (11, (2,), (1,)), (-1, (1,), (1,)), (0, (2,), (-1,)), (0, (2,), (1, 1)),
    (0, (2,), (2**62,)), (0, (2**40, 2**40), (1, 1)), (13, (0,), (1,)), (0, (-1,), (1,)),
    (2**62, (1,), (1,)), (0, (3, 3), (5, 2)),
])  # fmt: skip
def test_storage_bounds(args):
    storage = ember.zeros(48, dtype=ember.uint8)
    with pytest.raises(RuntimeError):
        ember._C._tensor_from_storage(storage, ember.int32, *args)


def test_bad_storages():
    for bad in (ember.zeros(48), ember.zeros(4, 4, dtype=ember.uint8),
                ember.zeros(8, dtype=ember.uint8)[::2],
                ember.zeros(9, dtype=ember.uint8)[1:]):  # fmt: skip
        with pytest.raises(RuntimeError):
            ember._C._tensor_from_storage(bad, ember.int32, 0, (1,), (1,))


# ---- Metadata

METADATA = [
    "x.size()", "x.size(0)", "x.size(-1)", "x.size(dim=1)", "x.stride()", "x.stride(-1)", "x.dim()",
    "x.ndimension()", "x.numel()", "x.nelement()", "lib.numel(x)", "x.element_size()",
    "x.storage_offset()", "x.is_contiguous()", "x.is_floating_point()", "lib.is_floating_point(x)",
    "x.is_complex()", "x.is_signed()", "x.get_device()", "x.is_pinned()", "x.cpu() is x",
    "lib.is_tensor(x)", "lib.is_tensor(3)", "x.is_same_size(x)", "x.is_same_size(x[0])",
    "x.is_contiguous(memory_format=lib.contiguous_format)", "x.type().split('.')[1]",
    "x.untyped_storage().nbytes()", "x.share_memory_() is x", "len(x)", "x.shape.numel()",
]  # fmt: skip


@pytest.mark.parametrize("dtype", DTYPES)
def test_metadata(dtype):
    for text in METADATA:
        for part in ("", "x = x[:, 1:]\n", "x = x.transpose(0, 2)\n"):
            compare(f"{part}result = {text}", {"x": sample((2, 3, 4), dtype)})
    for text in ("x.type(lib.int32)", "x.new_tensor([1, 0])", "x.new_zeros(2, 3)",
                 "x.new_ones((2,))",
                 "x.new_full((2, 2), 1)", "x.new_empty(3, 0)", "x.new_zeros(2, dtype=lib.int16)",
                 "x.new_full([2], 1.0, dtype=lib.float64)"):  # fmt: skip
        compare(text, {"x": sample((2, 3, 4), dtype)})


@pytest.mark.parametrize("a", DTYPES)
@pytest.mark.parametrize("b", DTYPES)
def test_promotion(a, b):
    names = {"x": sample((2,), a), "y": sample((2,), b), "z": sample((2,), b)[0]}
    for text in (f"lib.promote_types(lib.{a}, lib.{b})", "lib.result_type(x, y)",
                 "lib.result_type(x, z)", "lib.result_type(x, 2)", "lib.result_type(z, 2.5)",
                 "lib.result_type(True, z)"):  # fmt: skip
        theirs = run(text, names, torch)
        ours = run(text, {k: mirror(v) for k, v in names.items()}, ember)
        assert str(ours).split(".")[-1] == str(theirs).split(".")[-1], text
    assert ember.can_cast(getattr(ember, a), getattr(ember, b)) == torch.can_cast(
        getattr(torch, a), getattr(torch, b)
    )


@pytest.mark.parametrize("text, error", [
    ("x.size(5)", IndexError), ("x.size(-4)", IndexError), ("x.stride(5)", IndexError),
    ("x[0, 0, 0].size(0)", IndexError), ("x.size('a')", TypeError),
    ("x.new_zeros(-1)", RuntimeError), ("x.new_zeros(2**40, 2**40)", RuntimeError),
    ("x.new_full(2.5, 1)", TypeError), ("x.type('no.SuchTensor')", ValueError),
    ("x.new_tensor([1], requires_grad='a')", TypeError), ("lib.from_numpy()", TypeError),
])  # fmt: skip
def test_bad_metadata(text, error):
    with pytest.raises(error):
        run(text, {"x": ember.ones(2, 3, 4)}, ember)


def test_devices():
    x = ember.ones(2)
    with pytest.raises(RuntimeError):
        x.cuda()
    with pytest.raises(RuntimeError):
        ember.tensor([1.0], device="cuda")
    assert x.pin_memory() is x
    assert not x.is_shared()


FLOAT8 = ["float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz"]


@pytest.mark.parametrize("name", ["float16", "bfloat16", "float32", "float64", *FLOAT8])
def test_finfo(name):
    ours, theirs = ember.finfo(getattr(ember, name)), torch.finfo(getattr(torch, name))
    for field in ("bits", "eps", "max", "min", "tiny", "smallest_normal", "resolution", "dtype"):
        assert getattr(ours, field) == getattr(theirs, field), field
    assert repr(ours) == repr(theirs)


@pytest.mark.parametrize("name", ["uint8", "int8", "int16", "int32", "int64"])
def test_iinfo(name):
    ours, theirs = ember.iinfo(getattr(ember, name)), torch.iinfo(getattr(torch, name))
    for field in ("bits", "max", "min", "dtype"):
        assert getattr(ours, field) == getattr(theirs, field), field
    assert repr(ours) == f"iinfo(min={ours.min}, max={ours.max}, dtype={name})"


def test_bad_infos():
    assert ember.finfo().dtype == "float32"
    for call in (lambda: ember.finfo(ember.int32), lambda: ember.iinfo(ember.float32),
                 lambda: ember.iinfo(ember.bool), lambda: ember.finfo("float32")):  # fmt: skip
        with pytest.raises(TypeError):
            call()


# ---- Comparison


@pytest.mark.parametrize("text", [
    "lib.equal(x, x)", "x.equal(x + 1)", "lib.equal(x, x[0])", "lib.equal(x, x.double())",
    "lib.isclose(x, x + 1e-9)", "lib.isclose(x, x * 1.01, rtol=0.1)",
    "x.isclose(x + 0.5, atol=1.0)",
    "lib.isclose(n, n)", "lib.isclose(n, n, equal_nan=True)", "lib.allclose(x, x)",
    "x.allclose(x + 1)", "lib.allclose(n, n, equal_nan=True)", "lib.isclose(i, i + 1, atol=1)",
    "lib.isclose(i, i + 1)", "lib.isclose(i, i + 1, rtol=0.0, atol=0.0)",
    "lib.isclose(x > 0, x > 1)",
    "lib.isclose(x, x[0])", "lib.equal(x[:0], x[:0])",
])  # fmt: skip
def test_comparison(text):
    n = torch.tensor([1.0, float("nan"), float("inf"), -float("inf")])
    compare(text, {"x": sample((3, 4), "float32"), "n": n, "i": sample((5,), "int32")})


@pytest.mark.parametrize("text", [
    "lib.isclose(x, x.double())", "lib.isclose(x, x, rtol=-1.0)", "lib.isclose(x, x, atol=-1.0)",
    "lib.allclose(x, lib.ones(5))",
])  # fmt: skip
def test_bad_comparison(text):
    for lib, x in ((torch, torch.ones(3, 4)), (ember, ember.ones(3, 4))):
        with pytest.raises(RuntimeError):
            run(text, {"x": x}, lib)
