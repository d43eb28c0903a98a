"""Types that define ``__torch_function__``, against PyTorch."""

from __future__ import annotations

import ember
import pytest
from ember import overrides

torch = pytest.importorskip("torch")

FRAMEWORKS = [ember, torch]


def recorder(framework):
    """A subclass of Tensor that notes the functions it is asked about, and the list of them."""
    calls: list = []

    class Recorder(framework.Tensor):
        @classmethod
        def __torch_function__(cls, func, types, args=(), kwargs=None):
            calls.append(func)
            return super().__torch_function__(func, types, args, kwargs)

    return Recorder, calls


OPERATORS = """
t+1 1+t d+t t+d t-1 1-t d-t t*2 2*t t/2 1/t t//2 1//t t%2 2%t t**2 2**t d**t t@d d@t -t abs(t)
~i i&1 1&i i|1 1|i i^1 1^i i<<1 1<<i i>>1 1>>i t<1 1<t t==1 t!=1 t>=1 t<=d d<=t t[0] t[i-1] d[i-1]
1/d+t t.sum() t.add(d) t.relu() t.float() t.mean(0) t.size() t.dim() t.T t.data t.clone()
t.max(0) t.split(1) t.tolist() t.view(2,1) t.masked_fill(t>1,0) t.detach() i.bool() len(t)
""".split()


@pytest.mark.parametrize("expression", OPERATORS)
def test_methods_and_operators(expression):
    """The same methods are asked about, and results are of the same types."""
    seen = []
    for framework in FRAMEWORKS:
        cls, calls = recorder(framework)
        t = framework.tensor([1.0, 2.0]).as_subclass(cls)
        i = framework.tensor([1, 2]).as_subclass(cls)
        d = framework.tensor([1.0, 2.0])
        result = eval(expression, {"t": t, "i": i, "d": d})
        asked = list(calls)
        named = [f.__name__.replace("__rdiv__", "__rtruediv__") for f in asked]
        kinds = [type(r).__name__ for r in result] if isinstance(result, tuple) else []
        seen.append((named, type(result).__name__, kinds))
    assert seen[0] == seen[1]


IN_PLACE = ["t+=1", "t-=1", "t*=2", "t/=2", "t//=1", "t**=1", "t%=5", "i&=1", "i|=1", "i^=1",
            "i<<=1", "i>>=1", "t[0]=3", "d[0]=t[0]", "d+=t"]  # fmt: skip


@pytest.mark.parametrize("statement", IN_PLACE)
def test_in_place(statement):
    seen = []
    for framework in FRAMEWORKS:
        cls, calls = recorder(framework)
        names = {
            "t": framework.tensor([1.0, 2.0]).as_subclass(cls),
            "i": framework.tensor([1, 2]).as_subclass(cls),
            "d": framework.tensor([1.0, 2.0]),
        }
        exec(statement, names)
        asked = [f.__name__ for f in calls]
        with framework._C.DisableTorchFunctionSubclass():
            values = [type(names[n]).__name__ + str(names[n].tolist()) for n in "tid"]
        seen.append((asked, values))
    assert seen[0] == seen[1]


FUNCTIONS = ["add(t, 1)", "add(d, t)", "sum(t)", "cat([t, d])", "stack((d, t))", "max(t, 0)",
             "add(d, 1, out=t)", "where(t > 1, t, d)", "zeros_like(t)", "relu(t)",
             "softmax(t, dim=0)", "split(t, 1)"]  # fmt: skip


