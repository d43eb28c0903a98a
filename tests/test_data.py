import collections
import gc
import itertools
import threading
import time

import ember
import numpy as np
import pytest
from data_support import Squares, Stream, TorchStream, plain, tensors
from ember.utils import data
from torch_bridge import to_ember

torch = pytest.importorskip("torch")
reference = torch.utils.data

Point = collections.namedtuple("Point", "x y")


def both(make, seed=0, epochs=2):
    """What the loaders of the two libraries give from the same seed, and their next number."""
    out = []
    for library, module in ((ember, data), (torch, reference)):
        library.manual_seed(seed)
        loader = make(library, module)
        batches = [[plain(b) for b in loader] for _ in range(epochs)]
        out.append((batches, len(loader), library.rand(3).tolist()))
    return out


LOADERS = {
    "plain": {},
    "batches": {"batch_size": 4},
    "drop": {"batch_size": 4, "drop_last": True},
    "whole": {"batch_size": 23},
    "larger": {"batch_size": 50},
    "shuffle": {"batch_size": 4, "shuffle": True},
    "shuffle, drop": {"batch_size": 5, "shuffle": True, "drop_last": True},
    "shuffle evenly": {"batch_size": 1, "shuffle": True},
    "items": {"batch_size": None},
    "items shuffled": {"batch_size": None, "shuffle": True},
}


@pytest.mark.parametrize("name", LOADERS)
@pytest.mark.parametrize("subset", [None, [3, 1, 4, 1, 5, 9, 2, 6], [-1, -2, 0], range(2, 9)])
@pytest.mark.parametrize("workers", [0, 2])
def test_batches_and_random_streams_equal_pytorchs(name, subset, workers):
    ours, theirs = tensors()

    def make(library, module, workers):
        dataset = ours if library is ember else theirs
        if subset is not None:
            dataset = module.Subset(module.Subset(dataset, list(range(23))), subset)
        return module.DataLoader(dataset, num_workers=workers, **LOADERS[name])

    # PyTorch without workers is the reference for both: workers change nothing but the time.
    mine, theirs_out = both(lambda lib, m: make(lib, m, workers if lib is ember else 0))
    assert mine == theirs_out


@pytest.mark.parametrize("name", ["shuffle", "shuffle, drop", "shuffle evenly", "items shuffled"])
@pytest.mark.parametrize("kind", ["tensors", "items"])
def test_own_generator(name, kind):
    ours, theirs = tensors()

    def make(library, module):
        dataset = Squares(23) if kind == "items" else ours if library is ember else theirs
        generator = library.Generator()
        generator.manual_seed(5)
        return module.DataLoader(dataset, generator=generator, **LOADERS[name])

    mine, other = both(make, epochs=3)
    assert mine == other


SAMPLERS = {
    "sequential": lambda m, g: m.SequentialSampler(range(10)),
    "random": lambda m, g: m.RandomSampler(range(10), generator=g),
    "more": lambda m, g: m.RandomSampler(range(10), num_samples=25, generator=g),
    "fewer": lambda m, g: m.RandomSampler(range(10), num_samples=7, generator=g),
    "replacement": lambda m, g: m.RandomSampler(
        range(10), replacement=True, num_samples=70, generator=g
    ),
    "subset": lambda m, g: m.SubsetRandomSampler([3, 1, 4, 15], generator=g),
    "weighted": lambda m, g: m.WeightedRandomSampler([0.1, 0.5, 2.0, 0.0], 20, generator=g),
    "weighted without": lambda m, g: m.WeightedRandomSampler(
        [0.1, 0.5, 2.0, 1.0], 3, replacement=False, generator=g
    ),
    "batch": lambda m, g: m.BatchSampler(m.RandomSampler(range(10), generator=g), 4, False),
    "batch drop": lambda m, g: m.BatchSampler(m.SequentialSampler(range(10)), 4, True),
    "batch of a list": lambda m, g: m.BatchSampler([5, 6, 7], 2, False),
}


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("own", [False, True])
def test_samplers_equal_pytorchs(name, own):
    out = []
    for library, module in ((ember, data), (torch, reference)):
        library.manual_seed(3)
        generator = None
        if own:
            generator = library.Generator()
            generator.manual_seed(11)
        sampler = SAMPLERS[name](module, generator)
        out.append(([list(sampler) for _ in range(3)], len(sampler), library.rand(2).tolist()))
    assert out[0] == out[1]


@pytest.mark.parametrize("name", ["random", "more", "replacement", "subset", "weighted"])
def test_samplers_in_a_loader(name):
    ours, theirs = tensors(20)

    def make(library, module):
        dataset = ours if library is ember else theirs
        return module.DataLoader(dataset, batch_size=3, sampler=SAMPLERS[name](module, None))

    mine, other = both(make)
    assert mine == other


