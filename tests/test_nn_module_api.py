"""What programs rely on in ``nn.Module`` and the containers.

Most tests run on Ember and, where it is installed, on PyTorch: what they state is PyTorch's.
"""

import copy
import gc
import pickle
import threading
import warnings
import weakref
from collections import OrderedDict

import numpy as np
import pytest

import ember


@pytest.fixture(params=["ember", "torch"])
def lib(request):
    return ember if request.param == "ember" else pytest.importorskip("torch")


def same(a, b):
    return np.array_equal(a.detach().numpy(), b.detach().numpy())


def make_net(lib):
    nn = lib.nn

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU())
            self.head = nn.Linear(4, 2, bias=False)
            self.scale = nn.Parameter(lib.ones(2))
            self.register_parameter("absent", None)
            self.register_buffer("offset", lib.zeros(2))
            self.register_buffer("scratch", lib.zeros(1), persistent=False)
            self.note = "plain"

        def forward(self, x):
            return self.head(self.body(x)) * self.scale + self.offset

    return Net()


NAMES = ["scale", "body.0.weight", "body.0.bias", "body.1.weight", "body.1.bias", "head.weight"]
STATE = [
    "scale",
    "offset",
    "body.0.weight",
    "body.0.bias",
    "body.1.weight",
    "body.1.bias",
    "body.1.running_mean",
    "body.1.running_var",
    "body.1.num_batches_tracked",
    "head.weight",
]


class PlainModule(ember.nn.Module):
    """At module level, so that it can be pickled."""

    def __init__(self):
        super().__init__()
        self.inner = ember.nn.Linear(2, 3)
        self.shared = self.inner.weight
        self.register_buffer("seen", ember.zeros(1))

    def forward(self, x):
        return self.inner(x) + self.shared.sum() + self.seen


class OwnState(PlainModule):
    """Defines its own pickled state and does not call the base class."""

    def __init__(self):
        super().__init__()
        self.lock = threading.Lock()

    def __getstate__(self):
        state = self.__dict__.copy()
        del state["lock"]
        return state

    def __setstate__(self, state):
        self.__dict__.update(state)
        self.lock = threading.Lock()


# Registration and attributes


def test_traversal(lib):
    net = make_net(lib)
    assert [n for n, _ in net.named_parameters()] == NAMES
    assert [n for n, _ in net.named_parameters("net", recurse=False)] == ["net.scale"]
    assert len(list(net.parameters())) == len(NAMES)
    assert [n for n, _ in net.named_buffers(recurse=False)] == ["offset", "scratch"]
    assert len(list(net.buffers())) == 5
    assert [n for n, _ in net.named_children()] == ["body", "head"]
    assert list(net.children()) == [net.body, net.head]
    assert [n for n, _ in net.named_modules()] == ["", "body", "body.0", "body.1", "body.2", "head"]
    assert [n for n, _ in net.named_modules(prefix="x")][:2] == ["x", "x.body"]
    assert next(net.modules()) is net
    assert list(net.state_dict()) == STATE


def test_shared_members_are_yielded_once(lib):
    nn = lib.nn
    layer = nn.Linear(2, 2)
    net = nn.Sequential(layer, nn.Linear(2, 2), layer)
    net[1].weight = layer.weight
    assert [n for n, _ in net.named_parameters()] == ["0.weight", "0.bias", "1.bias"]
    assert len(list(net.named_parameters(remove_duplicate=False))) == 6
    assert [n for n, _ in net.named_modules()] == ["", "0", "1"]
    assert len(list(net.named_modules(remove_duplicate=False))) == 4
    assert len(list(net.children())) == 2
    assert len(net.state_dict()) == 6


def test_assignment_moves_names_between_registries(lib):
    nn = lib.nn
    m = nn.Module()
    m.x = 5
    m.x = nn.Parameter(lib.zeros(1))
    assert "x" in m._parameters
    m._parameters["x"] = None
    with pytest.raises(TypeError):
        m.x = nn.Linear(1, 1)
    del m.x
    m.x = nn.Linear(1, 1)
    m.x = nn.Parameter(lib.zeros(1))
    assert "x" in m._parameters and "x" not in m._modules
    del m.x
    m.register_buffer("x", lib.ones(1), persistent=False)
    assert m.state_dict() == {}
    m.x = lib.zeros(2)
    assert m._buffers["x"].shape == (2,) and m.state_dict() == {}
    m.x = nn.Parameter(lib.ones(3))
    assert "x" not in m._buffers and list(m.state_dict()) == ["x"]
    m.x = None
    assert m.x is None and m._parameters == {"x": None}
    del m.x
    assert not hasattr(m, "x")
    m.x = lib.ones(1)
    assert not m._buffers and same(m.x, lib.ones(1))


