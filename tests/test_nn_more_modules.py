"""More layers and losses against PyTorch: same start, repr, values, gradients."""

import ember
import numpy as np
import pytest
from opspecs import counts
from test_nn_modules import build, case, chance, classes, normal, run, state

torch = pytest.importorskip("torch")

ACTIVATIONS = [
    case("ELU", inputs=[normal(4, 5)]),
    case("ELU", 0.5, True, inputs=[normal(4, 5)]),
    case("CELU", 0.5, inputs=[normal(4, 5)]),
    case("CELU", inplace=True, inputs=[normal(4, 5)]),
    case("SELU", inputs=[normal(4, 5)]),
    case("SELU", True, inputs=[normal(4, 5)]),
    case("Mish", inputs=[normal(4, 5)]),
    case("Mish", True, inputs=[normal(4, 5)]),
    case("Hardswish", inputs=[5 * normal(4, 5)]),
    case("Hardswish", True, inputs=[5 * normal(4, 5)]),
    case("Hardshrink", inputs=[normal(4, 5)]),
    case("Softshrink", 0.25, inputs=[normal(4, 5)]),
    case("LogSigmoid", inputs=[normal(4, 5)]),
    case("Softplus", inputs=[normal(4, 5)]),
    case("Softplus", 2, 1, inputs=[normal(4, 5)]),
    case("Softsign", inputs=[normal(4, 5)]),
    case("Tanhshrink", inputs=[normal(4, 5)]),
    case("Threshold", 0.1, 20, inputs=[normal(4, 5)]),
    case("Threshold", 0.1, 20, True, inputs=[normal(4, 5)]),
    case("GLU", inputs=[normal(4, 6)]),
    case("GLU", 0, inputs=[normal(4, 6)]),
    case("PReLU", inputs=[normal(4, 5)]),
    case("PReLU", 5, 0.1, inputs=[normal(4, 5, 2)]),
    case("RReLU", inputs=[normal(4, 5)]),
    case("RReLU", 0.1, 0.2, True, inputs=[normal(4, 5)]),
    case("Softmin", dim=1, inputs=[normal(4, 5)]),
    case("Softmax2d", inputs=[normal(2, 3, 4, 5)]),
    case("AlphaDropout", 0.3, inputs=[normal(4, 5)]),
    case("FeatureAlphaDropout", inputs=[normal(4, 5, 3)]),
    case("PairwiseDistance", inputs=[normal(4, 5), normal(4, 5)]),
    case("PairwiseDistance", 1.0, keepdim=True, inputs=[normal(4, 5), normal(4, 5)]),
    case("CosineSimilarity", inputs=[normal(4, 5), normal(4, 5)]),
    case("CosineSimilarity", 0, 1e-3, inputs=[normal(4, 5), normal(4, 5)]),
    case("EmbeddingBag", 7, 3, inputs=[classes(7, 4, 2)]),
    case("EmbeddingBag", 7, 3, mode="max", padding_idx=-2, inputs=[classes(7, 4, 2)]),
    case("EmbeddingBag", 7, 3, mode="sum", max_norm=1.0, inputs=[classes(7, 4, 2)]),
    case("Embedding", 7, 3, max_norm=1.0, inputs=[classes(7, 4, 2)]),
]

SIGNS = np.sign(normal(4)).astype(np.int64)
MANY_SIGNS = np.sign(normal(4, 5)).astype(np.int64)
TRIPLET = [normal(4, 5), normal(4, 5), normal(4, 5)]
LABELS = np.array([[0, 2, -1, 1, 1], [3, -1, 0, 0, 0], [4, 3, 2, 1, 0], [-1, 1, 2, 3, 4]])

