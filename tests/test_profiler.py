"""The profiler: which events, how they nest, what is summed and written."""

import gzip
import json
import threading
import time
import warnings

import ember
import pytest
from ember import nn
from ember.autograd import profiler as autograd_profiler
from ember.profiler import (
    ProfilerAction,
    ProfilerActivity,
    profile,
    record_function,
    schedule,
    supported_activities,
    tensorboard_trace_handler,
)


def names(events):
    return [event.name for event in events]


def find(events, name):
    (event,) = [event for event in events if event.name == name]
    return event


def step(model, optimizer, x):
    optimizer.zero_grad()
    loss = model(x).sum()
    loss.backward()
    optimizer.step()
    return loss


def test_operations_backward_nodes_and_ranges_are_events():
    layer = nn.Linear(3, 4)
    optimizer = ember.optim.SGD(layer.parameters(), lr=0.1)
    x = ember.ones(2, 3)
    with profile() as prof:
        with record_function("forward"):
            loss = (layer(x).relu() * 2).sum()
        loss.backward()
        optimizer.step()
    events = prof.events()
    assert names(events) == [
        "forward",
        "aten::linear",
        "aten::relu",
        "aten::mul",
        "aten::sum",
        "SumBackward0",
        "MulBackward0",
        "ReluBackward0",
        "LinearBackward0",
        "AccumulateGrad",
        "AccumulateGrad",
        "Optimizer.step#SGD.step",
        "aten::_fused_sgd_",
    ]
    assert [e.name for e in events[0].cpu_children] == names(events[1:5])
    assert events[12].cpu_parent is events[11] and events[5].cpu_parent is None
    assert events[0].is_user_annotation and not events[1].is_user_annotation
    assert [e.scope for e in events[:2]] == [7, 0] and events[5].scope == 1
    # An operation and the node that it made bear one number.
    assert find(events, "aten::relu").sequence_nr == find(events, "ReluBackward0").sequence_nr >= 0
    assert find(events, "aten::linear").sequence_nr == find(events, "LinearBackward0").sequence_nr


def test_names_agree_with_pytorchs():
    torch = pytest.importorskip("torch")

    def run(lib, profile):
        a = lib.ones(2, 2)
        with profile() as prof:
            c = a + a
            c *= 2
            c = -c
            c = lib.exp(c).sigmoid_()
            c = c @ a
            c = lib.cat([c, c])
            c = lib.nn.functional.softmax(c, 0)
            a.add_(1)
        return {event.name for event in prof.events()}

    own = run(ember, profile)
    assert len(own) == 9
    assert own - run(torch, torch.profiler.profile) == set()


def test_self_time_leaves_out_what_runs_within():
    with profile() as prof, record_function("outer"):
        time.sleep(0.01)
        with record_function("inner"):
            time.sleep(0.02)
    outer, inner = prof.events()
    assert outer.cpu_children == [inner]
    assert outer.cpu_time_total >= 30e3 and inner.cpu_time_total >= 20e3
    assert outer.self_cpu_time_total == outer.cpu_time_total - inner.cpu_time_total
    assert inner.time_range.start >= outer.time_range.start
    assert inner.time_range.end <= outer.time_range.end
    assert prof.key_averages().self_cpu_time_total == pytest.approx(outer.cpu_time_total)


def test_averages_sum_up_calls():
    a, b = ember.ones(2, 3), ember.ones(4)
    with profile(record_shapes=True) as prof:
        for _ in range(3):
            a.exp()
        b.exp()
    (one,) = prof.key_averages()
    assert (one.key, one.count) == ("aten::exp", 4)
    assert one.cpu_time_total == pytest.approx(sum(e.cpu_time_total for e in prof.events()))
    assert one.cpu_time == pytest.approx(one.cpu_time_total / 4)
    by_shape = prof.key_averages(group_by_input_shape=True)
    assert [(e.input_shapes, e.count) for e in by_shape] == [([[2, 3]], 3), ([[4]], 1)]


