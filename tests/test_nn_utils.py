"""Helpers around modules and the older names of ``nn.init``, against PyTorch."""

import ember
import numpy as np
import pytest
from test_nn_modules import build, normal, state, to_numpy

torch = pytest.importorskip("torch")
pytest.importorskip("torch.nn.utils.prune")


def assert_same(ours, theirs, rtol=1e-6, atol=1e-7):
    assert list(ours) == list(theirs)
    for key, value in ours.items():
        np.testing.assert_allclose(value, theirs[key], rtol=rtol, atol=atol, err_msg=key)


FUSED = [
    ("Conv1d", (4, 6, 3), (2, 4, 8), False),
    ("Conv2d", (4, 6, 3), (2, 4, 8, 7), False),
    ("ConvTranspose2d", (4, 6, 3), (2, 4, 5, 4), True),
    ("Linear", (4, 6), (5, 4), False),
]


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("name, args, shape, transpose", FUSED)
def test_normalisations_fuse(name, args, shape, transpose, bias, affine):
    found = []
    image = normal(*shape)
    statistics = np.abs(normal(2, 6)) + 0.5
    for lib in (ember, torch):
        layer = build(lib, name, args, {"bias": bias})
        rank = 1 if name == "Linear" else len(shape) - 2
        norm = getattr(lib.nn, f"BatchNorm{rank}d")(6, affine=affine)
        norm.running_mean.copy_(lib.from_numpy(statistics[0]))
        norm.running_var.copy_(lib.from_numpy(statistics[1]))
        both = lib.nn.Sequential(layer, norm).double().eval()
        if name == "Linear":
            if lib is torch and not affine:
                pytest.skip("PyTorch wants weights here")
            fused = lib.nn.utils.fuse_linear_bn_eval(layer, norm)
        else:
            fused = lib.nn.utils.fuse_conv_bn_eval(layer, norm, transpose)
        x = lib.from_numpy(image)
        np.testing.assert_allclose(to_numpy(fused(x)), to_numpy(both(x)), rtol=1e-9, atol=1e-9)
        assert fused.weight is not layer.weight and isinstance(fused.bias, lib.nn.Parameter)
        found.append(state(fused))
        norm.train()
        with pytest.raises(AssertionError):
            lib.nn.utils.fuse_conv_bn_eval(layer, norm)
    assert_same(*found, rtol=1e-9)


PRUNINGS = [
    [("identity", {})],
    [("l1_unstructured", {"amount": 0.4})],
    [("l1_unstructured", {"amount": 3}), ("l1_unstructured", {"amount": 0.5})],
    [("random_unstructured", {"amount": 0.3})],
    [("random_structured", {"amount": 2, "dim": 0})],
    [("ln_structured", {"amount": 0.5, "n": 2, "dim": 1})],
    [("ln_structured", {"amount": 1, "n": float("inf"), "dim": -1})],
    [
        ("ln_structured", {"amount": 2, "n": 1, "dim": 0}),
        ("l1_unstructured", {"amount": 4}),
        ("ln_structured", {"amount": 1, "n": 2, "dim": 0}),
    ],
    [("custom_from_mask", {"mask": (normal(6, 5) > 0).astype(np.float32)})],
    [("l1_unstructured", {"amount": 4, "importance_scores": normal(6, 5).astype(np.float32)})],
]


