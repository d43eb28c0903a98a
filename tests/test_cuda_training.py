"""What a program does with a GPU, on the device there is, real or emulated: memory and moves, indexing,
streams, random numbers, files, and training that follows the CPU's."""

from __future__ import annotations

import copy
import io
import pickle
from collections.abc import Callable

import ember
import numpy as np
import pytest
from ember import nn
from ember.nn import functional as F

REASON = ember.cuda.unavailable_reason()
pytestmark = pytest.mark.skipif(bool(REASON), reason=REASON or "there is a device")


@pytest.fixture(autouse=True)
def seeded() -> None:
    ember.manual_seed(0)


def same(a: ember.Tensor, b: ember.Tensor, tolerance: float = 0) -> bool:
    a, b = a.detach().cpu(), b.detach().cpu()
    assert a.dtype == b.dtype and a.shape == b.shape
    return np.allclose(a.numpy(), b.numpy(), rtol=tolerance, atol=tolerance, equal_nan=True)


# ---- Moves


def test_moves_between_the_memories():
    x = ember.arange(6).reshape(2, 3)
    for y in (x.to("cuda"), x.to("cuda:0"), x.cuda(), x.to(x.cuda()), x.to(device="cuda")):
        assert y.device == ember.device("cuda", 0) and y.is_cuda and y.get_device() == 0
        assert same(y, x) and y.cpu().device.type == "cpu"
    assert y.to("cuda") is y and y.cuda() is y
    assert y.to("cuda", copy=True) is not y
    assert y.to("cuda", ember.float64).dtype == ember.float64
    assert same(x.t().cuda(), x.t()) and x.t().cuda().stride() == (1, 3)
    assert x[:0].cuda().shape == (0, 3)


def test_pinned_memory_is_copied_without_waiting():
    x = ember.randn(100).pin_memory()
    assert x.is_pinned() and x.pin_memory() is x
    y = x.to("cuda", non_blocking=True)
    back = ember.empty(100).pin_memory().copy_(y, non_blocking=True)
    ember.cuda.synchronize()
    assert same(back, x)


def test_values_reach_python():
    x = ember.tensor([1.5, 2.5], device="cuda")
    assert x[1].item() == 2.5 and x.tolist() == [1.5, 2.5] and float(x.sum()) == 4
    assert "device='cuda:0'" in repr(x)
    with pytest.raises(TypeError, match=r"cuda:0.*\.cpu\(\)"):
        x.numpy()


def test_capsules_are_shared_or_refused():
    x = ember.arange(4.0, device="cuda")
    try:
        y = ember.from_dlpack(x)
    except (BufferError, RuntimeError) as e:
        assert "cuda" in str(e).lower()
    else:
        assert y.device == x.device and y.data_ptr() == x.data_ptr() and same(y, x)


# ---- Errors


@pytest.mark.parametrize(
    "call",
    [
        lambda x, y: x + y,
        lambda x, y: x @ y,
        lambda x, y: ember.cat([x, y]),
        lambda x, y: ember.addmm(x, y, y),
        lambda x, y: ember.where(x > 0, x, y),
        lambda x, y: F.linear(x, y),
        lambda x, y: ember.add(x, x, out=y),
        lambda x, y: F.cross_entropy(x, y.argmax(1)),
        lambda x, y: F.embedding(y.long().abs() % 3, x),
        lambda x, y: x.gather(0, y.long().abs() % 3),
        lambda x, y: F.layer_norm(x, (3,), y[0], y[0]),
        lambda x, y: F.conv1d(x[None], y[:, :, None]),
        lambda x, y: ember.searchsorted(x, y),
        lambda x, y: ember.linalg.solve(x, y),
    ],
)
def test_mixed_devices_raise_and_name_both(call: Callable):
    x, y = ember.randn(3, 3, device="cuda"), ember.randn(3, 3)
    for a, b in ((x, y), (y, x)):
        with pytest.raises(RuntimeError, match=r"cuda:0.*cpu|cpu.*cuda:0"):
            call(a, b)


