"""How the items of a batch become one."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, MutableSequence, Sequence
from copy import copy
from typing import Any

import numpy as np

import ember


def _refuse(what: Any) -> TypeError:
    return TypeError(
        "default_collate: batch must contain tensors, numpy arrays, numbers, dicts or lists; "
        f"found {what}"
    )


def default_collate(batch: Sequence) -> Any:
    """Put the items of a batch into one of the same structure, with a new first dimension.

    Tensors and numpy arrays are stacked; numbers become a tensor (Python's floats of float64,
    integers of int64); strings and bytes stay a sequence; mappings, named tuples and sequences
    are collated part by part, tuples into lists.

    Raises
    ------
    TypeError
        An item is of another type.
    RuntimeError
        Sequences of different lengths, or tensors of different shapes.
    """
    first = batch[0]
    if isinstance(first, ember.Tensor):
        return ember.stack(list(batch))
    if isinstance(first, np.ndarray):
        if first.dtype.kind in "OSU":
            raise _refuse(first.dtype)
        return ember.stack([ember.as_tensor(item) for item in batch])
    if isinstance(first, np.generic) and first.dtype.kind not in "SU":
        return ember.from_numpy(np.array(batch))
    if isinstance(first, float):
        return ember.tensor(batch, dtype=ember.float64)
    if isinstance(first, int):
        return ember.tensor(batch)
    if isinstance(first, str | bytes):
        return batch
    if isinstance(first, Mapping):
        parts = {key: default_collate([item[key] for item in batch]) for key in first}
        return _like_mapping(first, parts)
    if isinstance(first, tuple) and hasattr(first, "_fields"):
        return type(first)(*map(default_collate, zip(*batch, strict=True)))
    if isinstance(first, Sequence):
        sizes = {len(item) for item in batch}
        if len(sizes) > 1:
            raise RuntimeError(
                "default_collate: each element in list of batch should be of equal size, got "
                f"sizes {sorted(sizes)}"
            )
        parts = [default_collate(column) for column in zip(*batch, strict=True)]
        return parts if isinstance(first, tuple) else _like_sequence(first, parts)
    raise _refuse(type(first))


def default_convert(data: Any) -> Any:
    """Turn the numpy arrays and scalars in one item into tensors; leave the rest as it is."""
    if isinstance(data, ember.Tensor | str | bytes):
        return data
    if isinstance(data, np.ndarray | np.generic):
        return data if data.dtype.kind in "OSU" else ember.as_tensor(data)
    if isinstance(data, Mapping):
        return _like_mapping(data, {key: default_convert(data[key]) for key in data})
    if isinstance(data, tuple) and hasattr(data, "_fields"):
        return type(data)(*map(default_convert, data))
    if isinstance(data, tuple):
        return [default_convert(part) for part in data]
    if isinstance(data, Sequence):
        return _like_sequence(data, [default_convert(part) for part in data])
    return data


def _like_mapping(example: Mapping, parts: dict) -> Any:
    """Put the parts into a mapping of the example's type, which may have attributes of its own."""
    if type(example) is dict:
        return parts
    try:
        if isinstance(example, MutableMapping):
            out = copy(example)
            out.update(parts)
            return out
        return type(example)(parts)
    except TypeError:
        return parts


def _like_sequence(example: Sequence, parts: list) -> Any:
    if type(example) is list:
        return parts
    try:
        if isinstance(example, MutableSequence):
            out = copy(example)
            for i, part in enumerate(parts):
                out[i] = part
            return out
        return type(example)(parts)
    except TypeError:
        return parts
