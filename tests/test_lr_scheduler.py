import copy
import math
import pickle

import ember
import pytest
import row_counts
from ember import optim
from ember.optim import lr_scheduler as ours

torch = pytest.importorskip("torch")
reference = torch.optim.lr_scheduler


class Power:
    """A schedule with a state, to be kept by `state_dict`."""

    def __init__(self, base):
        self.base = base

    def __call__(self, epoch):
        return self.base**epoch


def two_groups(library, optimizers, rate=0.5):
    groups = [
        {"params": [library.zeros(2, requires_grad=True)]},
        {"params": [library.zeros(2, requires_grad=True)], "lr": 0.03},
    ]
    return optimizers.SGD(groups, lr=rate, momentum=0.9)


SCHEDULES = {
    "step": lambda m, o, **k: m.StepLR(o, 3, gamma=0.3, **k),
    "multistep": lambda m, o, **k: m.MultiStepLR(o, [2, 5, 5, 9], gamma=0.5, **k),
    "constant": lambda m, o, **k: m.ConstantLR(o, factor=0.25, total_iters=4, **k),
    "linear": lambda m, o, **k: m.LinearLR(o, 0.2, 0.9, total_iters=6, **k),
    "exponential": lambda m, o, **k: m.ExponentialLR(o, 0.8, **k),
    "polynomial": lambda m, o, **k: m.PolynomialLR(o, total_iters=8, power=1.7, **k),
    "cosine": lambda m, o, **k: m.CosineAnnealingLR(o, T_max=5, eta_min=0.01, **k),
    "lambda": lambda m, o, **k: m.LambdaLR(o, lambda e: 1 / (1 + e), **k),
    "lambdas": lambda m, o, **k: m.LambdaLR(o, [Power(0.9), lambda e: 0.7**e], **k),
    "multiplicative": lambda m, o, **k: m.MultiplicativeLR(o, lambda e: 0.9, **k),
    "restarts": lambda m, o, **k: m.CosineAnnealingWarmRestarts(o, 4, eta_min=0.01, **k),
    "longer restarts": lambda m, o, **k: m.CosineAnnealingWarmRestarts(o, 3, T_mult=2, **k),
    "triangular": lambda m, o, **k: m.CyclicLR(o, 0.1, 0.5, 4, cycle_momentum=False, **k),
    "triangular2": lambda m, o, **k: m.CyclicLR(
        o, [0.1, 0.2], [0.5, 0.9], 2, 5, mode="triangular2", **k
    ),
    "exp_range": lambda m, o, **k: m.CyclicLR(o, 0.1, 0.5, 3, mode="exp_range", gamma=0.9, **k),
    "custom cycle": lambda m, o, **k: m.CyclicLR(
        o, 0.1, 0.5, 3, scale_fn=Power(0.8), scale_mode="iterations", **k
    ),
    "one cycle": lambda m, o, **k: m.OneCycleLR(o, 0.5, total_steps=30, **k),
    "one linear cycle": lambda m, o, **k: m.OneCycleLR(
        o,
        [0.5, 0.2],
        epochs=6,
        steps_per_epoch=5,
        pct_start=0.4,
        anneal_strategy="linear",
        three_phase=True,
        **k,
    ),
}
SEQUENCES = {
    "warmup": lambda m, o: m.SequentialLR(
        o, [m.LinearLR(o, 0.1, total_iters=4), m.CosineAnnealingLR(o, T_max=8)], [4]
    ),
    "three": lambda m, o: m.SequentialLR(
        o, [m.ConstantLR(o, 0.1), m.ExponentialLR(o, 0.9), m.StepLR(o, 2)], [3, 7]
    ),
    "nested": lambda m, o: m.SequentialLR(
        o,
        [
            m.SequentialLR(o, [m.ConstantLR(o, 0.5, 2), m.ExponentialLR(o, 0.9)], [3]),
            m.StepLR(o, 2, 0.5),
        ],
        [8],
    ),
    "chained": lambda m, o: m.ChainedScheduler(
        [m.ConstantLR(o, 0.1, 2), m.ExponentialLR(o, 0.9), m.MultiStepLR(o, [3, 5])], o
    ),
    "chained in sequence": lambda m, o: m.SequentialLR(
        o,
        [m.ChainedScheduler([m.ConstantLR(o, 0.5, 2), m.ExponentialLR(o, 0.9)]), m.StepLR(o, 2)],
        [5],
    ),
}


