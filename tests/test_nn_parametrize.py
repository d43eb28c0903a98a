"""Parametrizations, weight and spectral normalisation against PyTorch."""

import copy
import pickle

import ember
import numpy as np
import pytest

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.filterwarnings("ignore:.*weight_norm.*:FutureWarning")


def build(lib, name, *args, seed=3):
    lib.manual_seed(seed)
    module = getattr(lib.nn, name)(*args).double()
    if name == "Embedding":  # normal numbers are PyTorch's but for their last bits
        module.weight.data = lib.from_numpy(np.random.default_rng(0).normal(size=args))
    return module


def numpy(t):
    return t.detach().numpy()


def state(module):
    return {key: numpy(value) for key, value in module.state_dict().items()}


def assert_same(ours, theirs, atol=1e-9):
    assert list(ours) == list(theirs)
    for key, value in ours.items():
        np.testing.assert_allclose(value, theirs[key], rtol=1e-7, atol=atol, err_msg=key)


def step(lib, module, x):
    """Output and gradients of a call, and the state after it."""
    x = lib.from_numpy(x.copy()).requires_grad_()
    out = module(x)
    (out * lib.arange(out.numel()).reshape(out.shape)).sum().backward()
    found = {"out": numpy(out), "x": numpy(x.grad)}
    found |= {f"{n}.grad": numpy(p.grad) for n, p in module.named_parameters()}
    return found | state(module)


LAYERS = {
    "Linear": ((5, 3), (4, 5)),
    "Conv2d": ((2, 3, 3), (1, 2, 5, 5)),
    "ConvTranspose2d": ((2, 3, 3), (1, 2, 4, 4)),
    "Embedding": ((6, 4), None),
}


def inputs(name, shape):
    if shape is None:
        return np.array([[0, 2, 5]])
    return np.random.default_rng(1).uniform(-1, 1, shape)


def compare(name, change, calls=3, atol=1e-9):
    """The layer after change(lib, layer): repr, and some calls in both modes."""
    args, shape = LAYERS[name]
    sides = []
    for lib in (ember, torch):
        module = build(lib, name, *args)
        lib.manual_seed(4)
        sides.append((lib, change(lib, module)))
    assert repr(sides[0][1]) == repr(sides[1][1])
    assert_same(state(sides[0][1]), state(sides[1][1]), atol)
    for i in range(calls):
        found = []
        for lib, module in sides:
            module.train(i != 1)
            module.zero_grad()
            if shape is None:
                found.append({"out": numpy(module(lib.from_numpy(inputs(name, shape))))})
            else:
                found.append(step(lib, module, inputs(name, shape)))
        assert_same(*found, atol=atol)
    return sides


@pytest.mark.parametrize("form", ["hook", "parametrization"])
@pytest.mark.parametrize("dim", [0, 1, None])
@pytest.mark.parametrize("name", LAYERS)
def test_weight_norm(name, dim, form):
    def change(lib, module):
        utils = lib.nn.utils
        where = utils if form == "hook" else utils.parametrizations
        return where.weight_norm(module, dim=dim)

    sides = compare(name, change)
    for lib, module in sides:
        if form == "hook":
            lib.nn.utils.remove_weight_norm(module)
            with pytest.raises(ValueError):
                lib.nn.utils.remove_weight_norm(module)
        else:
            lib.nn.utils.parametrize.remove_parametrizations(module, "weight")
    assert repr(sides[0][1]) == repr(sides[1][1])
    assert_same(state(sides[0][1]), state(sides[1][1]))


@pytest.mark.parametrize("form", ["hook", "parametrization"])
@pytest.mark.parametrize("name", LAYERS)
def test_spectral_norm(name, form):
    def change(lib, module):
        utils = lib.nn.utils
        where = utils if form == "hook" else utils.parametrizations
        return where.spectral_norm(module, n_power_iterations=2)

    sides = compare(name, change)
    metadata = [module.state_dict()._metadata for _, module in sides]
    assert metadata[0] == metadata[1]
    for lib, module in sides:
        if form == "hook":
            lib.nn.utils.remove_spectral_norm(module)
            with pytest.raises(ValueError):
                lib.nn.utils.remove_spectral_norm(module)
        else:
            lib.nn.utils.parametrize.remove_parametrizations(module, "weight")
    assert_same(state(sides[0][1]), state(sides[1][1]))


