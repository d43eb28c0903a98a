"""Transformers, lazy and older modules against PyTorch: start, repr, values, gradients."""

import copy
import io
import pickle
import warnings

import ember
import numpy as np
import pytest
from opspecs import counts
from test_nn_modules import build, case, chance, classes, normal, run, state, to_numpy

torch = pytest.importorskip("torch")

NO_DROPOUT = {"dropout": 0.0}
SEQUENCE = normal(4, 3, 8)  # (S, N, E)
MEMORY = normal(5, 3, 8)
CAUSAL = np.triu(np.full((4, 4), -np.inf), 1)

MODULES = [
    case("Bilinear", 4, 3, 5, inputs=[normal(2, 6, 4), normal(2, 6, 3)]),
    case("Bilinear", 4, 3, 1, bias=False, inputs=[normal(6, 4), normal(6, 3)]),
    case("TransformerEncoderLayer", 8, 2, 16, 0.0, inputs=[SEQUENCE]),
    case("TransformerEncoderLayer", 8, 4, 5, 0.0, "gelu", 1e-3, True, inputs=[SEQUENCE]),
    case("TransformerEncoderLayer", 8, 2, 6, 0.0, norm_first=True, bias=False, inputs=[SEQUENCE]),
    case("TransformerEncoderLayer", 8, 2, 6, 0.0, inputs=[SEQUENCE, CAUSAL]),
    case("TransformerDecoderLayer", 8, 2, 16, 0.0, inputs=[SEQUENCE, MEMORY]),
    case("TransformerDecoderLayer", 8, 2, 6, 0.0, "gelu", norm_first=True, bias=False,
         inputs=[SEQUENCE, MEMORY]),
    case("TransformerDecoderLayer", 8, 2, 6, 0.0, inputs=[SEQUENCE, MEMORY, CAUSAL]),
    case("Transformer", 8, 2, 2, 1, 12, 0.0, inputs=[MEMORY, SEQUENCE]),
    case("Transformer", 8, 4, 1, 2, 6, 0.0, "gelu", batch_first=True, norm_first=True,
         inputs=[normal(3, 5, 8), normal(3, 4, 8)]),
    case("Transformer", 8, 2, 1, 1, 6, 0.0, bias=False, inputs=[normal(5, 8), normal(4, 8)]),
    case("LinearCrossEntropyLoss", 5, 7, inputs=[normal(4, 5), classes(7, 4)]),
    case("LinearCrossEntropyLoss", 5, 7, inputs=[normal(5), classes(7)]),
    case("LinearCrossEntropyLoss", 5, 7, out_features=(2, 3), bias=True, reduction="sum",
         label_smoothing=0.1, ignore_index=2, inputs=[normal(4, 5), classes(7, 4, 2, 3)]),
    case("LinearCrossEntropyLoss", 5, 3, weight=chance(3), reduction="none",
         inputs=[normal(4, 5), chance(4, 3)]),
    case("FractionalMaxPool2d", 2, output_size=(3, 4), inputs=[normal(2, 3, 7, 6)]),
    case("FractionalMaxPool2d", (2, 3), output_ratio=0.5, inputs=[normal(3, 7, 6)]),
    case("FractionalMaxPool3d", 2, output_size=(2, 3, 4), inputs=[normal(2, 3, 5, 7, 6)]),
    case("NLLLoss2d", inputs=[normal(2, 5, 3, 2), classes(5, 2, 3, 2)]),
]  # fmt: skip


def quietly(function, *args):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return function(*args)


