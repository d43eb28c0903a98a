"""Python's ``multiprocessing`` with PyTorch's `spawn`. Tensors are copied between processes."""

from __future__ import annotations

import multiprocessing as _multiprocessing
import traceback
from collections.abc import Callable
from multiprocessing import *  # noqa: F403
from multiprocessing.connection import Connection, wait
from typing import Any

__all__ = [
    *_multiprocessing.__all__,
    "ProcessContext",
    "ProcessException",
    "ProcessExitedException",
    "ProcessRaisedException",
    "get_all_sharing_strategies",
    "get_sharing_strategy",
    "set_sharing_strategy",
    "spawn",
    "start_processes",
]

_STRATEGIES = {"file_descriptor", "file_system"}
_strategy = "file_descriptor"
_MOST_TEXT = 1 << 13  # of a traceback: what a pipe holds while nobody reads


class ProcessException(Exception):
    """A process that `spawn` started failed; `error_index` is its index, `error_pid` its id."""

    def __init__(self, message: str, error_index: int, error_pid: int) -> None:
        super().__init__(message)
        self.error_index, self.error_pid = error_index, error_pid


class ProcessRaisedException(ProcessException):
    """It raised, and the message ends in its traceback."""


class ProcessExitedException(ProcessException):
    """It ended with `exit_code`, or by the signal that a negative one names."""

    def __init__(self, message: str, error_index: int, error_pid: int, exit_code: int) -> None:
        super().__init__(message, error_index, error_pid)
        self.exit_code = exit_code


def _run(fn: Callable, index: int, args: tuple, failures: Connection) -> None:
    try:
        fn(index, *args)
    except KeyboardInterrupt:
        pass  # the parent was told too
    except Exception:
        failures.send(traceback.format_exc()[-_MOST_TEXT:])
        raise SystemExit(1) from None


def _received(failures: Connection) -> str | None:
    """The traceback that a process sent before it ended, if it did."""
    try:
        return failures.recv() if failures.poll() else None
    except EOFError:
        return None


class ProcessContext:
    """Running processes; `join` waits for them."""

    def __init__(self, processes: list[Any], failures: list[Connection]) -> None:
        self.processes, self._failures = processes, failures

    def pids(self) -> list[int]:
        """Return the processes' ids."""
        return [process.pid for process in self.processes]

    def join(self, timeout: float | None = None) -> bool:
        """Wait `timeout` seconds, or without one until a process ends; True once all have.

        Raises
        ------
        ProcessRaisedException, ProcessExitedException
            One of them failed. The others are ended first.
        """
        running = [process.sentinel for process in self.processes if process.exitcode is None]
        if running:
            wait(running, timeout)
        failed = [i for i, process in enumerate(self.processes) if process.exitcode]
        if not failed:
            return all(process.exitcode == 0 for process in self.processes)
        for process in self.processes:
            if process.is_alive():
                process.terminate()
            process.join()
        index = failed[0]
        process = self.processes[index]
        text = _received(self._failures[index])
        if text is not None:
            raise ProcessRaisedException(
                f"spawn: process {index} raised\n{text}", index, process.pid
            )
        raise ProcessExitedException(
            f"spawn: process {index} ended with exit code {process.exitcode}",
            index,
            process.pid,
            process.exitcode,
        )


def start_processes(
    fn: Callable,
    args: tuple = (),
    nprocs: int = 1,
    join: bool = True,
    daemon: bool = False,
    start_method: str = "spawn",
) -> ProcessContext | None:
    """Run ``fn(i, *args)`` for i from 0 to ``nprocs - 1``, each in a process of its own.

    Parameters
    ----------
    fn : callable
        Found by its name in a module; its result is dropped.
    args : tuple
        Pickled with what it holds.
    nprocs : int
        How many processes.
    join : bool
        Wait for them, and return None; without it return a `ProcessContext`.
    daemon : bool
        They end with this process.
    start_method : str
        ``"spawn"``, ``"fork"`` or ``"forkserver"``.

    Raises
    ------
    ProcessRaisedException, ProcessExitedException
        One of them failed. The others are ended first.
    """
    context = _multiprocessing.get_context(start_method)
    processes, failures = [], []
    for index in range(nprocs):
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(target=_run, args=(fn, index, args, theirs), daemon=daemon)
        process.start()
        theirs.close()
        processes.append(process)
        failures.append(ours)
    started = ProcessContext(processes, failures)
    if not join:
        return started
    while not started.join():
        pass
    return None


spawn = start_processes


def get_all_sharing_strategies() -> set[str]:
    """Return the names that `set_sharing_strategy` takes."""
    return _STRATEGIES


def get_sharing_strategy() -> str:
    """Return what `set_sharing_strategy` set."""
    return _strategy


def set_sharing_strategy(new_strategy: str) -> None:
    """Note how PyTorch would share memory; tensors are copied whatever it says."""
    global _strategy
    if new_strategy not in _STRATEGIES:
        raise ValueError(
            f"set_sharing_strategy: expected one of {sorted(_STRATEGIES)}, got {new_strategy!r}"
        )
    _strategy = new_strategy
