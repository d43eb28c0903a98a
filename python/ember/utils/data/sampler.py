"""Samplers: the order in which a loader visits a dataset."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence, Sized
from itertools import islice
from typing import Any, Generic, TypeVar

import ember

T_co = TypeVar("T_co", covariant=True)


def draw_seed(generator: Any = None) -> int:
    """Draw a seed as PyTorch does: one int64 of 63 random bits."""
    return ember.empty((), dtype=ember.int64).random_(generator=generator).item()


def _check_count(name: str, what: str, value: Any) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value <= 0:
        raise ValueError(f"{name}: {what} should be a positive integer value, got {value!r}")


def _check_flag(name: str, what: str, value: Any, kind: type[Exception] = ValueError) -> None:
    if not isinstance(value, bool):
        raise kind(f"{name}: {what} should be a boolean value, got {value!r}")


class Sampler(Generic[T_co]):
    """Base of samplers: a subclass gives ``__iter__`` and, where it is known, ``__len__``."""

    def __iter__(self) -> Iterator[T_co]:
        raise NotImplementedError(f"{type(self).__name__}.__iter__")


class SequentialSampler(Sampler[int]):
    """0, 1, 2, ..."""

    def __init__(self, data_source: Sized) -> None:
        self.data_source = data_source

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self.data_source)))

    def __len__(self) -> int:
        return len(self.data_source)


class RandomSampler(Sampler[int]):
    """A random order, or with ``replacement`` independent draws.

    Parameters
    ----------
    data_source : sized
        What is sampled.
    replacement : bool
        Whether an item may come again.
    num_samples : int, optional
        How many indices; by default as many as there are items.
    generator : Generator, optional
        Where to draw from. By default every iteration seeds one of its own by one draw from
        the global generator.
    """

    def __init__(
        self,
        data_source: Sized,
        replacement: bool = False,
        num_samples: int | None = None,
        generator: Any = None,
    ) -> None:
        self.data_source = data_source
        self.replacement = replacement
        self._num_samples = num_samples
        self.generator = generator
        _check_flag("RandomSampler", "replacement", replacement, TypeError)
        _check_count("RandomSampler", "num_samples", self.num_samples)

    @property
    def num_samples(self) -> int:
        """How many indices an iteration gives; follows the dataset if it grows."""
        return len(self.data_source) if self._num_samples is None else self._num_samples

    def draw_generator(self) -> Any:
        """Return the generator of one iteration."""
        if self.generator is not None:
            return self.generator
        generator = ember.Generator()
        generator.manual_seed(draw_seed())
        return generator

    def __iter__(self) -> Iterator[int]:
        n = len(self.data_source)
        generator = self.draw_generator()
        if self.replacement:
            for start in range(0, self.num_samples, 32):
                count = min(32, self.num_samples - start)
                yield from ember.randint(
                    n, (count,), dtype=ember.int64, generator=generator
                ).tolist()
        else:
            for _ in range(self.num_samples // n):
                yield from ember.randperm(n, generator=generator).tolist()
            # PyTorch draws this last permutation even if nothing of it is used, and a
            # generator that lasts over several epochs has to do as many draws.
            rest = ember.randperm(n, generator=generator)
            yield from rest[: self.num_samples % n].tolist()

    def __len__(self) -> int:
        return self.num_samples


class SubsetRandomSampler(Sampler[int]):
    """The given indices in random order."""

    def __init__(self, indices: Sequence[int], generator: Any = None) -> None:
        self.indices = indices
        self.generator = generator

    def __iter__(self) -> Iterator[int]:
        for i in ember.randperm(len(self.indices), generator=self.generator).tolist():
            yield self.indices[i]

    def __len__(self) -> int:
        return len(self.indices)


class WeightedRandomSampler(Sampler[int]):
    """Indices drawn with the given probabilities.

    Parameters
    ----------
    weights : sequence of float
        One an item; they need not sum to 1.
    num_samples : int
        How many indices.
    replacement : bool
        Whether an item may come again.
    generator : Generator, optional
        Where to draw from; the global one by default.
    """

    def __init__(
        self,
        weights: Sequence[float],
        num_samples: int,
        replacement: bool = True,
        generator: Any = None,
    ) -> None:
        _check_count("WeightedRandomSampler", "num_samples", num_samples)
        _check_flag("WeightedRandomSampler", "replacement", replacement)
        self.weights = ember.as_tensor(weights, dtype=ember.float64)
        if self.weights.dim() != 1:
            raise ValueError(
                "WeightedRandomSampler: weights should be a sequence of numbers, got shape "
                f"{tuple(self.weights.shape)}"
            )
        self.num_samples = num_samples
        self.replacement = replacement
        self.generator = generator

    def __iter__(self) -> Iterator[int]:
        yield from ember.multinomial(
            self.weights, self.num_samples, self.replacement, generator=self.generator
        ).tolist()

    def __len__(self) -> int:
        return self.num_samples


class BatchSampler(Sampler[list[int]]):
    """Lists of ``batch_size`` indices from another sampler.

    Parameters
    ----------
    sampler : iterable of int
        Where the indices come from.
    batch_size : int
        How many a list.
    drop_last : bool
        Whether to leave out a last list that is shorter.
    """

    def __init__(self, sampler: Iterable[int], batch_size: int, drop_last: bool) -> None:
        _check_count("BatchSampler", "batch_size", batch_size)
        _check_flag("BatchSampler", "drop_last", drop_last)
        self.sampler = sampler
        self.batch_size = batch_size
        self.drop_last = drop_last

    def __iter__(self) -> Iterator[list[int]]:
        indices = iter(self.sampler)
        while batch := list(islice(indices, self.batch_size)):
            if self.drop_last and len(batch) < self.batch_size:
                return
            yield batch

    def __len__(self) -> int:
        if self.drop_last:
            return len(self.sampler) // self.batch_size
        return -(-len(self.sampler) // self.batch_size)


class DistributedSampler(Sampler[int]):
    """The share of one of several programs that train on a dataset together.

    Parameters
    ----------
    dataset : sized
        What is sampled.
    num_replicas, rank : int
        How many programs there are, and which one this is. Ember has no process groups to ask.
    shuffle : bool
        Whether the order is random: that of ``seed`` plus the epoch (`set_epoch`), everywhere.
    seed : int
        The same in all programs.
    drop_last : bool
        Whether items are left out for shares of equal size; otherwise the first come again.
    """

    def __init__(
        self,
        dataset: Sized,
        num_replicas: int | None = None,
        rank: int | None = None,
        shuffle: bool = True,
        seed: int = 0,
        drop_last: bool = False,
    ) -> None:
        if num_replicas is None or rank is None:
            raise RuntimeError(
                "DistributedSampler: expected num_replicas and rank; there is no process group"
            )
        if not 0 <= rank < num_replicas:
            raise ValueError(
                f"Invalid rank {rank}, rank should be in the interval [0, {num_replicas - 1}]"
            )
        self.dataset = dataset
        self.num_replicas = num_replicas
        self.rank = rank
        self.epoch = 0
        self.drop_last = drop_last
        self.shuffle = shuffle
        self.seed = seed
        spare = len(dataset) % num_replicas
        self.num_samples = len(dataset) // num_replicas + (spare > 0 and not drop_last)
        self.total_size = self.num_samples * num_replicas

    def __iter__(self) -> Iterator[int]:
        n = len(self.dataset)
        if self.shuffle:
            generator = ember.Generator()
            generator.manual_seed(self.seed + self.epoch)
            order = ember.randperm(n, generator=generator).tolist()
        else:
            order = list(range(n))
        if n:
            order = (order * -(-self.total_size // n))[: self.total_size]
        return iter(order[self.rank :: self.num_replicas])

    def __len__(self) -> int:
        return self.num_samples

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch is next, for an order of its own."""
        self.epoch = epoch
