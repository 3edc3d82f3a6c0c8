"""Batches in order, made in the training process or ahead of it by worker processes.

Each batch has a seed of its own, made of the run's seed, the step and the process. So a training repeats to the bit
whoever makes its batches, and goes on at any step without a state to be saved.
"""

from __future__ import annotations

import itertools
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

if TYPE_CHECKING:
    from clearport.models.data.crops import Batch, Crops


@dataclass(frozen=True)
class Feed(Dataset["Batch"]):
    """The batches of one process of a training.

    Attributes:
        count: crops in a batch.
        rank: the process, where several train together.
        workers: processes that make batches ahead; 0 to make each when it is asked for.
    """

    crops: Crops
    count: int
    seed: int
    rank: int = 0
    workers: int = 0

    def __getitem__(self, step: int) -> Batch:
        """The batch of a step."""
        rng = np.random.default_rng([self.seed, 1, step, self.rank])
        return self.crops.batch(self.count, rng, step)

    def after(self, step: int) -> Iterator[Batch]:
        """The batches of ``step``, ``step + 1`` and so on."""
        if not self.workers:
            return (self[number] for number in itertools.count(step))
        loader = DataLoader(
            self,
            batch_size=None,
            sampler=range(step, sys.maxsize),
            num_workers=self.workers,
            prefetch_factor=4,
            generator=torch.Generator(),  # else it would draw from the global one
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # newer Pythons warn of forks beside threads; workers use no threads
            return iter(loader)


def workers_for(asked: int | None, device: torch.device, *, on_the_fly: bool, cores: int) -> int:
    """How many worker processes make batches: as asked for, or as many as the synthesis is worth.

    Plain crops cost next to nothing. Where processes cannot be forked, each would load the data again: none.
    """
    if not sys.platform.startswith("linux"):
        return 0
    if asked is not None:
        return asked
    if device.type == "cuda":
        return max(1, min(8, cores - 2))
    return int(on_the_fly)
