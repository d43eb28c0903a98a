"""The other optimizers against PyTorch's: steps, states, checkpoints both ways, bad options."""

import io

import ember
import pytest
from ember import optim
from opspecs import counts
from test_optim import SHAPES, assert_same, make_params, set_grads
from torch_bridge import to_ember, to_torch

torch = pytest.importorskip("torch")

CASES = [
    ("Adadelta", {}),
    ("Adadelta", {"lr": 0.5, "rho": 0.7, "eps": 1e-4, "weight_decay": 0.1}),
    ("Adadelta", {"maximize": True, "foreach": False}),
    ("Adagrad", {"lr": 0.1}),
    ("Adagrad", {"lr": 0.1, "lr_decay": 0.2, "weight_decay": 0.1, "eps": 1e-3}),
    ("Adagrad", {"initial_accumulator_value": 0.5, "maximize": True}),
    ("Adamax", {"lr": 0.05}),
    ("Adamax", {"lr": 0.05, "betas": (0.5, 0.8), "eps": 1e-3, "weight_decay": 0.1}),
    ("Adamax", {"maximize": True}),
    ("ASGD", {"lr": 0.1}),
    ("ASGD", {"lr": 0.1, "lambd": 0.1, "alpha": 0.5, "t0": 2, "weight_decay": 0.1}),
    ("ASGD", {"maximize": True, "t0": 0}),
    ("NAdam", {"lr": 0.05}),
    ("NAdam", {"lr": 0.05, "betas": (0.7, 0.9), "momentum_decay": 0.1, "weight_decay": 0.1}),
    ("NAdam", {"weight_decay": 0.1, "decoupled_weight_decay": True, "maximize": True}),
    ("RAdam", {"lr": 0.05}),
    ("RAdam", {"lr": 0.05, "betas": (0.7, 0.8), "eps": 1e-3, "weight_decay": 0.1}),
    ("RAdam", {"weight_decay": 0.1, "decoupled_weight_decay": True, "maximize": True}),
    ("RMSprop", {}),
    ("RMSprop", {"alpha": 0.7, "eps": 1e-3, "weight_decay": 0.1}),
    ("RMSprop", {"momentum": 0.9}),
    ("RMSprop", {"centered": True, "alpha": 0.8}),
    ("RMSprop", {"centered": True, "momentum": 0.5, "maximize": True}),
    ("Rprop", {}),
    ("Rprop", {"lr": 0.1, "etas": (0.3, 2.0), "step_sizes": (0.01, 0.3), "maximize": True}),
    ("Adafactor", {}),
    ("Adafactor", {"lr": 0.3, "beta2_decay": -0.5, "eps": (1e-2, 0.1), "d": 2.0}),
    ("Adafactor", {"weight_decay": 0.1, "maximize": True}),
]
MATRICES = [(3, 4), (7, 2), (5, 5), (2, 30)]
MUON = [
    {},
    {"lr": 0.1, "nesterov": False, "weight_decay": 0.0, "adjust_lr_fn": "match_rms_adamw"},
    {"momentum": 0.5, "ns_steps": 3, "ns_coefficients": (3.0, -4.0, 2.0)},
]


def make_both(name, options, dtype=torch.float64, shapes=SHAPES):
    ours, reference = make_params(dtype, shapes=shapes)
    return (
        ours,
        reference,
        getattr(optim, name)(ours, **options),
        getattr(torch.optim, name)(reference, **options),
    )


def assert_states(ours, reference, a, b, tolerance):
    for p, q in zip(ours, reference, strict=True):
        assert list(a.state[p]) == list(b.state[q])
        for key, value in a.state[p].items():
            if isinstance(value, ember.Tensor):
                expected = b.state[q][key]
                got = to_torch(value).to(expected.dtype)
                assert got.shape == expected.shape
                torch.testing.assert_close(got, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(("name", "options"), CASES)
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float64, 1e-6), (torch.float32, 4e-6), (torch.bfloat16, 8e-2)]
)
def test_steps_equal_pytorchs(name, options, dtype, tolerance):
    if dtype == torch.float64 and name not in ("ASGD", "NAdam"):
        tolerance = 1e-12  # those two keep numbers in float32
    ours, reference, a, b = make_both(name, options, dtype)
    for step in range(8):
        set_grads(ours, reference, step, missing={1} if step < 2 else {2} if step == 3 else ())
        a.step()
        b.step()
    assert_same(ours, reference, tolerance)
    assert_states(ours, reference, a, b, tolerance)
    assert repr(a) == repr(b)
    counts.add("optimizers", name, 1)


