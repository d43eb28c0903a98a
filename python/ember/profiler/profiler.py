"""The profiler of training loops: schedules of steps, and what is done with each recording."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable
from enum import Enum
from typing import Any

from ..autograd.profiler import profile as _Recorder
from ..autograd.profiler import record_function
from ..autograd.profiler_util import EventList

__all__ = [
    "ProfilerAction",
    "ProfilerActivity",
    "profile",
    "record_function",
    "schedule",
    "supported_activities",
    "tensorboard_trace_handler",
]


class ProfilerActivity(Enum):
    """What can be recorded: Ember knows the CPU's times only."""

    CPU = 0
    XPU = 1
    CUDA = 2


class ProfilerAction(Enum):
    """What the profiler does in a step."""

    NONE = 0
    WARMUP = 1
    RECORD = 2
    RECORD_AND_SAVE = 3


_RECORDING = (ProfilerAction.RECORD, ProfilerAction.RECORD_AND_SAVE)


def supported_activities() -> set[ProfilerActivity]:
    """Return the activities that can be recorded."""
    return {ProfilerActivity.CPU}


def schedule(
    *,
    wait: int,
    warmup: int,
    active: int,
    repeat: int = 0,
    skip_first: int = 0,
    skip_first_wait: int = 0,
) -> Callable[[int], ProfilerAction]:
    """Make a schedule in cycles of ``wait + warmup + active`` steps.

    Parameters
    ----------
    wait, warmup, active : int
        Steps of a cycle that are passed over, not yet recorded, and recorded.
    repeat : int
        How many cycles; 0 for as many as there are.
    skip_first : int
        Steps before the first cycle.
    skip_first_wait : int
        Unless 0, the first cycle does not wait.
    """
    if min(wait, warmup, repeat, skip_first) < 0 or active <= 0:
        raise ValueError(
            "schedule: wait, warmup, repeat and skip_first must not be negative and active must "
            f"be positive, got {wait}, {warmup}, {repeat}, {skip_first} and {active}"
        )
    if warmup == 0:
        warnings.warn(
            "schedule: without warmup the first recorded step may be slower than others",
            stacklevel=2,
        )
    length = wait + warmup + active

    def action(step: int) -> ProfilerAction:
        step -= skip_first
        if step < 0:
            return ProfilerAction.NONE
        if skip_first_wait:
            step += wait
        if 0 < repeat <= step // length:
            return ProfilerAction.NONE
        at = step % length
        if at < wait:
            return ProfilerAction.NONE
        if at < wait + warmup:
            return ProfilerAction.WARMUP
        return ProfilerAction.RECORD if at < length - 1 else ProfilerAction.RECORD_AND_SAVE

    return action


def _always(step: int) -> ProfilerAction:
    return ProfilerAction.RECORD


def tensorboard_trace_handler(
    dir_name: str | os.PathLike, worker_name: str | None = None, use_gzip: bool = False
) -> Callable[[profile], None]:
    """Make an ``on_trace_ready`` that writes each recording to a file of its own.

    Parameters
    ----------
    dir_name : path
        The folder, which is made if it does not exist.
    worker_name : str, optional
        The beginning of the files' names; by default from the host and the process.
    use_gzip : bool
        Compress the files.
    """
    os.makedirs(dir_name, exist_ok=True)

    def write(prof: profile) -> None:
        import socket
        import time

        worker = worker_name or f"{socket.gethostname()}_{os.getpid()}"
        name = f"{worker}.{time.time_ns()}.pt.trace.json{'.gz' * use_gzip}"
        prof.export_chrome_trace(os.path.join(dir_name, name))

    return write


