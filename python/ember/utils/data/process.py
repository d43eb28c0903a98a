"""Worker processes that fetch batches: for datasets whose Python code would hold the GIL.

Each worker has one pipe. Tasks go in as pickles; a batch comes back as a pickle whose tensors and
arrays lie beside it, so that they are read straight into memory of their own.
"""

from __future__ import annotations

import os
import pickle
import threading
import traceback
import weakref
from collections.abc import Callable
from multiprocessing.connection import Connection, wait
from queue import SimpleQueue
from time import monotonic
from typing import Any

import numpy as np

import ember

from . import worker
from .fetch import END, IterableFetch, MapFetch

_DATA, _END, _ERROR = range(3)


class FetchPlan:
    """What a worker needs to make the fetch of an epoch; travels to it once."""

    def __init__(
        self, dataset: Any, stream: bool, batched: bool, collate: Callable, drop_last: bool
    ) -> None:
        self.dataset = dataset
        self._stream = stream
        self._batched = batched
        self._collate = collate
        self._drop_last = drop_last

    def make(self) -> Callable:
        """Return a fetch, which for a stream begins it anew."""
        if self._stream:
            return IterableFetch(self.dataset, self._batched, self._collate, self._drop_last)
        return MapFetch(self.dataset, self._batched, self._collate)


# ---- Batches through a pipe


def _rebuild(data: Any, dtype: Any, shape: tuple, requires_grad: bool) -> Any:
    flat = ember.from_numpy(np.frombuffer(data, dtype=np.uint8))
    return flat.view(dtype).reshape(shape).requires_grad_(requires_grad)


class _Pickler(pickle.Pickler):
    def reducer_override(self, obj: Any) -> Any:
        if type(obj) is not ember.Tensor or obj.numel() == 0:
            return NotImplemented
        flat = obj.detach().cpu().contiguous().reshape(-1).view(ember.uint8).numpy()
        state = pickle.PickleBuffer(flat), obj.dtype, tuple(obj.shape), obj.requires_grad
        return _rebuild, state


def _send(pipe: Connection, message: Any) -> None:
    import io

    head, buffers = io.BytesIO(), []
    _Pickler(head, 5, buffer_callback=buffers.append).dump(message)
    parts = [buffer.raw() for buffer in buffers]
    pipe.send_bytes(pickle.dumps(([part.nbytes for part in parts], head.getvalue())))
    for part in parts:
        if part.nbytes:
            pipe.send_bytes(part)


def _receive(pipe: Connection) -> Any:
    sizes, head = pickle.loads(pipe.recv_bytes())
    buffers = [np.empty(size, np.uint8) for size in sizes]
    for buffer in buffers:
        if buffer.size:
            pipe.recv_bytes_into(buffer)
    return pickle.loads(head, buffers=buffers)


# ---- In the worker


def _describe(error: BaseException, number: int) -> tuple:
    """An exception in a form that always travels: its class if it can, and its traceback."""
    try:
        kind = pickle.dumps(type(error))
    except Exception:
        kind = pickle.dumps(RuntimeError)
    return kind, number, "".join(traceback.format_exception(error))


def _read_tasks(pipe: Connection, tasks: SimpleQueue, latest: list[int]) -> None:
    """Take tasks off the pipe at once, so that the loop that sends them never waits."""
    try:
        while (task := pipe.recv()) is not None:
            latest[0] = max(latest[0], task[0])
            tasks.put(task)
    except (EOFError, OSError):
        pass  # the parent has gone
    tasks.put(None)


def _main(
    pipe: Connection,
    others: list[Connection],
    plan: FetchPlan,
    number: int,
    num_workers: int,
    seed: int,
    init: Callable | None,
) -> None:
    import random

    for other in others:
        other.close()  # a forked copy would keep their workers from noticing the parent's end
    ember.set_num_threads(1)
    random.seed(seed)
    ember.manual_seed(seed)
    # PyTorch's seed of numpy's generator.
    entropy = [number, seed - number & 0xFFFFFFFF, seed - number >> 32, 0]
    np.random.seed(np.random.SeedSequence(entropy).generate_state(4))  # noqa: NPY002
    worker._local.info = worker.WorkerInfo(number, num_workers, seed, plan.dataset)
    tasks: SimpleQueue = SimpleQueue()
    latest = [0]
    threading.Thread(target=_read_tasks, args=(pipe, tasks, latest), daemon=True).start()
    fetch: Any = None
    fetch_epoch = None
    while (task := tasks.get()) is not None:
        epoch, batch_number, batch = task
        if epoch < latest[0]:
            continue  # of an epoch that was given up
        try:
            if init is not None:
                init(number)
                init = None
            if fetch_epoch != epoch:
                fetch, fetch_epoch = plan.make(), epoch
            value = fetch(batch)
            status = _END if value is END else _DATA
            message = epoch, batch_number, status, None if value is END else value
        except BaseException as error:
            message = epoch, batch_number, _ERROR, _describe(error, number)
        try:
            try:
                _send(pipe, message)
            except (AttributeError, TypeError, pickle.PicklingError) as error:
                _send(pipe, (epoch, batch_number, _ERROR, _describe(error, number)))
        except OSError:
            return  # nobody reads any more


