"""Worker processes: order, contents, random numbers, errors, and workers that die."""

import os
import pickle
import random
import signal
import time

import ember
import numpy as np
import pytest
from data_support import Squares, Stream, plain, tensors
from ember.utils import data

torch = pytest.importorskip("torch")
reference = torch.utils.data


class Items(data.Dataset):
    """Items of every kind."""

    def __len__(self):
        return 7

    def __getitem__(self, i):
        return {
            "tensor": ember.arange(6.0).reshape(2, 3) + i,
            "bool": ember.tensor([i % 2 == 0]),
            "half": ember.tensor(i / 2, dtype=ember.bfloat16),
            "empty": ember.empty(0, 2),
            "array": np.full((2,), i),
            "text": f"item {i}",
            "number": i,
            "large": ember.full((50_000,), float(i)),
        }


class Draws(data.Dataset):
    def __len__(self):
        return 8

    def __getitem__(self, i):
        return float(np.random.rand()), random.random(), ember.rand(1)  # noqa: NPY002


class TorchDraws(Draws, reference.Dataset):
    def __getitem__(self, i):
        return float(np.random.rand()), random.random(), torch.rand(1)  # noqa: NPY002


class Broken(Squares):
    def __getitem__(self, i):
        if i == 3:
            raise KeyError("item three")
        return i


class Unsendable(Squares):
    def __getitem__(self, i):
        return (lambda: i) if i == 1 else i


class Fatal(Squares):
    def __getitem__(self, i):
        if i == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return i


class Slow(Squares):
    def __getitem__(self, i):
        time.sleep(30 if i == 1 else 0)
        return i


class Who(Squares):
    def __getitem__(self, i):
        info = data.get_worker_info()
        return info.id, info.num_workers, info.seed, len(info.dataset), os.getpid()


def loader(dataset, **options):
    return data.DataLoader(dataset, multiprocessing_context="fork", **options)


def test_batches_come_whole_and_in_order():
    expected = [plain(b) for b in data.DataLoader(Items(), batch_size=3)]
    for workers in (1, 3):
        got = [plain(b) for b in loader(Items(), batch_size=3, num_workers=workers)]
        assert got == expected
    first = next(iter(loader(Items(), batch_size=3, num_workers=1)))
    first["tensor"][0] = 5  # memory of its own, that may be written to
    assert first["large"].sum().item() == (0 + 1 + 2) * 50_000


@pytest.mark.parametrize("shuffle", [False, True])
def test_random_streams_are_pytorchs(shuffle):
    ours, theirs = tensors()
    options = {"batch_size": 4, "shuffle": shuffle, "num_workers": 2}
    ember.manual_seed(3)
    torch.manual_seed(3)
    mine, other = loader(ours, **options), reference.DataLoader(theirs, **options)
    for _ in range(2):
        assert [plain(b) for b in mine] == [plain(b) for b in other]


def test_workers_draw_as_pytorchs_do():
    ember.manual_seed(3)
    torch.manual_seed(3)
    options = {"batch_size": 2, "num_workers": 2}
    mine, other = loader(Draws(), **options), reference.DataLoader(TorchDraws(), **options)
    assert [plain(b) for b in mine] == [plain(b) for b in other]


def test_streams_and_worker_info():
    got = [b.tolist() for b in loader(Stream(11), batch_size=2, num_workers=3)]
    expected = [b.tolist() for b in data.DataLoader(Stream(11), batch_size=2, num_workers=3)]
    assert got == expected
    rows = list(loader(Who(6), batch_size=None, num_workers=2))
    assert [r[0] for r in rows] == [0, 1] * 3
    assert {r[1] for r in rows} == {2} and {r[3] for r in rows} == {6}
    assert rows[1][2] == rows[0][2] + 1
    assert len({r[4] for r in rows}) == 2 and os.getpid() not in {r[4] for r in rows}


def test_persistent_workers_and_abandoned_epochs():
    batches = loader(Who(6), batch_size=None, num_workers=2, persistent_workers=True)
    pids = set()
    for _ in range(3):
        for row in batches:
            pids.add(row[4])
            break
        pids |= {row[4] for row in batches}
    assert len(pids) == 2
    del batches
    deadline = time.monotonic() + 10
    while any(os.path.exists(f"/proc/{pid}") for pid in pids):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_errors_carry_the_traceback():
    iterator = iter(loader(Broken(6), num_workers=2))
    got = [next(iterator).item() for _ in range(3)]
    with pytest.raises(KeyError, match="DataLoader worker process 1") as caught:
        next(iterator)
    assert "__getitem__" in str(caught.value) and "item three" in str(caught.value)
    assert got == [0, 1, 2]
    assert [b.item() for b in iterator] == [4, 5]

    def fail(worker):
        raise OSError(f"no file for worker {worker}")

    with pytest.raises(OSError, match="no file for worker 0"):
        list(loader(Squares(4), num_workers=1, worker_init_fn=fail))
    iterator = iter(loader(Unsendable(2), batch_size=None, num_workers=1))
    assert next(iterator) == 0
    with pytest.raises((AttributeError, pickle.PicklingError), match="DataLoader worker process 0"):
        next(iterator)


def test_a_killed_worker_raises():
    with pytest.raises(RuntimeError, match=r"exited unexpectedly, with signal 9"):
        list(loader(Fatal(6), num_workers=2))


def test_timeout():
    iterator = iter(loader(Slow(3), num_workers=1, timeout=1))
    assert next(iterator).item() == 0
    with pytest.raises(RuntimeError, match="timed out after 1 seconds"):
        next(iterator)


def test_spawned_workers():
    import multiprocessing

    context = multiprocessing.get_context("spawn")
    batches = data.DataLoader(
        Squares(4), batch_size=2, num_workers=1, multiprocessing_context=context
    )
    assert [b.tolist() for b in batches] == [[0, 1], [4, 9]]


def test_bad_contexts():
    with pytest.raises(ValueError, match="num_workers > 0"):
        data.DataLoader(Squares(3), multiprocessing_context="fork")
    with pytest.raises(ValueError, match="must be one of"):
        data.DataLoader(Squares(3), num_workers=1, multiprocessing_context="teleport")
    with pytest.raises(TypeError, match="start method"):
        data.DataLoader(Squares(3), num_workers=1, multiprocessing_context=3)


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("drop_last", [True, False])
@pytest.mark.parametrize(("size", "replicas"), [(10, 3), (9, 3), (2, 5), (0, 2)])
def test_distributed_sampler(shuffle, drop_last, size, replicas):
    for rank in range(replicas):
        options = {"shuffle": shuffle, "drop_last": drop_last, "seed": 3}
        try:
            theirs = reference.DistributedSampler(range(size), replicas, rank, **options)
        except ZeroDivisionError:
            continue
        ours = data.DistributedSampler(range(size), replicas, rank, **options)
        for epoch in (0, 4):
            ours.set_epoch(epoch)
            theirs.set_epoch(epoch)
            assert len(ours) == len(theirs)
            if size:
                assert list(ours) == list(theirs)
    with pytest.raises(ValueError, match="Invalid rank 5"):
        data.DistributedSampler(range(4), 2, 5)
    with pytest.raises(RuntimeError, match="num_replicas and rank"):
        data.distributed.DistributedSampler(range(4))
