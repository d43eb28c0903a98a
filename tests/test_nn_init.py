"""``nn.init`` against PyTorch: the same numbers from the same seed, the same errors."""

import math

import ember
import numpy as np
import pytest
from ember.nn import init

torch = pytest.importorskip("torch")

# Below 16 elements PyTorch's normal distribution takes another path.
SHAPES = [(3, 5), (7, 9), (4, 2, 3, 3)]

FILLS = [
    ("uniform_", (), {}),
    ("uniform_", (-2.0, 0.5), {}),
    ("normal_", (), {}),
    ("normal_", (1.0, 0.2), {}),
    ("trunc_normal_", (), {}),
    ("trunc_normal_", (), {"std": 0.02, "a": -0.04, "b": 0.04}),
    ("trunc_normal_", (0.0, 1.0, -0.2, 0.1), {}),
    ("trunc_normal_", (0.0, 1.0, 0.5, 0.7), {}),
    ("constant_", (0.3,), {}),
    ("ones_", (), {}),
    ("zeros_", (), {}),
    ("xavier_uniform_", (), {}),
    ("xavier_uniform_", (2.0,), {}),
    ("xavier_normal_", (0.5,), {}),
    ("kaiming_uniform_", (), {}),
    ("kaiming_uniform_", (), {"a": 0.3, "mode": "fan_out"}),
    ("kaiming_uniform_", (), {"nonlinearity": "relu"}),
    ("kaiming_normal_", (), {"mode": "fan_out", "nonlinearity": "tanh"}),
    ("orthogonal_", (), {}),
    ("orthogonal_", (1.5,), {}),
]


def fill(lib, name, shape, args, kwargs, dtype):
    """The filled values, and what the generator draws next."""
    lib.manual_seed(11)
    tensor = lib.empty(shape, dtype=getattr(lib, dtype)).requires_grad_()
    assert getattr(lib.nn.init, name)(tensor, *args, **kwargs) is tensor
    assert tensor.requires_grad and tensor.grad_fn is None
    return tensor.detach().numpy().copy(), lib.rand(3).numpy().copy()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name, args, kwargs", FILLS)
def test_draws_as_torch(name, args, kwargs, shape, dtype):
    ours, our_next = fill(ember, name, shape, args, kwargs, dtype)
    theirs, their_next = fill(torch, name, shape, args, kwargs, dtype)
    # Uniform draws agree in every bit, the others to rounding.
    exact = name in ("uniform_", "xavier_uniform_", "kaiming_uniform_")
    tolerance = 0.0 if exact else {"float32": 1e-6, "float64": 1e-14}[dtype]
    if name == "orthogonal_":
        tolerance *= 10
    np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance)
    np.testing.assert_array_equal(our_next, their_next)


@pytest.mark.parametrize("shape", [(3, 5), (5, 3), (4, 4)], ids=str)
def test_eye(shape):
    tensor = ember.full(shape, 7.0)
    assert init.eye_(tensor) is tensor
    np.testing.assert_array_equal(tensor.numpy(), np.eye(*shape, dtype=np.float32))


@pytest.mark.parametrize("shape", [(4, 3, 5), (6, 2, 3, 4), (4, 2, 3, 3, 2)], ids=str)
@pytest.mark.parametrize("groups", [1, 2])
def test_dirac(shape, groups):
    ours, theirs = ember.full(shape, 7.0), torch.full(shape, 7.0)
    assert init.dirac_(ours, groups) is ours
    torch.nn.init.dirac_(theirs, groups)
    np.testing.assert_array_equal(ours.numpy(), theirs.numpy())


def test_sparse():
    found = []
    for lib in (ember, torch):
        lib.manual_seed(5)
        tensor = lib.nn.init.sparse_(lib.empty(9, 7), 0.3, std=0.5)
        found.append(tensor.numpy().copy())
    assert ((found[0] == 0).sum(0) == 3).all()
    np.testing.assert_allclose(*found, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", ["uniform_", "normal_", "trunc_normal_", "kaiming_normal_"])
def test_generator_argument(name):
    found = []
    for lib in (ember, torch):
        lib.manual_seed(0)
        before = lib.rand(2).numpy().copy()
        lib.manual_seed(0)
        generator = lib.Generator()
        generator.manual_seed(3)
        filled = getattr(lib.nn.init, name)(lib.empty(4, 5), generator=generator).numpy().copy()
        # The default generator is left alone.
        np.testing.assert_array_equal(lib.rand(2).numpy(), before)
        found.append(filled)
    np.testing.assert_allclose(*found, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (4, 2, 3)], ids=str)
def test_orthogonal_is_orthogonal(shape):
    matrix = init.orthogonal_(ember.empty(shape, dtype=ember.float64)).numpy()
    matrix = matrix.reshape(shape[0], -1)
    if matrix.shape[0] > matrix.shape[1]:
        matrix = matrix.T
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(len(matrix)), atol=1e-12)


def test_trunc_normal_keeps_to_its_bounds():
    for low, high in ((-1.0, 2.0), (1.5, 2.0)):
        values = init.trunc_normal_(ember.empty(50, 40), a=low, b=high).numpy()
        assert values.min() >= low and values.max() <= high
    with pytest.warns(UserWarning, match="trunc_normal_"):
        init.trunc_normal_(ember.empty(4), mean=5.0)


def test_gains():
    for name, param in (
        ("linear", None),
        ("conv2d", None),
        ("conv_transpose3d", None),
        ("sigmoid", None),
        ("tanh", None),
        ("relu", None),
        ("leaky_relu", None),
        ("leaky_relu", 0.2),
        ("selu", None),
    ):
        expected = torch.nn.init.calculate_gain(name, param)
        assert math.isclose(init.calculate_gain(name, param), expected, rel_tol=1e-15)


@pytest.mark.parametrize(
    "call",
    [
        lambda lib: lib.nn.init.calculate_gain("cosine"),
        lambda lib: lib.nn.init.calculate_gain("leaky_relu", True),
        lambda lib: lib.nn.init.calculate_gain("leaky_relu", "steep"),
        lambda lib: lib.nn.init.eye_(lib.empty(3)),
        lambda lib: lib.nn.init.dirac_(lib.empty(3, 3)),
        lambda lib: lib.nn.init.dirac_(lib.empty(3, 3, 3), 2),
        lambda lib: lib.nn.init.xavier_uniform_(lib.empty(3)),
        lambda lib: lib.nn.init.kaiming_normal_(lib.empty(3)),
        lambda lib: lib.nn.init.kaiming_normal_(lib.empty(3, 3), mode="fan_both"),
        lambda lib: lib.nn.init.orthogonal_(lib.empty(3)),
        lambda lib: lib.nn.init.sparse_(lib.empty(3), 0.1),
    ],
)
def test_rejects(call):
    for lib in (ember, torch):
        with pytest.raises(ValueError):
            call(lib)


def test_empty_tensors_are_left_alone():
    with pytest.warns(UserWarning, match="zero-element"):
        init.kaiming_uniform_(ember.empty(0, 3))
    assert init.orthogonal_(ember.empty(0, 3)).shape == (0, 3)