# ---- In the parent


def _exception(description: tuple) -> BaseException:
    pickled, number, text = description
    message = f"Caught exception in DataLoader worker process {number}.\nOriginal {text}"
    try:
        error = pickle.loads(pickled)(message)
        good = isinstance(error, Exception) and not isinstance(error, StopIteration)
    except Exception:
        good = False
    return error if good else RuntimeError(message)


class _Results:
    """Batches that have come, by number."""

    def __init__(self, pipes: list[Connection], processes: list[Any]) -> None:
        self._pipes = pipes
        self._processes = processes
        self._ready: dict[int, tuple[bool, Any]] = {}
        self._epoch = 0

    def begin(self) -> int:
        self._epoch += 1
        self._ready.clear()
        return self._epoch

    def take(self, number: int | None, timeout: float) -> tuple[int, bool, Any]:
        """Wait for a batch, any if ``number`` is None."""
        deadline = monotonic() + timeout if timeout else None
        while not (self._ready if number is None else number in self._ready):
            left = None if deadline is None else deadline - monotonic()
            if left is not None and left <= 0:
                raise RuntimeError(f"DataLoader timed out after {timeout} seconds")
            self._collect(left)
        if number is None:
            number = next(iter(self._ready))
        return number, *self._ready.pop(number)

    def _collect(self, timeout: float | None) -> None:
        ready = wait([*self._pipes, *(p.sentinel for p in self._processes)], timeout)
        for pipe, process in zip(self._pipes, self._processes, strict=True):
            if pipe in ready:
                try:
                    epoch, number, status, value = _receive(pipe)
                except (EOFError, ConnectionError):
                    died(process)
                if epoch == self._epoch:
                    good = status != _ERROR
                    if status == _END:
                        value = END
                    self._ready[number] = good, value if good else _exception(value)
            elif process.sentinel in ready:
                died(process)


def died(process: Any) -> None:
    """Raise the error of a process that ended by itself."""
    process.join(5)
    code = process.exitcode
    how = f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
    raise RuntimeError(f"DataLoader worker (pid(s) {process.pid}) exited unexpectedly, with {how}")


def _close(
    pipes: list[Connection], processes: list[Any], owner: int, wait: float | None = 0
) -> None:
    if os.getpid() != owner:
        return  # in a forked child
    for pipe in pipes:
        pipe.close()  # a worker that reads or writes sees it
    for process in processes:
        process.join(5 if wait is None else wait)
        if process.is_alive():
            process.terminate()
            process.join(1)
            process.kill()


class ProcessPool:
    """Processes, each with a pipe of its own; the interface is `WorkerPool`'s.

    Parameters
    ----------
    context : multiprocessing context
        How the processes start.
    num_workers : int
        How many.
    plan : FetchPlan
        What they fetch.
    base_seed : int
        Worker i seeds the generators of Ember, numpy and Python with ``base_seed + i``.
    init : callable, optional
        Called in each process with the worker's number before it fetches anything.
    """

    def __init__(
        self, context: Any, num_workers: int, plan: FetchPlan, base_seed: int, init: Callable | None
    ) -> None:
        self.pipes: list[Connection] = []
        self.processes: list[Any] = []
        self.results = _Results(self.pipes, self.processes)
        # Not __del__, before which the collector may have closed the pipes.
        weakref.finalize(self, _close, self.pipes, self.processes, os.getpid())
        forks = context.get_start_method() == "fork"
        for i in range(num_workers):
            ours, theirs = context.Pipe()
            others = [*self.pipes, ours] if forks else []
            process = context.Process(
                target=_main,
                args=(theirs, others, plan, i, num_workers, base_seed + i, init),
                name=f"DataLoader worker {i}",
                daemon=True,
            )
            process.start()
            theirs.close()
            self.pipes.append(ours)
            self.processes.append(process)

    def put(self, number: int, epoch: int, batch_number: int, make_fetch: Any, batch: Any) -> None:
        """Ask a worker for a batch."""
        del make_fetch  # the worker makes its own
        try:
            self.pipes[number].send((epoch, batch_number, batch))
        except ConnectionError:
            died(self.processes[number])

    def close(self, wait: float | None = 0) -> None:
        """Let the processes end; ``wait`` seconds at most, then they are ended."""
        _close(self.pipes, self.processes, os.getpid(), wait)