LOSSES = [
    case("PoissonNLLLoss", inputs=[normal(4, 5), classes(5, 4, 5)]),
    case("PoissonNLLLoss", False, True, reduction="sum", inputs=[chance(4, 5), classes(5, 4, 5)]),
    case("GaussianNLLLoss", inputs=[normal(4, 5), normal(4, 5), chance(4, 5)]),
    case("GaussianNLLLoss", full=True, inputs=[normal(4, 5), normal(4, 5), chance(4, 1)]),
    case("HingeEmbeddingLoss", 0.5, inputs=[normal(4, 5), MANY_SIGNS]),
    case("CosineEmbeddingLoss", 0.2, inputs=[normal(4, 5), normal(4, 5), SIGNS]),
    case("MarginRankingLoss", 0.2, inputs=[normal(4), normal(4), SIGNS]),
    case("MultiMarginLoss", inputs=[normal(6, 5), classes(5, 6)]),
    case("MultiMarginLoss", 2, 0.5, chance(5), inputs=[normal(6, 5), classes(5, 6)]),
    case("MultiLabelMarginLoss", inputs=[normal(4, 5), LABELS]),
    case("MultiLabelSoftMarginLoss", chance(5), inputs=[normal(4, 5), classes(2, 4, 5)]),
    case("SoftMarginLoss", inputs=[normal(4, 5), MANY_SIGNS]),
    case("TripletMarginLoss", 2.0, swap=True, inputs=TRIPLET),
    case("TripletMarginWithDistanceLoss", margin=2.0, reduction="sum", inputs=TRIPLET),
]


@pytest.mark.parametrize("name, args, kwargs, inputs", ACTIVATIONS + LOSSES)
def test_start_and_repr(name, args, kwargs, inputs):
    ours, theirs = build(ember, name, args, kwargs), build(torch, name, args, kwargs)
    assert repr(ours) == repr(theirs)
    assert ours.state_dict()._metadata == theirs.state_dict()._metadata
    expected = state(theirs)
    assert list(state(ours)) == list(expected)
    for key, value in state(ours).items():
        np.testing.assert_allclose(value, expected[key], rtol=0, atol=3e-7)


def assert_same(ours, theirs):
    assert list(ours) == list(theirs)
    for key, value in ours.items():
        np.testing.assert_allclose(value, theirs[key], rtol=1e-7, atol=1e-9, err_msg=key)


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("name, args, kwargs, inputs", ACTIVATIONS + LOSSES)
def test_values_and_gradients(name, args, kwargs, inputs, training):
    ours = build(ember, name, args, kwargs).train(training)
    theirs = build(torch, name, args, kwargs).train(training)
    ours.load_state_dict({k: ember.from_numpy(v) for k, v in state(theirs).items()})
    for seed in (0, 1):
        assert_same(run(ember, ours, inputs, seed), run(torch, theirs, inputs, seed))
    counts.add("modules", name, 1)


def test_hardsigmoid():
    for inplace in (False, True):
        x = ember.tensor([-4.0, -1.0, 0.5, 4.0], requires_grad=True)
        y = ember.nn.Hardsigmoid(inplace)(x * 1)
        np.testing.assert_allclose(y.detach().numpy(), [0, 1 / 3, 3.5 / 6, 1], rtol=1e-6)
        y.sum().backward()
        np.testing.assert_allclose(x.grad.numpy(), [0, 1 / 6, 1 / 6, 0], rtol=1e-6)
    assert repr(ember.nn.Hardsigmoid(True)) == repr(torch.nn.Hardsigmoid(True))
    counts.add("modules", "Hardsigmoid", 2)


def test_ctc_module():
    logits, targets = normal(9, 3, 5), 1 + classes(4, 3, 4)
    found = []
    for lib in (ember, torch):
        x = lib.from_numpy(logits.copy()).requires_grad_()
        loss = lib.nn.CTCLoss(zero_infinity=True)(
            x.log_softmax(2), lib.from_numpy(targets), (9, 8, 3), (2, 4, 3)
        )
        loss.backward()
        found.append({"loss": loss.detach().numpy(), "grad": x.grad.numpy()})
    assert_same(*found)
    counts.add("modules", "CTCLoss", 1)


ATTENTION = [
    {},
    {"bias": False},
    {"add_bias_kv": True, "add_zero_attn": True},
    {"kdim": 5, "vdim": 7},
    {"batch_first": True},
    {"dropout": 0.25},
]
CALLS = [
    {},
    {"need_weights": False},
    {"average_attn_weights": False},
    {"attn_mask": np.tril(np.ones((4, 6))) == 0},
    {"attn_mask": normal(6, 4, 6), "need_weights": False},
    {"key_padding_mask": np.arange(6) >= np.array([[6], [4], [2]])},
    {"attn_mask": normal(4, 6), "key_padding_mask": normal(3, 6)},
]


