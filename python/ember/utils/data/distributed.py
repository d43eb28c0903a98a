"""A sampler for one of several processes that share a dataset."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sized

import ember

from .sampler import Sampler

__all__ = ["DistributedSampler"]


class DistributedSampler(Sampler[int]):
    """Every ``num_replicas``-th index, from ``rank`` on.

    All processes shuffle alike, by seed and epoch, and get equally many: the first indices again,
    or with ``drop_last`` the last ones not at all.

    Parameters
    ----------
    dataset : sized
        What is sampled.
    num_replicas, rank : int
        How many processes there are and which one this is.
    shuffle : bool
        Whether the order is random; `set_epoch` says for which epoch.
    seed : int
        The same in all processes.
    drop_last : bool
        Leave out what does not divide evenly.
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
                "DistributedSampler: give num_replicas and rank, for there is no distributed "
                "package that knows them"
            )
        if not 0 <= rank < num_replicas:
            raise ValueError(
                f"DistributedSampler: rank must be in [0, {num_replicas - 1}], got {rank}"
            )
        self.dataset = dataset
        self.num_replicas = num_replicas
        self.rank = rank
        self.epoch = 0
        self.shuffle = shuffle
        self.seed = seed
        self.drop_last = drop_last
        count = len(dataset)
        share = count // num_replicas if drop_last else math.ceil(count / num_replicas)
        self.num_samples = share
        self.total_size = share * num_replicas

    def __iter__(self) -> Iterator[int]:
        count = len(self.dataset)
        if self.shuffle:
            generator = ember.Generator()
            generator.manual_seed(self.seed + self.epoch)
            indices = ember.randperm(count, generator=generator).tolist()
        else:
            indices = list(range(count))
        if count:
            indices *= math.ceil(self.total_size / count)
        return iter(indices[self.rank : self.total_size : self.num_replicas])

    def __len__(self) -> int:
        return self.num_samples

    def set_epoch(self, epoch: int) -> None:
        """Shuffle anew, as in all other processes."""
        self.epoch = epoch
