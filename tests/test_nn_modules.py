"""Layers, losses and composed functions against PyTorch: same start, repr, values, gradients."""

import ember
import ember.nn.functional as F
import numpy as np
import pytest
from opspecs import counts

torch = pytest.importorskip("torch")

RNG = np.random.default_rng(7)


def normal(*shape):
    return RNG.standard_normal(shape)


def classes(high, *shape):
    return RNG.integers(0, high, shape)


def chance(*shape):
    return RNG.uniform(0.05, 0.95, shape)


def case(name, *args, inputs, **kwargs):
    """One construction and its inputs; arrays among the arguments become tensors."""
    described = ", ".join([*map(str, args), *(f"{k}={v}" for k, v in kwargs.items())])
    return pytest.param(name, args, kwargs, inputs, id=f"{name}({described})"[:90])


IMAGE = (2, 4, 7, 6)
CLASS_WEIGHT = np.array([0.5, 1.0, 2.0, 0.25, 1.5])

IMAGES = {1: (2, 4, 7), 2: IMAGE, 3: (2, 4, 5, 4, 6)}
IMAGE_LAYERS = [
    case(f"{name}{rank}d", *args, inputs=[normal(*IMAGES[rank])], **kwargs)
    for rank in (1, 2, 3)
    for name, args, kwargs in (
        ("Conv", (4, 6, 3), {}),
        ("Conv", (4, 6, 2), {"stride": 2, "padding": 1, "groups": 2, "bias": False}),
        ("Conv", (4, 4, 4), {"padding": "same", "padding_mode": "circular"}),
        ("Conv", (4, 4, 3), {"padding": 1, "padding_mode": "reflect", "dilation": 2}),
        ("ConvTranspose", (4, 6, 3), {}),
        ("ConvTranspose", (4, 6, 2, 2), {"bias": False, "groups": 2}),
        ("ConvTranspose", (4, 6, 3, 2, 1, 1), {"dilation": 2}),
        ("MaxPool", (2,), {}),
        ("MaxPool", (3, 2, 1), {"ceil_mode": True}),
        ("AvgPool", (2,), {}),
        ("AvgPool", (3, 2, 1, True, False), {}),
        ("LPPool", (1, 2), {}),
        ("AdaptiveAvgPool", (3,), {}),
        ("AdaptiveAvgPool", (1,), {}),
        ("AdaptiveMaxPool", (3,), {}),
        ("InstanceNorm", (4,), {}),
        ("InstanceNorm", (4,), {"affine": True, "track_running_stats": True, "momentum": 0.3}),
    )
] + [
    case("AvgPool3d", 2, divisor_override=5, inputs=[normal(*IMAGES[3])]),
    case("AdaptiveAvgPool2d", (None, 2), inputs=[normal(*IMAGE)]),
    case("AdaptiveMaxPool3d", (2, None, 3), inputs=[normal(*IMAGES[3][1:])]),
    case("InstanceNorm2d", 4, affine=True, bias=False, inputs=[normal(*IMAGE[1:])]),
    case("GroupNorm", 2, 4, inputs=[normal(*IMAGE)]),
    case("GroupNorm", 4, 4, 1e-3, False, inputs=[normal(2, 4)]),
    case("GroupNorm", 1, 4, bias=False, inputs=[normal(2, 4, 3)]),
    case("RMSNorm", 6, inputs=[normal(*IMAGE)]),
    case("RMSNorm", (7, 6), 1e-3, False, inputs=[normal(*IMAGE)]),
    case("LocalResponseNorm", 2, inputs=[normal(*IMAGE)]),
    case("LocalResponseNorm", 3, 0.1, 0.5, 2.0, inputs=[normal(2, 4, 3)]),
    case("Upsample", scale_factor=2, inputs=[normal(*IMAGE)]),
    case("Upsample", (5, 9), mode="bilinear", align_corners=True, inputs=[normal(*IMAGE)]),
    case("Upsample", scale_factor=(1.5, 2.0), mode="bicubic", inputs=[normal(*IMAGE)]),
    case("Upsample", 9, mode="linear", inputs=[normal(*IMAGES[1])]),
    case("Upsample", scale_factor=1.7, mode="trilinear", recompute_scale_factor=True,
         inputs=[normal(*IMAGES[3])]),
    case("UpsamplingNearest2d", scale_factor=3, inputs=[normal(*IMAGE)]),
    case("UpsamplingBilinear2d", 10, inputs=[normal(*IMAGE)]),
    case("PixelShuffle", 2, inputs=[normal(*IMAGE)]),
    case("PixelUnshuffle", 2, inputs=[normal(2, 3, 4, 6)]),
    case("ChannelShuffle", 2, inputs=[normal(*IMAGE)]),
    case("Unfold", 2, 1, 1, (2, 1), inputs=[normal(*IMAGE)]),
    case("Fold", (4, 5), 2, inputs=[normal(2, 8, 12)]),
]  # fmt: skip

