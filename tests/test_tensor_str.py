import math

import ember
import numpy as np
import pytest
from torch_bridge import to_ember

torch = pytest.importorskip("torch")


@pytest.fixture(autouse=True)
def default_options():
    yield
    ember.set_printoptions(profile="default")
    torch.set_printoptions(profile="default")


def assert_prints_alike(reference):
    ours = to_ember(reference) if isinstance(reference, torch.Tensor) else reference
    assert repr(ours).replace("ember.", "torch.") == repr(reference)
    assert str(ours) == repr(ours)


def values():
    rng = np.random.default_rng(0)
    nan, inf = math.nan, math.inf
    yield from ([], [0.0], [1.0], [-1.0], [0.5], [1e-5], [1e9], [1e8], [1.0001e8], [1e-4])
    yield from ([1.0, 1000.0], [1.0, 1001.0], [0.1, 100.0], [0.1, 100.1], [1e-4, 0.05])
    yield from ([nan], [inf], [-inf], [nan, 1.0], [inf, 1.0], [inf, 0.5], [nan, inf, -inf, 1e10])
    yield from ([nan, 123456.0], [inf, 1e-7], [-0.0], [-0.0, 1.0], [0.0, 1e-7], [0.0, 3.0])
    yield from ([1e300, 1.0], [5e-324], [1.5, -2.25, 1e5], [123456.789], [99999999.0], [2.0**60])
    yield from ([0.99999], [9.99995, 1.0], [-123.4, 5.0], [1e38, -1e38])
    for size in (1, 5, 13, 40, 1000, 1001):
        yield rng.standard_normal(size).tolist()
        yield (rng.standard_normal(size) * 10.0 ** rng.integers(-8, 8, size)).tolist()
        yield rng.integers(-1000, 1000, size).astype(float).tolist()


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16"])
def test_floating_values(dtype):
    with np.errstate(over="ignore"):
        for x in values():
            assert_prints_alike(torch.tensor(x, dtype=torch.float64).to(getattr(torch, dtype)))
            for scalar in x[:1]:
                tensor = torch.tensor(scalar, dtype=torch.float64).to(getattr(torch, dtype))
                assert_prints_alike(tensor)


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int8", "int16", "int32", "int64"])
def test_integers(dtype):
    dtype = getattr(torch, dtype)
    for shape in ((), (1,), (7,), (60,), (3, 4), (2, 2, 3), (30, 40), (2000,)):
        torch.manual_seed(0)
        assert_prints_alike(torch.randint(0, 100, shape).to(dtype))
        assert_prints_alike((torch.randint(0, 100, shape) - 50).to(dtype))
        assert_prints_alike(torch.zeros(shape, dtype=dtype))
    assert_prints_alike(torch.tensor([2**63 - 1, -(2**63), 2**53 + 1]))


@pytest.mark.parametrize(
    "shape",
    [
        (0,),
        (0, 3),
        (2, 0, 3),
        (1, 1),
        (3, 5),
        (2, 3, 4),
        (1, 2, 1, 3),
        (7, 7),
        (1001,),
        (7, 200),
        (200, 7),
        (6, 200),
        (8, 8, 20),
        (2, 600),
        (10, 2, 60),
        (1, 1, 1, 1200),
        (50, 50, 1),
        (7, 1, 200),
        (30000, 2),
    ],
)
def test_shapes(shape):
    torch.manual_seed(1)
    for tensor in (
        torch.randn(shape),
        torch.randn(shape, dtype=torch.float64) * 1000,
        torch.randint(-9, 1000, shape),
        torch.randint(0, 3, shape).float(),
    ):
        assert_prints_alike(tensor)
        if tensor.dim() > 1:
            view, ours = tensor.transpose(0, -1), to_ember(tensor).transpose(0, -1)
            assert repr(ours).replace("ember.", "torch.") == repr(view)


OPTIONS = [
    {"precision": 2},
    {"precision": 10},
    {"precision": 0},
    {"threshold": 5},
    {"threshold": 0},
    {"threshold": 5, "edgeitems": 1},
    {"threshold": 5, "edgeitems": 0},
    {"threshold": math.inf},
    {"edgeitems": 5},
    {"linewidth": 40},
    {"linewidth": 200},
    {"linewidth": 1},
    {"sci_mode": True},
    {"sci_mode": False},
    {"profile": "short"},
    {"profile": "full"},
    {"profile": "short", "precision": 7},
]


@pytest.mark.parametrize("options", OPTIONS)
def test_options(options):
    ember.set_printoptions(**options)
    torch.set_printoptions(**options)
    torch.manual_seed(2)
    for shape in ((), (0,), (1,), (9,), (4, 3), (20, 70), (2, 3, 11), (12, 1)):
        assert_prints_alike(torch.randn(shape))
        assert_prints_alike(torch.randn(shape).exp().pow(5))
        assert_prints_alike(torch.randint(0, 100, shape))
        assert_prints_alike(torch.randint(0, 100, shape).double())
        assert_prints_alike(torch.randn(shape).bfloat16().requires_grad_())
    assert ember.get_printoptions() == torch._tensor_str.get_printoptions()


def test_option_block_and_bad_profile():
    before = repr(ember.tensor([1.23456789]))
    with ember.printoptions(precision=1):
        assert repr(ember.tensor([1.23456789])) == "tensor([1.2])"
    assert repr(ember.tensor([1.23456789])) == before
    with pytest.raises(ValueError, match="profile"):
        ember.set_printoptions(profile="tiny")


@pytest.mark.parametrize("width", range(3, 90, 7))
def test_suffixes(width):
    reference = torch.arange(float(width), dtype=torch.float64).requires_grad_()
    ours = to_ember(reference.detach()).requires_grad_()
    operations = [
        lambda x: x,
        lambda x: x + 1,
        lambda x: x * 2,
        lambda x: x.sum(),
        lambda x: x.view(1, -1),
        lambda x: x.float(),
        lambda x: x[:0],
        lambda x: x.detach(),
    ]
    for f in operations:
        text = repr(f(ours)).replace("ember.", "torch.")
        assert text == repr(f(reference))


def test_default_dtype_decides_what_is_marked():
    tensors = [torch.ones(2, dtype=d) for d in (torch.float32, torch.float64, torch.int64)]
    try:
        ember.set_default_dtype(ember.float64)
        torch.set_default_dtype(torch.float64)
        for tensor in tensors:
            assert_prints_alike(tensor)
            assert_prints_alike(tensor[:0])
    finally:
        ember.set_default_dtype(ember.float32)
        torch.set_default_dtype(torch.float32)


def test_subclass_and_parameter():
    class Mine(ember.Tensor):
        pass

    reference = torch.nn.Parameter(torch.ones(2, 3))
    assert repr(ember.nn.Parameter(ember.ones(2, 3))) == repr(reference)
    if hasattr(ember.Tensor, "as_subclass"):
        assert repr(ember.ones(2).as_subclass(Mine)) == "Mine([1., 1.])"


def test_printing_leaves_no_graph_and_a_large_tensor_is_quick():
    x = ember.ones(10, requires_grad=True)
    text = repr(x * 2)
    assert "grad_fn=<MulBackward0>" in text
    large = ember.zeros(3000, 3000)
    assert repr(large).count("0.") == 36