def test_spectral_norm_of_a_vector():
    def change(lib, module):
        return lib.nn.utils.parametrizations.spectral_norm(module, "bias")

    compare("Linear", change)


@pytest.mark.parametrize("trivialization", [True, False])
@pytest.mark.parametrize("kind", ["matrix_exp", "cayley", "householder", None])
@pytest.mark.parametrize("shape", [(4, 4), (3, 5), (5, 3)], ids=str)
def test_orthogonal(shape, kind, trivialization):
    found = []
    for lib in (ember, torch):
        module = build(lib, "Linear", *shape)
        lib.manual_seed(4)
        lib.nn.utils.parametrizations.orthogonal(
            module, orthogonal_map=kind, use_trivialization=trivialization
        )
        found.append(step(lib, module, np.random.default_rng(2).uniform(-1, 1, (2, shape[0]))))
        w = numpy(module.weight)
        small = w.T @ w if w.shape[0] > w.shape[1] else w @ w.T
        np.testing.assert_allclose(small, np.eye(len(small)), atol=1e-12)
    assert_same(*found)


def test_orthogonal_weights_are_assigned():
    found = []
    for lib in (ember, torch):
        for kind in ("matrix_exp", "householder"):
            module = build(lib, "Linear", 4, 4)
            lib.nn.utils.parametrizations.orthogonal(module, orthogonal_map=kind)
            target = np.linalg.qr(np.random.default_rng(5).uniform(-1, 1, (4, 4)))[0]
            module.weight = lib.from_numpy(target.copy())
            np.testing.assert_allclose(numpy(module.weight), target, atol=1e-12)
        found.append(state(module))
    assert_same(*found)


def functions(lib):
    class Symmetric(lib.nn.Module):
        def forward(self, x):
            return x.triu() + x.triu(1).mT

        def right_inverse(self, a):
            return a.triu()

    class Half(lib.nn.Module):
        def forward(self, x):
            return x / 2

    class Sum(lib.nn.Module):
        def forward(self, x, y):
            return x + y

        def right_inverse(self, z):
            return z * 0.25, z * 0.75

    return Symmetric, Half, Sum


def test_register_assign_and_remove():
    found = []
    for lib in (ember, torch):
        symmetric, half, total = functions(lib)
        parametrize = lib.nn.utils.parametrize
        module = build(lib, "Linear", 3, 3)
        weight = module.weight
        assert not parametrize.is_parametrized(module)
        assert parametrize.register_parametrization(module, "weight", symmetric()) is module
        assert parametrize.is_parametrized(module) and parametrize.is_parametrized(module, "weight")
        assert not parametrize.is_parametrized(module, "bias")
        assert module.parametrizations.weight.original is weight
        assert type(module).__name__ == "ParametrizedLinear" and isinstance(module, lib.nn.Linear)
        assert parametrize.type_before_parametrizations(module) is lib.nn.Linear
        assert "weight" not in dict(module.named_parameters())
        names = [repr(module), *state(module)]
        values = [numpy(module.weight)]
        module.weight = lib.arange(9.0).double().reshape(3, 3)
        values.append(numpy(module.weight))
        parametrize.register_parametrization(module, "weight", half())
        parametrize.register_parametrization(module, "bias", total())
        names += [repr(module), *state(module)]
        values += [numpy(module.weight), numpy(module.bias)]
        with parametrize.cached():
            assert module.weight is module.weight
        assert module.weight is not module.weight
        copied = copy.deepcopy(module)
        with lib.no_grad():
            copied.parametrizations.weight.original.zero_()
        assert not numpy(copied.weight).any() and numpy(module.weight).any()
        with pytest.raises(RuntimeError):
            pickle.dumps(module)
        with pytest.raises(RuntimeError):
            module.weight = lib.zeros(3, 3).double()  # Half has no right_inverse
        with pytest.raises(ValueError):
            parametrize.remove_parametrizations(module, "bias", leave_parametrized=False)
        parametrize.remove_parametrizations(module, "bias")
        parametrize.remove_parametrizations(module, "weight", leave_parametrized=False)
        assert type(module) is lib.nn.Linear and not hasattr(module, "parametrizations")
        assert isinstance(module.weight, lib.nn.Parameter) and module.weight is weight
        with pytest.raises(ValueError):
            parametrize.remove_parametrizations(module, "weight")
        values += state(module).values()
        found.append((names, values))
    assert found[0][0] == found[1][0]
    for a, b in zip(found[0][1], found[1][1], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)


