"""Sequences of different lengths: padded, or packed step by step for recurrent networks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from ... import _C

Tensor = _C.Tensor

__all__ = [
    "PackedSequence",
    "invert_permutation",
    "pack_padded_sequence",
    "pack_sequence",
    "pad_packed_sequence",
    "pad_sequence",
    "unpack_sequence",
    "unpad_sequence",
]


class PackedSequence_(NamedTuple):
    data: Tensor
    batch_sizes: Tensor
    sorted_indices: Tensor | None
    unsorted_indices: Tensor | None


class PackedSequence(PackedSequence_):
    """Sequences of different lengths without padding, made by `pack_padded_sequence`.

    Attributes
    ----------
    data : Tensor
        All steps' rows, step after step: ``(rows, *)``. In each step the longest sequence is first.
    batch_sizes : Tensor
        How many sequences have each step: ``(T,)``, int64, on the CPU.
    sorted_indices : Tensor or None
        Where each sequence was before they were sorted by length; None if they were not.
    unsorted_indices : Tensor or None
        The inverse permutation.
    """

    def __new__(
        cls,
        data: Tensor,
        batch_sizes: Tensor | None = None,
        sorted_indices: Tensor | None = None,
        unsorted_indices: Tensor | None = None,
    ) -> PackedSequence:
        if unsorted_indices is None:
            unsorted_indices = invert_permutation(sorted_indices)
        if batch_sizes is None:  # PackedSequence((data, batch_sizes))
            if not isinstance(data, (list, tuple)) or len(data) != 2:
                raise AssertionError("PackedSequence: expected data and batch_sizes")
            data, batch_sizes = data
        elif batch_sizes.device.type != "cpu":
            raise ValueError(
                f"PackedSequence: batch_sizes must be on the CPU, got {batch_sizes.device}"
            )
        return super().__new__(cls, data, batch_sizes, sorted_indices, unsorted_indices)

    def to(self, *args: Any, **kwargs: Any) -> PackedSequence:
        """Convert the data; indices follow to its device, batch_sizes stay where they are."""
        data = self.data.to(*args, **kwargs)
        if data is self.data:
            return self
        indices = (
            None if t is None else t.to(data.device)
            for t in (self.sorted_indices, self.unsorted_indices)
        )
        return type(self)(data, self.batch_sizes, *indices)

    def cpu(self) -> PackedSequence:
        return self.to("cpu")

    def cuda(self, *args: Any, **kwargs: Any) -> PackedSequence:
        return self.to(*args, **kwargs) if args or kwargs else self.to("cuda")

    def double(self) -> PackedSequence:
        return self.to(_C.float64)

    def float(self) -> PackedSequence:
        return self.to(_C.float32)

    def half(self) -> PackedSequence:
        return self.to(_C.float16)

    def long(self) -> PackedSequence:
        return self.to(_C.int64)

    def int(self) -> PackedSequence:
        return self.to(_C.int32)

    def short(self) -> PackedSequence:
        return self.to(_C.int16)

    def char(self) -> PackedSequence:
        return self.to(_C.int8)

    def byte(self) -> PackedSequence:
        return self.to(_C.uint8)

    @property
    def is_cuda(self) -> bool:
        return self.data.device.type == "cuda"


def invert_permutation(permutation: Tensor | None) -> Tensor | None:
    """Give the permutation that undoes `permutation`; None for None."""
    if permutation is None:
        return None
    order = _C.arange(permutation.numel(), device=permutation.device, dtype=permutation.dtype)
    return _C.empty_like(permutation).scatter_(0, permutation, order)


def _has_step(steps: int, lengths: Tensor) -> Tensor:
    """Whether each sequence has each step: (T, B)."""
    return _C.arange(steps).unsqueeze(1) < lengths


def _rows_of(mask: Tensor) -> Tensor:
    return mask.flatten().nonzero().squeeze(1)


def pack_padded_sequence(
    input: Tensor,
    lengths: Tensor | Sequence[int],
    batch_first: bool = False,
    enforce_sorted: bool = True,
) -> PackedSequence:
    """Pack padded sequences.

    Parameters
    ----------
    input : Tensor
        ``(T, B, *)``, or ``(B, T, *)`` with `batch_first`.
    lengths : Tensor or sequence of int
        Of each sequence, at least 1 and at most T.
    batch_first : bool
        Which dimension of `input` is the first.
    enforce_sorted : bool
        Whether the lengths must not increase; else the sequences are sorted, and results of
        recurrent networks come back in the order given.

    Raises
    ------
    RuntimeError
        If lengths are too small, too large, too many, too few, or not sorted.
    """
    name = "pack_padded_sequence"
    lengths = _C.as_tensor(lengths).to("cpu", _C.int64)
    batch_dim = 0 if batch_first else 1
    if input.dim() < 2:
        raise RuntimeError(f"{name}: expected an input with 2 dims or more, got {input.dim()}")
    if lengths.dim() != 1 or lengths.numel() != input.size(batch_dim):
        raise RuntimeError(
            f"{name}: expected one length for each of the {input.size(batch_dim)} sequences, got "
            f"lengths of shape {tuple(lengths.shape)}"
        )
    if lengths.numel() == 0:
        raise RuntimeError(f"{name}: cannot pack empty tensors")
    sorted_indices = None
    if not enforce_sorted:
        lengths, order = _C.sort(lengths, descending=True)
        sorted_indices = order.to(input.device)
        input = input.index_select(batch_dim, sorted_indices)
    elif (lengths[1:] > lengths[:-1]).any():
        raise RuntimeError(
            f"{name}: lengths must not increase with enforce_sorted=True, got {lengths.tolist()}; "
            "pass enforce_sorted=False to have the sequences sorted"
        )
    if lengths[-1] <= 0:
        raise RuntimeError(f"{name}: every length must be at least 1, got {int(lengths[-1])}")
    steps = int(lengths[0])
    x = input.transpose(0, 1) if batch_first else input
    if steps > x.size(0):
        raise RuntimeError(f"{name}: a length of {steps} exceeds the input's {x.size(0)} steps")
    mask = _has_step(steps, lengths)
    data = x[:steps].flatten(0, 1).index_select(0, _rows_of(mask).to(x.device))
    return PackedSequence(data, mask.sum(1), sorted_indices)


def pad_packed_sequence(
    sequence: PackedSequence,
    batch_first: bool = False,
    padding_value: float = 0.0,
    total_length: int | None = None,
) -> tuple[Tensor, Tensor]:
    """Undo `pack_padded_sequence`.

    Parameters
    ----------
    sequence : PackedSequence
        What to pad.
    batch_first : bool
        Whether the result is ``(B, T, *)`` instead of ``(T, B, *)``.
    padding_value : float
        Value of the steps that a sequence does not have.
    total_length : int, optional
        T; the length of the longest sequence by default. ValueError where it is less.

    Returns
    -------
    tuple of Tensor
        The padded sequences, in the order they had before packing, and their lengths.
    """
    data, batch_sizes, _, unsorted = sequence
    steps, batch = batch_sizes.numel(), int(batch_sizes[0])
    total = steps if total_length is None else total_length
    if total < steps:
        raise ValueError(
            f"pad_packed_sequence: total_length must be at least the {steps} steps of the longest "
            f"sequence, got {total}"
        )
    mask = _C.arange(batch) < batch_sizes.unsqueeze(1)
    rows = _rows_of(mask).to(data.device)
    padded = _C.full(
        (total * batch, *data.shape[1:]), padding_value, dtype=data.dtype, device=data.device
    )
    padded = padded.index_copy(0, rows, data).unflatten(0, (total, batch))
    lengths = mask.sum(0)
    if batch_first:
        padded = padded.transpose(0, 1)
    if unsorted is not None:
        padded = padded.index_select(0 if batch_first else 1, unsorted)
        lengths = lengths[unsorted.cpu()]
    return padded, lengths


def pad_sequence(
    sequences: Tensor | Iterable[Tensor],
    batch_first: bool = False,
    padding_value: float = 0.0,
    padding_side: str = "right",
) -> Tensor:
    """Stack sequences ``(length, *)`` of different lengths.

    Parameters
    ----------
    sequences : iterable of Tensor
        What to stack; all but the first size must agree.
    batch_first : bool
        Whether the result is ``(B, T, *)`` instead of ``(T, B, *)``; T is the largest length.
    padding_value : float
        Value of the steps that a sequence does not have.
    padding_side : {"right", "left"}
        Whether these are behind or before its own.
    """
    if not isinstance(sequences, (Tensor, Iterable)):
        raise RuntimeError(
            f"pad_sequence: expected an iterable of tensors, got {type(sequences).__name__}"
        )
    sequences = tuple(sequences)
    if not sequences:
        raise RuntimeError("pad_sequence: expected at least one sequence")
    if padding_side not in ("right", "left"):
        raise RuntimeError(
            f"pad_sequence: padding_side must be 'right' or 'left', got {padding_side!r}"
        )
    first = sequences[0]
    for s in sequences:
        if s.dim() == 0 or s.shape[1:] != first.shape[1:]:
            raise RuntimeError(
                f"pad_sequence: expected sequences of shape (length, {tuple(first.shape[1:])}), "
                f"got {tuple(s.shape)}"
            )
    steps = max(s.size(0) for s in sequences)
    starts = [
        i * steps + (steps - s.size(0) if padding_side == "left" else 0)
        for i, s in enumerate(sequences)
    ]
    rows = _C.cat([_C.arange(a, a + s.size(0)) for a, s in zip(starts, sequences, strict=True)])
    padded = _C.full(
        (len(sequences) * steps, *first.shape[1:]),
        padding_value,
        dtype=first.dtype,
        device=first.device,
    )
    values = _C.cat([s.to(first.dtype) for s in sequences])
    padded = padded.index_copy(0, rows.to(first.device), values)
    padded = padded.unflatten(0, (len(sequences), steps))
    return padded if batch_first else padded.transpose(0, 1).contiguous()


def unpad_sequence(
    padded_sequences: Tensor, lengths: Tensor, batch_first: bool = False
) -> list[Tensor]:
    """Cut padded sequences, ``(T, B, *)`` or with `batch_first` ``(B, T, *)``, to their lengths."""
    x = padded_sequences if batch_first else padded_sequences.transpose(0, 1)
    return [s[: int(n)] for s, n in zip(x, lengths, strict=True)]


def pack_sequence(sequences: Sequence[Tensor], enforce_sorted: bool = True) -> PackedSequence:
    """Pack sequences ``(length, *)``; see `pack_padded_sequence`."""
    lengths = [s.size(0) for s in sequences]
    return pack_padded_sequence(pad_sequence(sequences), lengths, enforce_sorted=enforce_sorted)


def unpack_sequence(packed_sequences: PackedSequence) -> list[Tensor]:
    """Undo `pack_sequence`."""
    padded, lengths = pad_packed_sequence(packed_sequences, batch_first=True)
    return unpad_sequence(padded, lengths, batch_first=True)