def test_shapes_of_tensors_and_lists():
    a = ember.ones(2, 3)
    with profile(record_shapes=True) as prof:
        ember.cat([a, a], 1)
        ember.add(a, 2, alpha=1)
    assert [e.input_shapes for e in prof.events()] == [[[[2, 3], [2, 3]], []], [[2, 3], [], []]]
    with profile() as prof:
        a.exp()
    assert prof.events()[0].input_shapes == []


def test_memory_that_events_take():
    with profile(profile_memory=True) as prof, record_function("outer"):
        kept = ember.zeros(1 << 18)
    outer, zeros = prof.events()
    assert zeros.cpu_memory_usage >= kept.nbytes and outer.cpu_memory_usage >= kept.nbytes
    assert outer.self_cpu_memory_usage < kept.nbytes
    assert "Self CPU Mem" in prof.key_averages().table()


def test_stack_and_module():
    model = nn.Sequential(nn.ReLU(), nn.Sequential(nn.ReLU()))
    x = ember.ones(2)
    with profile(with_stack=True, with_modules=True) as prof:
        model(x)
    first, second = prof.events()
    assert first.module == "0" and second.module == "1.0"
    assert any(line.endswith("test_stack_and_module") for line in first.stack)
    assert first.stack[0].endswith("): forward") and "test_profiler.py(" in "".join(first.stack)
    assert len(prof.key_averages(group_by_stack_n=20)) == 2


def test_custom_functions_are_events():
    class Twice(ember.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, grad):
            return grad + grad

    x = ember.ones(2, requires_grad=True)
    with profile() as prof:
        Twice.apply(x).sum().backward()
    events = prof.events()
    assert find(events, "aten::mul").cpu_parent is find(events, "Twice")
    assert find(events, "aten::add").cpu_parent is find(events, "TwiceBackward")


@pytest.mark.parametrize("workers", [0, 2])
def test_waiting_for_batches_is_an_event(workers):
    data = ember.utils.data.TensorDataset(ember.arange(6.0))
    loader = ember.utils.data.DataLoader(data, batch_size=3, num_workers=workers)
    with profile() as prof:
        for (x,) in loader:
            x.exp()
    waits = [name for name in names(prof.events()) if name.startswith("enumerate(DataLoader)#")]
    assert len(waits) == 3 and waits[0].endswith(".__next__")
    assert names(prof.events()).count("aten::exp") == 2


def test_what_only_asks_is_no_event():
    x = ember.ones(2, 3)
    with profile() as prof:
        x.size(), x.dim(), x.stride(), x.is_contiguous(), x.data_ptr(), x.shape
        ember.nn.functional.max_pool1d(x, 2)
        x.sum().item()
    assert names(prof.events()) == ["aten::max_pool1d", "aten::sum", "aten::item"]


def test_threads_nest_on_their_own():
    def work():
        with record_function("theirs"):
            ember.ones(3).exp()

    with profile() as prof, record_function("ours"):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    ours, theirs = find(prof.events(), "ours"), find(prof.events(), "theirs")
    assert theirs.cpu_parent is None and ours.cpu_children == []
    assert ours.thread == threading.get_native_id() != theirs.thread
    assert names(theirs.cpu_children) == ["aten::ones", "aten::exp"]


def test_an_error_ends_its_event():
    with profile() as prof:
        with pytest.raises(RuntimeError):
            ember.ones(2) + ember.ones(3)
        ember.ones(2).exp()
    assert all(e.cpu_parent is None and e.cpu_time_total > 0 for e in prof.events())
    assert names(prof.events())[-1] == "aten::exp"


def test_range_that_is_open_when_recording_begins_or_ends():
    around = record_function("around")
    with around, profile() as prof:
        within = record_function("within")
        within.__enter__()
    within.__exit__(None, None, None)
    assert names(prof.events()) == ["within"] and prof.events()[0].cpu_time_total > 0
    with profile() as prof:
        ember.ones(1).exp()
    assert [e.cpu_parent for e in prof.events()] == [None, None]