def test_buffer_class(lib):
    m = lib.nn.Module()
    m.kept = lib.nn.Buffer(lib.ones(2))
    m.transient = lib.nn.Buffer(lib.ones(2), persistent=False)
    assert [n for n, _ in m.named_buffers()] == ["kept", "transient"]
    assert list(m.state_dict()) == ["kept"]
    assert isinstance(m.kept, lib.nn.Buffer)
    assert not isinstance(lib.ones(1), lib.nn.Buffer)


def test_registries_can_be_written_directly(lib):
    nn = lib.nn
    m = nn.Linear(2, 2)
    new = nn.Parameter(lib.ones(2, 2))
    m._parameters["weight"] = new
    assert m.weight is new
    del m._parameters["weight"]
    assert not hasattr(m, "weight")
    m.weight = lib.zeros(2, 2)
    assert [n for n, _ in m.named_parameters()] == ["bias"]
    del m.weight
    m._parameters.update(weight=new)
    m._buffers["count"] = lib.zeros(1)
    m._modules["sub"] = nn.Identity()
    assert m.weight is new and m.count is m._buffers["count"] and m.sub is m._modules["sub"]
    assert m._buffers.pop("count") is not None and m._buffers.pop("count", 3) == 3
    assert not hasattr(m, "count")
    assert m._parameters.setdefault("weight", None) is new
    assert m._parameters.popitem() == ("weight", new)
    m._modules.clear()
    m._parameters |= {"extra": new}
    assert not hasattr(m, "sub") and not hasattr(m, "weight") and m.extra is new
    m._parameters = {"other": new}
    assert m.other is new and not hasattr(m, "extra")


def test_class_attributes_come_first(lib):
    class Scaled(lib.nn.Linear):
        @property
        def scaled(self):
            return self.weight * 2

    m = Scaled(2, 2)
    m._parameters["scaled"] = lib.nn.Parameter(lib.zeros(1))
    assert m.scaled.shape == (2, 2)
    with pytest.raises(KeyError):
        m.register_buffer("forward", None)


def test_getattr_of_subclasses(lib):
    class Wrapper(lib.nn.Module):
        def __init__(self, inner):
            super().__init__()
            self.inner = inner

        def __getattr__(self, name):
            try:
                return super().__getattr__(name)
            except AttributeError:
                if name == "inner":
                    raise
                return getattr(self.inner, name)

    class Further(Wrapper):
        def __getattr__(self, name):
            return 42 if name == "answer" else super().__getattr__(name)

    m = Further(lib.nn.Linear(3, 2))
    assert m.in_features == 3 and m.answer == 42 and m.weight is m.inner.weight
    with pytest.raises(AttributeError, match="missing"):
        m.missing
    with pytest.raises(AttributeError, match="'Linear' object has no attribute 'missing'"):
        m.inner.missing