@pytest.mark.parametrize("options", MUON)
def test_muon_steps_as_pytorchs(options):
    ours, reference, a, b = make_both("Muon", options, torch.float32, MATRICES)
    before = [q.detach().clone() for q in reference]
    for step in range(3):
        set_grads(ours, reference, step)
        a.step()
        b.step()
    # The matrix products round to bfloat16 in their own order.
    moved = max((p - q.detach()).abs().max() for p, q in zip(before, reference, strict=True))
    assert_same(ours, reference, 2e-2 * float(moved))
    assert_states(ours, reference, a, b, 1e-6)
    counts.add("optimizers", "Muon", 1)


def convert(value, function, kind):
    if isinstance(value, kind):
        return function(value)
    if isinstance(value, dict):
        return {key: convert(item, function, kind) for key, item in value.items()}
    if isinstance(value, list):
        return [convert(item, function, kind) for item in value]
    return value


def assert_same_layout(mine, theirs):
    assert list(mine) == list(theirs)
    for group, other in zip(mine["param_groups"], theirs["param_groups"], strict=True):
        assert list(group) == list(other)
        assert group == other
    assert list(mine["state"]) == list(theirs["state"])
    for key, entry in mine["state"].items():
        assert list(entry) == list(theirs["state"][key])


@pytest.mark.parametrize(("name", "options"), CASES)
def test_checkpoints_resume_both_ways(name, options):
    ours, reference, a, b = make_both(name, options)
    for step in range(3):
        set_grads(ours, reference, step)
        a.step()
        b.step()
    mine, theirs = a.state_dict(), b.state_dict()
    assert_same_layout(mine, theirs)
    ours2 = [p.detach().clone().requires_grad_() for p in ours]
    reference2 = [q.detach().clone().requires_grad_() for q in reference]
    a2, b2 = getattr(optim, name)(ours2), getattr(torch.optim, name)(reference2)
    a2.load_state_dict(convert(theirs, to_ember, torch.Tensor))
    b2.load_state_dict(convert(mine, to_torch, ember.Tensor))
    for step in range(3, 7):
        set_grads(ours2, reference2, step)
        set_grads(ours, reference, step)
        for optimizer in (a, b, a2, b2):
            optimizer.step()
    for params in (ours, ours2):
        for others in (reference, reference2):
            assert_same(params, others, 1e-6)


def through_file(writer, reader, value):
    file = io.BytesIO()
    writer.save(value, file)
    file.seek(0)
    return reader.load(file)


@pytest.mark.parametrize("name", sorted({name for name, _ in CASES}))
def test_files_resume_both_ways(name):
    ours, reference, a, b = make_both(name, {})
    schedules = [
        lib.optim.lr_scheduler.MultiStepLR(o, [2, 4, 4], 0.5) for lib, o in ((ember, a), (torch, b))
    ]
    for step in range(3):
        set_grads(ours, reference, step)
        for stepped in (a, b, *schedules):
            stepped.step()
    saved = [{"o": o.state_dict(), "s": s.state_dict()} for o, s in ((a, schedules[0]),
                                                                    (b, schedules[1]))]  # fmt: skip
    mine, theirs = through_file(ember, torch, saved[0]), through_file(torch, ember, saved[1])
    ours2 = [p.detach().clone().requires_grad_() for p in ours]
    reference2 = [q.detach().clone().requires_grad_() for q in reference]
    a2, b2 = getattr(optim, name)(ours2), getattr(torch.optim, name)(reference2)
    for lib, o, state in ((ember, a2, theirs), (torch, b2, mine)):
        schedule = lib.optim.lr_scheduler.MultiStepLR(o, [1])
        o.load_state_dict(state["o"])
        schedule.load_state_dict(state["s"])
        schedules.append(schedule)
    for step in range(3, 6):
        set_grads(ours, reference, step)
        set_grads(ours2, reference2, step)
        for stepped in (a, b, a2, b2, *schedules):
            stepped.step()
    for params in (ours, ours2):
        for others in (reference, reference2):
            assert_same(params, others, 1e-6)
    assert len({float(o.param_groups[0]["lr"]) for o in (a, b, a2, b2)}) == 1


