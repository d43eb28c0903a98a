"""Constructors and settings of older programs, and comparisons for tests, against PyTorch."""

import pickle

import ember
import numpy as np
import pytest

torch = pytest.importorskip("torch")

TYPES = [
    "BFloat16Tensor", "BoolTensor", "ByteTensor", "CharTensor", "DoubleTensor", "FloatTensor",
    "HalfTensor", "IntTensor", "LongTensor", "ShortTensor",
]  # fmt: skip


@pytest.mark.parametrize("name", TYPES)
def test_tensor_types(name):
    ours, theirs = getattr(ember, name), getattr(torch, name)
    assert repr(ours) == repr(theirs).replace("torch", "ember")
    assert str(ours.dtype).replace("ember", "torch") == str(theirs.dtype)
    assert ours.is_cuda is False
    for make in (
        lambda t, lib: t([1, 0, 2]),
        lambda t, lib: t([[1.5, 0], [2, 1]]),
        lambda t, lib: t(np.array([1, 0])),
        lambda t, lib: t(),
        lambda t, lib: t(t([1, 0])),
        lambda t, lib: lib.ones(2).type(t),
        lambda t, lib: t([1, 0]).new([1, 1]),
        lambda t, lib: t([1, 0]).new((1, 0)),
        lambda t, lib: t([1, 0]).new(),
    ):
        a, b = make(ours, ember), make(theirs, torch)
        assert isinstance(a, ours) and isinstance(b, theirs)
        assert a.tolist() == b.tolist()
        assert str(a.dtype).replace("ember", "torch") == str(b.dtype)
        assert a.type().replace("ember", "torch") == b.type() == torch.typename(b)
        assert ember.typename(a) == a.type()
    for make in (
        lambda t, lib: t(2, 3),
        lambda t, lib: t(lib.Size([2, 3])),
        lambda t, lib: t(4, device="cpu"),
        lambda t, lib: t([1, 0]).new(3, 0),
        lambda t, lib: t([1, 0]).new(lib.Size([2])),
    ):
        assert tuple(make(ours, ember).shape) == tuple(make(theirs, torch).shape)
    other = "LongTensor" if name != "LongTensor" else "IntTensor"
    assert not isinstance(ours([1]), getattr(ember, other))
    assert not isinstance(np.ones(1), ours)


def test_parameters_are_of_their_type():
    assert isinstance(ember.nn.Parameter(ember.zeros(2)), ember.FloatTensor)