@pytest.mark.parametrize("expression", FUNCTIONS)
def test_functions(expression):
    seen = []
    for framework in FRAMEWORKS:
        cls, calls = recorder(framework)
        t = framework.tensor([1.0, 2.0]).as_subclass(cls)
        names = {**vars(framework), "t": t, "d": framework.tensor([1.0, 2.0])}
        result = eval("f." + expression, {"f": framework, **names})
        assert calls[-1] is getattr(framework, expression.partition("(")[0])
        kinds = [type(r).__name__ for r in result] if isinstance(result, tuple) else []
        seen.append((type(result).__name__, kinds))
    assert seen[0] == seen[1]


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_attributes(framework):
    cls, calls = recorder(framework)
    t = framework.tensor([1.0, 2.0]).as_subclass(cls)
    for name in "shape dtype device grad requires_grad is_leaf ndim layout T data grad_fn".split():
        calls.clear()
        getattr(t, name)
        assert calls == [getattr(framework.Tensor, name).__get__]
    calls.clear()
    t.requires_grad = True
    assert calls == [framework.Tensor.requires_grad.__set__]
    t.sum().backward()
    assert type(t.grad) is framework.Tensor


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_table_of_functions(framework):
    """The usual way: a class with a table from public functions to its own."""
    table = {}

    class Scalar:
        def __init__(self, value):
            self.value = value

        @classmethod
        def __torch_function__(cls, func, types, args=(), kwargs=None):
            if func not in table or not all(issubclass(t, (framework.Tensor, cls)) for t in types):
                return NotImplemented
            return table[func](*args, **(kwargs or {}))

    table[framework.mean] = lambda x, dim=None: x.value
    table[framework.add] = lambda a, b, alpha=1: ("add", alpha)
    table[framework.absolute] = lambda x: "absolute"
    table[framework.cat] = lambda xs, dim=0: ("cat", len(xs))
    s, d = Scalar(3.0), framework.ones(2)
    assert framework.mean(s) == 3.0
    assert framework.mean(s, dim=0) == 3.0
    assert framework.add(s, d, alpha=2) == ("add", 2)
    assert framework.add(d, s) == ("add", 1)
    assert framework.absolute(s) == "absolute"
    assert framework.cat([d, s]) == ("cat", 2)
    with pytest.raises(TypeError):
        framework.sum(s)
    with pytest.raises(TypeError):
        framework.mul(d, s)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_order_of_types(framework):
    """Left before right, but subclasses before their bases; NotImplemented passes on."""
    asked = []

    class A:
        answer = NotImplemented

        @classmethod
        def __torch_function__(cls, func, types, args=(), kwargs=None):
            asked.append(cls.__name__)
            assert {t.__name__ for t in types} == {"A", "B", "C"}
            return cls.answer

    class B(A):
        pass

    class C(A):
        pass

    framework.cat  # noqa: B018
    with pytest.raises(TypeError):
        framework.cat([A(), C(), B(), A()])
    assert asked == ["C", "B", "A"]
    asked.clear()
    B.answer = 5
    assert framework.cat([A(), C(), B(), A()]) == 5
    assert asked == ["C", "B"]


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_not_implemented(framework):
    class Refuses(framework.Tensor):
        @classmethod
        def __torch_function__(cls, func, types, args=(), kwargs=None):
            return NotImplemented

    t = framework.ones(2).as_subclass(Refuses)
    for call in [
        lambda: framework.add(t, 1),
        lambda: t.sum(),
        lambda: t[0],
        lambda: t.shape,
        lambda: t + 1,
        lambda: 1 - t,
        lambda: t < 1,
        lambda: t @ framework.ones(2),
    ]:
        with pytest.raises(TypeError):
            call()
    with framework._C.DisableTorchFunctionSubclass():
        assert framework.add(t, 1).tolist() == [2, 2]
        assert t.shape == (2,)
    with pytest.raises(TypeError):
        t.sum()


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_parameters_stay_out(framework):
    p = framework.nn.Parameter(framework.ones(2))

    class Own(framework.nn.Parameter):
        pass

    for parameter in (p, Own(framework.ones(2))):
        assert type(parameter + 1) is framework.Tensor
        assert type(parameter.sum()) is framework.Tensor
        assert type(framework.add(1, parameter)) is framework.Tensor
        assert not framework.overrides.has_torch_function((parameter,))


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_subclasses_meet(framework):
    class A(framework.Tensor):
        pass

    class B(A):
        pass

    class Other(framework.Tensor):
        pass

    a, b, other = (framework.ones(2).as_subclass(c) for c in (A, B, Other))
    assert type(a + b) is B
    assert type(framework.cat([a, b])) is B
    assert type(a + framework.nn.Parameter(framework.ones(2))) is A
    with pytest.raises(TypeError):
        a + other
    with pytest.raises(TypeError):
        framework.add(a, other)
    assert [type(x) for x in b.unbind()] == [B, B]
    assert [type(x) for x in b] == [B, B]


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_gradients_through_a_subclass(framework):
    class A(framework.Tensor):
        pass

    x = framework.tensor([1.0, 2.0], requires_grad=True)
    y = (x.as_subclass(A) * 3).sum()
    assert type(y) is A
    y.backward()
    assert x.grad.tolist() == [3, 3]
    assert type(x.grad) is framework.Tensor


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_overrides_module(framework):
    o = framework.overrides

    class Like:
        @classmethod
        def __torch_function__(cls, func, types, args=(), kwargs=None):
            return func, args, kwargs

    like = Like()
    assert o.is_tensor_like(like)
    assert o.is_tensor_like(framework.ones(1))
    assert not o.is_tensor_like(3)
    assert o.has_torch_function((1, like))
    assert not o.has_torch_function((1, framework.ones(1)))

    def function(a, b=1):
        return a

    assert o.handle_torch_function(function, (like,), like, b=2) == (function, (like,), {"b": 2})

    @o.wrap_torch_function(lambda a, b=1: (a, b))
    def wrapped(a, b=1):
        return a

    assert wrapped(3) == 3
    assert wrapped(like)[0] is wrapped