@pytest.mark.parametrize(
    "error, act",
    [
        (KeyError, lambda lib, m: m.register_parameter("a.b", None)),
        (KeyError, lambda lib, m: m.register_parameter("", None)),
        (KeyError, lambda lib, m: m.register_parameter("note", None)),
        (TypeError, lambda lib, m: m.register_parameter(3, None)),
        (TypeError, lambda lib, m: m.register_parameter("p", lib.zeros(1))),
        (ValueError, lambda lib, m: m.register_parameter("p", non_leaf(lib))),
        (KeyError, lambda lib, m: m.register_buffer("a.b", None)),
        (KeyError, lambda lib, m: m.register_buffer("", None)),
        (KeyError, lambda lib, m: m.register_buffer("scale", None)),
        (TypeError, lambda lib, m: m.register_buffer(3, None)),
        (TypeError, lambda lib, m: m.register_buffer("b", 3)),
        (KeyError, lambda lib, m: m.add_module("a.b", None)),
        (KeyError, lambda lib, m: m.add_module("", None)),
        (KeyError, lambda lib, m: m.add_module("forward", None)),
        (TypeError, lambda lib, m: m.add_module(3, lib.nn.Identity())),
        (TypeError, lambda lib, m: m.add_module("child", lib.zeros(1))),
        (TypeError, lambda lib, m: setattr(m, "scale", lib.zeros(2))),
        (TypeError, lambda lib, m: setattr(m, "head", 3)),
        (TypeError, lambda lib, m: setattr(m, "offset", 3)),
        (AttributeError, lambda lib, m: delattr(m, "missing")),
        (AttributeError, lambda lib, m: m.get_submodule("body.7")),
        (AttributeError, lambda lib, m: m.get_submodule("scale")),
        (AttributeError, lambda lib, m: m.get_parameter("offset")),
        (AttributeError, lambda lib, m: m.get_parameter("nothing")),
        (AttributeError, lambda lib, m: m.get_buffer("scale")),
        (AttributeError, lambda lib, m: m.set_submodule("body.0.weight", lib.nn.Identity())),
        (AttributeError, lambda lib, m: m.set_submodule("new", lib.nn.Identity(), strict=True)),
        (ValueError, lambda lib, m: m.set_submodule("", lib.nn.Identity())),
        (ValueError, lambda lib, m: m.set_submodule("body", 3)),
        (ValueError, lambda lib, m: m.train("yes")),
        (TypeError, lambda lib, m: m.to(lib.int32)),
        (TypeError, lambda lib, m: m.to("cpu", "cpu", "cpu", "cpu")),
        (TypeError, lambda lib, m: m.load_state_dict([1])),
        (TypeError, lambda lib, m: lib.nn.Module(3)),
        (TypeError, lambda lib, m: lib.nn.Module(size=3)),
        (NotImplementedError, lambda lib, m: lib.nn.Module()(3)),
        (NotImplementedError, lambda lib, m: lib.nn.ModuleList()(3)),
    ],
)
def test_rejects(lib, error, act):
    with pytest.raises(error):
        act(lib, make_net(lib))


def non_leaf(lib):
    value = lib.nn.Parameter(lib.ones(1)) * 2
    value._is_param = True
    return value


def test_assignment_before_init(lib):
    for value in (lib.nn.Parameter(lib.zeros(1)), lib.nn.Linear(1, 1)):

        class Early(lib.nn.Module):
            def __init__(self, value=value):
                self.early = value
                super().__init__()

        with pytest.raises(AttributeError, match=r"before Module.__init__\(\) call"):
            Early()

    class Plain(lib.nn.Module):
        def __init__(self):
            self.size = 3
            super().__init__()

    assert Plain().size == 3


def test_init_can_run_again(lib):
    m = lib.nn.Linear(2, 3)
    m.__init__(4, 5, bias=False)
    assert m.weight.shape == (5, 4) and m.bias is None
    assert list(m.state_dict()) == ["weight"]


def test_mixin_gets_the_arguments_of_init(lib):
    class Mixin:
        def __init__(self, size):
            self.size = size

    class Net(lib.nn.Module, Mixin):
        call_super_init = True

    assert Net(5).size == 5


def test_access_by_name(lib):
    net = make_net(lib)
    assert net.get_submodule("") is net
    assert net.get_submodule("body.0") is net.body[0]
    assert net.get_parameter("body.0.bias") is net.body[0].bias
    assert net.get_buffer("body.1.running_mean") is net.body[1].running_mean
    new = lib.nn.Identity()
    net.set_submodule("body.2", new)
    assert net.body[2] is new
    net.set_submodule("extra", new)
    assert net.extra is new


def test_dir_and_vars(lib):
    net = make_net(lib)
    names = dir(net)
    for name in ("scale", "offset", "body", "note", "forward", "training", "absent"):
        assert names.count(name) == 1
    assert not any(name[0].isdigit() for name in dir(net.body))
    assert vars(net)["note"] == "plain"


# Copies


