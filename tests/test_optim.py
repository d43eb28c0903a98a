import copy
import gc
import itertools
import pickle
import weakref

import ember
import pytest
from ember import optim
from opspecs import counts
from torch_bridge import to_ember, to_torch

torch = pytest.importorskip("torch")

SHAPES = [(3, 4), (7,), (), (2, 3, 5)]


def make_params(dtype=torch.float64, seed=0, shapes=SHAPES):
    torch.manual_seed(seed)
    reference = [torch.randn(s, dtype=dtype).requires_grad_() for s in shapes]
    return [to_ember(p) for p in reference], reference


def set_grads(ours, reference, step, missing=()):
    generator = torch.Generator().manual_seed(step)
    for i, (p, q) in enumerate(zip(ours, reference, strict=True)):
        grad = torch.randn(q.shape, generator=generator, dtype=torch.float64).to(q.dtype)
        q.grad = None if i in missing else grad
        p.grad = None if i in missing else to_ember(grad)


def assert_same(ours, reference, tolerance):
    for p, q in zip(ours, reference, strict=True):
        torch.testing.assert_close(to_torch(p), q.detach(), rtol=tolerance, atol=tolerance)


SGD_OPTIONS = [
    {"lr": 0.1},
    {"lr": 0.1, "weight_decay": 0.05},
    {"lr": 0.1, "momentum": 0.9},
    {"lr": 0.1, "momentum": 0.9, "dampening": 0.3, "weight_decay": 0.01},
    {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01},
    {"lr": 0.1, "momentum": 0.5, "maximize": True, "weight_decay": 0.1},
    {"lr": 0.1, "momentum": 0.9, "foreach": False},
]
ADAM_OPTIONS = [
    {},
    {"lr": 0.05, "betas": (0.7, 0.95), "eps": 1e-4},
    {"lr": 0.05, "weight_decay": 0.1},
    {"lr": 0.05, "amsgrad": True},
    {"lr": 0.05, "amsgrad": True, "maximize": True, "weight_decay": 0.01},
    {"lr": 0.05, "betas": (0.0, 0.5)},
]
CASES = (
    [("SGD", o) for o in SGD_OPTIONS]
    + [("Adam", o) for o in ADAM_OPTIONS]
    + [("AdamW", o) for o in ADAM_OPTIONS]
)


@pytest.mark.parametrize(("name", "options"), CASES)
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 2e-6), (torch.bfloat16, 4e-2)]
)
def test_steps_equal_pytorchs(name, options, dtype, tolerance):
    ours, reference = make_params(dtype)
    a = getattr(optim, name)(ours, **options)
    b = getattr(torch.optim, name)(reference, **options)
    for step in range(6):
        # Parameter 1 joins late and parameter 2 misses a step.
        set_grads(ours, reference, step, missing={1} if step < 2 else {2} if step == 3 else ())
        a.step()
        b.step()
    assert_same(ours, reference, tolerance)
    for p, q in zip(ours, reference, strict=True):
        assert set(a.state[p]) == set(b.state[q])
        for key, value in a.state[p].items():
            torch.testing.assert_close(
                to_torch(value), b.state[q][key], rtol=tolerance, atol=tolerance
            )
    counts.add("optimizers", name, 1)


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW"])
def test_dtypes_mix_in_one_group(name):
    pairs = [make_params(d, i, [(5,)]) for i, d in enumerate([torch.float32, torch.float64])]
    ours = [p for mine, _ in pairs for p in mine]
    reference = [q for _, theirs in pairs for q in theirs]
    a = getattr(optim, name)(ours, lr=0.1)
    b = getattr(torch.optim, name)(reference, lr=0.1)
    for step in range(3):
        set_grads(ours, reference, step)
        a.step()
        b.step()
    assert_same(ours, reference, 2e-6)