@pytest.mark.parametrize("name", sorted({name for name, _ in CASES}))
def test_groups_tensor_rates_strides_and_closures(name):
    ours, reference = make_params()
    for params, library in ((ours, ember), (reference, torch)):
        odd = library.zeros(8, 6, dtype=library.float64)[::2, 1:4].requires_grad_()
        params.append(odd)
    options = [{"params": slice(0, 2), "lr": 0.5}, {"params": slice(2, 5)}]
    a = getattr(optim, name)([{**o, "params": ours[o["params"]]} for o in options], lr=0.2)
    b = getattr(torch.optim, name)(
        [{**o, "params": reference[o["params"]]} for o in options], lr=0.2
    )
    for step in range(3):
        set_grads(ours, reference, step)
        assert a.step(lambda step=step: step) == step
        b.step()
    assert_same(ours, reference, 1e-6)
    ours, reference = make_params()
    a = getattr(optim, name)(ours, lr=ember.tensor(0.25))
    b = getattr(torch.optim, name)(reference, lr=torch.tensor(0.25))
    set_grads(ours, reference, 0)
    a.step()
    b.step()
    assert_same(ours, reference, 1e-6)


@pytest.mark.skipif(not ember.cuda.is_available(), reason="there is no GPU")
@pytest.mark.parametrize(("name", "options"), [*CASES, ("Adam", {}), ("SGD", {"momentum": 0.9})])
@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16"])
def test_steps_on_a_gpu_equal_the_cpus(name, options, dtype):
    kind = getattr(ember, dtype)
    ember.manual_seed(0)
    here = [ember.randn(s).to(kind).requires_grad_() for s in (*SHAPES, (70, 80))]
    there = [p.detach().cuda().requires_grad_() for p in here]
    # One group holds parameters of both devices.
    optimizers = [getattr(optim, name)(params, **options) for params in (here, there)]
    both = [p.detach().clone().requires_grad_() for p in (*here[:2], *there[2:])]
    optimizers.append(getattr(optim, name)(both, **options))
    for step in range(4):
        for i, p in enumerate(here):
            if i != step:
                p.grad = ember.randn(p.shape).to(kind)
                there[i].grad = p.grad.cuda()
                both[i].grad = p.grad.to(both[i].device)
        for optimizer in optimizers:
            optimizer.step()
    tolerance = {"float64": 1e-9, "float32": 1e-5, "bfloat16": 5e-2}[dtype]
    for p, q, r in zip(here, there, both, strict=True):
        for other in (q, r):
            torch.testing.assert_close(
                to_torch(other.cpu()), to_torch(p), rtol=tolerance, atol=tolerance
            )


