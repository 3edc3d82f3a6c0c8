"""The pool of pictures for crops: all of them in memory, or, if they are too many, a sliding window.

A large pool is traversed in random order. At any step, crops come from a window that fits into memory; every few steps
one picture leaves and the next one is decoded. The window depends only on the step, so that training is reproducible
and resumable.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from clearport.errors import BadInput
from clearport.models.data.check import MOST_UNUSABLE

if TYPE_CHECKING:
    import numpy.typing as npt

    from clearport.models.data.pair import Pair

MEMORY_BYTES = 2_000_000_000
_STEPS_A_PICTURE = 8


@dataclass(frozen=True)
class Example:
    """A pair that is decoded on demand.

    Attributes:
        group: its scene; a split never separates examples of one group.
        size: height and width in input pixels.
        bytes: memory of the pair.
        make: decodes (and degrades) it.
        original: whether it is an original picture rather than a downscaled copy.
    """

    group: str
    size: tuple[int, int]
    bytes: int
    make: Callable[[], Pair]
    original: bool = True


@dataclass(frozen=True)
class Window:
    """The examples to draw from, and their probabilities."""

    indices: npt.NDArray[np.int64]
    shares: npt.NDArray[np.float64]


class Pool:
    """Pairs by index.

    Args:
        examples: at least one.
        memory_bytes: maximum bytes of decoded pairs.
        seed: seed of the order of a large pool.

    Raises:
        BadInput: too many pictures cannot be decoded (immediately if all fit into memory, otherwise later).
    """

    def __init__(self, examples: Sequence[Example], memory_bytes: int = MEMORY_BYTES, seed: int = 0) -> None:
        self._examples = tuple(examples)
        self._kept: OrderedDict[int, Pair] = OrderedDict()
        self._areas = np.array([e.size[0] * e.size[1] for e in examples], np.float64)
        largest = max(example.bytes for example in examples)
        self._room = len(examples)
        if sum(example.bytes for example in examples) > memory_bytes:
            self._room = max(1, min(len(examples), memory_bytes // largest))
        self._bad: dict[int, BadInput] = {}
        self._order = np.random.default_rng([seed, 5]).permutation(len(examples))
        if self.whole:
            self._all = self._window(np.arange(len(examples)))
            for index in range(len(examples)):
                self.get(index)

    @property
    def skipped(self) -> tuple[str, ...]:
        """A line for every picture that could not be decoded so far and was replaced by another."""
        return tuple(f"left out: {error}" for error in self._bad.values())

    def __len__(self) -> int:
        return len(self._examples)

    @property
    def whole(self) -> bool:
        """Whether all pairs are in memory at once."""
        return self._room == len(self._examples)

    def window(self, step: int) -> Window:
        """The window of a step, with probabilities proportional to area."""
        if self.whole:
            return self._all
        start = step // _STEPS_A_PICTURE
        return self._window(np.take(self._order, np.arange(start, start + self._room), mode="wrap"))

    def _window(self, indices: npt.NDArray[np.int64]) -> Window:
        areas = self._areas[indices]
        return Window(indices, np.asarray(areas / areas.sum()))

    def get(self, index: int) -> Pair:
        """One pair, decoded if not cached; the least recently used one is evicted.

        A pair that cannot be decoded is replaced by the next one that can.

        Raises:
            BadInput: too many cannot be decoded.
        """
        pair = self._kept.get(index)
        if pair is None:
            pair = self._made(index)
            self._kept[index] = pair
            if len(self._kept) > self._room:
                self._kept.popitem(last=False)
        self._kept.move_to_end(index)
        return pair

    def _made(self, index: int) -> Pair:
        for other in range(index, index + len(self)):
            number = other % len(self)
            if number not in self._bad:
                try:
                    return self._examples[number].make()
                except BadInput as error:
                    self._bad[number] = error
                    if len(self._bad) > MOST_UNUSABLE * len(self):
                        raise
        raise next(iter(self._bad.values()))