def test_numbers_of_the_cpu_go_with_any_device():
    x = ember.ones(3, device="cuda")
    assert (x + ember.tensor(2.0)).tolist() == [3, 3, 3]
    assert (ember.tensor(2.0) * x).device == x.device


def test_indices_out_of_bounds_raise_and_leave_the_device_usable():
    x = ember.randn(4, 3, device="cuda")
    bad = ember.tensor([0, 7], device="cuda")
    for call in (
        lambda: x[bad],
        lambda: ember.index_select(x, 0, bad),
        lambda: F.embedding(bad, x),
        lambda: F.cross_entropy(x[:2], bad),
    ):
        with pytest.raises(IndexError, match="7"):
            call()
            ember.cuda.synchronize()  # tells where EMBER_CUDA_SYNC is not set
        ember.cuda.synchronize()
        assert same(x + 1, x.cpu() + 1)


def test_out_of_memory_gives_figures():
    with pytest.raises(ember.cuda.OutOfMemoryError, match=r"MiB on cuda:0.*free.*reserved"):
        ember.empty(1 << 45, device="cuda")
    assert ember.ones(3, device="cuda").sum().item() == 3


def test_memory_is_counted_and_given_back():
    ember.cuda.empty_cache()
    before = ember.cuda.memory_allocated()
    ember.cuda.reset_peak_memory_stats()
    x = ember.empty(1 << 20, dtype=ember.uint8, device="cuda")
    assert ember.cuda.memory_allocated() - before >= 1 << 20
    assert ember.cuda.memory_reserved() >= ember.cuda.memory_allocated()
    place = x.data_ptr()
    del x
    assert ember.cuda.memory_allocated() == before
    assert ember.cuda.max_memory_allocated() - before >= 1 << 20
    y = ember.empty(1 << 20, dtype=ember.uint8, device="cuda")
    assert y.data_ptr() == place  # from the cache
    del y
    held = ember.cuda.memory_reserved()
    ember.cuda.empty_cache()
    assert ember.cuda.memory_reserved() <= held - (1 << 20)


# ---- Indexing


def test_masks_and_indices_of_either_device():
    data = ember.randn(5, 3)
    mask, index = ember.tensor([True, False, True, True, False]), ember.tensor([4, 0, -2])
    for to in ("cpu", "cuda"):
        x, m, i = data.cuda(), mask.to(to), index.to(to)
        assert same(x[m], data[mask]) and same(x[i], data[index])
        assert same(x[i, 1], data[index, 1]) and same(x[m, 1:], data[mask, 1:])
        for key, plain in ((m, mask), (i, index), ((i, i % 3), (index, index % 3))):
            ours, theirs = data.cuda(), data.clone()
            ours[key] = 2.0
            theirs[plain] = 2.0
            assert same(ours, theirs)
        values = ember.ones(3, 3)
        for accumulate in (False, True):
            ours = data.cuda().index_put((i,), values.cuda(), accumulate)
            assert same(ours, data.index_put((index,), values, accumulate))
        assert same(x.masked_fill(m.cuda()[:, None], 0), data.masked_fill(mask[:, None], 0))
    assert same(data.cuda().nonzero(), data.nonzero())


def test_sums_by_index_are_the_same_bits_when_asked():
    index = ember.randint(0, 3, (200,), device="cuda")
    rows = ember.randn(200, 4, device="cuda")
    ember.use_deterministic_algorithms(True)
    try:
        first, second = (ember.zeros(3, 4, device="cuda").index_add(0, index, rows) for _ in "12")
    finally:
        ember.use_deterministic_algorithms(False)
    assert same(first, second)
    assert same(first, ember.zeros(3, 4).index_add(0, index.cpu(), rows.cpu()))


# ---- Streams and events


