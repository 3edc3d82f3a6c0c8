"""Batches in order, made in the training process or ahead of it by worker processes.

Each batch has its own seed, derived from the run's seed, the step and the process. Hence training is bit-reproducible
for any number of workers, and resumes at any step without saved state.
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
        count: crops per batch.
        rank: index of the training process in distributed training.
        workers: processes that prefetch batches; 0 makes each on demand.
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
            generator=torch.Generator(),  # otherwise it would use the global generator
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # newer Pythons warn of forks beside threads; workers use no threads
            return iter(loader)


def workers_for(asked: int | None, device: torch.device, *, on_the_fly: bool, cores: int) -> int:
    """Number of worker processes: as requested, or as many as the synthesis of inputs is worth.

    Plain crops cost next to nothing. Without fork, each process would load the data again: 0.
    """
    if not sys.platform.startswith("linux"):
        return 0
    if asked is not None:
        return asked
    if device.type == "cuda":
        return max(1, min(8, cores - 2))
    return int(on_the_fly)