def rates(optimizer):
    return [float(group["lr"]) for group in optimizer.param_groups]


def momenta(optimizer):
    groups = optimizer.param_groups
    return [group["betas"] if "betas" in group else group["momentum"] for group in groups]


def run(scheduler, steps):
    out = [rates(scheduler.optimizer)]
    for _ in range(steps):
        scheduler.optimizer.step()
        scheduler.step()
        assert scheduler.get_last_lr() == [g["lr"] for g in scheduler.optimizer.param_groups]
        out.append(rates(scheduler.optimizer))
    return out


@pytest.mark.filterwarnings("ignore:.*lr_scheduler.step.*:UserWarning")
@pytest.mark.parametrize("name", [*SCHEDULES, *SEQUENCES])
def test_rates_equal_pytorchs(name):
    make = SCHEDULES.get(name) or SEQUENCES[name]
    a = make(ours, two_groups(ember, optim))
    b = make(reference, two_groups(torch, torch.optim))
    assert run(a, 25) == run(b, 25)
    assert getattr(a, "last_epoch", None) == getattr(b, "last_epoch", None)
    assert momenta(a.optimizer) == momenta(b.optimizer)
    groups = zip(a.optimizer.param_groups, b.optimizer.param_groups, strict=True)
    for mine, theirs in groups:
        assert mine.keys() == theirs.keys()
    row_counts.add("schedulers", type(a).__name__, 1)


def test_schedules_chain():
    traces = []
    for library, optimizers, module in (
        (ember, optim, ours),
        (torch, torch.optim, reference),
    ):
        optimizer = two_groups(library, optimizers)
        chain = [
            module.LinearLR(optimizer, 0.1, total_iters=3),
            module.ExponentialLR(optimizer, 0.95),
            module.MultiStepLR(optimizer, [4, 6]),
        ]
        trace = []
        for _ in range(10):
            optimizer.step()
            for scheduler in chain:
                scheduler.step()
            trace.append(rates(optimizer))
        traces.append(trace)
    assert traces[0] == traces[1]


@pytest.mark.filterwarnings("ignore:.*lr_scheduler.step.*:UserWarning")
@pytest.mark.parametrize("name", [*SCHEDULES, *SEQUENCES])
def test_state_dict_resumes(name):
    make = SCHEDULES.get(name) or SEQUENCES[name]
    whole = run(make(ours, two_groups(ember, optim)), 12)

    first = make(ours, two_groups(ember, optim))
    run(first, 5)
    saved = pickle.loads(pickle.dumps((first.state_dict(), first.optimizer.state_dict())))
    optimizer = two_groups(ember, optim)
    second = make(ours, optimizer)
    second.load_state_dict(saved[0])
    optimizer.load_state_dict(saved[1])
    assert run(second, 7) == whole[5:]


@pytest.mark.parametrize("name", [n for n in SCHEDULES if n not in ("lambdas", "custom cycle")])
def test_state_dict_loads_in_pytorch_and_back(name):
    make = SCHEDULES[name]
    traces = []
    for source, target in (((ember, optim, ours), (torch, torch.optim, reference)),) * 2:
        if traces:
            source, target = target, source
        a = make(source[2], two_groups(source[0], source[1]))
        run(a, 5)
        b_optimizer = two_groups(target[0], target[1])
        b = make(target[2], b_optimizer)
        b.load_state_dict(copy.deepcopy(a.state_dict()))
        for mine, theirs in zip(a.optimizer.param_groups, b_optimizer.param_groups, strict=True):
            theirs["lr"] = mine["lr"]
        expected = run(a, 6)
        assert run(b, 6) == expected
        traces.append(expected)


@pytest.mark.parametrize("name", ["step", "multistep", "exponential", "cosine", "lambda"])
def test_last_epoch_resumes(name):
    results = []
    for library, optimizers, module in (
        (ember, optim, ours),
        (torch, torch.optim, reference),
    ):
        optimizer = two_groups(library, optimizers)
        for group in optimizer.param_groups:
            group["initial_lr"] = 2 * group["lr"]
        results.append(run(SCHEDULES[name](module, optimizer, last_epoch=4), 8))
    assert results[0] == results[1]

    with pytest.raises(KeyError, match="initial_lr"):
        SCHEDULES[name](ours, two_groups(ember, optim), last_epoch=4)