LAYERS = [
    case("Identity", 3, unused=1, inputs=[normal(2, 3)]),
    case("Linear", 5, 3, inputs=[normal(4, 5)]),
    case("Linear", 5, 3, inputs=[normal(5)]),
    case("Linear", 5, 3, bias=False, inputs=[normal(2, 3, 5)]),
    case("Flatten", inputs=[normal(2, 3, 4)]),
    case("Flatten", 0, 1, inputs=[normal(2, 3, 4)]),
    case("Unflatten", 1, (2, 3), inputs=[normal(4, 6)]),
    case("Unflatten", -1, (2, -1), inputs=[normal(4, 6)]),
    case("Conv2d", 4, 6, 3, inputs=[normal(*IMAGE)]),
    case("Conv2d", 4, 6, 3, inputs=[normal(*IMAGE[1:])]),
    case("Conv2d", 4, 6, (3, 2), stride=2, padding=(1, 0), inputs=[normal(*IMAGE)]),
    case("Conv2d", 4, 6, 3, dilation=2, groups=2, bias=False, inputs=[normal(*IMAGE)]),
    case("Conv2d", 4, 4, (4, 3), padding="same", inputs=[normal(*IMAGE)]),
    case("Conv2d", 4, 4, 3, padding="valid", inputs=[normal(*IMAGE)]),
    case("Conv2d", 4, 4, 3, padding=1, padding_mode="reflect", inputs=[normal(*IMAGE)]),
    case("Conv2d", 4, 4, 3, padding=(2, 1), padding_mode="replicate", inputs=[normal(*IMAGE)]),
    case("Conv2d", 4, 4, 4, padding="same", padding_mode="circular", inputs=[normal(*IMAGE)]),
    case("MaxPool2d", 2, inputs=[normal(*IMAGE)]),
    case("MaxPool2d", (3, 2), 1, 1, inputs=[normal(*IMAGE)]),
    case("MaxPool2d", 3, 2, 1, 1, False, True, inputs=[normal(*IMAGE[1:])]),
    case("AvgPool2d", 2, inputs=[normal(*IMAGE)]),
    case("AvgPool2d", 3, 2, 1, True, False, inputs=[normal(*IMAGE)]),
    case("AvgPool2d", (2, 3), divisor_override=5, inputs=[normal(*IMAGE)]),
    *IMAGE_LAYERS,
    case("BatchNorm1d", 5, inputs=[normal(6, 5)]),
    case("BatchNorm1d", 5, momentum=None, inputs=[normal(3, 5, 4)]),
    case("BatchNorm1d", 5, affine=False, inputs=[normal(6, 5)]),
    case("BatchNorm2d", 4, inputs=[normal(*IMAGE)]),
    case("BatchNorm2d", 4, eps=0.1, momentum=0.3, bias=False, inputs=[normal(*IMAGE)]),
    case("BatchNorm2d", 4, track_running_stats=False, inputs=[normal(*IMAGE)]),
    case("BatchNorm3d", 3, inputs=[normal(2, 3, 2, 3, 2)]),
    case("LayerNorm", 6, inputs=[normal(*IMAGE)]),
    case("LayerNorm", (7, 6), 1e-3, inputs=[normal(*IMAGE)]),
    case("LayerNorm", 6, bias=False, inputs=[normal(2, 6)]),
    case("LayerNorm", [6], elementwise_affine=False, inputs=[normal(2, 6)]),
    case("Dropout", inputs=[normal(6, 7)]),
    case("Dropout", 0.2, True, inputs=[normal(6, 7)]),
    case("Dropout", 0.0, inputs=[normal(6, 7)]),
    case("Dropout", 1.0, inputs=[normal(6, 7)]),
    case("Dropout1d", inputs=[normal(3, 5, 4)]),
    case("Dropout1d", inputs=[normal(5, 4)]),
    case("Dropout2d", 0.3, inputs=[normal(*IMAGE)]),
    case("Dropout2d", 1.0, inputs=[normal(*IMAGE)]),
    case("Dropout3d", 0.3, inputs=[normal(2, 3, 2, 2, 2)]),
    case("Dropout3d", 0.3, inputs=[normal(3, 2, 2, 2)]),
    case("Embedding", 11, 3, inputs=[classes(11, 4, 2)]),
    case("Embedding", 11, 3, padding_idx=-2, inputs=[np.array([9, 1, 9, 10])]),
    case("ReLU", inputs=[normal(4, 5)]),
    case("ReLU", True, inputs=[normal(4, 5)]),
    case("ReLU6", inputs=[5 * normal(40)]),
    case("ReLU6", inputs=[np.array([-1.0, 0.0, 3.0, 6.0, 7.0])]),
    case("ReLU6", inplace=True, inputs=[5 * normal(40)]),
    case("Hardtanh", inputs=[2 * normal(40)]),
    case("Hardtanh", -0.5, 2.0, True, inputs=[2 * normal(40)]),
    case("LeakyReLU", inputs=[normal(4, 5)]),
    case("LeakyReLU", 0.2, inplace=True, inputs=[normal(4, 5)]),
    case("GELU", inputs=[3 * normal(40)]),
    case("GELU", "tanh", inputs=[3 * normal(40)]),
    case("SiLU", inputs=[3 * normal(40)]),
    case("SiLU", inplace=True, inputs=[3 * normal(40)]),
    case("Sigmoid", inputs=[3 * normal(40)]),
    case("Tanh", inputs=[normal(40)]),
    case("Softmax", 1, inputs=[normal(3, 5)]),
    case("Softmax", dim=-2, inputs=[normal(3, 5, 2)]),
    case("LogSoftmax", 0, inputs=[normal(3, 5)]),
    case("ConstantPad1d", 2, 1.5, inputs=[normal(2, 3)]),
    case("ConstantPad2d", (1, 2, 0, 3), -1.0, inputs=[normal(2, 3, 4)]),
    case("ConstantPad2d", (-1, 2, 1, -2), -1.0, inputs=[normal(2, 4, 4)]),
    case("ConstantPad3d", 1, 0.5, inputs=[normal(2, 3, 2, 2)]),
    case("ZeroPad1d", (1, 0), inputs=[normal(2, 3)]),
    case("ZeroPad2d", 1, inputs=[normal(2, 3, 4)]),
    case("ZeroPad3d", 1, inputs=[normal(2, 3, 2, 2)]),
    case("ReflectionPad1d", 2, inputs=[normal(2, 3, 4)]),
    case("ReflectionPad2d", (1, 2, 0, 1), inputs=[normal(*IMAGE)]),
    case("ReflectionPad3d", 1, inputs=[normal(1, 2, 3, 3, 3)]),
    case("ReplicationPad1d", 2, inputs=[normal(2, 3, 4)]),
    case("ReplicationPad2d", (1, 2, 0, 1), inputs=[normal(*IMAGE)]),
    case("ReplicationPad3d", 1, inputs=[normal(1, 2, 3, 3, 3)]),
    case("CircularPad1d", 2, inputs=[normal(2, 3, 4)]),
    case("CircularPad2d", (1, 2, 0, 1), inputs=[normal(*IMAGE)]),
    case("CircularPad3d", 1, inputs=[normal(1, 2, 3, 3, 3)]),
]

