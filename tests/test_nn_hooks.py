"""``state_dict`` and hooks of ``nn.Module``.

Most tests run on Ember and, where it is installed, on PyTorch: what they state is PyTorch's.
"""

import copy
import warnings
from collections import OrderedDict

import ember
import numpy as np
import pytest
from nn_support import STATE, make_net, same


@pytest.fixture(params=["ember", "torch"])
def lib(request):
    return ember if request.param == "ember" else pytest.importorskip("torch")


# State


def test_state_dict_shares_memory_and_round_trips(lib):
    source, target = make_net(lib), make_net(lib)
    state = source.state_dict()
    assert state["scale"].data_ptr() == source.scale.data_ptr()
    assert not state["scale"].requires_grad
    assert source.state_dict(keep_vars=True)["scale"] is source.scale
    assert state._metadata["body.1"] == {"version": 2}
    with lib.no_grad():
        source.scale.fill_(3)
        source.offset.fill_(4)
    result = target.load_state_dict(source.state_dict())
    assert repr(result) == "<All keys matched successfully>"
    assert result.missing_keys == [] and result.unexpected_keys == []
    assert all(same(a, b) for a, b in zip(source.parameters(), target.parameters(), strict=True))
    assert target.scale is not source.scale and same(target.offset, source.offset)
    into = {}
    assert source.state_dict(destination=into, prefix="m.") is into
    assert list(into) == [f"m.{name}" for name in STATE]


def test_load_reports_all_problems(lib):
    net = make_net(lib)
    state = net.state_dict()
    state["body.0.weight"] = lib.zeros(4, 5)
    state["head.bias"] = lib.zeros(2)
    state["tail.weight"] = lib.zeros(2)
    state["absent"] = lib.zeros(2)
    state["scale"] = "two"
    del state["offset"]
    with pytest.raises(RuntimeError) as caught:
        net.load_state_dict(state)
    text = str(caught.value)
    assert text.startswith("Error(s) in loading state_dict for Net:")
    assert 'Missing key(s) in state_dict: "offset"' in text
    for key in ("head.bias", "tail.weight", "absent"):
        assert f'"{key}"' in text.partition("Unexpected key(s) in state_dict: ")[2]
    shapes = text.partition("size mismatch for body.0.weight")[2].replace("torch.Size(", "(")
    assert "[4, 5]" in shapes.replace("(4, 5)", "[4, 5]")
    assert "[4, 3]" in shapes.replace("(4, 3)", "[4, 3]")
    assert "scale" in text


def test_load_not_strict(lib):
    net = make_net(lib)
    result = net.load_state_dict({"scale": lib.full((2,), 5.0), "other.x": 3}, strict=False)
    assert result.unexpected_keys == ["other.x"] and "offset" in result.missing_keys
    assert same(net.scale, lib.full((2,), 5.0))
    with pytest.raises(RuntimeError, match="size mismatch"):
        net.load_state_dict({"scale": lib.zeros(3)}, strict=False)


def test_load_assign(lib):
    net = make_net(lib)
    net.scale.requires_grad_(False)
    state = {name: value.double() for name, value in net.state_dict().items()}
    net.load_state_dict(state, assign=True)
    assert net.scale.dtype == lib.float64 and net.scale.data_ptr() == state["scale"].data_ptr()
    assert isinstance(net.scale, lib.nn.Parameter) and not net.scale.requires_grad
    assert net.head.weight.requires_grad
    assert net.offset is net._buffers["offset"] and net.offset.dtype == lib.float64


def test_load_converts_values(lib):
    net = lib.nn.Linear(2, 2, bias=False)
    net.load_state_dict({"weight": lib.ones(2, 2).double()})
    assert net.weight.dtype == lib.float32 and same(net.weight, lib.ones(2, 2))
    scalar = lib.nn.Module()
    scalar.register_buffer("count", lib.zeros(()))
    scalar.load_state_dict({"count": lib.ones(1)})
    assert scalar.count.item() == 1


def test_extra_state(lib):
    class Counter(lib.nn.Module):
        calls = 0

        def get_extra_state(self):
            return {"calls": self.calls}

        def set_extra_state(self, state):
            self.calls = state["calls"]

    source, target = (lib.nn.Sequential(Counter()) for _ in range(2))
    source[0].calls = 7
    state = source.state_dict()
    assert list(state) == ["0._extra_state"]
    target.load_state_dict(state)
    assert target[0].calls == 7
    assert target.load_state_dict({}, strict=False).missing_keys == ["0._extra_state"]
    plain = lib.nn.Sequential(lib.nn.Identity())
    assert plain.load_state_dict(state, strict=False).unexpected_keys == ["0._extra_state"]