def test_groups_have_their_own_options():
    ours, reference = make_params()
    options = [
        {"params": slice(0, 2), "lr": 0.5},
        {"params": slice(2, 4), "momentum": 0.9, "weight_decay": 0.1},
    ]
    a = optim.SGD([{**o, "params": ours[o["params"]]} for o in options], lr=0.01)
    b = torch.optim.SGD([{**o, "params": reference[o["params"]]} for o in options], lr=0.01)
    for step in range(4):
        set_grads(ours, reference, step)
        a.step()
        b.step()
    assert_same(ours, reference, 1e-12)
    assert str(a) == str(b)
    extra = ember.zeros(2, requires_grad=True)
    a.add_param_group({"params": extra, "lr": 3.0})
    assert a.param_groups[2]["params"][0] is extra
    assert a.param_groups[2]["lr"] == 3.0 and a.param_groups[2]["momentum"] == 0


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW"])
def test_state_dicts_load_both_ways(name):
    options = {"lr": 0.1, "weight_decay": 0.01}
    options |= {"momentum": 0.9} if name == "SGD" else {"amsgrad": True}
    ours, reference = make_params()
    a = getattr(optim, name)([{"params": ours[:1]}, {"params": ours[1:], "lr": 0.3}], **options)
    b = getattr(torch.optim, name)(
        [{"params": reference[:1]}, {"params": reference[1:], "lr": 0.3}], **options
    )
    for step in range(3):
        set_grads(ours, reference, step)
        a.step()
        b.step()

    mine, theirs = a.state_dict(), b.state_dict()
    assert list(mine) == list(theirs)
    for group, other in zip(mine["param_groups"], theirs["param_groups"], strict=True):
        assert group.keys() == other.keys()
        assert group["params"] == other["params"]
    assert {k: set(v) for k, v in mine["state"].items()} == {
        k: set(v) for k, v in theirs["state"].items()
    }

    def convert(state_dict, function, kind):
        return {
            "state": {
                k: {n: function(t) if isinstance(t, kind) else t for n, t in v.items()}
                for k, v in state_dict["state"].items()
            },
            "param_groups": state_dict["param_groups"],
        }

    ours2 = [p.detach().clone().requires_grad_() for p in ours]
    reference2 = [q.detach().clone().requires_grad_() for q in reference]
    a2 = getattr(optim, name)([{"params": ours2[:1]}, {"params": ours2[1:]}], lr=9.0)
    b2 = getattr(torch.optim, name)(
        [{"params": reference2[:1]}, {"params": reference2[1:]}], lr=9.0
    )
    a2.load_state_dict(convert(theirs, to_ember, torch.Tensor))
    b2.load_state_dict(convert(mine, to_torch, ember.Tensor))
    for step in range(3, 6):
        set_grads(ours2, reference2, step)
        set_grads(ours, reference, step)
        for optimizer in (a, b, a2, b2):
            optimizer.step()
    assert_same(ours2, reference2, 1e-12)
    assert_same(ours2, reference, 1e-12)
    assert_same(ours, reference, 1e-12)


def test_step_count_is_a_float32_scalar():
    p = ember.zeros(3, dtype=ember.float64, requires_grad=True)
    p.grad = ember.ones(3, dtype=ember.float64)
    optimizer = optim.Adam([p])
    optimizer.step()
    optimizer.step()
    step = optimizer.state_dict()["state"][0]["step"]
    assert step.dtype == ember.float32 and step.shape == () and step.item() == 2.0
    optimizer.load_state_dict(optimizer.state_dict())
    assert optimizer.state[p]["step"].dtype == ember.float32


def test_loading_copies_and_old_checkpoints_load():
    p = ember.zeros(2, requires_grad=True)
    p.grad = ember.ones(2)
    saved_buffer = ember.ones(2)
    optimizer = optim.SGD([p], lr=1.0, momentum=0.5)
    state_dict = optimizer.state_dict()
    state_dict["state"] = {0: {"momentum_buffer": saved_buffer}}
    optimizer.load_state_dict(state_dict)
    optimizer.step()
    assert saved_buffer.tolist() == [1.0, 1.0]
    assert optimizer.state[p]["momentum_buffer"].tolist() == [1.5, 1.5]

    state_dict["state"] = {0: {"momentum_buffer": None}}
    optimizer.load_state_dict(state_dict)
    optimizer.step()
    assert optimizer.state[p]["momentum_buffer"].tolist() == [1.0, 1.0]

    adam = optim.Adam([p])
    state_dict = adam.state_dict()
    state_dict["state"] = {0: {"step": 7, "exp_avg": ember.ones(2), "exp_avg_sq": ember.ones(2)}}
    adam.load_state_dict(state_dict)
    adam.step()
    assert adam.state[p]["step"].item() == 8.0


