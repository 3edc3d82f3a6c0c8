"""One training example: input and target."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from clearport.base import Array
    from clearport.pictures.images import Image8


@dataclass(frozen=True)
class Pair:
    """A network's input (h, w, 3) and target (h*scale, w*scale, 3), both uint8 RGB.

    Several input pictures are concatenated along the channels. A target other than a picture is float32 (H, W, C) in
    the network's range. ``truth``: parameters of the degradation (``degrade.Degraded``).

    One of them may be missing: a clean photo that is degraded per crop has no ``low``, an unpaired picture no ``high``.
    """

    name: str
    low: Image8 | None
    high: Array | None
    truth: Mapping[str, Array] = field(default_factory=dict)

    @property
    def bytes(self) -> int:
        """Its size in memory, in bytes."""
        return sum(image.nbytes for image in (self.low, self.high) if image is not None)

    def size(self, scale: int) -> tuple[int, int]:
        """Height and width in input pixels."""
        if self.low is not None:
            return self.low.shape[0], self.low.shape[1]
        assert self.high is not None
        return self.high.shape[0] // scale, self.high.shape[1] // scale