def test_state_dict_hooks(lib):
    net = make_net(lib)
    calls = []
    net.register_state_dict_pre_hook(lambda m, prefix, keep: calls.append((m is net, prefix, keep)))

    def rename(module, state, prefix, metadata):
        state["renamed"] = state.pop("scale")

    handle = net.register_state_dict_post_hook(rename)
    state = net.state_dict()
    assert calls == [(True, "", False)] and "renamed" in state and "scale" not in state

    def restore(module, state, prefix, metadata, strict, missing, unexpected, errors):
        assert module is net and prefix == "" and strict
        state["scale"] = state.pop("renamed")

    net.register_load_state_dict_pre_hook(restore)
    after = []
    net.register_load_state_dict_post_hook(lambda m, keys: after.append(keys.missing_keys == []))
    net.load_state_dict(state)
    assert after == [True] and "renamed" in state
    handle.remove()
    assert "scale" in net.state_dict()
    returning = net.register_state_dict_post_hook(lambda *args: {})
    with pytest.raises(RuntimeError):
        net.state_dict()
    returning.remove()
    net._register_state_dict_hook(lambda module, state, prefix, metadata: {"all": state})
    assert list(net.state_dict()) == ["all"]


def test_post_hook_can_forgive_missing_keys(lib):
    net = make_net(lib)
    net.register_load_state_dict_post_hook(lambda m, keys: keys.missing_keys.clear())
    net.load_state_dict({})


# Calls and hooks


def test_calls_take_any_arguments(lib):
    class Echo(lib.nn.Module):
        def forward(self, *args, **kwargs):
            return args, kwargs

    echo = Echo()
    for _ in range(2):
        assert echo() == ((), {})
        assert echo(1) == ((1,), {})
        assert echo(None) == ((None,), {})
        assert echo(1, 2, a=3) == ((1, 2), {"a": 3})
        assert echo(input=1) == ((), {"input": 1})
        echo.register_forward_hook(lambda *args: None)


def test_forward_can_be_replaced_on_the_instance(lib):
    m = lib.nn.Identity()
    m.forward = lambda x: x + 1
    assert m(1) == 2


def test_forward_hooks(lib):
    m = lib.nn.Identity()
    log = []
    a = m.register_forward_pre_hook(lambda mod, args: log.append(("pre", args)))
    b = m.register_forward_pre_hook(lambda mod, args: args[0] * 2)
    m.register_forward_pre_hook(lambda mod, args: log.append("first"), prepend=True)
    c = m.register_forward_hook(lambda mod, args, out: out + 1)
    m.register_forward_hook(lambda mod, args, out: log.append((args, out)))
    m.register_forward_hook(lambda mod, args, out: log.append("early"), prepend=True)
    assert m(3) == 7
    assert log == ["first", ("pre", (3,)), "early", ((6,), 7)]
    for handle in (a, b, c):
        handle.remove()
        handle.remove()
    assert m(3) == 3
    with m.register_forward_hook(lambda mod, args, out: -out):
        assert m(3) == -3
    assert m(3) == 3


def test_forward_hooks_with_kwargs(lib):
    class Scale(lib.nn.Module):
        def forward(self, x, by=1):
            return x * by

    m = Scale()
    pre = m.register_forward_pre_hook(
        lambda mod, args, kwargs: (args, {"by": kwargs["by"] + 1}), with_kwargs=True
    )
    seen = []
    m.register_forward_hook(
        lambda mod, args, kwargs, out: seen.append((args, kwargs, out)), with_kwargs=True
    )
    assert m(5, by=2) == 15 and seen == [((5,), {"by": 3}, 15)]
    pre.remove()
    m.register_forward_pre_hook(lambda mod, args, kwargs: 3, with_kwargs=True)
    with pytest.raises(RuntimeError, match="pre-hook"):
        m(5, by=2)