def test_closing_what_is_not_open_does_nothing():
    with profile() as prof:
        outer = record_function("outer")
        inner = record_function("inner")
        outer.__enter__()
        with inner:
            pass
        inner.__exit__(None, None, None)
        ember._C._profiler_close(1 << 50)
        ember.ones(1)
        outer.__exit__(None, None, None)
    assert names(prof.events()) == ["outer", "inner", "aten::ones"]
    assert prof.events()[1].cpu_parent is prof.events()[0]


def test_record_function_decorates():
    @record_function("countdown")
    def countdown(n):
        return n if n == 0 else countdown(n - 1)

    assert countdown(2) == 0
    with profile() as prof:
        assert countdown(2) == 0
    assert names(prof.events()) == ["countdown"] * 3
    assert prof.events()[2].cpu_parent is prof.events()[1]


def test_table():
    with profile(record_shapes=True) as prof:
        for size in (2, 3, 4):
            ember.ones(size)
        ember.ones(2).exp()
    averages = prof.key_averages()
    lines = averages.table(sort_by="count", row_limit=1, header="Mine").splitlines()
    assert lines[1] == "Mine" and "Self CPU time total: " in lines[-1]
    assert [line.split()[0] for line in lines if "aten::" in line] == ["aten::ones"]
    assert lines[3].split()[:3] == ["Name", "Self", "CPU"]
    assert len({len(line) for line in lines[2:-1]}) == 1
    assert str(averages).count("aten::") == 2
    with pytest.raises(ValueError, match="sort by 'speed'"):
        averages.table(sort_by="speed")


def test_chrome_trace(tmp_path):
    x = ember.ones(2, 2, requires_grad=True)
    with profile(record_shapes=True) as prof:
        with record_function("mine"):
            y = x.exp()
        y.sum().backward()
    prof.add_metadata("run", "seven")
    prof.add_metadata_json("epochs", "[1, 2]")
    prof.export_chrome_trace(tmp_path / "trace.json")
    prof.export_chrome_trace(tmp_path / "trace.json.gz")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["trace.json", "trace.json.gz"]
    trace = json.loads((tmp_path / "trace.json").read_text())
    assert trace == json.loads(gzip.decompress((tmp_path / "trace.json.gz").read_bytes()))
    assert trace["run"] == "seven" and trace["epochs"] == [1, 2]
    complete = [e for e in trace["traceEvents"] if e["ph"] == "X"]
    assert names(prof.events()) == [e["name"] for e in complete]
    for event, written in zip(prof.events(), complete, strict=True):
        assert written["ts"] == event.time_range.start and written["tid"] == event.thread
        assert written["dur"] == pytest.approx(event.cpu_time_total, abs=1e-3)
    assert complete[0]["cat"] == "user_annotation" and complete[1]["cat"] == "cpu_op"
    assert complete[1]["args"]["Input Dims"] == [[2, 2]]
    arrows = [e for e in trace["traceEvents"] if e["ph"] in "sf"]
    assert len(arrows) == 4 and {e["cat"] for e in arrows} == {"fwdbwd"}


def test_stacks_for_flame_graphs(tmp_path):
    with profile(with_stack=True) as prof:
        time.sleep(0.001)
        with record_function("slow"):
            time.sleep(0.001)
    prof.export_stacks(tmp_path / "stacks")
    (line,) = (tmp_path / "stacks").read_text().splitlines()
    frames, micros = line.rsplit(" ", 1)
    assert int(micros) >= 1000
    assert frames.split(";")[-2].endswith("test_stacks_for_flame_graphs")
    with profile() as prof:
        pass
    with pytest.raises(ValueError, match="with_stack=True"):
        prof.export_stacks(tmp_path / "stacks")


CYCLES = [
    {"wait": 1, "warmup": 1, "active": 2},
    {"wait": 0, "warmup": 1, "active": 1, "repeat": 2},
    {"wait": 2, "warmup": 1, "active": 3, "repeat": 1, "skip_first": 3},
    {"wait": 2, "warmup": 1, "active": 1, "skip_first": 1, "skip_first_wait": 1},
]


