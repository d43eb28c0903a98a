"""What programs rely on in ``nn.Module``: attributes, copies, conversion, repr.

Most tests run on Ember and, where it is installed, on PyTorch: what they state is PyTorch's.
"""

import copy
import gc
import importlib
import pickle
import threading
import weakref
from abc import ABC
from collections import OrderedDict
from typing import Generic, TypeVar

import ember
import pytest
from nn_support import NAMES, STATE, make_net, same


@pytest.fixture(params=["ember", "torch"])
def lib(request):
    return ember if request.param == "ember" else pytest.importorskip("torch")


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
        _ = m.missing
    with pytest.raises(AttributeError, match="'Linear' object has no attribute 'missing'"):
        _ = m.inner.missing


def test_classes_are_in_pytorchs_modules():
    torch = pytest.importorskip("torch")
    for kind in vars(torch.nn).values():
        if isinstance(kind, type) and kind.__module__.startswith("torch.nn.modules."):
            if not hasattr(ember.nn, kind.__name__):
                continue
            module = importlib.import_module(kind.__module__.replace("torch", "ember", 1))
            assert getattr(module, kind.__name__) is getattr(ember.nn, kind.__name__)
    assert not hasattr(ember.nn.modules.batchnorm, "Missing")


def test_getattr_that_a_module_calls_itself(lib):
    class Levels(lib.nn.Module):
        def __init__(self):
            super().__init__()
            for i in range(2):
                self.add_module(f"level_{i}", lib.nn.Linear(2, 2))

        def level(self, i):
            return self.__getattr__(f"level_{i}")

    class Derived(Levels):
        pass

    for m in Levels(), Derived():
        assert m.level(1) is m.level_1 and m.level(0) is not m.level_1
        with pytest.raises(AttributeError, match="has no attribute 'level_2'"):
            m.level(2)


def test_getattr_of_mixins_and_other_bases(lib):
    class Mixin:
        def __getattr__(self, name):
            return 9 if name == "nine" else super().__getattr__(name)

    class Mixed(Mixin, lib.nn.Module):
        pass

    class Abstract(lib.nn.Module, ABC, Generic[TypeVar("T")]):
        def __getattr__(self, name):
            return super().__getattr__(name)

    for cls in (Mixed, Abstract):
        m = cls()
        m.weight = lib.nn.Parameter(lib.ones(1))
        assert same(m.weight, lib.ones(1)) and not hasattr(m, "missing")
    assert Mixed().nine == 9


def test_class_can_change_later(lib):
    class Doubled(lib.nn.Linear):
        @property
        def weight(self):
            return self.original * 2

    m = lib.nn.Linear(2, 2)
    weight = m.weight
    del m.weight
    m.register_parameter("original", weight)
    m.__class__ = Doubled
    assert same(m.weight, weight * 2) and [n for n, _ in m.named_parameters()] == [
        "bias",
        "original",
    ]


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


def test_copies_keep_references_to_parents():
    parent = PlainModule()
    object.__setattr__(parent.inner, "parent", parent)
    for made in (copy.deepcopy(parent), pickle.loads(pickle.dumps(parent))):
        assert made.inner.parent is made and made._modules["inner"] is made.inner


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
