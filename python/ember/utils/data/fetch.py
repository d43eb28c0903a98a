"""From the indices of a batch to the batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import ember

from .collate import default_collate
from .dataset import Subset, TensorDataset
from .sampler import BatchSampler, RandomSampler, SequentialSampler

END = object()  # what a fetch gives when a stream is over


class MapFetch:
    """Gets items by index and collates them."""

    def __init__(self, dataset: Any, batched: bool, collate: Callable) -> None:
        self._dataset = dataset
        self._batched = batched
        self._collate = collate

    def __call__(self, batch: Any) -> Any:
        dataset = self._dataset
        if not self._batched:
            return self._collate(dataset[batch])
        get_items = getattr(dataset, "__getitems__", None)
        items = get_items(batch) if callable(get_items) else [dataset[i] for i in batch]
        return self._collate(items)


class IterableFetch:
    """Takes items from a stream; of the batch only the length matters."""

    def __init__(self, dataset: Any, batched: bool, collate: Callable, drop_last: bool) -> None:
        self._items = iter(dataset)
        self._batched = batched
        self._collate = collate
        self._drop_last = drop_last
        self._ended = False

    def __call__(self, batch: Any) -> Any:
        if self._ended:
            return END
        if not self._batched:
            item = next(self._items, END)
            return END if item is END else self._collate(item)
        items = []
        for _ in batch:
            item = next(self._items, END)
            if item is END:
                self._ended = True
                break
            items.append(item)
        if not items or (self._drop_last and len(items) < len(batch)):
            return END
        return self._collate(items)


class MemoryFetch:
    """Selects a batch from tensors, which gives what stacking their items would.

    Parameters
    ----------
    tensors : tuple of Tensor
        Of a `TensorDataset`.
    indices : Tensor or None
        Of the subset that the batches' indices refer to.
    general : MapFetch
        For indices that are no plain numbers.
    """

    def __init__(self, tensors: tuple, indices: Any, general: MapFetch) -> None:
        self._tensors = tensors
        self._indices = indices
        self._general = general

    def __call__(self, batch: Any) -> Any:
        if type(batch) is list:
            if not all(type(i) is int for i in batch):
                return self._general(batch)
            batch = ember.tensor(batch)
            if self._indices is not None:
                batch = self._indices[batch]
            return [tensor[batch] for tensor in self._tensors]
        return [tensor.index_select(0, batch) for tensor in self._tensors]

    def whole_epoch(self, sampler: BatchSampler) -> Iterator[Any] | None:
        """Return the batches' indices as slices of one tensor, if the sampler is one we know."""
        if type(sampler) is not BatchSampler:
            return None
        inner = sampler.sampler
        if type(inner) is SequentialSampler:
            return self._slices(sampler)
        if type(inner) is not RandomSampler or inner.replacement:
            return None
        return self._slices(sampler) if inner.num_samples == len(inner.data_source) else None

    def _slices(self, sampler: BatchSampler) -> Iterator[Any]:
        inner = sampler.sampler
        total, size = len(inner), sampler.batch_size
        generator = None
        if type(inner) is SequentialSampler:
            order = ember.arange(total)
        else:
            generator = inner.draw_generator()
            order = ember.randperm(total, generator=generator)
        if self._indices is not None:
            order = self._indices[order]
        whole = total - total % size
        for start in range(0, whole, size):
            yield order[start : start + size]
        if generator is not None:
            # As `RandomSampler` does at the end of an epoch, and for the same reason.
            ember.randperm(total, generator=generator)
        if whole < total and not sampler.drop_last:
            yield order[whole:]


def memory_fetch(dataset: Any, batched: bool, collate: Callable) -> MemoryFetch | None:
    """Return a fetch for data in memory: a `TensorDataset`, perhaps behind `Subset` s."""
    if not batched or collate is not default_collate:
        return None
    general = MapFetch(dataset, batched, collate)
    indices = None
    while type(dataset) is Subset:
        inner = _index_tensor(dataset.indices, len(dataset.dataset))
        if inner is None:
            return None
        indices = inner if indices is None else inner[indices]
        dataset = dataset.dataset
    if type(dataset) is not TensorDataset:
        return None
    return MemoryFetch(dataset.tensors, indices, general)


def _index_tensor(indices: Any, size: int) -> Any:
    """The indices as a tensor of numbers in [0, size), or None if they are not such."""
    if isinstance(indices, range):
        indices = list(indices)
    if isinstance(indices, list):
        if not all(type(i) is int for i in indices):
            return None
        out = ember.tensor(indices, dtype=ember.int64)
    elif isinstance(indices, ember.Tensor) and indices.dtype == ember.int64 and indices.dim() == 1:
        out = indices
    else:
        return None
    if len(out) and (out.min().item() < 0 or out.max().item() >= size):
        return None
    return out