def rosenbrock(x):
    return (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()


LBFGS = [
    {"lr": 1e-3},
    {"lr": 1e-3, "max_iter": 4, "history_size": 2},
    {"line_search_fn": "strong_wolfe"},
    {"line_search_fn": "strong_wolfe", "max_iter": 30, "history_size": 3, "lr": 0.5},
    {"line_search_fn": "strong_wolfe", "max_eval": 4},
    {"line_search_fn": "strong_wolfe", "tolerance_grad": 1e3},
]


def run_lbfgs(library, optimizers, options, steps, state=None, start=(-1.2, 1.0, 0.7, 2.0)):
    x = library.tensor(start[:3], dtype=library.float64, requires_grad=True)
    y = library.tensor(start[3:], dtype=library.float64, requires_grad=True)
    optimizer = optimizers.LBFGS([x, y], **options)
    if state is not None:
        optimizer.load_state_dict(state)

    def closure():
        optimizer.zero_grad()
        loss = rosenbrock(library.cat([x, y]))
        loss.backward()
        return loss

    losses = [optimizer.step(closure).item() for _ in range(steps)]
    return losses, [*x.tolist(), *y.tolist()], optimizer


@pytest.mark.parametrize("options", LBFGS, ids=str)
def test_lbfgs_walks_as_pytorchs(options):
    losses, at, a = run_lbfgs(ember, optim, options, 3)
    expected, expected_at, b = run_lbfgs(torch, torch.optim, options, 3)
    assert losses == pytest.approx(expected, rel=1e-6, abs=1e-12)
    assert at == pytest.approx(expected_at, rel=1e-6, abs=1e-9)
    mine, theirs = a.state_dict(), b.state_dict()
    assert set(mine["state"][0]) == set(theirs["state"][0])
    for key in ("n_iter", "func_evals"):
        assert mine["state"][0][key] == theirs["state"][0][key]
    # Each goes on from the other's state.
    mine, theirs = (
        convert(mine, to_torch, ember.Tensor),
        convert(theirs, to_ember, torch.Tensor),
    )
    losses, at2, _ = run_lbfgs(ember, optim, options, 1, theirs, at)
    expected, expected_at2, _ = run_lbfgs(torch, torch.optim, options, 1, mine, expected_at)
    assert losses == pytest.approx(expected, rel=1e-6, abs=1e-12)
    assert at2 == pytest.approx(expected_at2, rel=1e-6, abs=1e-9)
    counts.add("optimizers", "LBFGS", 1)


def test_lbfgs_finds_the_valley():
    options = {"line_search_fn": "strong_wolfe", "max_iter": 100}
    _, at, _ = run_lbfgs(ember, optim, options, 2, start=(0.5, 1.0, 0.7, 2.0))
    assert at == pytest.approx([1.0] * 4, abs=1e-6)
    still, at, _ = run_lbfgs(ember, optim, {"line_search_fn": "strong_wolfe", "lr": 0}, 1)
    assert at == [-1.2, 1.0, 0.7, 2.0] and still[0] > 0


BAD = [
    ("Adadelta", {"rho": 1.1}, "rho"),
    ("Adadelta", {"lr": -1.0}, "lr"),
    ("Adagrad", {"lr_decay": -1}, "lr_decay"),
    ("Adagrad", {"initial_accumulator_value": -1}, "initial_accumulator_value"),
    ("Adamax", {"betas": (1.0, 0.9)}, r"betas\[0\]"),
    ("ASGD", {"weight_decay": -0.5}, "weight_decay"),
    ("NAdam", {"momentum_decay": -0.2}, "momentum_decay"),
    ("NAdam", {"betas": (0.9, 1.0)}, r"betas\[1\]"),
    ("RAdam", {"eps": -1.0}, "eps"),
    ("RMSprop", {"momentum": -1.0}, "momentum"),
    ("RMSprop", {"alpha": -1.0}, "alpha"),
    ("Rprop", {"etas": (1.0, 0.5)}, "etas"),
    ("Adafactor", {"beta2_decay": 0.1}, "beta2_decay"),
    ("Adafactor", {"d": 0.5}, "d must"),
    ("Adafactor", {"eps": (-1, 1e-3)}, r"eps\[0\]"),
    ("LBFGS", {"lr": -1}, "lr"),
    ("Muon", {"momentum": -1}, "momentum"),
    ("Muon", {"adjust_lr_fn": "other"}, "adjust_lr_fn"),
    ("Muon", {}, "matrix"),
]


@pytest.mark.parametrize(("name", "options", "match"), BAD)
def test_bad_options(name, options, match):
    for library, optimizers in ((ember, optim), (torch, torch.optim)):
        p = library.zeros(2, requires_grad=True)
        with pytest.raises(ValueError, match=match if library is ember else None):
            getattr(optimizers, name)([p], **options)


def test_other_bad_calls():
    p, q = (ember.zeros(2, requires_grad=True) for _ in range(2))
    with pytest.raises(ValueError, match="one group"):
        optim.LBFGS([{"params": [p]}, {"params": [q]}])
    with pytest.raises(RuntimeError, match="strong_wolfe"):
        optim.LBFGS([p], line_search_fn="weak").step(lambda: (p * p).sum())
    with pytest.raises(NotImplementedError, match="differentiable"):
        optim.RMSprop([p], differentiable=True)
    with pytest.raises(RuntimeError, match="together"):
        optim.Adagrad([p], foreach=True, fused=True)
    with pytest.raises(AttributeError, match="Sgd"):
        _ = optim.Sgd
    p.grad = ember.ones(2)
    for wrong in (ember.zeros(3), ember.zeros(2, dtype=ember.float64)):
        optimizer = optim.RMSprop([p])
        optimizer.step()
        optimizer.state[p]["square_avg"] = wrong
        with pytest.raises(RuntimeError, match="the state must have"):
            optimizer.step()
    step = ember._C._fused_step_
    with pytest.raises(RuntimeError, match="no rule"):
        step("other", [p], [p.grad], [], [], 0.0, 1.0, False)
    with pytest.raises(RuntimeError, match="1 states and 2 numbers"):
        step("adagrad", [p], [p.grad], [], [1.0], 0.0, 1.0, False)


def test_old_checkpoints_load():
    p = ember.zeros(2, requires_grad=True)
    p.grad = ember.ones(2)
    optimizer = optim.NAdam([p])
    saved = optimizer.state_dict()
    averages = {"exp_avg": ember.ones(2), "exp_avg_sq": ember.ones(2)}
    saved["state"] = {0: {"step": 7, "mu_product": 0.5, **averages}}
    for group in saved["param_groups"]:
        for name in ("foreach", "maximize", "decoupled_weight_decay"):
            del group[name]
    optimizer.load_state_dict(saved)
    optimizer.step()
    assert optimizer.state[p]["step"].item() == 8.0
    assert optimizer.param_groups[0]["decoupled_weight_decay"] is False