@pytest.mark.parametrize("name, args, kwargs, inputs", MODULES)
def test_start_and_repr(name, args, kwargs, inputs):
    ours, theirs = (quietly(build, lib, name, args, kwargs) for lib in (ember, torch))
    assert repr(ours) == repr(theirs)
    assert ours.state_dict()._metadata == theirs.state_dict()._metadata
    found, expected = state(ours), state(theirs)
    assert list(found) == list(expected)
    for key, value in found.items():
        np.testing.assert_array_equal(value, expected[key], err_msg=key)


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("name, args, kwargs, inputs", MODULES)
def test_values_and_gradients(name, args, kwargs, inputs, training):
    found = []
    for lib in (ember, torch):
        module = quietly(build, lib, name, args, kwargs).train(training)
        if len(inputs) == 3 or (name.startswith("TransformerEnc") and len(inputs) == 2):
            # The mask takes no gradient.
            *arrays, mask = inputs
            inner = module.double()
            module = lib.nn.Sequential(inner)

            def forward(*tensors, inner=inner, lib=lib, mask=mask):
                return inner(*tensors, lib.from_numpy(mask.copy()))

            module.forward = forward
        else:
            arrays = inputs
        found.append(run(lib, module, arrays, 0))
    ours, theirs = found
    assert list(ours) == list(theirs)
    for key, value in ours.items():
        np.testing.assert_allclose(value, theirs[key], rtol=1e-7, atol=1e-10, err_msg=key)
    counts.add("modules", name, 1)


MASKS = [
    {},
    {"mask": CAUSAL},
    {"mask": CAUSAL < 0},
    {"mask": CAUSAL, "is_causal": True},
    {"src_key_padding_mask": np.arange(4) >= np.array([[4], [2], [3]])},
    {"mask": normal(4, 4), "src_key_padding_mask": normal(3, 4)},
]


@pytest.mark.parametrize("masks", MASKS)
@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("norm", [True, False])
def test_encoder_stacks(masks, batch_first, norm):
    found = []
    for lib in (ember, torch):
        lib.manual_seed(5)
        layer = lib.nn.TransformerEncoderLayer(8, 2, 16, 0.0, batch_first=batch_first)
        last = lib.nn.LayerNorm(8) if norm else None
        stack = quietly(lib.nn.TransformerEncoder, layer, 3, last).double()
        source = SEQUENCE.swapaxes(0, 1).copy() if batch_first else SEQUENCE
        options = {k: lib.from_numpy(v) if isinstance(v, np.ndarray) else v
                   for k, v in masks.items()}  # fmt: skip
        x = lib.from_numpy(source.copy()).requires_grad_()
        out = stack(x, **options)
        (out * out).sum().backward()
        found.append((state(stack), to_numpy(out), to_numpy(x.grad)))
    ours, theirs = found
    assert list(ours[0]) == list(theirs[0])
    for a, b in zip(ours[1:], theirs[1:], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-7, atol=1e-10)
    counts.add("modules", "TransformerEncoder", 1)


PADDINGS = [
    np.arange(4) >= np.array([[4], [2], [3]]),  # at the end
    np.arange(4) < np.array([[0], [2], [1]]),  # at the beginning
    np.where(np.arange(4) >= np.array([[4], [2], [3]]), -np.inf, 0.0),
]


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("options", [{}, {"norm_first": True}, {"batch_first": False}])
@pytest.mark.parametrize("grad", [True, False])
def test_padded_positions_in_evaluation(padding, options, grad):
    found = []
    for lib in (ember, torch):
        lib.manual_seed(5)
        options = {"batch_first": True, **options}
        layer = lib.nn.TransformerEncoderLayer(8, 2, 16, **options)
        stack = quietly(lib.nn.TransformerEncoder, layer, 2, lib.nn.LayerNorm(8)).double().eval()
        source = SEQUENCE.swapaxes(0, 1).copy() if options["batch_first"] else SEQUENCE
        with lib.set_grad_enabled(grad), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            out = stack(lib.from_numpy(source), src_key_padding_mask=lib.from_numpy(padding))
        found.append((stack.use_nested_tensor, to_numpy(out)))
    assert found[0][0] == found[1][0]
    np.testing.assert_allclose(found[0][1], found[1][1], rtol=1e-7, atol=1e-9)