def test_streams_and_events():
    x = ember.randn(1000, device="cuda")
    stream = ember.cuda.Stream()
    start, end = (ember.cuda.Event(enable_timing=True) for _ in "12")
    stream.wait_stream(ember.cuda.current_stream())
    with ember.cuda.stream(stream):
        assert ember.cuda.current_stream() == stream
        start.record()
        y = x * 2
        x.record_stream(stream)
        end.record()
    assert ember.cuda.current_stream() != stream
    ember.cuda.current_stream().wait_event(end)
    end.synchronize()
    stream.synchronize()
    assert end.query() and stream.query() and start.elapsed_time(end) >= 0
    assert same(y, x.cpu() * 2)


def test_gradients_run_on_the_streams_of_their_operations():
    x = ember.randn(100, device="cuda", requires_grad=True)
    stream = ember.cuda.Stream()
    stream.wait_stream(ember.cuda.current_stream())
    with ember.cuda.stream(stream):
        y = (x * x).sum()
    ember.cuda.current_stream().wait_stream(stream)
    y.backward()
    assert same(x.grad, 2 * x.detach().cpu())


# ---- Random numbers


def test_generators():
    def draw(**how: object) -> list:
        return ember.rand(5, device="cuda", **how).tolist()

    ember.manual_seed(3)
    first = draw()
    second = draw()
    assert first != second
    ember.cuda.manual_seed(3)
    assert draw() == first
    state = ember.cuda.get_rng_state()
    assert draw() == second
    ember.cuda.set_rng_state(state)
    assert draw() == second
    generator = ember.Generator("cuda").manual_seed(3)
    assert draw(generator=generator) == first
    assert generator.initial_seed() == 3 and generator.device.type == "cuda"


@pytest.mark.parametrize(
    "fill, mean, std",
    [
        (lambda x: x.uniform_(-1, 3), 1, 4 / 12**0.5),
        (lambda x: x.normal_(2, 3), 2, 3),
        (lambda x: x.bernoulli_(0.3), 0.3, 0.21**0.5),
        (lambda x: x.exponential_(2), 0.5, 0.5),
        (lambda x: x.random_(0, 7), 3, 2),
        (lambda x: F.dropout(x.fill_(1), 0.25), 1, (1 / 3) ** 0.5),
    ],
)
def test_draws_have_their_moments(fill: Callable, mean: float, std: float):
    x = fill(ember.empty(20000, device="cuda")).cpu().numpy()
    assert abs(x.mean() - mean) < 5 * std / len(x) ** 0.5
    assert abs(x.std() / std - 1) < 0.05


def test_permutations_and_multinomials():
    assert sorted(ember.randperm(50, device="cuda").tolist()) == list(range(50))
    p = ember.tensor([0.0, 1.0, 3.0], device="cuda")
    drawn = ember.multinomial(p, 4000, replacement=True)
    assert drawn.device == p.device
    counts = ember.bincount(drawn, minlength=3).tolist()
    assert counts[0] == 0 and 2.5 < counts[2] / counts[1] < 3.6


# ---- Files and copies


def test_pickles_and_copies_stay_on_the_device():
    x = ember.randn(3, 4, device="cuda", requires_grad=True)
    for y in (pickle.loads(pickle.dumps(x)), copy.deepcopy(x)):
        assert y.device == x.device and y.requires_grad and same(y, x)
        assert y.data_ptr() != x.data_ptr()
    model = nn.Linear(2, 3).cuda()
    twin = copy.deepcopy(model)
    assert twin.weight.is_cuda and same(twin.weight, model.weight)


def test_files_load_where_they_are_asked_to():
    saved = {"x": ember.randn(3, device="cuda"), "y": ember.randn(3)}
    file = io.BytesIO()
    ember.save(saved, file)
    for where, devices in ((None, ("cuda", "cpu")), ("cpu", ("cpu",) * 2), ("cuda", ("cuda",) * 2)):
        file.seek(0)
        loaded = ember.load(file, map_location=where)
        assert tuple(loaded[k].device.type for k in "xy") == devices
        assert all(same(loaded[k], saved[k]) for k in "xy")


