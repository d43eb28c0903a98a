"""CUDA devices: which there are, their memory, streams, events and random numbers.

Nothing here is loaded before it is asked for. Where no device can be used,
:func:`unavailable_reason` gives the loader's or the driver's own words.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from .. import _C
from .._missing import missing_names
from . import amp

OutOfMemoryError = _C.OutOfMemoryError

__all__ = [
    "Event",
    "OutOfMemoryError",
    "Stream",
    "amp",
    "current_device",
    "current_stream",
    "default_stream",
    "device",
    "device_count",
    "empty_cache",
    "get_device_capability",
    "get_device_name",
    "get_device_properties",
    "get_rng_state",
    "initial_seed",
    "is_available",
    "is_bf16_supported",
    "manual_seed",
    "manual_seed_all",
    "max_memory_allocated",
    "max_memory_reserved",
    "mem_get_info",
    "memory_allocated",
    "memory_reserved",
    "memory_stats",
    "memory_summary",
    "reset_peak_memory_stats",
    "set_device",
    "set_rng_state",
    "set_stream",
    "stream",
    "synchronize",
    "unavailable_reason",
]


def is_available() -> bool:
    """Whether a CUDA device can be used."""
    return _C._cuda_is_available()


def unavailable_reason() -> str:
    """Say why :func:`is_available` is False; an empty string where it is True."""
    return _C._cuda_unavailable_reason()


def device_count() -> int:
    """Return the number of usable CUDA devices."""
    return _C._cuda_device_count()


def current_device() -> int:
    """Return this thread's current device. RuntimeError without a device."""
    return _C._cuda_current_device()


def _index(device: Any) -> int:
    """A device's number, of an index, a name, a device or None (the current one)."""
    if device is None:
        return -1
    if isinstance(device, int):
        return device
    found = _C.device(device)
    if found.type != "cuda":
        raise ValueError(f"cuda: expected a CUDA device, got {found}")
    return -1 if found.index is None else found.index


def set_device(device: Any) -> None:
    """Make a device this thread's current one, where ``device="cuda"`` is."""
    _C._cuda_set_device(_index(device))


class device:
    """Context in which a device is the current one."""

    def __init__(self, device: Any) -> None:
        self.index = _index(device)

    def __enter__(self) -> device:
        self._before = current_device()
        if self.index >= 0:
            set_device(self.index)
        return self

    def __exit__(self, *exc: object) -> None:
        set_device(self._before)


class Properties(NamedTuple):
    """What a device is."""

    name: str
    major: int
    minor: int
    multi_processor_count: int
    total_memory: int


def get_device_properties(device: Any = None) -> Properties:
    """Return name, compute capability, number of multiprocessors and bytes of memory."""
    return Properties(*_C._cuda_properties(_index(device)))


def get_device_name(device: Any = None) -> str:
    """Return the device's name."""
    return get_device_properties(device).name


def get_device_capability(device: Any = None) -> tuple[int, int]:
    """Return the device's compute capability, (9, 0) for instance."""
    found = get_device_properties(device)
    return found.major, found.minor


def is_bf16_supported(including_emulation: bool = True) -> bool:
    """Whether bfloat16 can be computed with; natively it can from compute capability 8.0 on."""
    if not is_available():
        return False
    return including_emulation or get_device_capability()[0] >= 8


# ---- Memory


def memory_stats(device: Any = None) -> dict[str, int]:
    """Return the allocator's figures: bytes allocated, reserved, their peaks, calls, cache hits."""
    return _C._cuda_memory(_index(device))


def memory_summary(device: Any = None, abbreviated: bool = False) -> str:
    """Return the allocator's figures as a table, one a line."""
    stats = memory_stats(device)
    width = max(map(len, stats))
    return "\n".join(f"{name:<{width}}  {value:>20,}" for name, value in stats.items())


def memory_allocated(device: Any = None) -> int:
    """Return the bytes that tensors use."""
    return memory_stats(device)["allocated_bytes"]


def max_memory_allocated(device: Any = None) -> int:
    """Return the most bytes that tensors have used."""
    return memory_stats(device)["allocated_bytes_peak"]


def memory_reserved(device: Any = None) -> int:
    """Return the bytes held of the driver, used or kept for reuse."""
    return memory_stats(device)["reserved_bytes"]


def max_memory_reserved(device: Any = None) -> int:
    """Return the most bytes held of the driver."""
    return memory_stats(device)["reserved_bytes_peak"]


def reset_peak_memory_stats(device: Any = None) -> None:
    """Set the peaks to the present values."""
    _C._cuda_reset_peaks(_index(device))


def mem_get_info(device: Any = None) -> tuple[int, int]:
    """Return the bytes of the device that are free, and all, as the driver says."""
    stats = memory_stats(device)
    return stats["free_bytes"], stats["total_bytes"]


def empty_cache() -> None:
    """Give memory that no tensor uses back to the driver; without a device there is none."""
    _C._cuda_empty_cache()


# ---- Streams and events