def test_decoder_takes_all_masks():
    found = []
    masks = {
        "tgt_mask": CAUSAL,
        "memory_mask": normal(4, 5),
        "tgt_key_padding_mask": normal(3, 4),
        "memory_key_padding_mask": normal(3, 5),
    }
    for lib in (ember, torch):
        lib.manual_seed(5)
        layer = lib.nn.TransformerDecoderLayer(8, 2, 16, 0.0)
        stack = lib.nn.TransformerDecoder(layer, 2, lib.nn.LayerNorm(8)).double()
        out = stack(
            lib.from_numpy(SEQUENCE.copy()),
            lib.from_numpy(MEMORY.copy()),
            **{k: lib.from_numpy(v.copy()) for k, v in masks.items()},
        )
        found.append(to_numpy(out))
    np.testing.assert_allclose(*found, rtol=1e-7, atol=1e-10)


def test_linear_cross_entropy_errors():
    for lib in (ember, torch):
        for make in (
            lambda lib: lib.nn.LinearCrossEntropyLoss(3, 2, weight=lib.ones(3)),
            lambda lib: lib.nn.LinearCrossEntropyLoss(3, 2, label_smoothing=2.0),
            lambda lib: lib.nn.LinearCrossEntropyLoss(3, 2)(lib.ones(4, 2), lib.ones(4).long()),
            lambda lib: lib.nn.LinearCrossEntropyLoss(3, 2)(lib.ones(1, 4, 3), lib.ones(4).long()),
            lambda lib: lib.nn.LinearCrossEntropyLoss(3, 2, out_features=(2,))(
                lib.ones(3), lib.ones(2).long()
            ),
            lambda lib: lib.nn.LinearCrossEntropyLoss(3, 2, ignore_index=1)(
                lib.ones(4, 3), lib.ones(4, 2)
            ),
        ):
            with pytest.raises(RuntimeError):
                make(lib)
    with pytest.raises(NotImplementedError, match="options"):
        ember.nn.LinearCrossEntropyLoss(3, 2, options=1)(ember.ones(4, 3), ember.ones(4).long())
    with pytest.warns(FutureWarning, match="min_val"):
        assert ember.nn.Hardtanh(min_value=-2.0, max_value=3.0).max_val == 3.0


def test_transformer_errors_and_masks():
    for lib in (ember, torch):
        mask = lib.nn.Transformer.generate_square_subsequent_mask(3)
        assert mask.tolist() == [[0, -np.inf, -np.inf], [0, 0, -np.inf], [0, 0, 0]]
        module = quietly(lib.nn.Transformer, 8, 2, 1, 1, 4)
        with pytest.raises(RuntimeError, match="batch number"):
            module(lib.zeros(4, 2, 8), lib.zeros(4, 3, 8))
        with pytest.raises(RuntimeError, match="d_model"):
            module(lib.zeros(4, 2, 6), lib.zeros(4, 2, 6))
        with pytest.raises(RuntimeError, match="relu/gelu"):
            lib.nn.TransformerEncoderLayer(8, 2, activation="tanh")
    pickle.loads(pickle.dumps(ember.nn.TransformerEncoderLayer(8, 2)))


@pytest.mark.parametrize("cutoffs, bias", [([4], False), ([3, 7, 10], True)])
def test_adaptive_softmax(cutoffs, bias):
    rows, target = normal(9, 16), np.array([0, 11, 3, 5, 2, 8, 10, 1, 4])
    found = []
    for lib in (ember, torch):
        lib.manual_seed(3)
        module = lib.nn.AdaptiveLogSoftmaxWithLoss(16, 12, cutoffs, 2.0, bias)
        start = state(module)
        text = repr(module)
        module.double()
        x = lib.from_numpy(rows.copy()).requires_grad_()
        out, loss = module(x, lib.from_numpy(target))
        (loss + (out * out).sum()).backward()
        single = module(x[0], lib.from_numpy(target)[0])
        values = [out, loss, x.grad, module.log_prob(x), module.predict(3 * x), *single]
        values += [p.grad for p in module.parameters()]
        found.append((start, text, [to_numpy(v) for v in values]))
    ours, theirs = found
    assert ours[1] == theirs[1] and list(ours[0]) == list(theirs[0])
    for key, value in ours[0].items():
        np.testing.assert_array_equal(value, theirs[0][key])
    for a, b in zip(ours[2], theirs[2], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)
    counts.add("modules", "AdaptiveLogSoftmaxWithLoss", 1)