@pytest.mark.parametrize("steps", PRUNINGS, ids=lambda s: "+".join(name for name, _ in s))
def test_prunings(steps):
    found = []
    for lib in (ember, torch):
        module = build(lib, "Linear", (5, 6), {})
        prune = lib.nn.utils.prune
        assert not prune.is_pruned(module)
        for name, options in steps:
            options = {
                k: lib.from_numpy(v) if isinstance(v, np.ndarray) else v for k, v in options.items()
            }
            assert getattr(prune, name)(module, "weight", **options) is module
        assert prune.is_pruned(lib.nn.Sequential(module))
        out = module(lib.ones(2, 5))
        out.sum().backward()
        grad = to_numpy(module.weight_orig.grad)
        names = [n for n, _ in module.named_parameters()]
        during = state(module)
        fresh = build(lib, "Linear", (5, 6), {})
        prune.identity(fresh, "weight")
        fresh.load_state_dict(module.state_dict())
        np.testing.assert_array_equal(to_numpy(fresh(lib.ones(2, 5))), to_numpy(out))
        prune.remove(module, "weight")
        assert isinstance(module.weight, lib.nn.Parameter)
        found.append(
            {**during, "grad": grad, "out": to_numpy(out), "after": to_numpy(module.weight)}
        )
        found[-1]["names"] = np.array([len(n) for n in names])
        with pytest.raises(ValueError, match="pruned before"):
            prune.remove(module, "weight")
    assert_same(*found)


def test_global_pruning_and_errors():
    found = []
    for lib in (ember, torch):
        model = lib.nn.Sequential(
            build(lib, "Linear", (5, 6), {}), build(lib, "Conv1d", (6, 4, 2), {}, seed=4)
        )
        prune = lib.nn.utils.prune
        both = [(model[0], "weight"), (model[1], "weight")]
        prune.global_unstructured(both, prune.L1Unstructured, amount=0.3)
        prune.global_unstructured(both, prune.L1Unstructured, amount=10)
        found.append(state(model))
        with pytest.raises(TypeError):
            prune.global_unstructured(both, prune.LnStructured, amount=1, n=2)
        module = lib.nn.Linear(3, 2)
        for kind, amount in ((TypeError, "3"), (ValueError, -1), (ValueError, 1.5)):
            with pytest.raises(kind):
                prune.l1_unstructured(module, "weight", amount)
        with pytest.raises(ValueError, match="smaller"):
            prune.l1_unstructured(module, "weight", 7)
        with pytest.raises(ValueError):
            prune.random_structured(module, "bias", 1, 0)
        with pytest.raises(IndexError):
            prune.random_structured(module, "weight", 1, 2)
        assert {n for n, _ in module.named_parameters()} == {"weight", "bias"}
        method = prune.L1Unstructured(1)
        assert method.prune(lib.tensor([3.0, -1.0, 2.0])).tolist() == [3.0, 0.0, 2.0]
    assert_same(*found)


def test_skip_init_leaves_the_stream():
    ember.manual_seed(5)
    module = ember.nn.utils.skip_init(ember.nn.Linear, 5, 3, bias=False)
    assert tuple(module.weight.shape) == (3, 5) and module.bias is None
    drawn = ember.rand(3).tolist()
    ember.manual_seed(5)
    assert ember.rand(3).tolist() == drawn
    with pytest.raises(RuntimeError, match="Module"):
        ember.nn.utils.skip_init(dict)
    with pytest.raises(RuntimeError, match="device"):
        ember.nn.utils.skip_init(ember.nn.ReLU)


@pytest.mark.parametrize("rank", [2, 3])
def test_weights_take_a_memory_format(rank):
    for lib in (ember, torch):
        model = lib.nn.Sequential(getattr(lib.nn, f"Conv{rank}d")(3, 4, 2), lib.nn.Linear(2, 2))
        formats = {2: lib.channels_last, 3: lib.channels_last_3d}
        convert = getattr(lib.nn.utils, f"convert_conv{rank}d_weight_memory_format")
        assert convert(model, formats[rank]) is model
        assert model[0].weight.is_contiguous(memory_format=formats[rank])
        assert not model[0].weight.is_contiguous()