def test_always_called_hooks(lib):
    class Fails(lib.nn.Module):
        def forward(self, x):
            raise ZeroDivisionError

    m = Fails()
    seen = []
    m.register_forward_hook(lambda mod, args, out: seen.append("skipped"))
    m.register_forward_hook(lambda mod, args, out: seen.append(out), always_call=True)
    with pytest.raises(ZeroDivisionError):
        m(1)
    assert seen == [None]

    def broken(mod, args, out):
        raise KeyError("hook")

    m.register_forward_hook(broken, always_call=True)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with pytest.raises(ZeroDivisionError):
            m(1)
    assert len(caught) == 1 and "always_call" in str(caught[0].message)


def test_hook_dictionaries_can_be_written_directly(lib):
    m = lib.nn.Identity()
    m._forward_hooks[77] = lambda mod, args, out: out * 10
    assert m(2) == 20
    m._forward_hooks = OrderedDict()
    assert m(2) == 2
    m.register_forward_hook(lambda mod, args, out: out + 1)
    m._forward_hooks.clear()
    assert m(2) == 2


def test_hooks_are_copied(lib):
    m = lib.nn.Sequential(lib.nn.Identity())
    m[0].register_forward_hook(lambda mod, args, out: out + 1)
    assert copy.deepcopy(m)(1) == 2


def test_full_backward_hooks(lib):
    class TwoIn(lib.nn.Module):
        def forward(self, x, n, y):
            return x * n, y * y

    m = TwoIn()
    log = []

    def hook(mod, grad_input, grad_output):
        assert mod is m
        log.append([None if g is None else g.tolist() for g in (*grad_input, *grad_output)])

    m.register_full_backward_hook(hook)
    x, y = lib.ones(2, requires_grad=True), lib.full((2,), 3.0, requires_grad=True)
    a, b = m(x, 4, y)
    (a.sum() + 2 * b.sum()).backward()
    assert log == [[[4.0, 4.0], None, [12.0, 12.0], [1.0, 1.0], [2.0, 2.0]]]
    assert x.grad.tolist() == [4.0, 4.0] and y.grad.tolist() == [12.0, 12.0]


def test_backward_hooks_replace_gradients(lib):
    m = lib.nn.Identity()
    m.register_full_backward_pre_hook(lambda mod, grad_output: (grad_output[0] * 2,))
    handle = m.register_full_backward_hook(lambda mod, gi, go: (gi[0] + go[0],))
    x = lib.ones(2, requires_grad=True)
    m(x).sum().backward()
    assert x.grad.tolist() == [4.0, 4.0]
    handle.remove()
    x.grad = None
    m(x).sum().backward()
    assert x.grad.tolist() == [2.0, 2.0]
    with lib.no_grad():
        assert m(x) is x
    m.register_full_backward_hook(lambda mod, gi, go: (None, None))
    with pytest.raises(RuntimeError, match=r"number of grad_input|1 grad_input"):
        m(x).sum().backward()


def test_backward_hook_without_input_gradient(lib):
    m = lib.nn.Linear(2, 1)
    log = []
    m.register_full_backward_hook(lambda mod, gi, go: log.append((gi, go[0].tolist())))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        m(lib.ones(1, 2)).sum().backward()
    assert log == [((None,), [[1.0]])]
    assert m.weight.grad.tolist() == [[1.0, 1.0]]


def test_backward_hooks_see_double_backward(lib):
    m = lib.nn.Tanh()
    calls = []
    m.register_full_backward_hook(lambda mod, gi, go: calls.append(1))
    x = lib.full((2,), 0.3, dtype=lib.float64, requires_grad=True)
    (first,) = lib.autograd.grad(m(x).sum(), x, create_graph=True)
    first.sum().backward()
    t = np.tanh(0.3)
    np.testing.assert_allclose(x.grad.numpy(), -2 * t * (1 - t * t), rtol=1e-12)
    assert calls[0] == 1


def test_older_backward_hooks(lib):
    seen = []

    class Double(lib.nn.Module):
        def forward(self, x):
            return x * 2

    m = Double()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        m.register_backward_hook(lambda mod, gi, go: seen.append((mod is m, go[0].tolist())))
        m(lib.ones(1, requires_grad=True)).sum().backward()
    assert seen == [(True, [1.0])]
    with pytest.raises(RuntimeError):
        m.register_full_backward_hook(lambda *args: None)


# Hooks of all modules