def test_adaptive_softmax_errors():
    for lib in (ember, torch):
        for cutoffs in ([], [5, 3], [3, 3], [0, 4], [4, 12], [2.5]):
            with pytest.raises(ValueError, match="cutoffs"):
                lib.nn.AdaptiveLogSoftmaxWithLoss(16, 12, cutoffs)
        module = lib.nn.AdaptiveLogSoftmaxWithLoss(16, 12, [4])
        for x, y in ((2, 12), (2, -1)):
            with pytest.raises(RuntimeError, match="should be in"):
                module(lib.zeros(x, 16), lib.full((x,), y, dtype=lib.int64))
        for x, y in (((3, 16), (2,)), ((16,), (1,)), ((2, 16), ()), ((2, 2, 16), (2, 2))):
            with pytest.raises(RuntimeError):
                module(lib.zeros(x), lib.zeros(y, dtype=lib.int64))


LAZY = [
    case("LazyLinear", 5, inputs=[normal(4, 3)]),
    case("LazyLinear", 5, bias=False, inputs=[normal(3)]),
    case("LazyConv1d", 4, 3, inputs=[normal(2, 6, 8)]),
    case("LazyConv2d", 4, 3, 2, 1, groups=2, bias=False, inputs=[normal(2, 6, 8, 7)]),
    case("LazyConv3d", 4, 2, inputs=[normal(6, 3, 4, 3)]),
    case("LazyConvTranspose1d", 4, 3, inputs=[normal(2, 6, 5)]),
    case("LazyConvTranspose2d", 4, 3, 2, 1, 1, 2, inputs=[normal(2, 6, 4, 5)]),
    case("LazyConvTranspose3d", 4, 2, bias=False, inputs=[normal(2, 6, 2, 3, 2)]),
    case("LazyBatchNorm1d", inputs=[normal(6, 5)]),
    case("LazyBatchNorm2d", 1e-3, 0.3, inputs=[normal(6, 5, 2, 3)]),
    case("LazyBatchNorm3d", affine=False, inputs=[normal(2, 3, 2, 2, 2)]),
    case("LazyInstanceNorm1d", inputs=[normal(2, 3, 5)]),
    case("LazyInstanceNorm2d", track_running_stats=False, inputs=[normal(2, 3, 5, 4)]),
    case("LazyInstanceNorm3d", bias=False, inputs=[normal(2, 3, 2, 2, 3)]),
]


@pytest.mark.parametrize("name, args, kwargs, inputs", LAZY)
def test_lazy_modules_complete_themselves(name, args, kwargs, inputs):
    found = []
    for lib in (ember, torch):
        module = build(lib, name, args, kwargs)
        before = repr(module), list(module.state_dict())
        params = list(module.parameters())
        assert all(isinstance(p, lib.nn.UninitializedParameter) for p in params)
        # (PyTorch cannot copy a buffer without a shape.)
        duplicate = copy.deepcopy(module) if lib is ember else build(lib, name, args, kwargs)
        assert type(duplicate) is type(module)
        x = lib.from_numpy(inputs[0].astype(np.float32))
        out = module(x)
        assert type(module) is getattr(lib.nn, name.removeprefix("Lazy"))
        assert list(map(id, params)) == list(map(id, module.parameters()))
        assert all(type(p) is lib.nn.Parameter for p in params)
        held = state(module)
        loaded = build(lib, name, args, kwargs)
        loaded.load_state_dict(module.state_dict())
        # (PyTorch does not take the width from a state.)
        again = loaded(x) if lib is ember else module(x)
        found.append((before, repr(module), held, to_numpy(out)))
        np.testing.assert_allclose(to_numpy(again), found[-1][3], rtol=1e-4, atol=1e-5)
        assert list(duplicate.double().state_dict()) == before[1]
        assert duplicate(x.double()).dtype == lib.float64
    ours, theirs = found
    assert ours[:2] == theirs[:2]
    assert list(ours[2]) == list(theirs[2])
    for key, value in ours[2].items():
        np.testing.assert_allclose(value, theirs[2][key], rtol=1e-5, atol=1e-6, err_msg=key)
    np.testing.assert_allclose(ours[3], theirs[3], rtol=1e-4, atol=1e-5)