@pytest.mark.parametrize("cls", [PlainModule, OwnState])
@pytest.mark.parametrize(
    "duplicate",
    [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))],
    ids=["deepcopy", "pickle"],
)
def test_copies_are_independent(duplicate, cls):
    ember.manual_seed(0)
    original = cls()
    original.eval()
    made = duplicate(original)
    x = ember.randn(4, 2)
    assert same(made(x), original(x))
    assert not made.training and not made.inner.training
    assert made.shared is made.inner.weight and made.shared is not original.shared
    assert made.inner is made._modules["inner"]
    # The registries of the copy are its own and still mirrored.
    made._parameters["shared"] = new = ember.nn.Parameter(ember.ones(3, 2))
    assert made.shared is new and original.shared is original.inner.weight
    made.double()
    assert made.seen.dtype == ember.float64 and original.seen.dtype == ember.float32
    assert list(made.state_dict()) == list(original.state_dict())
    if cls is OwnState:
        assert made.lock is not original.lock


def test_shallow_copies_have_their_own_registries():
    original = PlainModule()
    made = copy.copy(original)
    assert made.shared is original.shared and made.inner is original.inner
    made.shared = ember.nn.Parameter(ember.zeros(3, 2))
    assert original.shared is original.inner.weight
    replica = PlainModule.__new__(PlainModule)
    replica.__dict__ = original.__dict__.copy()
    replica._buffers = replica._buffers.copy()
    replica.seen = ember.ones(1)
    assert same(original.seen, ember.zeros(1)) and replica.inner is original.inner


def test_copied_registry_belongs_to_nobody():
    m = PlainModule()
    for made in (copy.copy(m._parameters), m._parameters.copy(), copy.deepcopy(m._parameters)):
        made["shared"] = None
        assert m.shared is m.inner.weight


def test_modules_are_freed_without_the_collector(lib):
    gc.disable()
    try:
        net = make_net(lib)
        net(lib.ones(2, 3))
        alive = weakref.ref(net)
        weight = weakref.ref(net.head.weight)
        del net
        assert alive() is None and weight() is None
    finally:
        gc.enable()


def test_parameter(lib):
    data = lib.ones(3)
    p = lib.nn.Parameter(data)
    assert p.requires_grad and p.is_leaf and p.data_ptr() == data.data_ptr()
    assert not lib.nn.Parameter(data, requires_grad=False).requires_grad
    assert isinstance(p, lib.nn.Parameter) and isinstance(p, lib.Tensor)
    assert not isinstance(data, lib.nn.Parameter) and not isinstance(p * 2, lib.nn.Parameter)
    assert repr(p).startswith("Parameter containing:\n")
    assert lib.nn.Parameter().shape == (0,)
    with lib.no_grad():
        assert lib.nn.Parameter(data).requires_grad
    again = copy.deepcopy(p)
    assert type(again) is lib.nn.Parameter and same(again, p) and again.data_ptr() != p.data_ptr()


def test_parameter_pickles():
    p = ember.nn.Parameter(ember.ones(3), requires_grad=False)
    again = pickle.loads(pickle.dumps(p))
    assert type(again) is ember.nn.Parameter and same(again, p) and not again.requires_grad
    with pytest.raises(TypeError, match="Parameter: data must be a Tensor"):
        ember.nn.Parameter([1.0])


# Conversion and modes


def test_conversion_keeps_parameters_and_integers(lib):
    net = make_net(lib)
    net(lib.ones(4, 3)).sum().backward()
    params = list(net.parameters())
    grad = net.scale.grad
    assert net.double() is net
    assert all(a is b for a, b in zip(params, net.parameters(), strict=True))
    assert net.scale.dtype == lib.float64 and net.scale.grad is grad
    assert net.scale.grad.dtype == lib.float64
    assert net.offset.dtype == lib.float64
    assert net.body[1].num_batches_tracked.dtype == lib.int64
    assert net.offset is net._buffers["offset"]
    for method, dtype in (
        ("half", lib.float16),
        ("bfloat16", lib.bfloat16),
        ("float", lib.float32),
        ("cpu", lib.float32),
    ):
        assert getattr(net, method)().scale.dtype == dtype
    assert net.type(lib.float64).body[1].num_batches_tracked.dtype == lib.float64