def test_batch_samplers_in_a_loader():
    ours, theirs = tensors()
    for indices in ([[0, 1], [5], [-1, 3]], [[np.int64(2), 3]], [torch.tensor([1, 2]).tolist()]):
        mine, other = both(
            lambda lib, m, i=indices: m.DataLoader(
                ours if lib is ember else theirs, batch_sampler=i
            )
        )
        assert mine == other


ITEMS = [
    1,
    2.5,
    True,
    "text",
    b"bytes",
    np.float32(1.5),
    np.float64(2.5),
    np.int64(3),
    np.int32(3),
    np.bool_(True),
    np.arange(6).reshape(2, 3),
    np.float32([1, 2]),
    np.array(2.0),
    (1, 2.0, "x"),
    [1, [2, 3]],
    {"a": 1, "b": {"c": np.zeros(2)}},
    collections.OrderedDict(z=1, a=2.0),
    Point(1, np.ones(2)),
    (),
    [],
    {},
]


@pytest.mark.parametrize("item", ITEMS, ids=[str(type(i).__name__) for i in ITEMS])
def test_default_collate_and_convert(item):
    for batch in ([item], [item] * 3, (item, item)):
        assert plain(data.default_collate(batch)) == plain(reference.default_collate(batch))
    assert plain(data.default_convert(item)) == plain(reference.default_convert(item))


def test_default_collate_of_tensors():
    x = to_ember(torch.arange(6.0).reshape(2, 3))
    batch = data.default_collate([{"x": x, "t": (x, 1)}, {"x": x + 1, "t": (x, 2)}])
    assert batch["x"].shape == (2, 2, 3) and batch["t"][1].tolist() == [1, 2]
    assert isinstance(batch["t"], list)


def test_default_collate_refuses():
    for batch, kind in (
        ([object()], TypeError),
        ([np.array(["a"])], TypeError),
        ([None], TypeError),
        ([[1, 2], [3]], RuntimeError),
        ([ember.ones(2), ember.ones(3)], RuntimeError),
        ([{"a": 1}, {"b": 1}], KeyError),
    ):
        with pytest.raises(kind):
            data.default_collate(batch)


def test_random_split_equals_pytorchs():
    for lengths in ([3, 7], [0.3, 0.3, 0.4], [0.25, 0.25, 0.25, 0.25], [10]):
        parts = []
        for library, module in ((ember, data), (torch, reference)):
            library.manual_seed(1)
            generator = library.Generator()
            generator.manual_seed(2)
            parts.append(
                [s.indices for s in module.random_split(range(10), lengths)]
                + [s.indices for s in module.random_split(range(10), lengths, generator)]
            )
        assert parts[0] == parts[1]
    with pytest.raises(ValueError, match="sum to 9"):
        data.random_split(range(10), [4, 5])
    with pytest.raises(ValueError, match="fraction"):
        data.random_split(range(10), [-0.5, 1.5])
    with pytest.warns(UserWarning, match="empty"):
        data.random_split(range(2), [0.5, 0.25, 0.25])


def test_datasets():
    a, b = Squares(3), Squares(2)
    joined = a + b
    assert [joined[i] for i in range(5)] == [0, 1, 4, 0, 1] and joined[-1] == 1 and len(joined) == 5
    for bad in (5, -6):
        with pytest.raises((IndexError, ValueError)):
            joined[bad]
    assert list(Stream(2) + Stream(3)) == [0, 1, 0, 1, 2]
    assert data.Subset(a, [2, 0])[0] == 4
    assert data.StackDataset(a, Squares(3))[2] == (4, 4)
    assert data.StackDataset(x=a)[1] == {"x": 1}
    stacked = data.StackDataset(a, data.Subset(Squares(9), [8, 7, 6]))
    assert stacked.__getitems__([2, 0]) == [(4, 36), (0, 64)]
    assert data.StackDataset(x=a, y=a).__getitems__([1]) == [{"x": 1, "y": 1}]
    batches = data.DataLoader(stacked, batch_size=2)
    assert [[c.tolist() for c in b] for b in batches] == [[[0, 1], [64, 49]], [[4], [36]]]
    x = ember.arange(6).view(3, 2)
    assert data.TensorDataset(x, x)[1][0].tolist() == [2, 3]
    with pytest.raises(AssertionError, match="mismatch"):
        data.TensorDataset(x, x[:2])
    with pytest.raises(ValueError):
        data.StackDataset(a, b)
    with pytest.raises(AssertionError):
        data.ConcatDataset([])


def test_batches_from_memory_are_copies():
    x = ember.zeros(4, 2)
    for options in ({}, {"shuffle": True}, {"sampler": [0, 1, 2, 3]}):
        for (batch,) in data.DataLoader(data.TensorDataset(x), batch_size=4, **options):
            batch += 1
            assert batch.is_contiguous()
    assert x.tolist() == ember.zeros(4, 2).tolist()