class profile:
    """Record operations, backward nodes and ranges, in all of a block or in steps of a schedule.

    `ember.autograd.profiler.profile` says what is recorded.

    Parameters
    ----------
    activities : iterable of ProfilerActivity, optional
        The CPU's alone are recorded; for others a warning is given.
    schedule : callable, optional
        Says for the number of a step what to do in it; see `schedule`. Then `step` has to be called
        after each, and each is a range ``ProfilerStep#n``. By default all is recorded.
    on_trace_ready : callable, optional
        Called with the profiler when a recording is complete.
    record_shapes, profile_memory, with_stack, with_flops, with_modules
        As for `ember.autograd.profiler.profile`.
    acc_events : bool
        Keep the events of all cycles, not of the last alone.
    use_cuda, experimental_config, execution_trace_observer
        Accepted for PyTorch's sake.

    Examples
    --------
    >>> with profile(schedule=schedule(wait=1, warmup=1, active=3), on_trace_ready=save) as prof:
    ...     for x, y in loader:
    ...         train(x, y)
    ...         prof.step()
    """

    def __init__(
        self,
        *,
        activities: Iterable[ProfilerActivity] | None = None,
        schedule: Callable[[int], ProfilerAction] | None = None,
        on_trace_ready: Callable[[profile], Any] | None = None,
        record_shapes: bool = False,
        profile_memory: bool = False,
        with_stack: bool = False,
        with_flops: bool = False,
        with_modules: bool = False,
        experimental_config: Any = None,
        execution_trace_observer: Any = None,
        acc_events: bool = False,
        use_cuda: bool | None = None,
    ) -> None:
        self.activities = set(activities) if activities else supported_activities()
        for activity in self.activities - supported_activities():
            warnings.warn(
                f"profile: {activity} is not recorded; the times are the CPU's", stacklevel=2
            )
        self.schedule = schedule or _always
        self.record_steps = schedule is not None
        self.on_trace_ready = on_trace_ready
        self.step_num = 0
        self.current_action = self.schedule(0)
        self.profiler = _Recorder(
            record_shapes=record_shapes,
            with_flops=with_flops,
            profile_memory=profile_memory,
            with_stack=with_stack,
            with_modules=with_modules,
            acc_events=acc_events,
        )
        self._metadata: dict[str, Any] = {}
        self._step_range: record_function | None = None

    def __enter__(self) -> profile:
        self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    def start(self) -> None:
        """Begin with the schedule's first step."""
        self._change(ProfilerAction.NONE, self.current_action)
        self._open_step()

    def stop(self) -> None:
        """End; what is being recorded is complete."""
        self._close_step()
        self._change(self.current_action, None)

    def step(self) -> None:
        """Say that a step is done and the next begins."""
        self._close_step()
        before = self.current_action
        self.step_num += 1
        self.current_action = self.schedule(self.step_num)
        self._change(before, self.current_action)
        self._open_step()

    def _open_step(self) -> None:
        if self.record_steps:
            self._step_range = record_function(f"ProfilerStep#{self.step_num}")
            self._step_range.__enter__()

    def _close_step(self) -> None:
        if self._step_range is not None:
            self._step_range.__exit__(None, None, None)
            self._step_range = None

    def _change(self, before: ProfilerAction, after: ProfilerAction | None) -> None:
        """Go on to another action; None when all is over."""
        goes_on = before is ProfilerAction.RECORD and after in _RECORDING
        if before in _RECORDING and not goes_on:
            self.profiler._stop()
            if before is ProfilerAction.RECORD and after is not None:
                warnings.warn(
                    "profile: the schedule ended a recording without RECORD_AND_SAVE", stacklevel=4
                )
            elif self.on_trace_ready is not None:
                self.on_trace_ready(self)
        if after in _RECORDING and not goes_on:
            self.profiler._start()

    # Results

    def events(self) -> EventList:
        """Return the events of the last recording (of all, with ``acc_events``)."""
        return self.profiler._events()

    def key_averages(
        self, group_by_input_shape: bool = False, group_by_stack_n: int = 0
    ) -> EventList:
        """Sum up events of one name; see `EventList.key_averages`."""
        return self.profiler.key_averages(group_by_input_shape, group_by_stack_n)

    def export_chrome_trace(self, path: str | os.PathLike) -> None:
        """Write a trace for chrome://tracing or Perfetto; see `EventList.export_chrome_trace`."""
        self.events().export_chrome_trace(path, self._metadata)

    def export_stacks(self, path: str | os.PathLike, metric: str = "self_cpu_time_total") -> None:
        """Write stacks for a flame graph, which needs ``with_stack=True``."""
        self.profiler.export_stacks(path, metric)

    def add_metadata(self, key: str, value: str) -> None:
        """Put a text into the traces that are written from now on."""
        self._metadata[key] = str(value)

    def add_metadata_json(self, key: str, value: str) -> None:
        """Put a value, given as JSON, into the traces that are written from now on."""
        import json

        self._metadata[key] = json.loads(value)