def test_to(lib):
    net = make_net(lib)
    before = net.scale.data_ptr()
    assert net.to("cpu") is net and net.scale.data_ptr() == before
    for args, kwargs, dtype in (
        ((lib.float64,), {}, lib.float64),
        (("cpu", lib.float32), {}, lib.float32),
        ((), {"dtype": lib.float64, "device": lib.device("cpu")}, lib.float64),
        ((lib.zeros(1),), {}, lib.float32),
        ((lib.float64, True), {}, lib.float64),
        ((None, lib.float32), {"non_blocking": True}, lib.float32),
    ):
        net.to(*args, **kwargs)
        assert net.scale.dtype == dtype and net.offset.dtype == dtype
    conv = lib.nn.Conv2d(2, 3, 3).to(memory_format=lib.channels_last)
    assert conv.weight.is_contiguous(memory_format=lib.channels_last)
    assert conv.bias.is_contiguous()
    with pytest.raises(TypeError):
        net.to(wrong=3)


def test_modes(lib):
    net = make_net(lib)
    assert net.training
    assert net.eval() is net and not any(m.training for m in net.modules())
    net.body.train()
    assert net.body[1].training and not net.training
    net.requires_grad_(False)
    assert not any(p.requires_grad for p in net.parameters())


def test_zero_grad(lib):
    net = make_net(lib)
    net(lib.ones(4, 3)).sum().backward()
    grad = net.scale.grad
    net.zero_grad(set_to_none=False)
    assert net.scale.grad is grad and not grad.any()
    net.zero_grad()
    assert all(p.grad is None for p in net.parameters())


def test_apply(lib):
    seen = []
    net = make_net(lib)
    assert net.apply(lambda m: seen.append(type(m).__name__)) is net
    assert seen == ["Linear", "BatchNorm1d", "ReLU", "Sequential", "Linear", "Net"]


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
    with pytest.raises(RuntimeError, match="number of grad_input|1 grad_input"):
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


# Description


def test_repr(lib):
    nn = lib.nn

    class Named(nn.Module):
        def extra_repr(self):
            return "size=3\nkind=small"

    net = nn.Sequential(OrderedDict(a=nn.Linear(1, 2), b=nn.Sequential(nn.ReLU()), c=Named()))
    net.c.list = nn.ModuleList([nn.ReLU(), nn.ReLU(), nn.Linear(1, 1), nn.ReLU(True)])
    net.none = None
    assert repr(net) == (
        "Sequential(\n"
        "  (a): Linear(in_features=1, out_features=2, bias=True)\n"
        "  (b): Sequential(\n"
        "    (0): ReLU()\n"
        "  )\n"
        "  (c): Named(\n"
        "    size=3\n"
        "    kind=small\n"
        "    (list): ModuleList(\n"
        "      (0-1): 2 x ReLU()\n"
        "      (2): Linear(in_features=1, out_features=1, bias=True)\n"
        "      (3): ReLU(inplace=True)\n"
        "    )\n"
        "  )\n"
        ")"
    )
    assert repr(nn.ModuleList()) == "ModuleList()"
    assert repr(nn.ModuleDict({"x": nn.ReLU()})) == "ModuleDict(\n  (x): ReLU()\n)"
    values = repr(nn.ParameterList([lib.zeros(2, 3), 5]))
    assert values.startswith("ParameterList(\n    (0): Parameter containing: [")
    assert values.endswith(" of size 2x3]\n    (1): Object of type: int\n)")


# Containers


def test_sequential(lib):
    nn = lib.nn
    a, b, c, d = (nn.Linear(1, 1) for _ in range(4))
    s = nn.Sequential(a, b)
    assert s.append(c) is s and list(s) == [a, b, c] and len(s) == 3
    assert s[0] is a and s[-1] is c
    tail = s[1:]
    assert type(tail) is nn.Sequential and list(tail) == [b, c] and tail[0] is b
    assert list(tail._modules) == ["1", "2"]
    s[1] = d
    assert list(s) == [a, d, c]
    assert s.insert(0, b) is s and list(s) == [b, a, d, c]
    s.insert(-1, nn.Identity())
    assert len(s) == 5 and s[4] is c
    del s[1]
    del s[-2:]
    assert list(s) == [b, d] and list(s._modules) == ["0", "1"]
    assert s.pop(0) is b and list(s) == [d]
    s.extend([a, b])
    assert list(s) == [d, a, b]
    assert list(s + nn.Sequential(c)) == [d, a, b, c]
    s += nn.Sequential(c)
    assert list(s) == [d, a, b, c]
    assert list(nn.Sequential(a, b) * 2) == [a, b, a, b] == list(2 * nn.Sequential(a, b))
    t = nn.Sequential(a, b)
    t *= 3
    assert list(t) == [a, b] * 3
    named = nn.Sequential(OrderedDict(x=a, y=b))
    assert named.x is a and named[1] is b
    assert same(named(lib.ones(1, 1)), b(a(lib.ones(1, 1))))