def test_state_crosses_devices():
    here, there = nn.Linear(4, 2), nn.Linear(4, 2).cuda()
    there.load_state_dict(here.state_dict())
    assert there.weight.is_cuda and same(there.weight, here.weight)
    here.load_state_dict(there.state_dict())
    assert here.weight.device.type == "cpu"
    optimizers = [ember.optim.Adam(m.parameters()) for m in (here, there)]
    for m, o in zip((here, there), optimizers, strict=True):
        m(ember.ones(1, 4, device=m.weight.device)).sum().backward()
        o.step()
    optimizers[1].load_state_dict(optimizers[0].state_dict())
    assert optimizers[1].state[there.weight]["exp_avg"].is_cuda
    optimizers[1].step()
    optimizers[0].step()
    assert same(here.weight, there.weight, 1e-6)


def test_loader_pins_its_batches():
    data = ember.utils.data.TensorDataset(ember.arange(10.0), ember.arange(10))
    loader = ember.utils.data.DataLoader(data, batch_size=4, pin_memory=True)
    seen = []
    for x, y in loader:
        assert x.is_pinned() and y.is_pinned()
        seen += x.to("cuda", non_blocking=True).tolist()
    assert seen == list(range(10))


# ---- Modules, losses and optimisers follow the CPU

MODULES = {
    "Linear": (lambda: nn.Linear(5, 4), (3, 5)),
    "BatchNorm1d": (lambda: nn.BatchNorm1d(4), (6, 4)),
    "BatchNorm2d": (lambda: nn.BatchNorm2d(3), (2, 3, 4, 5)),
    "LayerNorm": (lambda: nn.LayerNorm(7), (4, 7)),
    "GroupNorm": (lambda: nn.GroupNorm(2, 4), (3, 4, 5)),
    "InstanceNorm2d": (lambda: nn.InstanceNorm2d(3, affine=True), (2, 3, 4, 4)),
    "Conv1d": (lambda: nn.Conv1d(3, 4, 3, stride=2, padding=1), (2, 3, 9)),
    "Conv2d": (lambda: nn.Conv2d(4, 6, 3, padding=1, groups=2), (2, 4, 6, 5)),
    "Conv2d dilated": (lambda: nn.Conv2d(2, 3, 3, dilation=2, bias=False), (2, 2, 8, 8)),
    "Conv3d": (lambda: nn.Conv3d(2, 3, 2), (1, 2, 4, 4, 4)),
    "ConvTranspose2d": (lambda: nn.ConvTranspose2d(3, 2, 3, stride=2, output_padding=1), (2, 3, 4, 4)),
    "MaxPool2d": (lambda: nn.MaxPool2d(2), (2, 3, 6, 6)),
    "AvgPool2d": (lambda: nn.AvgPool2d(3, 2, 1), (2, 3, 6, 6)),
    "AdaptiveAvgPool2d": (lambda: nn.AdaptiveAvgPool2d(2), (2, 3, 5, 5)),
    "Upsample": (lambda: nn.Upsample(scale_factor=2, mode="bilinear"), (1, 2, 4, 4)),
    "GELU": (lambda: nn.GELU(), (3, 5)),
    "Softmax": (lambda: nn.Softmax(-1), (3, 5)),
    "MultiheadAttention": (lambda: Attention(), (2, 5, 8)),
}  # fmt: skip


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, x):
        return self.attention(x, x, x)[0]


@pytest.mark.parametrize("name", MODULES)
def test_module_is_the_cpus(name: str):
    make, shape = MODULES[name]
    here = make()
    there = copy.deepcopy(here).cuda()
    x = ember.randn(shape)
    results = []
    for module in (here, there):
        inputs = x.to(next(iter([*module.parameters(), x])).device)
        inputs = inputs.cuda() if module is there else inputs
        inputs = inputs.detach().clone().requires_grad_()
        y = module(inputs)
        weights = ember.linspace(-1, 1, y.numel()).reshape(y.shape).to(y.device)
        (y * weights).sum().backward()
        parts = [y, inputs.grad, *(p.grad for p in module.parameters()), *module.buffers()]
        assert all(t.is_cuda == (module is there) for t in parts)
        results.append(parts)
    for ours, theirs in zip(*results, strict=True):
        assert same(theirs, ours, 2e-5)


