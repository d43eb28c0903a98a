"""Averaged models and their schedule against PyTorch's."""

import copy

import ember
import numpy as np
import pytest
from ember import optim
from test_lr_scheduler import rates, two_groups
from torch_bridge import to_ember

torch = pytest.importorskip("torch")

AVERAGES = [
    lambda u: {},
    lambda u: {"use_buffers": True},
    lambda u: {"avg_fn": u.get_swa_avg_fn()},
    lambda u: {"avg_fn": u.get_ema_avg_fn(0.7)},
    lambda u: {"multi_avg_fn": u.get_ema_multi_avg_fn(0.9), "use_buffers": True},
    lambda u: {"multi_avg_fn": u.get_swa_multi_avg_fn()},
]


def model(lib):
    lib.manual_seed(3)
    return lib.nn.Sequential(lib.nn.Linear(4, 5), lib.nn.BatchNorm1d(5), lib.nn.Linear(5, 2))


@pytest.mark.parametrize("options", AVERAGES)
def test_averages_equal_pytorchs(options):
    found = []
    for lib in (ember, torch):
        utils = lib.optim.swa_utils
        source = model(lib)
        averaged = utils.AveragedModel(source, **options(utils))
        generator = np.random.default_rng(0)
        for _ in range(4):
            for p in [*source.parameters(), *source.buffers()]:
                noise = lib.from_numpy(np.array(3 * generator.standard_normal(tuple(p.shape))))
                with lib.no_grad():
                    p.add_(noise.to(p.dtype))
            averaged.update_parameters(source)
        batches = [generator.standard_normal((6, 4)).astype(np.float32) for _ in range(3)]
        before = {k: v.numpy().copy() for k, v in averaged.state_dict().items()}
        averaged.eval()
        utils.update_bn([(lib.from_numpy(b), None) for b in batches], averaged)
        assert not averaged.training and averaged.module[1].momentum == 0.1
        out = averaged(lib.from_numpy(batches[0])).detach().numpy()
        after = {k: v.numpy().copy() for k, v in averaged.state_dict().items()}
        found.append((before, after, out))
    ours, theirs = found
    for a, b in zip(ours[:2], theirs[:2], strict=True):
        assert list(a) == list(b)
        for key in a:
            np.testing.assert_allclose(a[key], b[key], rtol=1e-5, atol=1e-5, err_msg=key)
    np.testing.assert_allclose(ours[2], theirs[2], rtol=1e-4, atol=1e-5)


def test_checkpoints_of_averages_load():
    theirs = torch.optim.swa_utils.AveragedModel(model(torch))
    theirs.update_parameters(model(torch))
    ours = optim.swa_utils.AveragedModel(model(ember))
    ours.load_state_dict({k: to_ember(v) for k, v in theirs.state_dict().items()})
    assert ours.n_averaged.item() == 1
    assert copy.deepcopy(ours).module is not ours.module


@pytest.mark.parametrize("options", [{}, {"anneal_strategy": "linear", "anneal_epochs": 4}])
@pytest.mark.parametrize("epochs", [5, 0])
def test_rates_equal_pytorchs(options, epochs):
    traces = []
    for lib in (ember, torch):
        optimizer = two_groups(lib, lib.optim)
        options = {"anneal_epochs": epochs, **options}
        scheduler = lib.optim.swa_utils.SWALR(optimizer, [0.05, 0.2], **options)
        trace = []
        for _ in range(9):
            optimizer.step()
            scheduler.step()
            trace += rates(optimizer)
        other = lib.optim.swa_utils.SWALR(two_groups(lib, lib.optim), 0.3)
        other.load_state_dict(scheduler.state_dict())
        assert other.get_last_lr() == scheduler.get_last_lr()
        traces.append(trace)
    assert traces[0] == pytest.approx(traces[1], rel=1e-12)


def test_bad_arguments():
    utils = optim.swa_utils
    for call in (
        lambda: utils.get_ema_avg_fn(1.5),
        lambda: utils.SWALR(two_groups(ember, optim), 0.1, anneal_strategy="step"),
        lambda: utils.SWALR(two_groups(ember, optim), 0.1, anneal_epochs=-1),
        lambda: utils.SWALR(two_groups(ember, optim), [0.1]),
    ):
        with pytest.raises(ValueError):
            call()
    with pytest.raises(AssertionError, match="either"):
        utils.AveragedModel(model(ember), avg_fn=print, multi_avg_fn=print)
