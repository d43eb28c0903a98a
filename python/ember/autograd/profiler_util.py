"""Events of a recording: their tree, averages, tables and traces."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from ..serialization import replacing

__all__ = ["EventList", "FunctionEvent", "FunctionEventAvg", "Interval"]

_SCOPES = (0, 1, 7)  # PyTorch's numbers of operations, backward nodes and ranges of the user's
_CATEGORIES = {0: "cpu_op", 1: "cpu_op", 7: "user_annotation"}


def _time(us: float) -> str:
    if us >= 1e6:
        return f"{us / 1e6:.3f}s"
    return f"{us / 1e3:.3f}ms" if us >= 1e3 else f"{us:.3f}us"


def _memory(nbytes: int) -> str:
    for power, unit in ((30, "GB"), (20, "MB"), (10, "KB")):
        if abs(nbytes) >= 2**power:
            return f"{nbytes / 2**power:.2f} {unit}"
    return f"{nbytes} B"


@dataclass
class Interval:
    """Microseconds from `start` to `end` of a clock that only goes forward."""

    start: float
    end: float

    def elapsed_us(self) -> float:
        return self.end - self.start


class _Times:
    """What single and averaged events have in common: the time of one, and times as text."""

    count: int
    cpu_time_total: float
    self_cpu_time_total: float
    # Of a device nothing is recorded.
    device_time = device_time_total = self_device_time_total = 0.0
    device_memory_usage = self_device_memory_usage = 0

    @property
    def cpu_time(self) -> float:
        return self.cpu_time_total / self.count if self.count else 0.0

    @property
    def cpu_time_str(self) -> str:
        return _time(self.cpu_time)

    @property
    def cpu_time_total_str(self) -> str:
        return _time(self.cpu_time_total)

    @property
    def self_cpu_time_total_str(self) -> str:
        return _time(self.self_cpu_time_total)


@dataclass(eq=False, repr=False)
class FunctionEvent(_Times):
    """One call of an operation, run of a backward node, or range of the user's.

    Attributes
    ----------
    name : str
        ``aten::add`` for an operation, as in PyTorch; the node's name; the range's name.
    time_range : Interval
        When it ran, in microseconds.
    cpu_time_total, self_cpu_time_total : float
        Its microseconds, with and without those of the events within it.
    cpu_memory_usage, self_cpu_memory_usage : int
        Bytes taken less bytes given back, with and without the events within it.
    thread : int
        The system's number of the thread.
    sequence_nr : int
        What connects an operation with the node it made; -1 where there is none.
    input_shapes : list
        Sizes of each argument, [] where it is no tensor.
    stack : list of str
        ``file(line): function`` of each Python frame, the innermost first.
    module : str
        Dotted path of the module it ran in.
    """

    id: int
    name: str
    scope: int
    time_range: Interval
    thread: int
    sequence_nr: int
    cpu_memory_usage: int
    input_shapes: list = field(default_factory=list)
    stack: list[str] = field(default_factory=list)
    module: str = ""
    count: int = 1
    cpu_parent: FunctionEvent | None = None
    cpu_children: list[FunctionEvent] = field(default_factory=list)

    @property
    def key(self) -> str:
        return self.name

    @property
    def trace_name(self) -> str:
        return self.name

    @property
    def is_user_annotation(self) -> bool:
        return self.scope == _SCOPES[2]

    @property
    def cpu_time_total(self) -> float:
        return self.time_range.elapsed_us()

    @property
    def self_cpu_time_total(self) -> float:
        return self.cpu_time_total - sum(child.cpu_time_total for child in self.cpu_children)

    @property
    def self_cpu_memory_usage(self) -> int:
        return self.cpu_memory_usage - sum(child.cpu_memory_usage for child in self.cpu_children)

    def __repr__(self) -> str:
        return (
            f"<FunctionEvent id={self.id} name={self.name} cpu_time={self.cpu_time_str} "
            f"self_cpu_time={self.self_cpu_time_total_str} thread={self.thread} "
            f"cpu_children={[child.id for child in self.cpu_children]} "
            f"input_shapes={self.input_shapes} cpu_memory_usage={self.cpu_memory_usage} "
            f"sequence_nr={self.sequence_nr}>"
        )


@dataclass(eq=False, repr=False)
class FunctionEventAvg(_Times):
    """Sums over the events of one name (and, if asked for, of the same shapes and stack)."""

    key: str
    input_shapes: list = field(default_factory=list)
    stack: list[str] = field(default_factory=list)
    scope: int = 0
    count: int = 0
    cpu_time_total: float = 0.0
    self_cpu_time_total: float = 0.0
    cpu_memory_usage: int = 0
    self_cpu_memory_usage: int = 0

    def add(self, other: FunctionEvent | FunctionEventAvg) -> FunctionEventAvg:
        """Add an event or other sums to these."""
        self.count += other.count
        self.cpu_time_total += other.cpu_time_total
        self.self_cpu_time_total += other.self_cpu_time_total
        self.cpu_memory_usage += other.cpu_memory_usage
        self.self_cpu_memory_usage += other.self_cpu_memory_usage
        return self

    __iadd__ = add

    def __repr__(self) -> str:
        return (
            f"<FunctionEventAvg key={self.key} self_cpu_time={self.self_cpu_time_total_str} "
            f"cpu_time={self.cpu_time_str} count={self.count} input_shapes={self.input_shapes} "
            f"cpu_memory_usage={self.cpu_memory_usage}>"
        )


class EventList(list):
    """Events or sums of events, of one recording."""

    def __init__(
        self,
        events: Iterable = (),
        profile_memory: bool = False,
        with_shapes: bool = False,
        with_stack: bool = False,
    ) -> None:
        super().__init__(events)
        self._profile_memory = profile_memory
        self._with_shapes = with_shapes
        self._with_stack = with_stack

    def __str__(self) -> str:
        return self.table()

    def _as(self, events: Iterable, with_stack: bool) -> EventList:
        return EventList(events, self._profile_memory, self._with_shapes, with_stack)

    @property
    def self_cpu_time_total(self) -> float:
        """Microseconds of all events, each counted once."""
        return sum(event.self_cpu_time_total for event in self)

    def key_averages(
        self, group_by_input_shapes: bool = False, group_by_stack_n: int = 0
    ) -> EventList:
        """Sum up events of one name.

        Parameters
        ----------
        group_by_input_shapes : bool
            Only those of the same input shapes.
        group_by_stack_n : int
            Only those of the same innermost frames, as many as this.
        """
        sums: dict[tuple, FunctionEventAvg] = {}
        for event in self:
            shapes = event.input_shapes if group_by_input_shapes else []
            stack = event.stack[:group_by_stack_n]
            key = (event.key, str(shapes), *stack)
            if key not in sums:
                sums[key] = FunctionEventAvg(event.key, shapes, stack, event.scope)
            sums[key].add(event)
        averages = self._as(sums.values(), group_by_stack_n > 0)
        averages._with_shapes = group_by_input_shapes
        return averages

    def total_average(self) -> FunctionEventAvg:
        """Sum up all events."""
        total = FunctionEventAvg("Total")
        for event in self:
            total.add(event)
        return total

    def table(
        self,
        sort_by: str | None = None,
        row_limit: int = 100,
        max_src_column_width: int = 75,
        max_name_column_width: int = 55,
        max_shapes_column_width: int = 80,
        header: str | None = None,
        top_level_events_only: bool = False,
    ) -> str:
        """Format as a table.

        Parameters
        ----------
        sort_by : str, optional
            The attribute to sort by, the largest first: ``cpu_time``, ``cpu_time_total``,
            ``self_cpu_time_total``, ``cpu_memory_usage``, ``self_cpu_memory_usage`` or ``count``.
        row_limit : int
            How many rows; -1 for all.
        max_src_column_width, max_name_column_width, max_shapes_column_width : int
            Longer texts are cut.
        header : str, optional
            Put above.
        top_level_events_only : bool
            Leave out events that ran within others.
        """
        rows = list(self)
        if sort_by is not None:
            attribute = sort_by.replace("cuda", "device")
            if rows and not isinstance(getattr(rows[0], attribute, None), int | float):
                raise ValueError(f"table: cannot sort by {sort_by!r}")
            rows.sort(key=lambda event: getattr(event, attribute), reverse=True)
        if top_level_events_only:
            rows = [event for event in rows if getattr(event, "cpu_parent", None) is None]
        total = self.self_cpu_time_total
        columns = self._columns(
            total, max_name_column_width, max_shapes_column_width, max_src_column_width
        )
        shown = rows if row_limit < 0 else rows[:row_limit]
        cells = [[text(event) for _, text in columns] for event in shown]
        widths = [
            max([len(title), *(len(row[i]) for row in cells)])
            for i, (title, _) in enumerate(columns)
        ]
        rule = "  ".join("-" * width for width in widths)
        lines = [rule, _line((title for title, _ in columns), widths), rule]
        lines += [_line(row, widths) for row in cells]
        lines += [rule, f"Self CPU time total: {_time(total)}", ""]
        if header is not None:
            lines[:0] = ["=" * len(rule), header]
        return "\n".join(lines)

    def _columns(
        self, total: float, names: int, shapes: int, source: int
    ) -> list[tuple[str, Callable[[Any], str]]]:
        def percent(us: float) -> str:
            return f"{100 * us / total:.2f}%" if total else "0.00%"

        columns: list[tuple[str, Callable[[Any], str]]] = [
            ("Name", lambda e: _cut(e.key, names)),
            ("Self CPU %", lambda e: percent(e.self_cpu_time_total)),
            ("Self CPU", lambda e: e.self_cpu_time_total_str),
            ("CPU total %", lambda e: percent(e.cpu_time_total)),
            ("CPU total", lambda e: e.cpu_time_total_str),
            ("CPU time avg", lambda e: e.cpu_time_str),
        ]
        if self._profile_memory:
            columns += [
                ("CPU Mem", lambda e: _memory(e.cpu_memory_usage)),
                ("Self CPU Mem", lambda e: _memory(e.self_cpu_memory_usage)),
            ]
        columns.append(("# of Calls", lambda e: str(e.count)))
        if self._with_shapes:
            columns.append(("Input Shapes", lambda e: _cut(str(e.input_shapes), shapes)))
        if self._with_stack:
            columns.append(("Source Location", lambda e: _cut("; ".join(e.stack), source)))
        return columns

    supported_export_stacks_metrics = ("self_cpu_time_total", "self_cuda_time_total")

    def export_stacks(self, path: str | os.PathLike, metric: str) -> None:
        """Write a line for each stack, outermost frame first, with its microseconds.

        Parameters
        ----------
        path : path
            Flame-graph tools read the file.
        metric : str
            ``self_cpu_time_total``.
        """
        if metric not in self.supported_export_stacks_metrics:
            raise ValueError(
                f"export_stacks: metric must be one of {self.supported_export_stacks_metrics}, "
                f"got {metric!r}"
            )
        attribute = metric.replace("cuda", "device")
        lines = []
        for event in self.key_averages(group_by_stack_n=_DEEPEST):
            value = int(getattr(event, attribute))
            if value > 0 and event.stack:
                frames = [frame.replace(" ", "_").replace(";", ",") for frame in event.stack]
                lines.append(f"{';'.join(reversed(frames))} {value}\n")
        with replacing(path) as file:
            file.write("".join(lines).encode())

    def export_chrome_trace(
        self, path: str | os.PathLike, metadata: dict[str, Any] | None = None
    ) -> None:
        """Write a trace that chrome://tracing and Perfetto open, compressed where it ends in .gz.

        The file is written beside and renamed when it is complete.
        """
        data = json.dumps({**_trace(self), **(metadata or {})}).encode()
        if os.fspath(path).endswith(".gz"):
            import gzip

            data = gzip.compress(data)
        with replacing(path) as file:
            file.write(data)


_DEEPEST = 10_000  # frames; more than Python's own limit lets a stack have


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 3] + "..."


def _line(cells: Iterable[str], widths: list[int]) -> str:
    return "  ".join(cell.rjust(width) for cell, width in zip(cells, widths, strict=True))


def _trace(events: Iterable[FunctionEvent]) -> dict[str, Any]:
    pid = os.getpid()
    trace: list[dict[str, Any]] = [
        {"ph": "M", "name": "process_name", "pid": pid, "tid": 0, "args": {"name": "python"}}
    ]
    made = {}  # the operation that made the node of a sequence number
    for event in events:
        place = {"pid": pid, "tid": event.thread}
        args: dict[str, Any] = {"Ev Idx": event.id}
        if event.sequence_nr >= 0:
            args["Sequence number"] = event.sequence_nr
        if event.input_shapes:
            args["Input Dims"] = event.input_shapes
        if event.stack:
            args["Call stack"] = ";".join(event.stack)
        if event.module:
            args["Module Hierarchy"] = event.module
        if event.cpu_memory_usage:
            args["Bytes"] = event.cpu_memory_usage
        start = event.time_range.start
        trace.append(
            {
                "ph": "X",
                "cat": _CATEGORIES[event.scope],
                "name": event.name,
                **place,
                "ts": start,
                "dur": round(event.time_range.elapsed_us(), 3),
                "args": args,
            }
        )
        if event.sequence_nr < 0:
            continue
        if event.scope == _SCOPES[0]:
            made[event.sequence_nr] = event
        elif event.sequence_nr in made:
            origin = made[event.sequence_nr]
            arrow = {"cat": "fwdbwd", "name": "fwdbwd", "id": event.sequence_nr, "pid": pid}
            trace += [
                {"ph": "s", **arrow, "tid": origin.thread, "ts": origin.time_range.start},
                {"ph": "f", "bp": "e", **arrow, "tid": event.thread, "ts": start},
            ]
    return {"schemaVersion": 1, "displayTimeUnit": "ms", "traceEvents": trace}


def read_events(recorded: list[tuple], options: dict[str, bool], first: int = 0) -> EventList:
    """Build the events, with their parents and children, from what `_C._profiler_stop` returned.

    Parameters
    ----------
    recorded : list of tuple
        In the order in which the events began.
    options : dict
        What `EventList` takes.
    first : int
        The id of the first event.
    """
    events = EventList(**options)
    shapes: dict[str, list] = {"": []}  # most are seen again and again
    open_events: dict[int, list[tuple[int, FunctionEvent]]] = {}
    for number, fields in enumerate(recorded):
        name, kind, begin, end, thread, depth, sequence, nbytes, sizes, stack, module = fields
        if sizes not in shapes:
            shapes[sizes] = json.loads(sizes)
        event = FunctionEvent(
            id=first + number,
            name=name,
            scope=_SCOPES[kind],
            time_range=Interval(begin / 1e3, end / 1e3),
            thread=thread,
            sequence_nr=sequence,
            cpu_memory_usage=nbytes,
            input_shapes=shapes[sizes],
            stack=stack.splitlines(),
            module=module,
        )
        around = open_events.setdefault(thread, [])
        while around and around[-1][0] >= depth:
            around.pop()
        if around:
            event.cpu_parent = around[-1][1]
            event.cpu_parent.cpu_children.append(event)
        around.append((depth, event))
        events.append(event)
    return events
