"""The threads that fetch batches ahead of the loop that uses them."""

from __future__ import annotations

import atexit
import threading
import weakref
from collections.abc import Callable
from queue import SimpleQueue
from time import monotonic
from typing import Any

import ember

_local = threading.local()
_pools: weakref.WeakSet[WorkerPool] = weakref.WeakSet()


class WorkerInfo:
    """What a worker knows of itself: ``id``, ``num_workers``, ``seed`` and ``dataset``."""

    def __init__(self, id: int, num_workers: int, seed: int, dataset: Any) -> None:
        self.id = id
        self.num_workers = num_workers
        self.seed = seed
        self.dataset = dataset

    def __repr__(self) -> str:
        return f"WorkerInfo(id={self.id}, num_workers={self.num_workers}, seed={self.seed})"


def current_worker() -> WorkerInfo | None:
    """Return the information of the worker whose thread this is."""
    return getattr(_local, "info", None)


class _Results:
    """Batches that are ready, by number. An epoch that is given up leaves none behind."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._ready: dict[int, tuple[bool, Any]] = {}
        self._epoch = 0
        self.closed = False

    def begin(self) -> int:
        with self._changed:
            self._epoch += 1
            self._ready.clear()
            return self._epoch

    def wanted(self, epoch: int) -> bool:
        return not self.closed and epoch == self._epoch

    def put(self, epoch: int, number: int, good: bool, value: Any) -> None:
        with self._changed:
            if self.wanted(epoch):
                self._ready[number] = good, value
                self._changed.notify_all()

    def take(self, number: int | None, timeout: float) -> tuple[int, bool, Any]:
        """Wait for a batch, any if ``number`` is None."""
        deadline = monotonic() + timeout if timeout else None
        with self._changed:
            while not (self._ready if number is None else number in self._ready):
                left = None if deadline is None else deadline - monotonic()
                if left is not None and left <= 0:
                    raise RuntimeError(f"DataLoader timed out after {timeout} seconds")
                self._changed.wait(left)
            if number is None:
                number = next(iter(self._ready))
            return number, *self._ready.pop(number)


def _work(info: WorkerInfo, init: Callable | None, tasks: SimpleQueue, results: _Results) -> None:
    """The body of a thread. It knows nothing of the pool, which can so be collected."""
    _local.info = info
    generator = ember.Generator().manual_seed(info.seed)
    ember._C._set_thread_generator(generator)
    fetch = fetch_epoch = None
    while (task := tasks.get()) is not None:
        epoch, number, make_fetch, batch = task
        if not results.wanted(epoch):
            continue
        try:
            if init is not None:
                # Again with the next batch if it fails. An exception that was kept would keep
                # alive whatever it passed through, the loop that owns this thread included.
                init(info.id)
                init = None
            if fetch_epoch != epoch:
                fetch, fetch_epoch = make_fetch(), epoch
            results.put(epoch, number, True, fetch(batch))
        except BaseException as error:
            results.put(epoch, number, False, error)
        del task, batch
    ember._C._set_thread_generator(None)


class WorkerPool:
    """Threads, each with a queue of its own, so that the batches' order never depends on timing.

    Parameters
    ----------
    num_workers : int
        How many threads.
    dataset : Dataset
        For `WorkerInfo`.
    base_seed : int
        Worker i draws its random numbers from a generator with the seed ``base_seed + i``.
    init : callable, optional
        Called in each thread with the worker's number before it fetches anything.
    """

    def __init__(
        self, num_workers: int, dataset: Any, base_seed: int, init: Callable | None
    ) -> None:
        self.results = _Results()
        self._queues: list[SimpleQueue] = [SimpleQueue() for _ in range(num_workers)]
        self._threads = []
        for i, queue in enumerate(self._queues):
            info = WorkerInfo(i, num_workers, base_seed + i, dataset)
            thread = threading.Thread(
                target=_work,
                args=(info, init, queue, self.results),
                name=f"DataLoader worker {i}",
                daemon=True,
            )
            thread.start()
            self._threads.append(thread)
        _pools.add(self)

    def put(self, worker: int, epoch: int, number: int, make_fetch: Callable, batch: Any) -> None:
        """Ask a worker for a batch."""
        self._queues[worker].put((epoch, number, make_fetch, batch))

    def close(self, wait: float | None = 0) -> None:
        """Let the threads end after what they are doing; wait so many seconds for each."""
        self.results.closed = True
        for queue in self._queues:
            queue.put(None)
        if wait != 0:
            for thread in self._threads:
                if thread is not threading.current_thread():
                    thread.join(wait)

    def __del__(self) -> None:
        # Never joins: the collector may run in one of the threads.
        self.close()


@atexit.register
def _close_all() -> None:
    """No thread may be inside a kernel when the interpreter takes itself apart."""
    for pool in list(_pools):
        pool.close(wait=5)