def test_lazy_modules_refuse_what_has_no_shape():
    module = ember.nn.LazyLinear(3)
    with pytest.raises(RuntimeError, match="no shape yet"):
        _ = module.weight.shape
    ember.nn.LazyLinear(3).load_state_dict(module.state_dict())
    with pytest.raises(RuntimeError):
        ember.nn.Linear(2, 3).load_state_dict(module.state_dict())
    with pytest.raises(RuntimeError, match="2D"):
        ember.nn.LazyConv1d(3, 2)(ember.zeros(2, 2, 2, 2))
    with pytest.raises(ValueError, match="divisible"):
        ember.nn.LazyConv1d(4, 2, groups=2)(ember.zeros(2, 3, 5))
    with pytest.raises(AssertionError, match="features"):
        loaded = ember.nn.LazyLinear(3)
        loaded.load_state_dict(ember.nn.Linear(2, 3).state_dict())
        loaded(ember.zeros(2, 5))
    model = ember.nn.Sequential(ember.nn.LazyLinear(3), ember.nn.LazyBatchNorm1d())
    optimizer = ember.optim.SGD(model.parameters(), lr=0.1)
    model(ember.ones(4, 2)).sum().backward()
    optimizer.step()
    assert [tuple(p.shape) for p in model.parameters()] == [(3, 2), (3,), (3,), (3,)]
    pickle.loads(pickle.dumps(ember.nn.LazyLinear(3).weight))


def test_data_parallel_calls_the_module():
    found = []
    for lib in (ember, torch):
        lib.manual_seed(0)
        wrapped = lib.nn.DataParallel(lib.nn.Linear(3, 2))
        found.append((list(wrapped.state_dict()), to_numpy(wrapped(lib.ones(2, 3)))))
    assert found[0][0] == found[1][0] == ["module.weight", "module.bias"]
    np.testing.assert_allclose(found[0][1], found[1][1], rtol=1e-6)
    assert ember.nn.parallel.DataParallel is ember.nn.DataParallel
    file = io.BytesIO()
    ember.save(wrapped.state_dict() if lib is ember else {}, file)


def test_sync_batch_norm():
    found = []
    for lib in (ember, torch):
        lib.manual_seed(0)
        model = lib.nn.Sequential(lib.nn.Linear(3, 4), lib.nn.BatchNorm1d(4, momentum=0.3))
        weight = model[1].weight
        model = lib.nn.SyncBatchNorm.convert_sync_batchnorm(model)
        assert type(model[1]) is lib.nn.SyncBatchNorm and model[1].weight is weight
        found.append((repr(model), list(model.state_dict())))
    assert found[0] == found[1]
    x = ember.from_numpy(chance(6, 4))
    plain, sync = ember.nn.BatchNorm1d(4).double(), ember.nn.SyncBatchNorm(4).double()
    np.testing.assert_array_equal(to_numpy(sync(x)), to_numpy(plain(x)))
    with pytest.raises(ValueError, match="2D"):
        sync(x[0])


def test_older_names_warn():
    with pytest.warns(FutureWarning, match="Container"):
        found = ember.nn.Container(first=ember.nn.ReLU())
    assert isinstance(found.first, ember.nn.ReLU)
    with pytest.warns(FutureWarning, match="NLLLoss2d"):
        ember.nn.NLLLoss2d()
    with pytest.raises(AttributeError, match="Lineer"):
        _ = ember.nn.Lineer
    with pytest.raises(ValueError, match="in1_features"):
        ember.nn.Bilinear(0, 2, 3)


def test_rare_modules_load_on_first_use():
    import subprocess
    import sys

    code = "import sys, ember.nn; print([m for m in sys.modules if m.endswith(('lazy', 'older'))])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