def test_subclasses_leave_the_fast_path():
    class Doubled(data.TensorDataset):
        def __getitem__(self, i):
            return tuple(2 * t for t in super().__getitem__(i))

    loader = data.DataLoader(Doubled(ember.arange(3)), batch_size=3)
    assert next(iter(loader))[0].tolist() == [0, 2, 4]
    loader = data.DataLoader(tensors()[0], batch_size=3, collate_fn=len)
    assert list(loader) == [3] * 7 + [2]

    class Many(Squares):
        def __getitems__(self, indices):
            return [-i for i in indices]

    assert next(iter(data.DataLoader(Many(5), batch_size=5))).tolist() == [0, -1, -2, -3, -4]


# Workers


@pytest.mark.parametrize("workers", [1, 2, 3])
@pytest.mark.parametrize("prefetch", [None, 1, 5])
def test_workers_keep_the_order(workers, prefetch):
    class Slow(Squares):
        def __getitem__(self, i):
            time.sleep(0.002 * (i % 3))
            return i

    loader = data.DataLoader(Slow(20), batch_size=2, num_workers=workers, prefetch_factor=prefetch)
    for _ in range(2):
        assert [b.tolist() for b in loader] == [[i, i + 1] for i in range(0, 20, 2)]
    assert threads() == 0


def threads():
    return sum(t.name.startswith("DataLoader") for t in threading.enumerate())


@pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning")
@pytest.mark.parametrize("workers", [0, 1, 2, 3])
@pytest.mark.parametrize("options", [{}, {"batch_size": 3}, {"batch_size": 3, "drop_last": True}])
def test_streams(workers, options):
    ours = [b.tolist() for b in data.DataLoader(Stream(17), num_workers=workers, **options)]
    theirs = reference.DataLoader(TorchStream(17), num_workers=workers, **options)
    assert ours == [b.tolist() for b in theirs]


def test_streams_of_items():
    assert list(data.DataLoader(Stream(4), batch_size=None)) == [0, 1, 2, 3]

    class Sized(Stream):
        def __len__(self):
            return self.n

    assert len(data.DataLoader(Sized(7), batch_size=3)) == 3
    assert len(data.DataLoader(Sized(7), batch_size=3, drop_last=True)) == 2
    assert len(data.DataLoader(Sized(7), batch_size=None)) == 7
    with pytest.raises(TypeError):
        len(data.DataLoader(Stream(7)))


def test_worker_info_and_init():
    seen = []

    class Ask(Squares):
        def __getitem__(self, i):
            info = data.get_worker_info()
            return info.id, info.num_workers, info.seed

    ember.manual_seed(9)
    loader = data.DataLoader(
        Ask(8), num_workers=2, worker_init_fn=seen.append, collate_fn=lambda b: b[0]
    )
    batches = list(loader)
    base = batches[0][2]
    assert [b[0] for b in batches] == [0, 1] * 4
    assert {b[1] for b in batches} == {2}
    assert {b[2] - b[0] for b in batches} == {base}
    torch.manual_seed(9)
    assert base == torch.empty((), dtype=torch.int64).random_().item()
    assert sorted(seen) == [0, 1]
    assert data.get_worker_info() is None


def test_workers_draw_as_pytorchs_worker_processes_do():
    class Noise(Squares):
        def __getitem__(self, i):
            time.sleep(0.001 * (i % 3))
            return ember.rand(3)

    ember.manual_seed(5)
    first = ember.cat(list(data.DataLoader(Noise(12), batch_size=2, num_workers=3)))
    after = ember.rand(2).tolist()
    torch.manual_seed(5)
    base = torch.empty((), dtype=torch.int64).random_().item()
    assert after == torch.rand(2).tolist()
    expected = torch.empty(6, 2, 3)
    for worker in range(3):
        torch.manual_seed(base + worker)
        for batch in (worker, worker + 3):
            expected[batch] = torch.stack([torch.rand(3), torch.rand(3)])
    assert first.tolist() == expected.view(12, 3).tolist()


@pytest.mark.parametrize("workers", [0, 2])
def test_exceptions_propagate(workers):
    class Broken(Squares):
        def __getitem__(self, i):
            if i == 5:
                raise KeyError("item five")
            return i

    iterator = iter(data.DataLoader(Broken(8), num_workers=workers))
    got = [next(iterator).item() for _ in range(5)]
    with pytest.raises(KeyError, match="item five") as caught:
        next(iterator)
    assert any(entry.name == "__getitem__" for entry in caught.traceback)
    assert got == [0, 1, 2, 3, 4]
    if workers:
        assert [b.item() for b in iterator] == [6, 7]
    del iterator, caught
    gc.collect()
    wait_for(lambda: threads() == 0)