def test_state_that_the_user_replaces_is_used():
    p = ember.zeros(2, dtype=ember.float64, requires_grad=True)
    p.grad = ember.ones(2, dtype=ember.float64)
    optimizer = optim.SGD([p], lr=1.0, momentum=1.0)
    optimizer.step()
    optimizer.state[p]["momentum_buffer"] = ember.full((2,), 10.0, dtype=ember.float64)
    optimizer.step()
    assert p.tolist() == [-12.0, -12.0]
    optimizer.state.clear()
    optimizer.step()
    assert p.tolist() == [-13.0, -13.0]


def test_zero_grad_and_closure():
    p = ember.ones(3, requires_grad=True)
    optimizer = optim.SGD([p], lr=0.1)

    def closure():
        optimizer.zero_grad()
        loss = (p * p).sum()
        loss.backward()
        return loss

    with ember.no_grad():
        assert optimizer.step(closure).item() == 3.0
    torch.testing.assert_close(to_torch(p), torch.full((3,), 0.8))
    optimizer.zero_grad(set_to_none=False)
    assert p.grad.tolist() == [0.0, 0.0, 0.0]
    optimizer.zero_grad()
    assert p.grad is None
    optimizer.step()
    assert optimizer.step() is None


def test_step_is_invisible_to_autograd_but_changes_the_version():
    p = ember.ones(3, requires_grad=True)
    p.grad = ember.ones(3)
    version = p._version
    saved = p.exp()
    optim.SGD([p], lr=0.1).step()
    assert p.requires_grad and p.is_leaf and p.grad_fn is None
    assert p._version > version
    saved.sum().backward()
    loss = (p * p).sum()
    optim.Adam([p]).step()
    with pytest.raises(RuntimeError, match="modified"):
        loss.backward()


def test_hooks():
    p = ember.zeros(1, requires_grad=True)
    p.grad = ember.ones(1)
    optimizer = optim.SGD([p], lr=1.0)
    calls = []
    pre = optimizer.register_step_pre_hook(lambda o, a, k: calls.append(("pre", o is optimizer)))
    post = optimizer.register_step_post_hook(lambda o, a, k: calls.append(("post", p.item())))
    optimizer.step()
    assert calls == [("pre", True), ("post", -1.0)]
    pre.remove()
    optimizer.step()
    assert calls[2:] == [("post", -2.0)]
    post.remove()
    optimizer.step()
    assert "step" not in vars(optimizer)
    optimizer.step()
    assert len(calls) == 3 and p.item() == -4.0

    optimizer.register_step_pre_hook(lambda o, a, k: "wrong")
    with pytest.raises(RuntimeError, match="pre-hook must return"):
        optimizer.step()

    optimizer = optim.SGD([p], lr=1.0)
    optimizer.register_state_dict_post_hook(lambda o, d: d | {"extra": 1})
    assert optimizer.state_dict()["extra"] == 1

    def other_rate(optimizer, state_dict):
        state_dict["param_groups"][0]["lr"] = 5.0
        return state_dict

    optimizer.register_load_state_dict_pre_hook(other_rate)
    optimizer.load_state_dict(optimizer.state_dict())
    assert optimizer.param_groups[0]["lr"] == 5.0


def test_hooks_do_not_keep_the_optimizer_alive():
    optimizer = optim.SGD([ember.zeros(1, requires_grad=True)], lr=1.0)
    optimizer.register_step_post_hook(lambda o, a, k: None)
    alive = weakref.ref(optimizer)
    gc.disable()
    try:
        del optimizer
        assert alive() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda o: pickle.loads(pickle.dumps(o))])
def test_copies_step_alike(duplicate):
    p = ember.zeros(3, dtype=ember.float64, requires_grad=True)
    optimizer = optim.Adam([p], lr=0.1)
    p.grad = ember.ones(3, dtype=ember.float64)
    optimizer.step()
    other = duplicate(optimizer)
    q = other.param_groups[0]["params"][0]
    assert q is not p
    for x, o in ((p, optimizer), (q, other)):
        x.grad = ember.full((3,), 2.0, dtype=ember.float64)
        o.step()
    assert p.tolist() == q.tolist()