def test_embedding_and_losses_are_the_cpus():
    table, tokens = nn.Embedding(7, 5, padding_idx=0), ember.tensor([[1, 0, 6], [6, 6, 2]])
    results = []
    for device in ("cpu", "cuda"):
        module = copy.deepcopy(table).to(device)
        y = module(tokens.to(device))
        target = ember.tensor([1, 2, 3, 4, 0, 1], device=device)
        loss = F.cross_entropy(y.reshape(6, 5), target, label_smoothing=0.1)
        loss = (
            loss + F.mse_loss(y, y.detach() * 2) + F.nll_loss(F.log_softmax(y[0], -1), target[:3])
        )
        loss.backward()
        results.append((loss, module.weight.grad))
    for ours, theirs in zip(*results, strict=True):
        assert same(theirs, ours, 1e-5)


def test_dropout_scales_what_it_keeps_and_its_gradient():
    x = ember.ones(50, 40, device="cuda", requires_grad=True)
    y = F.dropout(x, 0.5)
    y.sum().backward()
    assert set(y.detach().cpu().unique().tolist()) == {0.0, 2.0}
    assert same(x.grad, y)


OPTIMIZERS = {
    "SGD": lambda p: ember.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.01, nesterov=True),
    "Adam": lambda p: ember.optim.Adam(p, lr=0.01, amsgrad=True),
    "AdamW": lambda p: ember.optim.AdamW(p, lr=0.01),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizer_and_clipping_are_the_cpus(name: str):
    start = [ember.randn(5, 3), ember.randn(7), ember.randn(())]
    grads = [[ember.randn(p.shape) for p in start] for _ in range(3)]
    ends = []
    for device in ("cpu", "cuda"):
        params = [p.to(device, copy=True).requires_grad_() for p in start]
        optimizer, norms = OPTIMIZERS[name](params), []
        for step in grads:
            for p, g in zip(params, step, strict=True):
                p.grad = g.to(device, copy=True)
            norms.append(nn.utils.clip_grad_norm_(params, 1.0))
            optimizer.step()
        ends.append([*params, *norms])
    assert all(same(theirs, ours, 1e-5) for ours, theirs in zip(*ends, strict=True))


class LeNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 4, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(4, 8, 5), nn.ReLU(), nn.MaxPool2d(2),
        )  # fmt: skip
        self.classifier = nn.Sequential(nn.Linear(8 * 4 * 4, 32), nn.ReLU(), nn.Linear(32, 10))

    def forward(self, x):
        return self.classifier(self.features(x).flatten(1))


@pytest.mark.parametrize("name", ["SGD", "Adam"])
def test_losses_of_a_network_follow_the_cpus(name: str):
    x, y = ember.randn(8, 1, 24, 24), ember.randint(0, 10, (8,))
    start, losses = LeNet(), []
    for device in ("cpu", "cuda"):
        model, xs, ys = copy.deepcopy(start).to(device), x.to(device), y.to(device)
        optimizer = {
            "SGD": lambda p: ember.optim.SGD(p, lr=0.05, momentum=0.9),
            "Adam": lambda p: ember.optim.Adam(p, lr=1e-3),
        }[name](model.parameters())
        steps = []
        for _ in range(20):
            optimizer.zero_grad()
            loss = F.cross_entropy(model(xs), ys)
            loss.backward()
            optimizer.step()
            steps.append(loss.item())
        losses.append(steps)
    assert losses[0][-1] < losses[0][0]
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-3, atol=1e-6)
