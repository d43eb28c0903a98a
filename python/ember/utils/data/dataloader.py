"""The loader: batches of a dataset, in order, fetched ahead by workers, resumable at any batch."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from functools import wraps
from itertools import repeat
from typing import Any, Generic, TypeVar

import ember

from .collate import default_collate, default_convert
from .dataset import Dataset, IterableDataset
from .fetch import END, IterableFetch, MapFetch, memory_fetch
from .pin import pinning
from .sampler import BatchSampler, RandomSampler, Sampler, SequentialSampler, draw_seed

T_co = TypeVar("T_co", covariant=True)
_FIXED = {
    "batch_size",
    "batch_sampler",
    "sampler",
    "drop_last",
    "dataset",
    "num_workers",
    "persistent_workers",
}


def _recorded(take: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Give the wait for each batch an event while the profiler records."""

    @wraps(take)
    def __next__(self: Any) -> Any:
        if not ember._C._profiler_recording():
            return take(self)
        from ember.autograd.profiler import record_function

        with record_function(f"enumerate(DataLoader)#{type(self).__name__}.__next__"):
            return take(self)

    return __next__


def get_worker_info() -> Any:
    """Return in a worker thread its `id`, `num_workers`, `seed` and `dataset`; None elsewhere."""
    worker = sys.modules.get(f"{__package__}.worker")
    return None if worker is None else worker.current_worker()


def _start_context(context: Any, num_workers: int) -> Any:
    """The multiprocessing context that the argument names."""
    import multiprocessing

    if num_workers == 0:
        raise ValueError("DataLoader: multiprocessing_context needs num_workers > 0")
    if isinstance(context, str):
        methods = multiprocessing.get_all_start_methods()
        if context not in methods:
            raise ValueError(
                f"DataLoader: multiprocessing_context must be one of {methods}, got {context!r}"
            )
        return multiprocessing.get_context(context)
    if not isinstance(context, multiprocessing.context.BaseContext):
        raise TypeError(
            "DataLoader: multiprocessing_context must be a context or the name of a start method, "
            f"got {type(context).__name__}"
        )
    return context


class _Endless(Sampler):
    """The sampler of a stream, which knows no indices."""

    def __iter__(self) -> Iterator[None]:
        return repeat(None)