def test_callable_objects_keep_their_attributes():
    a = ours.LambdaLR(two_groups(ember, optim), [Power(0.5), Power(0.25)])
    state = a.state_dict()
    assert state["lr_lambdas"] == [{"base": 0.5}, {"base": 0.25}]
    b = ours.LambdaLR(two_groups(ember, optim), [Power(1.0), Power(1.0)])
    b.load_state_dict(state)
    assert [f.base for f in b.lr_lambdas] == [0.5, 0.25]
    assert state["lr_lambdas"] == [{"base": 0.5}, {"base": 0.25}]


PLATEAUS = [
    {},
    {"mode": "max", "patience": 1, "factor": 0.5},
    {"threshold_mode": "abs", "threshold": 0.05, "patience": 0, "cooldown": 2},
    {"mode": "max", "threshold_mode": "abs", "threshold": 0.2, "patience": 2},
    {"patience": 0, "min_lr": [0.1, 0.02], "factor": 0.3},
    {"patience": 0, "min_lr": 0.01, "eps": 0.05},
]


@pytest.mark.parametrize("options", PLATEAUS)
def test_plateau_equals_pytorchs(options):
    metrics = [1, 0.9, 0.95, 0.91, 0.88, 0.879, 0.88, 0.9, 1.5, 1.4, 1.6, math.nan, 0.1] * 3
    a = ours.ReduceLROnPlateau(two_groups(ember, optim), **options)
    b = reference.ReduceLROnPlateau(two_groups(torch, torch.optim), **options)
    for i, metric in enumerate(metrics):
        a.step(ember.tensor(metric) if i % 2 else metric)
        b.step(torch.tensor(metric) if i % 2 else metric)
        assert rates(a.optimizer) == rates(b.optimizer)
        assert (a.num_bad_epochs, a.cooldown_counter) == (b.num_bad_epochs, b.cooldown_counter)
        if i == 20:
            c = ours.ReduceLROnPlateau(a.optimizer)
            c.load_state_dict(pickle.loads(pickle.dumps(a.state_dict())))
            a = c
    assert rates(a.optimizer) != [0.5, 0.03]


def test_tensor_rates_change_in_place():
    rate = ember.tensor(0.5)
    optimizer = optim.SGD([ember.zeros(1, requires_grad=True)], lr=rate)
    scheduler = ours.ExponentialLR(optimizer, 0.5)
    optimizer.step()
    scheduler.step()
    assert optimizer.param_groups[0]["lr"] is rate and rate.item() == 0.25
    assert optimizer.param_groups[0]["initial_lr"].item() == 0.5
    last = scheduler.get_last_lr()[0]
    scheduler.step()
    assert last.item() == 0.25 and rate.item() == 0.125


def test_wrong_order_warns_once_asked():
    optimizer = two_groups(ember, optim)
    scheduler = ours.StepLR(optimizer, 1)
    with pytest.warns(UserWarning, match="before `optimizer.step"):
        scheduler.step()
    optimizer = two_groups(ember, optim)
    scheduler = ours.StepLR(optimizer, 1)
    optimizer.step()
    assert "step" not in vars(optimizer)
    scheduler.step()


BAD = [
    (TypeError, "Optimizer", lambda o: ours.StepLR(3, 1)),
    (TypeError, "Optimizer", lambda o: ours.LambdaLR([], abs)),
    (ValueError, "lr_lambdas", lambda o: ours.LambdaLR(o, [abs])),
    (ValueError, "factor", lambda o: ours.ConstantLR(o, factor=2.0)),
    (ValueError, "start_factor", lambda o: ours.LinearLR(o, start_factor=0.0)),
    (ValueError, "end_factor", lambda o: ours.LinearLR(o, end_factor=-1.0)),
    (ValueError, "milestones", lambda o: ours.SequentialLR(o, [ours.StepLR(o, 1)], [1])),
    (ValueError, "at least one", lambda o: ours.SequentialLR(o, [], [])),
    (TypeError, r"schedulers\[0\]", lambda o: ours.SequentialLR(o, [3], [])),
    (
        ValueError,
        "another optimizer",
        lambda o: ours.SequentialLR(o, [ours.StepLR(two_groups(ember, optim), 1)], []),
    ),
    (ValueError, "metric", lambda o: ours.SequentialLR(o, [ours.ReduceLROnPlateau(o)], [])),
    (ValueError, "mode", lambda o: ours.ReduceLROnPlateau(o, mode="low")),
    (ValueError, "threshold_mode", lambda o: ours.ReduceLROnPlateau(o, threshold_mode="x")),
    (ValueError, "factor", lambda o: ours.ReduceLROnPlateau(o, factor=1.0)),
    (ValueError, "min_lrs", lambda o: ours.ReduceLROnPlateau(o, min_lr=[0.1])),
]