@pytest.fixture
def hooks(lib):
    """Registers hooks of all modules by the kind's name and takes them away again."""
    home = lib.nn.modules.module
    handles = []

    def add(kind, hook, **options):
        handles.append(getattr(home, f"register_module_{kind}_hook")(hook, **options))
        return handles[-1]

    yield add
    for handle in handles:
        handle.remove()
    home._global_is_full_backward_hook = None  # PyTorch remembers the kind for good


def kinds(calls):
    return [(kind, type(module).__name__) for kind, module, *_ in calls]


def test_hooks_of_all_modules_run_around_each_call(lib, hooks):
    calls = []
    net = lib.nn.Sequential(lib.nn.Linear(2, 3), lib.nn.ReLU())
    x = lib.ones(4, 2, requires_grad=True)
    hooks("forward_pre", lambda m, args: calls.append(("pre", m, args)))
    hooks("forward", lambda m, args, out: calls.append(("post", m, out)))
    net[0].register_forward_hook(lambda m, args, out: calls.append(("own", m, out)))
    hooks("full_backward_pre", lambda m, grads: calls.append(("grad_pre", m, grads)))
    hooks("full_backward", lambda m, gi, go: calls.append(("grad", m, gi, go)))
    net(x).sum().backward()
    assert kinds(calls) == [
        ("pre", "Sequential"),
        ("pre", "Linear"),
        ("post", "Linear"),
        ("own", "Linear"),
        ("pre", "ReLU"),
        ("post", "ReLU"),
        ("post", "Sequential"),
        ("grad_pre", "Sequential"),
        ("grad_pre", "ReLU"),
        ("grad", "ReLU"),
        ("grad_pre", "Linear"),
        ("grad", "Linear"),
        ("grad", "Sequential"),
    ]
    assert same(calls[-1][2][0], x.grad)


def test_hooks_of_all_modules_change_what_passes(lib, hooks):
    layer = lib.nn.Linear(2, 3)
    x = lib.ones(1, 2)
    plain = layer(x)
    first = hooks("forward_pre", lambda m, args: (args[0] * 2,))
    doubled = layer(x)
    first.remove()
    second = hooks("forward", lambda m, args, kwargs, out: out - out, with_kwargs=True)
    zero = layer(x)
    second.remove()
    assert same(doubled, layer(x * 2)) and not same(doubled, plain)
    assert not zero.any() and same(layer(x), plain)


def test_hook_of_all_modules_that_removes_itself(lib, hooks):
    calls = []
    handle = hooks("forward_pre", lambda m, args: (calls.append(m), handle.remove())[1])
    layer = lib.nn.ReLU()
    layer(lib.ones(1))
    layer(lib.ones(1))
    assert calls == [layer]


def test_hook_of_all_modules_runs_after_an_error(lib, hooks):
    calls = []
    hooks("forward", lambda m, args, out: calls.append((m, out)), always_call=True)
    layer = lib.nn.Linear(2, 3)
    with pytest.raises(RuntimeError):
        layer(lib.ones(5))
    assert calls == [(layer, None)]


@pytest.mark.filterwarnings("ignore:Using a non-full backward hook")
def test_older_backward_hooks_of_all_modules(lib, hooks):
    calls = []
    hooks("backward", lambda m, gi, go: calls.append((m, go)))
    layer = lib.nn.Linear(2, 3)
    layer(lib.ones(1, 2)).sum().backward()
    assert [m for m, _ in calls] == [layer] and same(calls[0][1][0], lib.ones(1, 3))
    with pytest.raises(RuntimeError):
        hooks("full_backward", lambda m, gi, go: None)


def test_hooks_on_registration(lib, hooks):
    seen = []
    hooks("parameter_registration", lambda m, name, p: seen.append(("parameter", name)))
    hooks("buffer_registration", lambda m, name, b: seen.append(("buffer", name)))
    hooks("module_registration", lambda m, name, child: seen.append(("module", name)))
    last = hooks("parameter_registration", lambda m, name, p: lib.nn.Parameter(p.detach() * 0 + 7))
    layer = lib.nn.Linear(2, 1)
    last.remove()
    net = lib.nn.Module()
    net.register_buffer("offset", lib.zeros(1))
    net.layer = layer
    net.add_module("other", layer)
    assert seen == [
        ("parameter", "weight"),
        ("parameter", "bias"),
        ("buffer", "offset"),
        ("module", "layer"),
        ("module", "other"),
    ]
    assert layer.weight.shape == (1, 2) and isinstance(layer.weight, lib.nn.Parameter)
