"""Storages, types of older programs on CUDA and names of missing dtypes, against PyTorch."""

import copy
import pickle
import warnings

import ember
import pytest

torch = pytest.importorskip("torch")

warnings.filterwarnings("ignore", "TypedStorage is deprecated")
pytestmark = pytest.mark.filterwarnings("ignore:TypedStorage is deprecated")

PROGRAMS = [
    "lib.arange(6.0)[2:].storage().tolist()",
    "lib.arange(6).storage().size(), len(lib.arange(6).storage())",
    "lib.arange(6).storage().nbytes(), lib.arange(6).storage().element_size()",
    "lib.arange(6.0).storage()[2], lib.arange(6.0).storage()[-1]",
    "repr(lib.arange(3.0).storage())",
    "repr(lib.arange(3, dtype=lib.int16).untyped_storage())",
    "lib.arange(3.0)[1:].untyped_storage().size()",
    "lib.arange(3, dtype=lib.uint8).untyped_storage().tolist()",
    "isinstance(lib.ones(2).storage(), lib.FloatStorage)",
    "isinstance(lib.ones(2).storage(), lib.DoubleStorage)",
    "isinstance(lib.ones(2).untyped_storage(), lib.UntypedStorage)",
    "isinstance(lib.ones(2).double().storage(), lib.DoubleStorage)",
    "lib.FloatStorage([1, 2, 3]).tolist(), lib.FloatStorage(4).size()",
    "str(lib.HalfStorage(3).dtype).split('.')[-1]",
    "lib.LongStorage([1, 2]).double().tolist(), lib.LongStorage([1, 2]).bool().tolist()",
    "lib.ByteStorage.from_buffer(b'abcd', 'native').tolist()",
    "lib.ShortStorage.from_buffer(b'abcd', 'big').tolist()",
    "lib.IntStorage.from_buffer(b'xabcdabcd', 'little', 1, 1).tolist()",
    "lib.DoubleStorage.from_buffer(b'abcdefgh' * 2, byte_order='big').tolist()",
    "list(lib.FloatStorage([1, 2]).clone()), list(lib.UntypedStorage([1, 2]))",
    "lib.FloatStorage([1, 2]).fill_(3).tolist()",
    "lib.FloatStorage([1, 2]).copy_(lib.FloatStorage([5, 6])).tolist()",
    "lib.FloatStorage([1, 2]).is_cuda, lib.UntypedStorage(2).is_cuda",
    "lib.FloatStorage([1, 2]).pickle_storage_type()",
    "lib.tensor(lib.FloatStorage([1, 2])).tolist()",
    "lib.TypedStorage([1, 2], dtype=lib.int16).untyped().tolist()",
    "lib.TypedStorage(wrap_storage=lib.arange(4).untyped_storage(), dtype=lib.int32).tolist()",
    "lib.empty(0).set_(lib.arange(6.0).untyped_storage(), 1, (2,), (2,)).tolist()",
    "lib.empty(0).set_(lib.arange(6.0).storage()).tolist()",
    "lib.empty(0).set_(lib.arange(6.0).storage(), 2, (2, 2)).tolist()",
    "lib.empty(0).set_(lib.arange(6.0)[3:]).tolist(), list(lib.ones(3).set_().shape)",
    "copy.deepcopy(lib.FloatStorage([1, 2])).tolist(), copy.copy(lib.UntypedStorage([7])).tolist()",
]


@pytest.mark.parametrize("text", PROGRAMS)
def test_storages(text):
    ours, theirs = (eval(text, {"lib": lib, "copy": copy}) for lib in (ember, torch))
    if isinstance(theirs, str):
        theirs = theirs.replace("torch.", "ember.")
    assert ours == theirs


def test_storages_share_memory():
    for lib in (ember, torch):
        x = lib.zeros(2, 3)
        x.storage()[4] = 7.0
        assert x[1, 1].item() == 7.0
        assert x.storage().data_ptr() == x.untyped_storage().data_ptr() == x.data_ptr()
        y = lib.empty(0).set_(x.untyped_storage(), 0, (6,))
        y[0] = 5.0
        assert x[0, 0].item() == 5.0
        bits = lib.ones(1).untyped_storage()
        assert [bits[i] for i in range(4)] == [0, 0, 128, 63]
    assert pickle.loads(pickle.dumps(ember.FloatStorage([1, 2]))).tolist() == [1.0, 2.0]
    assert x.untyped_storage().filename is None


BAD = [
    (IndexError, lambda lib: lib.FloatStorage(2)[2]),
    (RuntimeError, lambda lib: lib.FloatStorage(2).copy_(lib.FloatStorage(3))),
    (RuntimeError, lambda lib: lib.empty(0).set_(lib.ones(3, dtype=lib.int64))),
    (RuntimeError, lambda lib: lib.empty(0).set_(lib.ones(3).storage(), 2, (2,))),
    (ValueError, lambda lib: lib.ShortStorage.from_buffer(b"abc", "native")),
    (ValueError, lambda lib: lib.ShortStorage.from_buffer(b"abcd", "native", 3)),
    (ValueError, lambda lib: lib.ShortStorage.from_buffer(b"abcd", "native", 1, 9)),
    (ValueError, lambda lib: lib.ShortStorage.from_buffer(b"abcd", "middle")),
    (TypeError, lambda lib: lib.TypedStorage(wrap_storage=3, dtype=lib.float32)),
]


@pytest.mark.parametrize("kind, call", BAD)
def test_bad_storages(kind, call):
    with pytest.raises(kind):
        call(ember)


def test_cuda_names_without_a_device():
    kind = ember.cuda.FloatTensor
    assert repr(kind) == repr(torch.cuda.FloatTensor).replace("torch", "ember")
    assert kind.is_cuda and kind.dtype == ember.float32
    assert not isinstance(ember.ones(2), kind)
    assert ember.cuda.LongTensor.__name__ == "LongTensor"
    with pytest.raises(AttributeError, match="SmallTensor"):
        _ = ember.cuda.SmallTensor
    if not ember.cuda.is_available():
        assert ember.cuda.is_bf16_supported() is False
        for call in (
            lambda: kind(2),
            lambda: ember.ones(2).type(kind),
            lambda: ember.ones(2).type("torch.cuda.FloatTensor"),
            ember.cuda.memory_summary,
        ):
            with pytest.raises((RuntimeError, NotImplementedError)):
                call()
    assert ember.ones(2).type("torch.DoubleTensor").dtype == ember.float64


def test_missing_dtypes_are_names_only():
    for name in ("qint8", "quint8", "qint32", "quint4x2", "quint2x4", "uint16", "float8_e5m2"):
        missing = getattr(ember, name)
        assert repr(missing) == f"ember.{name}" and missing.__ember_missing__
        assert ember.ones(1).dtype != missing and missing is getattr(ember, name)
        with pytest.raises(TypeError):
            ember.ones(1).to(missing)
        with pytest.raises(TypeError):
            ember.ones(1, dtype=missing)


def test_the_default_device_is_the_processor():
    ember.set_default_device("cpu")
    ember.set_default_device(None)
    assert ember.get_default_device() == ember.device("cpu")
    with pytest.raises(NotImplementedError, match="set_default_device"):
        ember.set_default_device("cuda")