def test_module_list(lib):
    nn = lib.nn
    a, b, c = (nn.Linear(1, 1) for _ in range(3))
    m = nn.ModuleList([a])
    m.append(b)
    m.insert(0, c)
    assert list(m) == [c, a, b] and m[-1] is b and len(m) == 3
    assert type(m[:2]) is nn.ModuleList and list(m[::2]) == [c, b]
    m[0] = nn.Identity()
    del m[0]
    assert list(m._modules) == ["0", "1"]
    m += [c]
    assert list(m + [a]) == [a, b, c, a]
    assert m.pop(1) is b and list(m.extend([b])) == [a, c, b]
    assert a in m and [n for n, _ in m.named_parameters()][:2] == ["0.weight", "0.bias"]


def test_module_dict(lib):
    nn = lib.nn
    a, b, c = (nn.Linear(1, 1) for _ in range(3))
    m = nn.ModuleDict({"a": a})
    m["b"] = b
    m.update([("c", c), ("a", b)])
    assert list(m) == list(m.keys()) == ["a", "b", "c"] and m["a"] is b and m.c is c
    assert list(m.values()) == [b, b, c] and dict(m.items())["c"] is c
    assert "a" in m and len(m) == 3
    assert m.pop("a") is b and "a" not in m
    del m["b"]
    assert list(nn.ModuleDict(m)) == ["c"]
    m.clear()
    assert len(m) == 0 and not hasattr(m, "c")


def test_parameter_list(lib):
    nn = lib.nn
    p = nn.Parameter(lib.zeros(1))
    m = nn.ParameterList([p, lib.ones(2), "text"])
    assert m[0] is p and isinstance(m[1], nn.Parameter) and m[2] == "text" and len(m) == 3
    assert [n for n, _ in m.named_parameters()] == ["0", "1"]
    m[0] = lib.ones(3)
    assert isinstance(m[0], nn.Parameter) and m[0].shape == (3,)
    m += [p]
    assert m[-1] is p and list(m[2:]) == ["text", p] and type(m[2:]) is nn.ParameterList
    assert m.append(lib.zeros(4)) is m and len(list(m)) == 5
    assert list(m.state_dict()) == ["0", "1", "3", "4"]


def test_parameter_dict(lib):
    nn = lib.nn
    p = nn.Parameter(lib.zeros(1))
    m = nn.ParameterDict({"b": p, "a": lib.ones(2)})
    assert list(m) == ["a", "b"] and m["b"] is p and isinstance(m["a"], nn.Parameter)
    m.update([("c", 5)])
    assert m.get("c") == 5 and m.get("d") is None and m.setdefault("d", p) is p
    assert list(m.keys()) == list(reversed(list(reversed(m)))) == ["a", "b", "c", "d"]
    assert m.popitem() == ("d", p) and m.pop("c") == 5 and len(m) == 2 and "c" not in m
    again = m.copy()
    assert again["b"] is p and dict(again.items()).keys() == {"a", "b"}
    merged = m | nn.ParameterDict({"z": p})
    assert list(merged) == ["a", "b", "z"] and list(m) == ["a", "b"]
    m |= {"y": p}
    assert list(m) == ["a", "b", "y"] and list(m.values())[2] is p
    assert list(m.fromkeys(["u", "v"], 3).values()) == [3, 3]
    del m["a"]
    m.clear()
    assert len(m) == 0 and not list(m.parameters())
    nested = nn.Module()
    nested.table = again
    assert [n for n, _ in nested.named_parameters()] == ["table.a", "table.b"]