def test_named_parameters_and_user_subclass():
    p, q = ember.zeros(1, requires_grad=True), ember.zeros(1, requires_grad=True)
    optimizer = optim.SGD([("a", p), ("b", q)], lr=0.1)
    assert optimizer.param_groups[0]["param_names"] == ["a", "b"]
    assert optimizer.state_dict()["param_groups"][0]["param_names"] == ["a", "b"]

    class Sign(optim.Optimizer):
        def __init__(self, params, lr):
            super().__init__(params, {"lr": lr})

        def step(self, closure=None):
            with ember.no_grad():
                for group in self.param_groups:
                    for p in group["params"]:
                        p -= group["lr"] * p.grad.sign()

    p.grad = ember.full((1,), -7.0)
    Sign([p], 0.5).step()
    assert p.item() == 0.5


def test_tensor_learning_rate():
    ours, reference = make_params()
    a = optim.SGD(ours, lr=ember.tensor(0.25))
    b = torch.optim.SGD(reference, lr=torch.tensor(0.25))
    set_grads(ours, reference, 0)
    a.step()
    b.step()
    assert_same(ours, reference, 1e-12)


def bad_calls():
    def leaf():
        return ember.zeros(2, requires_grad=True)

    yield ValueError, "empty parameter list", lambda: optim.SGD([], lr=0.1)
    yield TypeError, "single tensor", lambda: optim.SGD(leaf(), lr=0.1)
    yield TypeError, "can only optimize Tensors", lambda: optim.SGD([1.0], lr=0.1)
    yield TypeError, "ordered", lambda: optim.SGD([{"params": {leaf()}}], lr=0.1)
    yield ValueError, "non-leaf", lambda: optim.SGD([leaf() * 2], lr=0.1)
    yield ValueError, "lr must not be negative", lambda: optim.SGD([leaf()], lr=-1.0)
    yield ValueError, "lr must not be negative", lambda: optim.Adam([leaf()], lr=float("nan"))
    yield ValueError, "momentum", lambda: optim.SGD([leaf()], lr=0.1, momentum=-1)
    yield ValueError, "nesterov", lambda: optim.SGD([leaf()], lr=0.1, nesterov=True)
    yield ValueError, r"betas\[1\]", lambda: optim.AdamW([leaf()], betas=(0.9, 1.0))
    yield ValueError, "pair", lambda: optim.Adam([leaf()], betas=(0.9,))
    yield ValueError, "eps", lambda: optim.Adam([leaf()], eps=-1.0)
    yield RuntimeError, "together", lambda: optim.Adam([leaf()], fused=True, foreach=True)
    yield NotImplementedError, "differentiable", lambda: optim.Adam([leaf()], differentiable=True)
    yield ValueError, "1-element", lambda: optim.SGD([leaf()], lr=ember.ones(2))
    yield ValueError, "names", lambda: optim.SGD([("a", leaf()), leaf()], lr=0.1)
    shared = leaf()
    twice = [{"params": [shared]}, {"params": [shared]}]
    yield ValueError, "more than one parameter group", lambda: optim.SGD(twice, lr=0.1)
    small = optim.SGD([leaf()], lr=0.1).state_dict()
    yield (
        ValueError,
        "size of optimizer's group",
        lambda: optim.SGD([leaf(), leaf()], lr=0.1).load_state_dict(small),
    )
    yield (
        ValueError,
        "number of parameter groups",
        lambda: optim.SGD([{"params": leaf()}, {"params": leaf()}], lr=0.1).load_state_dict(small),
    )


@pytest.mark.parametrize(("kind", "match", "call"), list(bad_calls()))
def test_bad_arguments(kind, match, call):
    with pytest.raises(kind, match=match):
        call()


def test_duplicates_warn():
    p = ember.zeros(2, requires_grad=True)
    with pytest.warns(UserWarning, match="duplicate"):
        optim.SGD([p, p], lr=0.1)


def test_wrong_state_raises_and_does_not_crash():
    p = ember.zeros(4, requires_grad=True)
    p.grad = ember.ones(4)
    for wrong in (ember.zeros(3), ember.zeros(4, 4)):
        optimizer = optim.SGD([p], lr=0.1, momentum=0.9)
        optimizer.state[p]["momentum_buffer"] = wrong
        with pytest.raises(RuntimeError):
            optimizer.step()


def test_order_of_groups_is_the_order_of_numbers():
    params = [ember.zeros(1, requires_grad=True) for _ in range(4)]
    optimizer = optim.SGD([{"params": params[2:]}, {"params": params[:2]}], lr=0.1)
    groups = optimizer.state_dict()["param_groups"]
    assert list(itertools.chain.from_iterable(g["params"] for g in groups)) == [0, 1, 2, 3]