@pytest.mark.parametrize(("kind", "match", "make"), BAD)
def test_bad_arguments(kind, match, make):
    with pytest.raises(kind, match=match):
        make(two_groups(ember, optim))


@pytest.mark.filterwarnings("ignore:.*lr_scheduler.step.*:UserWarning")
@pytest.mark.parametrize("name", SCHEDULES)
def test_epochs_are_set_in_closed_form_with_a_warning(name):
    a = SCHEDULES[name](ours, two_groups(ember, optim))
    b = SCHEDULES[name](reference, two_groups(torch, torch.optim))
    for epoch in (1, 7, 3, 12, 0):
        for scheduler in (a, b):
            scheduler.optimizer.step()
            if "restarts" in name:  # the one that documents the argument
                scheduler.step(epoch + 0.5)
            else:
                with pytest.warns(UserWarning, match="epoch"):
                    scheduler.step(epoch)
        assert rates(a.optimizer) == rates(b.optimizer)
        assert a.last_epoch == b.last_epoch


@pytest.mark.parametrize("make", [SCHEDULES["triangular2"], SCHEDULES["one cycle"]])
def test_cycles_move_adams_beta(make):
    traces = []
    for library, optimizers, module in ((ember, optim, ours), (torch, torch.optim, reference)):
        params = [{"params": [library.zeros(2, requires_grad=True)]} for _ in range(2)]
        optimizer = optimizers.Adam(params, lr=0.1)
        scheduler = make(module, optimizer)
        trace = []
        for _ in range(20):
            optimizer.step()
            scheduler.step()
            trace.append((rates(optimizer), momenta(optimizer)))
        traces.append(trace)
    assert traces[0] == traces[1]


BAD_CYCLES = [
    lambda m, o: m.CosineAnnealingWarmRestarts(o, 0),
    lambda m, o: m.CosineAnnealingWarmRestarts(o, 3, 0.5),
    lambda m, o: m.CosineAnnealingWarmRestarts(o, 3).step(-1),
    lambda m, o: m.CyclicLR(o, 0.1, 0.5, mode="square"),
    lambda m, o: m.CyclicLR(o, [0.1], 0.5),
    lambda m, o: m.OneCycleLR(o, 0.1),
    lambda m, o: m.OneCycleLR(o, 0.1, total_steps=0),
    lambda m, o: m.OneCycleLR(o, 0.1, total_steps=10, pct_start=1.5),
    lambda m, o: m.OneCycleLR(o, 0.1, total_steps=10, anneal_strategy="step"),
    lambda m, o: m.OneCycleLR(o, [0.1, 0.2, 0.3], total_steps=10),
    lambda m, o: m.ChainedScheduler([]),
    lambda m, o: m.ChainedScheduler([m.ReduceLROnPlateau(o)]),
]


@pytest.mark.parametrize("make", BAD_CYCLES)
def test_cycles_refuse_what_pytorch_refuses(make):
    for library, optimizers, module in ((ember, optim, ours), (torch, torch.optim, reference)):
        with pytest.raises(ValueError):
            make(module, two_groups(library, optimizers))
    with pytest.raises(ValueError, match="momentum"):
        p = ember.zeros(1, requires_grad=True)
        ours.CyclicLR(optim.Adagrad([p]), 0.1, 0.5)


def test_one_cycle_ends():
    scheduler = ours.OneCycleLR(two_groups(ember, optim), 0.5, total_steps=3)
    for _ in range(3):
        scheduler.optimizer.step()
        scheduler.step()
    with pytest.raises(ValueError, match="3 steps"):
        scheduler.step()