def test_transfer():
    found = []
    for lib in (ember, torch):
        symmetric, _, total = functions(lib)
        parametrize = lib.nn.utils.parametrize
        a, b = build(lib, "Linear", 3, 3), build(lib, "Linear", 3, 3, seed=9)
        parametrize.register_parametrization(a, "weight", symmetric())
        parametrize.register_parametrization(a, "bias", total())
        assert parametrize.transfer_parametrizations_and_params(a, b) is b
        found.append((repr(b), state(b)))
        np.testing.assert_array_equal(numpy(a.weight), numpy(b.weight))
    assert found[0][0] == found[1][0]
    assert_same(found[0][1], found[1][1])


def test_bad_parametrizations():
    for lib in (ember, torch):
        parametrize, utils = lib.nn.utils.parametrize, lib.nn.utils

        class Wider(lib.nn.Module):
            def forward(self, x):
                return x.double()

        class Longer(lib.nn.Module):
            def forward(self, x, lib=lib):
                return lib.cat([x, x])

        class Nothing(lib.nn.Module):
            def forward(self, x):
                return None

        for function in (Wider, Longer, Nothing):
            with pytest.raises(ValueError):
                parametrize.register_parametrization(lib.nn.Linear(3, 3), "weight", function())
        module = lib.nn.Linear(3, 3)
        parametrize.register_parametrization(module, "weight", Longer(), unsafe=True)
        assert tuple(module.weight.shape) == (6, 3)
        for name in ("weights", "forward"):
            with pytest.raises(ValueError):
                parametrize.register_parametrization(lib.nn.Linear(3, 3), name, Longer())
        with pytest.raises(ValueError):
            parametrize.ParametrizationList([], lib.zeros(3))
        for call in (
            lambda utils=utils, lib=lib: utils.parametrizations.orthogonal(
                lib.nn.Linear(3, 3), "w"
            ),
            lambda utils=utils, lib=lib: utils.parametrizations.orthogonal(
                lib.nn.Linear(3, 3), "bias"
            ),
            lambda utils=utils, lib=lib: utils.parametrizations.orthogonal(
                lib.nn.Linear(3, 3), orthogonal_map="qr"
            ),
            lambda utils=utils, lib=lib: utils.parametrizations.spectral_norm(
                lib.nn.Linear(3, 3), n_power_iterations=0
            ),
            lambda utils=utils, lib=lib: utils.spectral_norm(
                lib.nn.Linear(3, 3), n_power_iterations=0
            ),
        ):
            with pytest.raises(ValueError):
                call()
        for norm in (utils.weight_norm, utils.spectral_norm):
            with pytest.raises(RuntimeError):
                norm(norm(lib.nn.Linear(3, 3)))


def test_old_states_of_weight_norm_load():
    ours = ember.nn.utils.parametrizations.weight_norm(build(ember, "Linear", 5, 3, seed=8))
    theirs = torch.nn.utils.weight_norm(build(torch, "Linear", 5, 3))
    old = {key: ember.from_numpy(value.copy()) for key, value in state(theirs).items()}
    ours.load_state_dict(old)
    np.testing.assert_allclose(numpy(ours.weight), numpy(theirs.weight), rtol=1e-12)
