"""The containers of ``nn`` and the helpers of ``nn.utils``.

Most tests run on Ember and, where it is installed, on PyTorch: what they state is PyTorch's.
"""

from collections import OrderedDict

import ember
import numpy as np
import pytest
from nn_support import same


@pytest.fixture(params=["ember", "torch"])
def lib(request):
    return ember if request.param == "ember" else pytest.importorskip("torch")


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
    more = [a]
    assert list(m + more) == [a, b, c, a]
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
        (ValueError, lambda lib, nn: nn.Sequential() + nn.ModuleList()),
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
