"""Training data: pictures decoded to uint8, random crops of input and target, batches.

A crop is a slice of two arrays, so a batch costs almost nothing compared with a training step. Random degradations
(rain, noise, ...) are applied per crop, so that no input is seen twice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch

from clearport.models.data.pair import Pair

if TYPE_CHECKING:
    from clearport.base import Array
    from clearport.models.data.degrade import Degrader
    from clearport.models.data.pool import Pool
    from clearport.pictures.images import Image8


@dataclass(frozen=True)
class Batch:
    """A training batch.

    Attributes:
        low: inputs (B, 3, h, w); several pictures are concatenated along the channels.
        high: targets (B, 3, h*scale, w*scale), or None; targets other than pictures are always float32 in the
            network's range.
        truth: parameters of the degradation, by name: (B, C, h, w), or (B, C, 1, 1). See ``degrade.Degraded``.
        kinds: (B,), index of the degradation that made each input, within a mix.
        black: the value of black in ``low`` and ``high``.

    From ``Crops``, pictures are uint8 and maps in their units; for losses (``ranged``), pictures are float32 in the
    network's value range, and so are maps in levels (``rain``, ``light``).
    """

    low: torch.Tensor
    high: torch.Tensor | None
    truth: Mapping[str, torch.Tensor] = field(default_factory=dict)
    kinds: torch.Tensor | None = None
    black: float = 0.0

    def ranged(self, value_range: tuple[float, float], device: torch.device) -> Batch:
        """The batch in a network's value range, float32, channels-last, on ``device``."""
        black, step = value_range[0], (value_range[1] - value_range[0]) / 255.0
        offsets = {"rain": 0.0, "light": black}

        def levels(tensor: torch.Tensor, offset: float) -> torch.Tensor:
            return tensor.to(device, non_blocking=True).float() * step + offset

        truth = {
            name: levels(value, offsets[name]) if name in offsets else value.to(device, non_blocking=True)
            for name, value in self.truth.items()
        }
        high = self.high
        if high is not None:
            high = levels(high, black) if high.dtype == torch.uint8 else high.to(device, non_blocking=True)
        kinds = None if self.kinds is None else self.kinds.to(device)
        return Batch(levels(self.low, black), high, truth, kinds, black)


@dataclass(frozen=True)
class Crops:
    """Random square crops: pairs with probability proportional to area, uniform position, one of eight flips and
    rotations.

    One of ``degraders`` makes the input of each crop from its target. Without degraders, or if the chosen one is None,
    the pair's input is used. A degrader with a preferred direction has the attributes ``upright``, the share (0..1) of
    crops that are not rotated before degradation, and ``turned``, the share rotated by 90 degrees afterwards.
    """

    pool: Pool
    scale: int
    patch: int
    degraders: Sequence[Degrader | None] = ()

    def batch(self, count: int, rng: np.random.Generator, step: int = 0) -> Batch:
        """``count`` crops, uint8, channels-last in memory; inputs are ``patch`` pixels wide and high.

        ``step`` selects the part of a large pool that is in memory. The batch depends only on the step and the state of
        ``rng``.
        """
        window = self.pool.window(step)
        chosen = rng.choice(window.indices, count, p=window.shares)
        made = [self._crop(self.pool.get(int(i)), rng) for i in chosen]
        names = set.intersection(*(set(one.truth) for one in made))
        return Batch(
            _stacked([one.low for one in made]),
            _stacked([one.high for one in made if one.high is not None]) if made[0].high is not None else None,
            {name: _stacked([one.truth[name] for one in made]) for name in sorted(names)},
            torch.tensor([one.kind for one in made]) if len(self.degraders) > 1 else None,
        )

    def _crop(self, pair: Pair, rng: np.random.Generator) -> _Crop:
        height, width = pair.size(self.scale)
        top, left = int(rng.integers(height - self.patch + 1)), int(rng.integers(width - self.patch + 1))
        turns, mirror = int(rng.integers(4)), bool(rng.integers(2))
        kind = int(rng.integers(len(self.degraders))) if len(self.degraders) > 1 else 0
        degrade = self.degraders[kind] if self.degraders else None
        if _happens(getattr(degrade, "upright", 0.0), rng):
            turns = 0

        def cut(image: Array, scale: int) -> Array:
            part = np.rot90(square(image, top * scale, left * scale, self.patch * scale), turns)
            return part[:, ::-1] if mirror else part

        high = None if pair.high is None else cut(pair.high, self.scale)
        if degrade is None:
            assert pair.low is not None
            return _Crop(cut(pair.low, 1), high, pair.truth, kind)
        assert high is not None
        made = degrade(np.ascontiguousarray(high), rng)
        whole = _Crop(made.low, high if made.high is None else made.high, made.truth, kind)
        return whole.turned(int(rng.choice((1, 3)))) if _happens(getattr(degrade, "turned", 0.0), rng) else whole


def _happens(share: float, rng: np.random.Generator) -> bool:
    """True with probability ``share``; for 0 no random number is drawn."""
    return share > 0.0 and bool(rng.random() < share)


@dataclass(frozen=True)
class _Crop:
    low: Image8
    high: Array | None
    truth: Mapping[str, Array] = field(default_factory=dict)
    kind: int = 0

    def turned(self, turns: int) -> _Crop:
        """Input, target and maps (H, W, C), rotated by a number of quarter turns."""
        high = None if self.high is None else np.rot90(self.high, turns)
        truth = {name: np.rot90(value, turns) for name, value in self.truth.items()}
        return _Crop(np.rot90(self.low, turns), high, truth, self.kind)


def square(image: Array, top: int, left: int, side: int) -> Array:
    """A part of a picture (H, W, 3), ``side`` pixels wide and high."""
    return image[top : top + side, left : left + side]


def _stacked(images: Sequence[Array]) -> torch.Tensor:
    """Stack (H, W, C) arrays to (B, C, H, W), channels-last in memory."""
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)


def center(pair: Pair, scale: int, side: int, multiple: int = 1) -> Pair:
    """The center crop of a pair, at most ``side`` input pixels per side, sides being multiples of ``multiple``."""
    size = pair.size(scale)
    height, width = (min(n, side) // multiple * multiple for n in size)
    top, left = (size[0] - height) // 2, (size[1] - width) // 2
    low = None if pair.low is None else pair.low[top : top + height, left : left + width]
    high = pair.high
    if high is not None:
        high = high[top * scale : (top + height) * scale, left * scale : (left + width) * scale]
    return Pair(pair.name, low, high, pair.truth)
