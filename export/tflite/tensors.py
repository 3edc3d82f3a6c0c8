"""Tensors of a TFLite file and their quantization."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from clearport.quantized import QParams


@dataclass(frozen=True)
class Quant:
    """real = (q - zero_point) * scale, with one scale, or one per index of ``axis``."""

    scale: tuple[float, ...]
    zero_point: int = 0
    axis: int = 0


def quant_of(params: QParams, axis: int = 0) -> Quant:
    """Parameters as stored in the file; ``axis`` is the axis of per-channel scales."""
    return Quant(params.scale, params.zero_point, axis if len(params.scale) > 1 else 0)


@dataclass(frozen=True)
class Tensor:
    """A tensor of the file: NHWC, sizes in ``dims``; where ``free`` is set the size is only an example."""

    index: int
    name: str
    dims: tuple[int, ...]
    dtype: str
    quant: Quant | None = None
    free: tuple[bool, ...] = ()

    @property
    def signature(self) -> tuple[int, ...]:
        """``dims`` with -1 for every free axis."""
        return (
            tuple(-1 if free else n for n, free in zip(self.dims, self.free, strict=True)) if self.free else self.dims
        )