def test_exceptions_pass_through():
    class Breaks(ember.Tensor):
        @classmethod
        def __torch_function__(cls, func, types, args=(), kwargs=None):
            raise KeyError("mine")

    t = ember.ones(2).as_subclass(Breaks)
    for call in (lambda: t + 1, lambda: t.sum(), lambda: ember.sum(t), lambda: t[0], lambda: t.T):
        with pytest.raises(KeyError):
            call()
    assert not ember._C._has_torch_function((ember.ones(1),))
    assert overrides.has_torch_function_unary(t)
    assert overrides.has_torch_function_variadic(1, t)


COMPOSED = ["einsum('i,i->', t, d)", "linalg.inv(t.diag())", "nn.functional.interpolate(t[None, None], 4)",
            "cartesian_prod(t, d)", "fft.fftshift(t)", "nn.functional.triplet_margin_loss(t, d, d)"]  # fmt: skip


@pytest.mark.parametrize("expression", COMPOSED)
def test_functions_of_python(expression):
    """What is composed of other functions is overridden under its own name."""
    for framework in FRAMEWORKS:
        cls, calls = recorder(framework)
        t, d = framework.tensor([1.0, 2.0]).as_subclass(cls), framework.ones(2)
        result = eval("f." + expression, {"f": framework, "t": t, "d": d})
        path = expression.partition("(")[0]
        assert calls[-1] is eval("f." + path, {"f": framework}), path
        assert type(result) is cls


PROGRAM = """
y = x + 1; y.relu(); f.zeros(2); f.einsum("i,i->", x, x); x.shape; x[0]; x.sum(0); 1 - x
len(x); x == x; x += 1; f.cat([x, x]); f.eye(2); x.T; x.requires_grad = False; f.add(x, 1, out=y)
f.nn.functional.cross_entropy(x[None], f.zeros(1, dtype=f.int64)); f.nn.functional.relu(x); -x
f.linalg.vector_norm(x); x[0] = 1.0; bool(x[0] == 1); float(x[0]); x.add_(1); f.rand(2)
"""


def spy(framework, log):
    class Spy(framework.overrides.TorchFunctionMode):
        def __torch_function__(self, func, types, args=(), kwargs=None):
            log.append(func.__name__.removeprefix("linalg_"))
            return func(*args, **(kwargs or {}))

    return Spy()


def test_a_mode_sees_every_function():
    seen = []
    for framework in FRAMEWORKS:
        log: list[str] = []
        x = framework.ones(2)
        with spy(framework, log):
            exec(PROGRAM.replace("\n", ";").strip(";"), {"f": framework, "x": x})
        framework.ones(2) + 1
        seen.append(log)
    assert seen[0] == seen[1]


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_modes_nest(framework):
    order = []

    class Mode(framework.overrides.TorchFunctionMode):
        def __init__(self, name):
            super().__init__()
            self.name = name

        def __torch_function__(self, func, types, args=(), kwargs=None):
            order.append(self.name)
            return func(*args, **(kwargs or {})) * 2

    x = framework.ones(2)
    with Mode("outer"), Mode("inner"):
        y = framework.add(x, 1)
    assert order == ["inner", "outer", "outer"] and y.tolist() == [16, 16]

    class Refuses(framework.overrides.TorchFunctionMode):
        def __torch_function__(self, func, types, args=(), kwargs=None):
            return NotImplemented

    class Breaks(framework.overrides.TorchFunctionMode):
        def __torch_function__(self, func, types, args=(), kwargs=None):
            raise KeyError("mine")

    for mode, error in ((Refuses, TypeError), (Breaks, KeyError)):
        with pytest.raises(error), mode():
            x.sum()
    assert x.sum().item() == 2


def test_pop_without_a_mode():
    with pytest.raises(RuntimeError, match="none is entered"):
        ember._C._pop_function_mode()


def test_names_of_functions():
    functions = overrides.get_overridable_functions()
    assert ember.add in functions[ember] and ember.Tensor.add in functions[ember.Tensor]
    assert overrides.resolve_name(ember.linalg.inv) == "ember.linalg.inv"
    assert overrides.resolve_name(ember.Tensor.T.__get__) == "ember.Tensor.T.__get__"
    assert overrides.resolve_name(len) is None
    assert overrides.is_tensor_method_or_property(ember.Tensor.sum)
    assert not overrides.is_tensor_method_or_property(ember.sum)