def wait_for(condition, seconds=10):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_failing_init_is_reported():
    def fail(worker):
        raise OSError(f"no file for worker {worker}")

    with pytest.raises(OSError, match="no file for worker 0"):
        list(data.DataLoader(Squares(4), num_workers=2, worker_init_fn=fail))


def test_timeout():
    release = threading.Event()

    class Stuck(Squares):
        def __getitem__(self, i):
            release.wait(30)
            return i

    iterator = iter(data.DataLoader(Stuck(2), num_workers=1, timeout=0.05))
    with pytest.raises(RuntimeError, match=r"timed out after 0\.05 seconds"):
        next(iterator)
    release.set()
    assert next(iterator).item() == 0


def test_abandoned_iterators_end_their_threads():
    loader = data.DataLoader(Squares(1000), num_workers=2)
    for batch in loader:
        if batch.item() == 4:
            break
    wait_for(lambda: threads() == 0)
    iterator = iter(loader)
    next(iterator)
    assert threads() == 2
    del iterator
    wait_for(lambda: threads() == 0)


def test_persistent_workers():
    started = []
    loader = data.DataLoader(
        Squares(10),
        batch_size=2,
        num_workers=2,
        persistent_workers=True,
        worker_init_fn=lambda i: started.append(threading.get_ident()),
    )
    for _ in range(3):
        for batch in loader:
            if batch.tolist()[0] == 16:
                break
        assert [b.tolist()[0] for b in loader] == [0, 4, 16, 36, 64]
    assert len(started) == 2 and threads() == 2
    del loader
    gc.collect()
    wait_for(lambda: threads() == 0)


def test_out_of_order():
    class Slow(Squares):
        def __getitem__(self, i):
            time.sleep(0.2 if i == 0 else 0)
            return i

    loader = data.DataLoader(Slow(6), num_workers=2, in_order=False)
    got = [b.item() for b in loader]
    assert sorted(got) == list(range(6)) and got[0] != 0
    stream = data.DataLoader(Stream(11), num_workers=3, in_order=False)
    assert sorted(b.item() for b in stream) == list(range(11))


BAD = [
    (ValueError, "num_workers", {"num_workers": -1}),
    (ValueError, "timeout", {"timeout": -1}),
    (ValueError, "prefetch_factor", {"prefetch_factor": 2}),
    (ValueError, "prefetch_factor", {"prefetch_factor": 0, "num_workers": 1}),
    (ValueError, "persistent_workers", {"persistent_workers": True}),
    (ValueError, "shuffle", {"sampler": [0], "shuffle": True}),
    (ValueError, "batch_sampler", {"batch_sampler": [[0]], "batch_size": 2}),
    (ValueError, "batch_sampler", {"batch_sampler": [[0]], "drop_last": True}),
    (ValueError, "drop_last", {"batch_size": None, "drop_last": True}),
    (ValueError, "batch_size", {"batch_size": 0}),
    (ValueError, "batch_size", {"batch_size": 2.0}),
    (ValueError, "batch_size", {"batch_size": True}),
]


@pytest.mark.parametrize(("kind", "match", "options"), BAD)
def test_bad_arguments(kind, match, options):
    with pytest.raises(kind, match=match):
        data.DataLoader(Squares(3), **options)


def test_more_bad_arguments():
    for options in ({"shuffle": True}, {"sampler": [0]}, {"batch_sampler": [[0]]}):
        with pytest.raises(ValueError, match="IterableDataset"):
            data.DataLoader(Stream(3), **options)
    with pytest.raises(ValueError, match="num_samples"):
        data.DataLoader(Squares(0), shuffle=True)
    assert list(data.DataLoader(Squares(0))) == []
    with pytest.raises(ValueError, match="batch_size cannot be changed"):
        data.DataLoader(Squares(3)).batch_size = 2
    for make in (
        lambda: data.RandomSampler(range(3), replacement=1),
        lambda: data.RandomSampler(range(3), num_samples=0),
        lambda: data.WeightedRandomSampler([1.0], -1),
        lambda: data.WeightedRandomSampler([[1.0]], 1),
        lambda: data.BatchSampler([1], 0, False),
        lambda: data.BatchSampler([1], 1, 0),
    ):
        with pytest.raises((TypeError, ValueError)):
            make()
    with pytest.raises(IndexError):
        list(data.DataLoader(tensors()[0], sampler=[100]))


def test_pytorchs_other_arguments_are_harmless():
    loader = data.DataLoader(
        Squares(3),
        pin_memory=True,
        pin_memory_device="",
        multiprocessing_context=None,
        worker_init_fn=None,
    )
    assert [b.item() for b in loader] == [0, 1, 4]


def test_names():
    for name in itertools.chain(data.__all__):
        assert getattr(data, name) is not None