class Stream:
    """Work that a device does in order, beside that of other streams.

    Parameters
    ----------
    device : device, int or str, optional
        The current one by default.
    priority : int, optional
        Lower numbers go first.
    """

    def __init__(self, device: Any = None, priority: int = 0, *, _handle: int | None = None):
        self.device_index = _index(device) if device is not None else current_device()
        # Streams live as long as the process: memory that was used on one refers to it.
        self.cuda_stream = (
            _C._cuda_create_stream(self.device_index, priority) if _handle is None else _handle
        )

    @property
    def device(self) -> Any:
        """The device."""
        return _C.device("cuda", self.device_index)

    def synchronize(self) -> None:
        """Wait until all work is done."""
        _C._cuda_synchronize_stream(self.device_index, self.cuda_stream)

    def query(self) -> bool:
        """Whether all work is done."""
        return _C._cuda_query_stream(self.device_index, self.cuda_stream)

    def wait_stream(self, stream: Stream) -> None:
        """Let later work wait for what the other stream has under way."""
        _C._cuda_wait_stream(
            self.device_index, self.cuda_stream, stream.device_index, stream.cuda_stream
        )

    def wait_event(self, event: Event) -> None:
        """Let later work wait for the event."""
        event.wait(self)

    def record_event(self, event: Event | None = None) -> Event:
        """Record an event, by default a new one, behind the present work."""
        event = Event() if event is None else event
        event.record(self)
        return event

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Stream) and (self.device_index, self.cuda_stream) == (
            other.device_index,
            other.cuda_stream,
        )

    def __hash__(self) -> int:
        return hash((self.device_index, self.cuda_stream))

    def __repr__(self) -> str:
        return f"<ember.cuda.Stream device=cuda:{self.device_index} {self.cuda_stream:#x}>"


class Event:
    """A point in a stream's work.

    Parameters
    ----------
    enable_timing : bool, optional
        Whether :meth:`elapsed_time` can be asked.
    """

    def __init__(self, enable_timing: bool = False, blocking: bool = False):
        self._timing = enable_timing
        self._handle: int | None = None

    def record(self, stream: Stream | None = None) -> None:
        """Let the event happen when the stream's present work is done."""
        stream = current_stream() if stream is None else stream
        if self._handle is None:
            self._handle = _C._cuda_create_event(stream.device_index, self._timing)
        _C._cuda_record_event(self._handle, stream.device_index, stream.cuda_stream)

    def wait(self, stream: Stream | None = None) -> None:
        """Let the stream's later work wait for the event."""
        stream = current_stream() if stream is None else stream
        if self._handle is not None:
            _C._cuda_wait_event(self._handle, stream.device_index, stream.cuda_stream)

    def query(self) -> bool:
        """Whether it has happened, or was never recorded."""
        return self._handle is None or _C._cuda_query_event(self._handle)

    def synchronize(self) -> None:
        """Wait until it has happened."""
        if self._handle is not None:
            _C._cuda_synchronize_event(self._handle)

    def elapsed_time(self, end_event: Event) -> float:
        """Return the milliseconds from this event to another, both made with enable_timing."""
        for event in (self, end_event):
            if event._handle is None or not event._timing:
                raise ValueError("elapsed_time: both events must be recorded, with enable_timing")
        return _C._cuda_elapsed_ms(self._handle, end_event._handle)

    def __del__(self) -> None:
        if self._handle is not None:
            _C._cuda_destroy_event(self._handle)


def current_stream(device: Any = None) -> Stream:
    """Return the stream that this thread's operations go to."""
    index = _index(device) if device is not None else current_device()
    return Stream(index, _handle=_C._cuda_current_stream(index))


def default_stream(device: Any = None) -> Stream:
    """Return the stream that operations go to unless another is made current."""
    return Stream(_index(device) if device is not None else current_device(), _handle=0)


def set_stream(stream: Stream) -> None:
    """Make a stream, and its device, current."""
    set_device(stream.device_index)
    _C._cuda_set_stream(stream.device_index, stream.cuda_stream)


@contextmanager
def stream(stream: Stream | None) -> Iterator[None]:
    """Context in which a stream, and its device, are current."""
    if stream is None:
        yield
        return
    outer, before = current_device(), current_stream(stream.device_index)
    set_stream(stream)
    try:
        yield
    finally:
        set_stream(before)
        set_device(outer)


def synchronize(device: Any = None) -> None:
    """Wait for all of a device's work. RuntimeError without a device."""
    _C._cuda_synchronize_device(_index(device))


# ---- Random numbers


def manual_seed(seed: int) -> None:
    """Seed the current device's generator; without a device there is nothing to seed."""
    if is_available():
        _C._cuda_generator(-1).manual_seed(seed)


def manual_seed_all(seed: int) -> None:
    """Seed all devices' generators, now or when they are first used."""
    _C._cuda_seed_all(seed)


def initial_seed() -> int:
    """Return the seed of the current device's generator."""
    return _C._cuda_generator(-1).initial_seed()


def get_rng_state(device: Any = None) -> Any:
    """Return the state of a device's generator: a uint8 tensor on the CPU."""
    return _C._cuda_generator(_index(device)).get_state()


def set_rng_state(new_state: Any, device: Any = None) -> None:
    """Set the state of a device's generator to what :func:`get_rng_state` returned."""
    _C._cuda_generator(_index(device)).set_state(new_state)


def _cublas_path() -> str:
    """Where NVIDIA's wheel, if it is installed, has libcublasLt."""
    names = ("cu13/lib/libcublasLt.so.13", "cublas/lib/libcublasLt.so.12")
    spec = importlib.util.find_spec("nvidia")
    for folder in spec.submodule_search_locations or () if spec else ():
        for name in names:
            path = os.path.join(folder, name)
            if os.path.exists(path):
                return path
    return ""


_MISSING = (
    "CUDAGraph CUDAPluggableAllocator ExternalStream MemPool StreamContext graph graph_pool_handle "
    "jiterator make_graphed_callables nccl nvtx tunable use_mem_pool"
).split()


def __getattr__(name: str) -> Any:
    if name.endswith("Tensor"):
        from .._legacy import CUDA_TYPES

        if name in CUDA_TYPES:
            return CUDA_TYPES[name]
    if name in _MISSING:
        return missing_names("torch.cuda")(name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