@pytest.mark.parametrize("call", CALLS, ids=lambda c: ",".join(c) or "plain")
@pytest.mark.parametrize("options", ATTENTION, ids=lambda o: ",".join(o) or "plain")
def test_multihead_attention(options, call):
    if options.get("dropout") and not call.get("need_weights", True):
        pytest.skip("the order of PyTorch's draws is its kernel's own")
    ours = build(ember, "MultiheadAttention", (8, 2), options)
    theirs = build(torch, "MultiheadAttention", (8, 2), options)
    assert repr(ours) == repr(theirs)
    assert ours.state_dict()._metadata == theirs.state_dict()._metadata
    for key, value in state(ours).items():
        np.testing.assert_allclose(value, state(theirs)[key], rtol=0, atol=3e-7)
    ours.load_state_dict({k: ember.from_numpy(v) for k, v in state(theirs).items()})
    widths = (8, options.get("kdim", 8), options.get("vdim", 8))
    arrays = [normal(n, 3, w) for n, w in zip((4, 6, 6), widths, strict=True)]
    if options.get("batch_first"):
        arrays = [a.swapaxes(0, 1).copy() for a in arrays]
    found = []
    for lib, module in ((ember, ours), (torch, theirs)):
        module.double()
        lib.manual_seed(5)
        inputs = [lib.from_numpy(a.copy()).requires_grad_() for a in arrays]
        given = {
            k: lib.from_numpy(v.copy()) if isinstance(v, np.ndarray) else v for k, v in call.items()
        }
        out, weights = module(*inputs, **given)
        (out * out).sum().backward()
        results = {"out": out.detach().numpy()}
        if weights is not None:
            results["weights"] = weights.detach().numpy()
        results |= {f"grad {i}": x.grad.numpy() for i, x in enumerate(inputs)}
        results |= {f"grad {n}": p.grad.numpy() for n, p in module.named_parameters()}
        found.append(results)
    assert_same(*found)
    counts.add("modules", "MultiheadAttention", 1)


def test_self_attention_without_a_batch():
    ours, theirs = (build(lib, "MultiheadAttention", (8, 2), {}).eval() for lib in (ember, torch))
    ours.load_state_dict({k: ember.from_numpy(v) for k, v in state(theirs).items()})
    x = normal(4, 8).astype(np.float32)
    for given in ({}, {"need_weights": False}):
        a, b = ember.from_numpy(x), torch.from_numpy(x)
        out, expected = ours(a, a, a, **given), theirs(b, b, b, **given)
        for y, z in zip(out, expected, strict=True):
            if z is None:
                assert y is None
                continue
            np.testing.assert_allclose(y.detach().numpy(), z.detach().numpy(), atol=1e-6)


@pytest.mark.parametrize(
    "error, call",
    [
        (ValueError, lambda nn: nn.MultiheadAttention(0, 1)),
        (AssertionError, lambda nn: nn.MultiheadAttention(5, 2)),
        (ValueError, lambda nn: nn.MultiMarginLoss(p=3)),
        (ValueError, lambda nn: nn.TripletMarginLoss(margin=-1)),
        (AssertionError, lambda nn: nn.EmbeddingBag(3, 2, padding_idx=3)),
    ],
)
def test_constructors_reject(error, call):
    for nn in (ember.nn, torch.nn):
        with pytest.raises(error):
            call(nn)


@pytest.mark.parametrize("name", ["elu_", "celu_", "selu_", "rrelu_", "threshold_"])
def test_inplace_functions_change_their_input(name):
    args = (0.1, 2.0) if name == "threshold_" else ()
    values = normal(9)
    ours, theirs = ember.from_numpy(values.copy()), torch.from_numpy(values.copy())
    assert getattr(ember.nn.functional, name)(ours, *args) is ours
    getattr(torch.nn.functional, name)(theirs, *args)
    np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-15)