SAMPLES = [normal(6, 5), classes(5, 6)]
PAIR = [normal(4, 5), normal(4, 5)]
PROBABLE = [chance(4, 5), chance(4, 5)]

LOSSES = [
    case("L1Loss", inputs=PAIR),
    case("L1Loss", reduction="sum", inputs=PAIR),
    case("MSELoss", inputs=PAIR),
    case("MSELoss", reduction="none", inputs=PAIR),
    case("SmoothL1Loss", inputs=PAIR),
    case("SmoothL1Loss", reduction="sum", beta=0.3, inputs=PAIR),
    case("SmoothL1Loss", beta=0.0, inputs=PAIR),
    case("HuberLoss", inputs=PAIR),
    case("HuberLoss", "none", 0.4, inputs=PAIR),
    case("KLDivLoss", reduction="batchmean", inputs=PROBABLE),
    case("KLDivLoss", reduction="sum", log_target=True, inputs=PAIR),
    case("NLLLoss", inputs=SAMPLES),
    case("NLLLoss", CLASS_WEIGHT, ignore_index=2, inputs=SAMPLES),
    case("NLLLoss", reduction="none", inputs=[normal(2, 5, 3, 2), classes(5, 2, 3, 2)]),
    case("CrossEntropyLoss", inputs=SAMPLES),
    case("CrossEntropyLoss", inputs=[normal(5), classes(5)]),
    case("CrossEntropyLoss", CLASS_WEIGHT, label_smoothing=0.1, inputs=SAMPLES),
    case("CrossEntropyLoss", ignore_index=1, reduction="sum", inputs=SAMPLES),
    case("CrossEntropyLoss", reduction="none", inputs=[normal(4, 5), chance(4, 5)]),
    case("CrossEntropyLoss", CLASS_WEIGHT, inputs=[normal(2, 5, 3), classes(5, 2, 3)]),
    case("CrossEntropyLoss", ignore_index=2, label_smoothing=0.1,
         inputs=[normal(2, 5, 3), classes(5, 2, 3)]),
    case("CrossEntropyLoss", CLASS_WEIGHT, ignore_index=2, label_smoothing=0.1, inputs=SAMPLES),
    case("BCELoss", inputs=PROBABLE),
    case("BCELoss", chance(5), reduction="sum", inputs=PROBABLE),
    case("BCEWithLogitsLoss", inputs=[normal(4, 5), chance(4, 5)]),
    case("BCEWithLogitsLoss", chance(5), inputs=[normal(4, 5), chance(4, 5)]),
    case("BCEWithLogitsLoss", pos_weight=1 + chance(5), inputs=[normal(4, 5), chance(4, 5)]),
]  # fmt: skip