def test_older_names():
    weight = ember.ones(2, 2, requires_grad=True)
    weight.grad = ember.full((2, 2), 2.0)
    with pytest.warns(FutureWarning, match="clip_grad_norm_"):
        assert ember.nn.utils.clip_grad_norm([weight], 1.0).item() == 4.0
    found = []
    for lib in (ember, torch):
        lib.manual_seed(2)
        filled = []
        for name, args in (
            ("uniform", (0.0, 2.0)), ("normal", ()), ("constant", (0.5,)), ("eye", ()),
            ("xavier_uniform", ()), ("xavier_normal", ()), ("kaiming_uniform", ()),
            ("kaiming_normal", ()), ("orthogonal", ()), ("sparse", (0.3,)),
        ):  # fmt: skip
            tensor = lib.empty(4, 5)
            with pytest.warns(FutureWarning, match=f"{name}_"):
                assert getattr(lib.nn.init, name)(tensor, *args) is tensor
            filled.append(to_numpy(tensor))
        found.append(np.stack(filled))
    np.testing.assert_allclose(*found, rtol=1e-5, atol=1e-5)
    with pytest.raises(AttributeError, match="nothing"):
        _ = ember.nn.init.nothing
    assert {"dirac", "uniform"} <= set(dir(ember.nn.init))


def test_functional_call():
    for lib in (ember, torch):
        model = build(lib, "Sequential", (), {})
        model.append(build(lib, "Linear", (3, 3), {}))
        model.append(lib.nn.BatchNorm1d(3, momentum=0.5))
        model.append(lib.nn.Linear(3, 3))
        model[2].weight = model[0].weight
        before = state(model)
        ones = {"0.weight": lib.ones(3, 3, requires_grad=True), "1.running_mean": lib.ones(3)}
        x = lib.arange(12.0).reshape(4, 3)
        call = lib.nn.utils.stateless.functional_call
        with pytest.warns(FutureWarning):
            out = call(model, ones, (x,))
        out.sum().backward()
        assert ones["0.weight"].grad is not None and model[0].weight.grad is None
        # The batches' mean counts half.
        bias = to_numpy(model[0].bias)
        np.testing.assert_allclose(
            to_numpy(ones["1.running_mean"]), 0.5 + 0.5 * (16.5 + bias), rtol=1e-5
        )
        after = state(model)
        for key in ("0.weight", "1.running_mean", "2.weight"):
            np.testing.assert_array_equal(after[key], before[key])
        for wrong, kind in (
            ({"0.weight": lib.ones(3, 3), "2.weight": lib.zeros(3, 3)}, ValueError),
            ({"7.other": lib.ones(3)}, (AttributeError, KeyError)),
        ):
            with pytest.warns(FutureWarning), pytest.raises(kind):
                call(model, wrong, x)
        with pytest.warns(FutureWarning), pytest.raises(RuntimeError):
            call(model, ones, x, strict=True)
        with pytest.warns(FutureWarning):
            call(model, {"0.other": lib.ones(3)}, x)


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("options", [{}, {"stride": 2, "padding": 1, "groups": 2}])
def test_gradients_of_convolutions(rank, options):
    image, weight = normal(2, 4, *[6] * rank), normal(4, 4 // options.get("groups", 1), *[3] * rank)
    found = []
    for lib in (ember, torch):
        x, w = lib.from_numpy(image), lib.from_numpy(weight)
        out = getattr(lib.nn.functional, f"conv{rank}d")(x, w, **options)
        grad = lib.ones_like(out) * 0.5
        for_input = getattr(lib.nn.grad, f"conv{rank}d_input")
        for_weight = getattr(lib.nn.grad, f"conv{rank}d_weight")
        found.append(
            {
                "input": to_numpy(for_input(x.shape, w, grad, **options)),
                "weight": to_numpy(for_weight(x, w.shape, grad, **options)),
            }
        )
    assert_same(*found, rtol=1e-10)


def test_types_of_sizes_have_names():
    names = {n for n in dir(torch.nn.common_types) if n.startswith("_size") and n.endswith("_t")}
    assert names <= set(dir(ember.nn.common_types))