@pytest.mark.parametrize(
    "call",
    [
        lambda lib: lib.FloatTensor(5.0),
        lambda lib: lib.FloatTensor("ab"),
        lambda lib: lib.LongTensor(lib.zeros(2)),
        lambda lib: lib.FloatTensor(lib.zeros(2).long()),
        lambda lib: lib.zeros(2).new(lib.zeros(2).double()),
        lambda lib: lib.set_default_tensor_type(lib.LongTensor),
        lambda lib: lib.autograd.Variable([1.0]),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_legacy_errors(call):
    raised = []
    for lib in (ember, torch):
        with pytest.raises(TypeError) as caught:
            call(lib)
        raised.append(caught.type)
    assert raised == [TypeError, TypeError]


def test_default_tensor_type():
    try:
        ember.set_default_tensor_type(ember.DoubleTensor)
        assert ember.zeros(1).dtype == ember.Tensor(1).dtype == ember.float64
        ember.set_default_tensor_type("torch.HalfTensor")
        assert ember.get_default_dtype() == ember.float16
    finally:
        ember.set_default_tensor_type("torch.FloatTensor")
    assert ember.get_default_dtype() == ember.float32


def test_variable():
    data = ember.zeros(2)
    x = ember.autograd.Variable(data, requires_grad=True)
    assert x.requires_grad and not data.requires_grad and x.data_ptr() == data.data_ptr()
    assert isinstance(data, ember.autograd.Variable)
    assert not isinstance(1, ember.autograd.Variable)


def test_settings_can_be_made_and_read():
    assert ember.get_float32_matmul_precision() == "highest"
    ember.set_float32_matmul_precision("high")
    assert ember.get_float32_matmul_precision() == "high"
    with pytest.warns(UserWarning, match="set_float32_matmul_precision"):
        ember.set_float32_matmul_precision("low")
    ember.set_float32_matmul_precision("highest")
    backends = ember.backends
    assert backends.cudnn.benchmark is False
    with backends.cudnn.flags(benchmark=True):
        assert backends.cudnn.benchmark is True
    assert backends.cudnn.benchmark is False
    assert backends.cudnn.version() is None and not backends.cudnn.is_available()
    assert not backends.mps.is_available() and not backends.mkl.is_available()
    assert backends.cuda.matmul.allow_tf32 is False and not backends.cuda.is_built()
    assert ember.version.cuda is None and ember.version.__version__ == ember.__version__
    assert backends.cpu.get_cpu_capability() in ("DEFAULT", "AVX2", "AVX512")


def test_compile_returns_what_it_gets():
    model = ember.nn.Linear(2, 2)
    assert ember.compile(model, mode="max-autotune") is model

    @ember.compile(fullgraph=True)
    def double(x):
        return 2 * x

    assert double(3) == 6
    assert ember.jit.script(double) is double and ember.jit.trace(model, None) is model
    with pytest.raises(TypeError, match="compile"):
        ember.compile(3)


def test_sdpa_kernel():
    from ember.nn.attention import SDPBackend, sdpa_kernel

    assert [b.name for b in SDPBackend] == [
        "ERROR", "MATH", "FLASH_ATTENTION", "EFFICIENT_ATTENTION", "CUDNN_ATTENTION", "OVERRIDEABLE",
    ]  # fmt: skip
    for name, backend in torch.nn.attention.SDPBackend.__members__.items():
        assert int(SDPBackend[name]) == int(backend)
    cuda = ember.backends.cuda
    with sdpa_kernel([SDPBackend.MATH, SDPBackend.FLASH_ATTENTION]):
        assert cuda.math_sdp_enabled() and cuda.flash_sdp_enabled()
        assert not cuda.mem_efficient_sdp_enabled()
        assert pickle.loads(pickle.dumps(SDPBackend.MATH)) is SDPBackend.MATH
    assert cuda.mem_efficient_sdp_enabled()
    with pytest.raises(AssertionError, match="sdpa_kernel"), sdpa_kernel("math"):
        pass


CLOSE = [
    lambda m: (m.ones(3), m.ones(3)),
    lambda m: (m.ones(3), m.ones(3) + 1e-6),
    lambda m: (m.ones(3), m.ones(3) + 1e-4),
    lambda m: (m.ones(3), m.ones(2)),
    lambda m: (m.ones(3), m.ones(3).double()),
    lambda m: (m.ones(3).long(), m.ones(3).long()),
    lambda m: (m.ones(3).long(), m.ones(3).long() * 2),
    lambda m: ([m.ones(3), 1.0], [m.ones(3), 1.0]),
    lambda m: ([m.ones(3), 1.0], (m.ones(3), 1.5)),
    lambda m: ({"a": m.ones(1), "b": 2}, {"b": 2, "a": m.ones(1)}),
    lambda m: ({"a": m.ones(1)}, {"b": m.ones(1)}),
    lambda m: ([1, 2], [1]),
    lambda m: (1, 1.0),
    lambda m: (m.ones(1), 1.0),
    lambda m: (np.ones(2), np.ones(2)),
    lambda m: (m.tensor([1.0, float("nan")]), m.tensor([1.0, float("nan")])),
    lambda m: (m.tensor(float("inf")), m.tensor(float("inf"))),
    lambda m: (m.ones(2, 0), m.ones(2, 0)),
    lambda m: (None, None),
    lambda m: ("a", "b"),
    lambda m: (m.ones(3), [1.0, 1.0, 1.0]),
]
OPTIONS = [
    {},
    {"equal_nan": True},
    {"rtol": 0.0, "atol": 1.0},
    {"check_dtype": False},
    {"rtol": 1.0},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("number", range(len(CLOSE)))
def test_assert_close(number, options):
    raised = []
    for lib in (ember, torch):
        try:
            lib.testing.assert_close(*CLOSE[number](lib), **options)
            raised.append(None)
        except Exception as e:
            raised.append(type(e))
    assert raised[0] == raised[1]


def test_assert_close_says_where():
    with pytest.raises(AssertionError, match=r"1 of 3 .*\['b'\].*\(1,\): got 5.0, expected 1.0"):
        ember.testing.assert_close(
            {"b": ember.tensor([1.0, 5, 1])}, {"b": ember.tensor([1.0, 1, 1])}
        )
    with pytest.raises(AssertionError, match="mine"):
        ember.testing.assert_close(1, 2, msg="mine")
    with pytest.raises(AssertionError, match=r"assert_close: 1 of 1.* mine"):
        ember.testing.assert_close(1, 2, msg=lambda text: text + " mine")
    ember.testing.assert_allclose(ember.ones(2), [1.0, 1.00001])
    with pytest.raises(AssertionError):
        ember.testing.assert_allclose(ember.ones(2), [1.0, 1.1])


def f(x, y):
    return (x * x * y.sum()).sin(), x.sum() * y


def g(x, y):
    return (x**3).sum() * (y * y).sum()


def h(x):
    return (x**3).sum()


PROGRAMS = [
    lambda a, x, y, v, w: a.vjp(f, (x, y), (v, w)),
    lambda a, x, y, v, w: a.jvp(f, (x, y), (v, w)),
    lambda a, x, y, v, w: a.jacobian(f, (x, y)),
    lambda a, x, y, v, w: a.jacobian(f, (x, y), vectorize=True),
    lambda a, x, y, v, w: a.jacobian(lambda x: x.exp(), x),
    lambda a, x, y, v, w: a.jacobian(lambda x: x.sum(), x),
    lambda a, x, y, v, w: a.jacobian(lambda x, y: x * 2, (x, y)),
    lambda a, x, y, v, w: a.hessian(g, (x, y)),
    lambda a, x, y, v, w: a.hessian(h, x),
    lambda a, x, y, v, w: a.hvp(g, (x, y), (v, w)),
    lambda a, x, y, v, w: a.vhp(g, (x, y), (v, w)),
    lambda a, x, y, v, w: a.vhp(h, x, v),
    lambda a, x, y, v, w: a.vjp(h, x),
    lambda a, x, y, v, w: a.vjp(f, (x, y), (v,)),
    lambda a, x, y, v, w: a.vjp(f, (x, y)),
    lambda a, x, y, v, w: a.jvp(f, (x, y), (w, v)),
    lambda a, x, y, v, w: a.jacobian(lambda x: 1, x),
    lambda a, x, y, v, w: a.jacobian(h, [1.0]),
    lambda a, x, y, v, w: a.hessian(lambda x: x * 2, x),
    lambda a, x, y, v, w: a.jacobian(lambda x, y: x * 2, (x, y), strict=True),
    lambda a, x, y, v, w: a.vjp(lambda x: y * 1, x, w, strict=True),
]


def shape_of(result):
    if isinstance(result, (tuple, list)):
        return tuple(shape_of(r) for r in result)
    assert not result.requires_grad
    return result.numpy()


@pytest.mark.parametrize("number", range(len(PROGRAMS)))
def test_autograd_functional(number):
    found = []
    rng = np.random.default_rng(3)
    arrays = [rng.standard_normal(n) for n in (3, 2, 3, 2)]
    for lib in (ember, torch):
        tensors = [lib.from_numpy(a.copy()) for a in arrays]
        try:
            found.append(shape_of(PROGRAMS[number](lib.autograd.functional, *tensors)))
        except Exception as e:
            found.append(type(e))
    ours, theirs = found

    def compare(a, b):
        if isinstance(b, tuple):
            assert isinstance(a, tuple) and len(a) == len(b)
            for x, y in zip(a, b, strict=True):
                compare(x, y)
        elif isinstance(b, type):
            assert a is b
        else:
            np.testing.assert_allclose(a, b, rtol=1e-12)

    compare(ours, theirs)


def test_jacobian_can_be_differentiated():
    values = np.array([0.5, -1.0])
    found = []
    for lib in (ember, torch):
        x = lib.from_numpy(values.copy()).requires_grad_()
        jacobian = lib.autograd.functional.jacobian(lambda x: x**3, x, create_graph=True)
        jacobian.sum().backward()
        found.append(x.grad.numpy())
    np.testing.assert_allclose(*found)