def to_numpy(tensor):
    return tensor.detach().numpy().copy()


def build(lib, name, args, kwargs, seed=3):
    def convert(value):
        return lib.from_numpy(value.copy()) if isinstance(value, np.ndarray) else value

    lib.manual_seed(seed)
    kwargs = {key: convert(value) for key, value in kwargs.items()}
    return getattr(lib.nn, name)(*map(convert, args), **kwargs)


def state(module):
    return {key: to_numpy(value) for key, value in module.state_dict().items()}


def assert_same_state(ours, theirs, rtol=0.0, atol=0.0):
    assert list(ours) == list(theirs)
    for key, value in ours.items():
        assert value.dtype == theirs[key].dtype, key
        assert value.shape == theirs[key].shape, key
        np.testing.assert_allclose(value, theirs[key], rtol=rtol, atol=atol, err_msg=key)


@pytest.mark.parametrize("name, args, kwargs, inputs", LAYERS + LOSSES)
def test_starts_from_the_same_weights(name, args, kwargs, inputs):
    ours = build(ember, name, args, kwargs)
    theirs = build(torch, name, args, kwargs)
    # The normal distribution's polynomials differ in the last bit, uniform draws in none.
    atol = 3e-7 if name == "Embedding" else 0.0
    assert_same_state(state(ours), state(theirs), atol=atol)
    assert [n for n, _ in ours.named_parameters()] == [n for n, _ in theirs.named_parameters()]
    assert ours.state_dict()._metadata == theirs.state_dict()._metadata


@pytest.mark.parametrize("name, args, kwargs, inputs", LAYERS + LOSSES)
def test_repr(name, args, kwargs, inputs):
    assert repr(build(ember, name, args, kwargs)) == repr(build(torch, name, args, kwargs))


