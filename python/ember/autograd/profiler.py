"""Recording what runs: the context manager, ranges of one's own, and the events."""

from __future__ import annotations

import os
import sys
import warnings
from contextlib import ContextDecorator
from typing import Any

from .. import _C
from .profiler_util import EventList, FunctionEvent, FunctionEventAvg, read_events

__all__ = ["EventList", "FunctionEvent", "FunctionEventAvg", "profile", "record_function"]


class record_function(ContextDecorator):
    """Give a block, or with ``@record_function("name")`` a function, an event of its own.

    Costs next to nothing while nothing is recorded.

    Parameters
    ----------
    name : str
        The event's name.
    args : str, optional
        Put behind the name, in brackets.
    """

    def __init__(self, name: str, args: str | None = None) -> None:
        self.name = name
        self.args = args
        self._event = -1

    def _recreate_cm(self) -> record_function:
        return record_function(self.name, self.args)  # a decorated function may call itself

    def __enter__(self) -> record_function:
        name = self.name if self.args is None else f"{self.name}({self.args})"
        self._event = _C._profiler_open(name)
        return self

    def __exit__(self, *exc_info: object) -> None:
        _C._profiler_close(self._event)
        self._event = -1


class profile:
    """Record every operation, backward node and range of all threads while the block runs.

    Operations are those that Python calls, under PyTorch's names (``aten::linear``); what one calls
    within itself is part of it. A backward node bears the name of the ``grad_fn``. The times are
    the CPU's: a GPU's operations are only queued in them, unless ``EMBER_CUDA_SYNC=1``.

    Parameters
    ----------
    enabled : bool
        Whether to record at all.
    use_cuda, use_device, use_kineto, use_cpu, experimental_config
        Accepted for PyTorch's sake.
    record_shapes : bool
        Keep the shapes of arguments.
    with_flops : bool
        Not supported; warns.
    profile_memory : bool
        Keep how much CPU memory each event took.
    with_stack : bool
        Keep Python's stack.
    with_modules : bool
        Keep the path of the module.
    acc_events : bool
        Keep the events of earlier blocks.

    Raises
    ------
    RuntimeError
        Another recording is under way, or the same object is entered within its own block.

    Examples
    --------
    >>> with ember.autograd.profiler.profile() as prof:
    ...     model(x).sum().backward()
    >>> print(prof.key_averages().table(sort_by="self_cpu_time_total", row_limit=10))
    """

    def __init__(
        self,
        enabled: bool = True,
        *,
        use_cuda: bool = False,
        use_device: str | None = None,
        record_shapes: bool = False,
        with_flops: bool = False,
        profile_memory: bool = False,
        with_stack: bool = False,
        with_modules: bool = False,
        use_kineto: bool = False,
        use_cpu: bool = True,
        experimental_config: Any = None,
        acc_events: bool = False,
    ) -> None:
        if with_flops:
            warnings.warn("profile: with_flops=True is ignored, no FLOPs are counted", stacklevel=2)
        self.enabled = enabled
        self.record_shapes = record_shapes
        self.profile_memory = profile_memory
        self.with_stack = with_stack
        self.with_modules = with_modules
        self.acc_events = acc_events
        self.function_events: EventList | None = None

    def __enter__(self) -> profile:
        if self.enabled:
            self._start()
        return self

    def __exit__(self, *exc_info: object) -> bool:
        if self.enabled:
            self._stop()
        return False

    def _start(self) -> None:
        if _C._profiler_recording():
            raise RuntimeError("profile: another profiler is recording already")
        # Optimizers are wrapped only while somebody watches their steps.
        optimizers = sys.modules.get("ember.optim.optimizer")
        if optimizers is not None:
            optimizers.watch_steps()
        _C._profiler_start(
            self.record_shapes, self.profile_memory, self.with_stack, self.with_modules
        )

    def _stop(self) -> None:
        before = self.function_events if self.acc_events and self.function_events else []
        options = {
            "profile_memory": self.profile_memory,
            "with_shapes": self.record_shapes,
            "with_stack": self.with_stack,
        }
        events = read_events(_C._profiler_stop(), options, len(before))
        events[:0] = before
        self.function_events = events

    def _events(self) -> EventList:
        if self.function_events is None:
            raise RuntimeError("profile: nothing was recorded; the events come after the block")
        return self.function_events

    def __repr__(self) -> str:
        if self.function_events is None:
            return "<unfinished profile>"
        return repr(self.function_events)

    def __str__(self) -> str:
        if self.function_events is None:
            return "<unfinished profile>"
        return str(self.function_events)

    def table(self, sort_by: str | None = None, row_limit: int = 100, **options: Any) -> str:
        """Format the events as a table; see `EventList.table`."""
        return self._events().table(sort_by, row_limit, **options)

    def export_chrome_trace(self, path: str | os.PathLike) -> None:
        """Write a trace for chrome://tracing or Perfetto; see `EventList.export_chrome_trace`."""
        self._events().export_chrome_trace(path)

    def export_stacks(self, path: str | os.PathLike, metric: str = "self_cpu_time_total") -> None:
        """Write stacks for a flame graph, which needs ``with_stack=True``."""
        if not self.with_stack:
            raise ValueError("export_stacks: needs a profile with with_stack=True")
        self._events().export_stacks(path, metric)

    def key_averages(
        self, group_by_input_shape: bool = False, group_by_stack_n: int = 0
    ) -> EventList:
        """Sum up events of one name; see `EventList.key_averages`."""
        return self._events().key_averages(group_by_input_shape, group_by_stack_n)

    def total_average(self) -> FunctionEventAvg:
        """Sum up all events."""
        return self._events().total_average()

    @property
    def self_cpu_time_total(self) -> float:
        """Microseconds of all events, each counted once."""
        return self._events().self_cpu_time_total