class DataLoader(Generic[T_co]):
    """Batches of a dataset.

    The arguments are PyTorch's and so are the random streams: an epoch draws one seed from
    ``generator`` (or the global one), and when it shuffles without a ``generator`` one more.
    Batches of a `TensorDataset`, or a `Subset` of one, are selected from memory at once.

    Parameters
    ----------
    dataset : Dataset
        With items by index, or an `IterableDataset`.
    batch_size : int or None
        Items a batch (1); None gives single items.
    shuffle : bool
        Whether to visit the items in a new random order every epoch.
    sampler, batch_sampler : iterable, optional
        An order of one's own, of indices or of lists of them.
    num_workers : int
        Threads, or processes if a ``multiprocessing_context`` is given, that fetch ahead; 0 fetches
        when asked. Ember's random numbers in worker i are
        those after ``manual_seed(get_worker_info().seed)``, as in PyTorch's worker processes;
        Python's and numpy's global generators are shared by the threads.
    collate_fn : callable, optional
        Makes a batch of a list of items; `default_collate` if not given.
    pin_memory : bool
        Whether batches come in memory that a GPU's copies reach without a detour, where there is
        a GPU.
    drop_last : bool
        Whether to leave out a last batch that is smaller.
    timeout : float
        Seconds to wait for a worker, 0 for ever.
    worker_init_fn : callable, optional
        Called in each worker with its number before it fetches anything.
    multiprocessing_context : str or context, optional
        Makes the workers processes, which start in this way (``"fork"``, ``"spawn"``): for a
        dataset whose Python code would keep threads from running at once. Ember's, numpy's and
        Python's random numbers in them are those of PyTorch's worker processes.
    pin_memory_device
        Accepted for PyTorch's sake.
    generator : Generator, optional
        Where seeds and orders are drawn from.
    prefetch_factor : int, optional
        Batches that each worker fetches ahead (2).
    persistent_workers : bool
        Whether the threads live on after an epoch.
    in_order : bool
        False gives the batches of workers as they become ready.
    """

    _ready = False

    def __init__(
        self,
        dataset: Dataset[T_co],
        batch_size: int | None = 1,
        shuffle: bool | None = None,
        sampler: Iterable | None = None,
        batch_sampler: Iterable[list] | None = None,
        num_workers: int = 0,
        collate_fn: Callable | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        timeout: float = 0,
        worker_init_fn: Callable[[int], None] | None = None,
        multiprocessing_context: Any = None,
        generator: Any = None,
        *,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
        pin_memory_device: str = "",
        in_order: bool = True,
    ) -> None:
        if num_workers < 0:
            raise ValueError(f"DataLoader: num_workers must not be negative, got {num_workers}")
        if timeout < 0:
            raise ValueError(f"DataLoader: timeout must not be negative, got {timeout}")
        if num_workers == 0:
            if prefetch_factor is not None:
                raise ValueError("DataLoader: prefetch_factor needs num_workers > 0")
            if persistent_workers:
                raise ValueError("DataLoader: persistent_workers needs num_workers > 0")
            if timeout:
                raise ValueError("DataLoader: timeout needs num_workers > 0")
        elif prefetch_factor is None:
            prefetch_factor = 2
        elif prefetch_factor <= 0:
            raise ValueError(f"DataLoader: prefetch_factor must be positive, got {prefetch_factor}")

        if multiprocessing_context is not None:
            multiprocessing_context = _start_context(multiprocessing_context, num_workers)
        self._is_stream = isinstance(dataset, IterableDataset)
        if self._is_stream:
            for name, value in (("shuffle", shuffle or None), ("sampler", sampler)):
                if value is not None:
                    raise ValueError(f"DataLoader: an IterableDataset has no {name}, got {value!r}")
            if batch_sampler is not None:
                raise ValueError("DataLoader: an IterableDataset has no batch_sampler")
        if sampler is not None and shuffle:
            raise ValueError("DataLoader: sampler option is mutually exclusive with shuffle")
        if batch_sampler is not None:
            if batch_size != 1 or shuffle or sampler is not None or drop_last:
                raise ValueError(
                    "DataLoader: batch_sampler option is mutually exclusive with batch_size, "
                    "shuffle, sampler, and drop_last"
                )
            batch_size = None
        elif batch_size is None and drop_last:
            raise ValueError("DataLoader: batch_size=None is mutually exclusive with drop_last")

        if sampler is None:
            if self._is_stream:
                sampler = _Endless()
            elif shuffle:
                sampler = RandomSampler(dataset, generator=generator)
            else:
                sampler = SequentialSampler(dataset)
        if batch_size is not None:
            batch_sampler = BatchSampler(sampler, batch_size, drop_last)
        if collate_fn is None:
            collate_fn = default_convert if batch_sampler is None else default_collate

        self.dataset = dataset
        self.batch_size = batch_size
        self.sampler = sampler
        self.batch_sampler = batch_sampler
        self.num_workers = num_workers
        self.collate_fn = collate_fn
        self.pin_memory = pin_memory
        self.pin_memory_device = pin_memory_device
        self.drop_last = drop_last
        self.timeout = timeout
        self.worker_init_fn = worker_init_fn
        self.multiprocessing_context = multiprocessing_context
        self.generator = generator
        self.prefetch_factor = prefetch_factor
        self.persistent_workers = persistent_workers
        self.in_order = in_order
        self._pool: Any = None  # of persistent workers
        self._base_seed: int | None = None  # theirs; without them every epoch draws one
        self._epoch: _Epoch | None = None  # the one begun last
        self._resume: dict[str, Any] | None = None
        self._ready = True

    def __setattr__(self, name: str, value: Any) -> None:
        if self._ready and name in _FIXED:
            raise ValueError(f"DataLoader: {name} cannot be changed after the loader is made")
        super().__setattr__(name, value)

    def __len__(self) -> int:
        if self._is_stream:
            length = len(self.dataset)
            if self.batch_size is None:
                return length
            return length // self.batch_size if self.drop_last else -(-length // self.batch_size)
        return len(self.sampler if self.batch_sampler is None else self.batch_sampler)

    def __iter__(self) -> Iterator[Any]:
        resume, self._resume = self._resume, None
        sources = self._random_sources()
        now = [source.get_state() for source in sources]
        if resume is None:
            self._epoch = _Epoch(now, self._base_seed)
        else:
            for source, state in zip(sources, resume["generators"], strict=True):
                source.set_state(state)
            self._epoch = _Epoch(resume["generators"], self._base_seed)
        # The epoch so far is replayed on indices alone; a stream has to be read.
        skip = 0 if resume is None else resume["batches"]
        iterator = self._begin(self._epoch, skip)
        if resume is not None:
            # What is the loader's own has arrived where it was. The global generator belongs to
            # the program, which has restored it to the moment of the checkpoint.
            for source, state in zip(sources, now, strict=True):
                if source is ember.default_generator:
                    source.set_state(state)
        return iterator

    def _begin(self, epoch: _Epoch, skip: int) -> Iterator[Any]:
        batched = self.batch_sampler is not None
        memory = None
        if not self._is_stream and self.multiprocessing_context is None:
            memory = memory_fetch(self.dataset, batched, self.collate_fn)
        indices = None
        if memory is not None and isinstance(self.batch_sampler, BatchSampler):
            indices = memory.whole_epoch(self.batch_sampler)
        if indices is None:
            indices = iter(self.batch_sampler if batched else self.sampler)
        base_seed = self._base_seed
        if base_seed is None:
            base_seed = draw_seed(self.generator)
            if self.persistent_workers:
                self._base_seed = base_seed

        wrap = pinning if self.pin_memory and ember.cuda.is_available() else lambda fetch: fetch
        if self._is_stream:
            dataset, collate, drop_last = self.dataset, self.collate_fn, self.drop_last

            def make_fetch() -> Callable:
                return wrap(IterableFetch(dataset, batched, collate, drop_last))
        else:
            fetch = memory or MapFetch(self.dataset, batched, self.collate_fn)
            for _ in range(skip):
                next(indices, None)

            def make_fetch() -> Callable:
                return wrap(fetch)

        if self.num_workers == 0:
            iterator = _SingleProcessDataLoaderIter(indices, make_fetch(), epoch)
        else:
            pool = self._pool or self._make_pool(base_seed, batched)
            if self.persistent_workers:
                self._pool = pool
            iterator = _MultiProcessingDataLoaderIter(self, pool, indices, make_fetch, epoch)
        if self._is_stream:
            for _ in range(skip):
                next(iterator, None)
        epoch.batches = skip
        return iterator

    def _make_pool(self, base_seed: int, batched: bool) -> Any:
        if self.multiprocessing_context is None:
            from .worker import WorkerPool

            return WorkerPool(self.num_workers, self.dataset, base_seed, self.worker_init_fn)
        from .process import FetchPlan, ProcessPool

        plan = FetchPlan(self.dataset, self._is_stream, batched, self.collate_fn, self.drop_last)
        return ProcessPool(
            self.multiprocessing_context, self.num_workers, plan, base_seed, self.worker_init_fn
        )

    # Resuming

    def _random_sources(self) -> list[Any]:
        """The generators that decide an epoch, the global one among them if it is used."""
        sources = [self.generator or ember.default_generator]
        for sampler in (
            self.batch_sampler,
            self.sampler,
            getattr(self.batch_sampler, "sampler", None),
        ):
            if isinstance(sampler, Sampler) and hasattr(sampler, "generator"):
                source = sampler.generator or ember.default_generator
                if all(source is not other for other in sources):
                    sources.append(source)
        return sources

    def state_dict(self) -> dict[str, Any]:
        """Return where the loader stands: in an epoch after so many batches, or between epochs.

        A loader built alike that loads it gives the remaining batches next, and then the same
        epochs, provided that the program also restores the global random state
        (`ember.get_rng_state`) where the loader has no generator of its own. Items are not
        fetched again for this, but for streams, which are read up to the place.
        """
        if self._resume is not None:
            return dict(self._resume)
        epoch = self._epoch
        if epoch is not None and not epoch.finished:
            return {
                "batches": epoch.batches,
                "generators": list(epoch.start),
                "base_seed": epoch.base_seed,
            }
        return {
            "batches": None,
            "base_seed": self._base_seed,
            "generators": [source.get_state() for source in self._random_sources()],
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Stand where the loader stood that gave ``state_dict``.

        Raises
        ------
        ValueError
            The state is of a loader with other generators.
        """
        batches, states = state_dict["batches"], state_dict["generators"]
        sources = self._random_sources()
        if len(states) != len(sources):
            raise ValueError(
                f"DataLoader.load_state_dict: the state has {len(states)} generators, this loader "
                f"{len(sources)}"
            )
        self._epoch = self._pool = None
        self._base_seed = state_dict["base_seed"]
        if batches is not None:
            self._resume = dict(state_dict)
            return
        self._resume = None
        for source, state in zip(sources, states, strict=True):
            if source is not ember.default_generator:
                source.set_state(state)


class _Epoch:
    """How far an epoch got, for `DataLoader.state_dict`."""

    def __init__(self, start: list[Any], base_seed: int | None) -> None:
        self.start = start  # states of the generators before anything was drawn
        self.base_seed = base_seed  # of workers that were there before
        self.batches = 0
        self.finished = False


class _BaseDataLoaderIter:
    """The batches of one epoch."""

    def __iter__(self) -> _BaseDataLoaderIter:
        return self


class _SingleProcessDataLoaderIter(_BaseDataLoaderIter):
    """Fetches each batch when it is asked for."""

    def __init__(self, indices: Iterator, fetch: Callable, epoch: _Epoch) -> None:
        self._indices = indices
        self._fetch = fetch
        self._epoch = epoch

    @_recorded
    def __next__(self) -> Any:
        try:
            data = self._fetch(next(self._indices))
        except StopIteration:
            self._epoch.finished = True
            raise
        if data is END:
            self._epoch.finished = True
            raise StopIteration
        self._epoch.batches += 1
        return data


class _MultiProcessingDataLoaderIter(_BaseDataLoaderIter):
    """Has workers fetch ahead. Batch n goes to the next worker in turn, so that order and
    content do not depend on timing."""

    def __init__(
        self, loader: DataLoader, pool: Any, indices: Iterator, make_fetch: Callable, epoch: _Epoch
    ) -> None:
        self._pool = pool
        self._owns_pool = not loader.persistent_workers
        self._timeout = loader.timeout
        self._in_order = loader.in_order
        self._indices = indices
        self._make_fetch = make_fetch
        self._epoch = epoch
        self._number = pool.results.begin()
        self._active = [True] * loader.num_workers
        self._turn = 0
        self._sent = 0
        self._next = 0
        self._pending: dict[int, int] = {}  # worker by batch
        for _ in range(loader.prefetch_factor * loader.num_workers):
            self._send()

    def _send(self) -> None:
        if not any(self._active):
            return
        try:
            batch = next(self._indices)
        except StopIteration:
            return
        while not self._active[self._turn]:
            self._turn = (self._turn + 1) % len(self._active)
        worker = self._turn
        self._turn = (self._turn + 1) % len(self._active)
        self._pool.put(worker, self._number, self._sent, self._make_fetch, batch)
        self._pending[self._sent] = worker
        self._sent += 1

    @_recorded
    def __next__(self) -> Any:
        while True:
            wanted = self._find_next()
            if wanted is None:
                self._finish()
                raise StopIteration
            number, good, data = self._pool.results.take(
                wanted if self._in_order else None, self._timeout
            )
            worker = self._pending.pop(number, None)
            if worker is None:
                continue
            if data is END:
                self._active[worker] = False
                self._send()
                continue
            self._send()
            if not good:
                try:
                    raise data
                finally:
                    del data  # or the exception would refer to itself through this frame
            self._epoch.batches += 1
            return data

    def _find_next(self) -> int | None:
        """The oldest batch still to come. What was asked of a worker before its part of the
        stream was known to be over is not waited for."""
        for number, worker in list(self._pending.items()):
            if self._active[worker]:
                return number
            del self._pending[number]
        return None

    def _finish(self) -> None:
        self._epoch.finished = True
        if self._owns_pool:
            self._pool.close(wait=None)