def run(lib, module, arrays, seed):
    """Output, gradients and state after one call in float64."""
    module.double()
    inputs = [lib.from_numpy(array.copy()) for array in arrays]
    leaves = [t.requires_grad_() for t in inputs if t.is_floating_point()]
    if getattr(module, "inplace", False):
        inputs = [t * 1 for t in inputs]
    lib.manual_seed(seed)
    out = module(*inputs)
    found = {"out": to_numpy(out)}
    # Some modules have neither parameters nor inputs with a gradient.
    if out.requires_grad:
        weight = np.linspace(0.5, 1.5, found["out"].size).reshape(found["out"].shape)
        (out * lib.from_numpy(weight)).sum().backward()
        for i, leaf in enumerate(leaves):
            found[f"grad of input {i}"] = to_numpy(leaf.grad)
        for key, param in module.named_parameters():
            found[f"grad of {key}"] = to_numpy(param.grad)
    return {**found, **state(module)}


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("name, args, kwargs, inputs", LAYERS + LOSSES)
def test_values_and_gradients(name, args, kwargs, inputs, training):
    ours = build(ember, name, args, kwargs).train(training)
    theirs = build(torch, name, args, kwargs).train(training)
    # Both continue from PyTorch's weights, and twice, so that running statistics count.
    ours.load_state_dict({k: ember.from_numpy(v) for k, v in state(theirs).items()})
    for seed in (0, 1):
        found = run(ember, ours, inputs, seed)
        expected = run(torch, theirs, inputs, seed)
        assert_same_state(found, expected, rtol=1e-9, atol=1e-12)
    counts.add("modules", name, 1)


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_max_unpool_puts_back(rank):
    values = normal(*(6, 4, 6)[:rank])[None]
    found = []
    for lib in (ember, torch):
        x = lib.from_numpy(values.copy())
        pooled, indices = getattr(lib.nn, f"MaxPool{rank}d")(2, return_indices=True)(x)
        module = getattr(lib.nn, f"MaxUnpool{rank}d")(2)
        sized = module(pooled, indices, output_size=x.shape[1:])
        found.append({"out": to_numpy(module(pooled, indices)), "sized": to_numpy(sized)})
        assert repr(module) == f"MaxUnpool{rank}d(kernel_size={(2,) * rank}, " + (
            f"stride={(2,) * rank}, padding={(0,) * rank})"
        )
    assert_same_state(*found)
    counts.add("modules", f"MaxUnpool{rank}d", 1)


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_transposed_convolution_takes_an_output_size(rank):
    for nn, lib in ((ember.nn, ember), (torch.nn, torch)):
        module = getattr(nn, f"ConvTranspose{rank}d")(2, 3, 3, stride=2, padding=1)
        x = lib.zeros(1, 2, *[4] * rank)
        assert tuple(module(x, [8] * rank).shape) == (1, 3, *[8] * rank)
        assert tuple(module(x, [1, 3, *[7] * rank]).shape) == (1, 3, *[7] * rank)
        for wrong in ([9] * rank, [6] * rank, [8] * (rank + 1)):
            with pytest.raises(ValueError):
                module(x, wrong)


def test_instance_norm_refuses_old_running_statistics():
    for lib in (ember, torch):
        state = {"running_mean": lib.zeros(3), "running_var": lib.ones(3)}
        with pytest.raises(RuntimeError, match="running_mean"):
            lib.nn.InstanceNorm1d(3).load_state_dict(state)


def test_max_pool_returns_indices():
    image = normal(*IMAGE)
    ours = ember.nn.MaxPool2d(2, return_indices=True)(ember.from_numpy(image))
    theirs = torch.nn.MaxPool2d(2, return_indices=True)(torch.from_numpy(image))
    for our, their in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(to_numpy(our), to_numpy(their))


@pytest.mark.parametrize(
    "name", ["Linear(3, 2)", "Conv2d(2, 2, 3)", "BatchNorm2d(2)", "LayerNorm(3)", "Embedding(4, 2)"]
)
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_dtype_argument(name, dtype):
    made = eval(f"ember.nn.{name[:-1]}, dtype=ember.{dtype}, device='cpu')")
    for key, value in made.state_dict().items():
        expected = ember.int64 if key == "num_batches_tracked" else getattr(ember, dtype)
        assert value.dtype == expected, key


def test_embedding_from_pretrained():
    table = ember.from_numpy(normal(5, 3))
    frozen = ember.nn.Embedding.from_pretrained(table)
    assert not frozen.weight.requires_grad
    assert frozen.weight.data_ptr() == table.data_ptr()
    assert ember.nn.Embedding.from_pretrained(table, freeze=False).weight.requires_grad
    assert (to_numpy(frozen(ember.tensor([4, 0]))) == to_numpy(table)[[4, 0]]).all()