@pytest.mark.parametrize(
    "error, act",
    [
        (IndexError, lambda lib, nn: nn.Sequential(nn.ReLU())[1]),
        (IndexError, lambda lib, nn: nn.Sequential(nn.ReLU()).insert(3, nn.ReLU())),
        (AssertionError, lambda lib, nn: nn.Sequential().insert(0, 3)),
        (TypeError, lambda lib, nn: nn.Sequential(3)),
        (ValueError, lambda lib, nn: nn.Sequential() + [nn.ReLU()]),
        (TypeError, lambda lib, nn: nn.Sequential() * 1.5),
        (ValueError, lambda lib, nn: nn.Sequential() * 0),
        (IndexError, lambda lib, nn: nn.ModuleList()[0]),
        (TypeError, lambda lib, nn: nn.ModuleList(3)),
        (TypeError, lambda lib, nn: nn.ModuleList([3])),
        (KeyError, lambda lib, nn: nn.ModuleDict()["a"]),
        (TypeError, lambda lib, nn: nn.ModuleDict({"a": 3})),
        (KeyError, lambda lib, nn: nn.ModuleDict({"keys": nn.ReLU()})),
        (TypeError, lambda lib, nn: nn.ModuleDict(3)),
        (ValueError, lambda lib, nn: nn.ModuleDict([("a", nn.ReLU(), 3)])),
        (TypeError, lambda lib, nn: nn.ModuleDict([3])),
        (IndexError, lambda lib, nn: nn.ParameterList()[0]),
        (TypeError, lambda lib, nn: nn.ParameterList(lib.zeros(3))),
        (RuntimeError, lambda lib, nn: nn.ParameterList()(3)),
        (TypeError, lambda lib, nn: nn.ParameterDict([(3, lib.zeros(1))])),
        (RuntimeError, lambda lib, nn: nn.ParameterDict()(3)),
        (KeyError, lambda lib, nn: nn.ParameterDict().popitem()),
        (KeyError, lambda lib, nn: nn.Module()._parameters.popitem()),
    ],
)
def test_containers_reject(lib, error, act):
    with pytest.raises(error):
        act(lib, lib.nn)


# Utilities


@pytest.mark.parametrize("norm_type", [1.0, 2.0, 3.0, float("inf")])
def test_clip_grad_norm(lib, norm_type):
    params = [lib.nn.Parameter(lib.zeros(n)) for n in (2, 3, 1)]
    for i, p in enumerate(params[:2]):
        p.grad = lib.full(p.shape, 2.0 + i)
    flat = np.array([2.0, 2.0, 3.0, 3.0, 3.0])
    expected = np.linalg.norm(flat, norm_type)
    clip = lib.nn.utils.clip_grad_norm_
    total = clip(iter(params), 1.5, norm_type)
    np.testing.assert_allclose(total.item(), expected, rtol=1e-6)
    np.testing.assert_allclose(params[0].grad.numpy(), 2 * 1.5 / (expected + 1e-6), rtol=1e-6)
    np.testing.assert_allclose(params[1].grad.numpy(), 3 * 1.5 / (expected + 1e-6), rtol=1e-6)
    before = params[1].grad.numpy().copy()
    clip(params[1], 100.0)
    assert np.array_equal(params[1].grad.numpy(), before)
    assert clip([], 1.0).item() == 0


def test_clip_grad_norm_of_infinite_gradients(lib):
    p = lib.nn.Parameter(lib.zeros(2))
    p.grad = lib.tensor([1.0, float("inf")])
    with pytest.raises(RuntimeError, match="error_if_nonfinite"):
        lib.nn.utils.clip_grad_norm_([p], 1.0, error_if_nonfinite=True)
    assert lib.nn.utils.get_total_norm([p.grad]).item() == float("inf")


def test_clip_grad_value(lib):
    p = lib.nn.Parameter(lib.zeros(3))
    p.grad = lib.tensor([-3.0, 0.5, 2.0])
    lib.nn.utils.clip_grad_value_([p, lib.nn.Parameter(lib.zeros(1))], 1)
    assert p.grad.tolist() == [-1.0, 0.5, 1.0]


def test_parameters_as_vector(lib):
    net = lib.nn.Linear(2, 3)
    vector = lib.nn.utils.parameters_to_vector(net.parameters())
    assert vector.shape == (9,) and same(vector[:6].view(3, 2), net.weight)
    lib.nn.utils.vector_to_parameters(lib.arange(9.0), net.parameters())
    assert net.bias.tolist() == [6.0, 7.0, 8.0]
    with pytest.raises(TypeError):
        lib.nn.utils.vector_to_parameters([1.0], net.parameters())