@pytest.mark.parametrize("options", CYCLES)
def test_schedules_are_pytorchs(options):
    theirs = pytest.importorskip("torch").profiler.schedule(**options)
    ours = schedule(**options)
    assert [ours(i).name for i in range(30)] == [theirs(i).name for i in range(30)]


def test_bad_schedules_raise():
    with pytest.raises(ValueError, match="active must be positive"):
        schedule(wait=1, warmup=1, active=0)
    with pytest.warns(UserWarning, match="warmup"):
        schedule(wait=1, warmup=0, active=1)


@pytest.mark.parametrize("acc_events", [False, True])
def test_steps_of_a_schedule(acc_events):
    ready = []
    plan = schedule(wait=1, warmup=1, active=2, repeat=2)
    options = {"schedule": plan, "acc_events": acc_events}
    with profile(**options, on_trace_ready=lambda p: ready.append(names(p.events()))) as prof:
        for i in range(10):
            ember.full((1,), i).exp()
            prof.step()
    operations = ["aten::full", "aten::exp"]
    first = ["ProfilerStep#2", *operations, "ProfilerStep#3", *operations]
    second = ["ProfilerStep#6", *operations, "ProfilerStep#7", *operations]
    assert ready == [first, first + second if acc_events else second]
    assert prof.step_num == 10


def test_stop_within_a_recording_hands_over_what_there_is():
    ready = []
    plan = schedule(wait=0, warmup=1, active=5)
    prof = profile(schedule=plan, on_trace_ready=lambda p: ready.append(len(p.events())))
    prof.start()
    prof.step()
    ember.ones(1)
    prof.stop()
    assert ready == [2]


def test_trace_handler_writes_a_file_for_each_recording(tmp_path):
    plan = schedule(wait=0, warmup=1, active=1)
    for use_gzip, ending in ((False, ".pt.trace.json"), (True, ".pt.trace.json.gz")):
        folder = tmp_path / ending
        handler = tensorboard_trace_handler(folder, "worker", use_gzip)
        with profile(schedule=plan, on_trace_ready=handler) as prof:
            for _ in range(4):
                prof.step()
        files = [path.name for path in folder.iterdir()]
        assert len(files) == 2
        assert all(f.startswith("worker.") and f.endswith(ending) for f in files)


def test_legacy_profile():
    with autograd_profiler.profile(enabled=False) as off:
        ember.ones(1)
    assert off.function_events is None
    with pytest.raises(RuntimeError, match="nothing was recorded"):
        off.key_averages()
    with autograd_profiler.profile() as prof:
        ember.ones(1).exp()
    total = prof.total_average()
    assert (total.key, total.count) == ("Total", 2)
    assert total.self_cpu_time_total > 0
    assert prof.self_cpu_time_total == pytest.approx(total.self_cpu_time_total)
    assert names(prof.function_events) == ["aten::ones", "aten::exp"]
    assert "aten::exp" in prof.table() and prof.table() == str(prof)


def test_only_one_recording_at_a_time():
    with profile(), pytest.raises(RuntimeError, match="another profiler"), profile():
        pass
    with profile() as prof:
        ember.ones(1)
    assert names(prof.events()) == ["aten::ones"]


def test_activities():
    assert supported_activities() == {ProfilerActivity.CPU}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        profile(activities=[ProfilerActivity.CPU])
    with pytest.warns(UserWarning, match="CUDA is not recorded"):
        profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA])
    assert [action.value for action in ProfilerAction] == [0, 1, 2, 3]


def test_optimizers_are_left_alone_after_a_recording():
    layer = nn.Linear(2, 2)
    optimizer = ember.optim.Adam(layer.parameters())
    x = ember.ones(1, 2)
    with profile() as prof:
        step(layer, optimizer, x)
        later = ember.optim.SGD(layer.parameters())
        step(layer, later, x)
    steps = [name for name in names(prof.events()) if "#" in name]
    assert steps == ["Optimizer.step#Adam.step", "Optimizer.step#SGD.step"]
    for used in (optimizer, later):
        step(layer, used, x)
        assert "step" not in vars(used)