def test_batch_norm_loads_states_without_the_counter():
    norm = ember.nn.BatchNorm1d(3)
    old = {k: v for k, v in norm.state_dict().items() if k != "num_batches_tracked"}
    norm.num_batches_tracked.fill_(7)
    assert norm.load_state_dict(old).missing_keys == []
    assert norm.num_batches_tracked.item() == 7


@pytest.mark.parametrize(
    "error, make",
    [
        (ValueError, lambda nn: nn.Conv2d(3, 4, 3, groups=2)),
        (ValueError, lambda nn: nn.Conv2d(4, 3, 3, groups=2)),
        (ValueError, lambda nn: nn.Conv2d(4, 4, 3, groups=0)),
        (ValueError, lambda nn: nn.Conv2d(4, 4, 3, padding="full")),
        (ValueError, lambda nn: nn.Conv2d(4, 4, 3, stride=2, padding="same")),
        (ValueError, lambda nn: nn.Conv2d(4, 4, 3, padding_mode="mirror")),
        (ValueError, lambda nn: nn.ConvTranspose2d(4, 4, 3, padding_mode="reflect")),
        (ValueError, lambda nn: nn.GroupNorm(3, 4)),
        (ValueError, lambda nn: nn.Dropout(1.1)),
        (ValueError, lambda nn: nn.Dropout(-0.1)),
        (AssertionError, lambda nn: nn.Embedding(3, 2, padding_idx=3)),
        (AssertionError, lambda nn: nn.Embedding(3, 2, padding_idx=-4)),
        (AssertionError, lambda nn: nn.Hardtanh(1.0, 1.0)),
        (TypeError, lambda nn: nn.Unflatten(0, 4)),
        (TypeError, lambda nn: nn.Unflatten(0, (2.0, 2))),
        (TypeError, lambda nn: nn.Linear("3", 2)),
    ],
)
def test_constructors_reject(error, make):
    for nn in (ember.nn, torch.nn):
        with pytest.raises(error):
            make(nn)


@pytest.mark.parametrize(
    "error, call",
    [
        (ValueError, lambda lib: lib.nn.BatchNorm1d(3)(lib.zeros(3))),
        (ValueError, lambda lib: lib.nn.BatchNorm2d(3)(lib.zeros(2, 3, 4))),
        (ValueError, lambda lib: lib.nn.BatchNorm3d(3)(lib.zeros(2, 3, 4, 4))),
        (ValueError, lambda lib: lib.nn.BatchNorm1d(3)(lib.zeros(1, 3))),
        (ValueError, lambda lib: lib.nn.InstanceNorm1d(3)(lib.zeros(3))),
        (ValueError, lambda lib: lib.nn.InstanceNorm2d(3, affine=True)(lib.zeros(2, 4, 5, 5))),
        (ValueError, lambda lib: lib.nn.InstanceNorm2d(3)(lib.zeros(2, 3, 1, 1))),
        (RuntimeError, lambda lib: lib.nn.Linear(3, 2)(lib.zeros(4))),
        (RuntimeError, lambda lib: lib.nn.Conv2d(3, 2, 3)(lib.zeros(1, 2, 5, 5))),
        (RuntimeError, lambda lib: lib.nn.functional.one_hot(lib.tensor([0, 3]), 3)),
        (RuntimeError, lambda lib: lib.nn.functional.one_hot(lib.tensor([-1, 1]))),
        (RuntimeError, lambda lib: lib.nn.functional.one_hot(lib.tensor([0, 1]), 0)),
        (RuntimeError, lambda lib: lib.nn.functional.one_hot(lib.zeros(0).long())),
        (ValueError, lambda lib: lib.nn.functional.dropout2d(lib.zeros(1, 2, 3, 3), 1.5)),
        (ValueError, lambda lib: lib.nn.L1Loss(reduction="avg")(lib.zeros(1), lib.zeros(1))),
        (RuntimeError, lambda lib: lib.nn.SmoothL1Loss(beta=-1)(lib.zeros(1), lib.zeros(1))),
    ],
)
def test_calls_reject(error, call):
    for lib in (ember, torch):
        with pytest.raises(error):
            call(lib)


def test_legacy_reduction_arguments():
    for legacy, meant in (
        ({"size_average": False}, "sum"),
        ({"reduce": False}, "none"),
        ({"size_average": True}, "mean"),
    ):
        with pytest.warns(UserWarning):
            assert ember.nn.MSELoss(**legacy).reduction == meant


FUNCTIONS = [
    ("one_hot", [classes(4, 3, 2)], {}),
    ("one_hot", [classes(4, 3)], {"num_classes": 6}),
    ("normalize", [normal(3, 4)], {}),
    ("normalize", [normal(3, 4)], {"p": 1.0, "dim": 0}),
    ("normalize", [np.zeros((2, 3))], {}),
    ("cosine_similarity", [normal(3, 4), normal(3, 4)], {}),
    ("cosine_similarity", [normal(3, 4), normal(4)], {"dim": -1}),
    ("softmin", [normal(3, 4)], {"dim": 1}),
    ("relu6", [4 * normal(30)], {}),
    ("hardtanh", [np.array([-1.0, -0.5, 1.0, 2.0, np.nan])], {}),
    ("l1_loss", [normal(3, 4), normal(3, 4)], {"weight": chance(3, 4)}),
    ("huber_loss", [normal(3, 4), normal(3, 4)], {"weight": chance(3, 4), "reduction": "sum"}),
]


@pytest.mark.parametrize("name, arrays, kwargs", FUNCTIONS)
def test_composed_functions(name, arrays, kwargs):
    results = []
    for lib, functions in ((ember, F), (torch, torch.nn.functional)):
        inputs = [lib.from_numpy(array.copy()) for array in arrays]
        leaves = [t.requires_grad_() for t in inputs if t.is_floating_point()]
        options = {
            k: lib.from_numpy(v) if isinstance(v, np.ndarray) else v for k, v in kwargs.items()
        }
        out = getattr(functions, name)(*inputs, **options)
        found = {"out": to_numpy(out)}
        if leaves:
            (out * out).sum().backward()
            found.update({f"grad {i}": to_numpy(leaf.grad) for i, leaf in enumerate(leaves)})
        results.append(found)
    assert_same_state(*results, rtol=1e-9, atol=1e-12)


def test_kl_div_of_zero_probability_is_zero():
    values, target = normal(3), np.array([0.0, 0.25, 0.75])
    found = []
    for lib in (ember, torch):
        input = lib.from_numpy(values.copy()).requires_grad_()
        out = lib.nn.functional.kl_div(input, lib.from_numpy(target), reduction="none")
        out.sum().backward()
        found.append({"out": to_numpy(out), "grad": to_numpy(input.grad)})
    assert found[0]["out"][0] == 0
    assert_same_state(*found, rtol=1e-12)


def test_shapes_that_differ_warn():
    with pytest.warns(UserWarning, match="l1_loss"):
        F.l1_loss(ember.zeros(3, 1), ember.zeros(3))


@pytest.mark.parametrize("name", ["relu_", "leaky_relu_", "hardtanh_"])
def test_inplace_functions_change_their_input(name):
    values = 2 * normal(9)
    ours, theirs = ember.from_numpy(values.copy()), torch.from_numpy(values.copy())
    assert getattr(F, name)(ours) is ours
    getattr(torch.nn.functional, name)(theirs)
    np.testing.assert_array_equal(to_numpy(ours), to_numpy(theirs))


@pytest.mark.parametrize("name", ["SGD", "Adam"])
def test_lenet_trains_as_in_torch(name):
    def lenet(nn):
        return nn.Sequential(
            nn.Conv2d(1, 6, 5, padding=2),
            nn.Tanh(),
            nn.MaxPool2d(2),
            nn.Conv2d(6, 16, 5),
            nn.ReLU(),
            nn.AvgPool2d(2),
            nn.Flatten(),
            nn.Linear(16 * 5 * 5, 32),
            nn.Dropout(0.25),
            nn.GELU(),
            nn.Linear(32, 10),
        )

    images, labels = normal(8, 1, 28, 28), classes(10, 8)
    losses = []
    for lib in (ember, torch):
        lib.manual_seed(0)
        model = lenet(lib.nn).double()
        optimizer = getattr(lib.optim, name)(model.parameters(), lr=0.01)
        criterion = lib.nn.CrossEntropyLoss()
        history = []
        for _ in range(5):
            optimizer.zero_grad()
            loss = criterion(model(lib.from_numpy(images)), lib.from_numpy(labels))
            loss.backward()
            optimizer.step()
            history.append(loss.item())
        losses.append(history)
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-6)
