"""Inversion of a generator in stages: codes that reproduce a picture (E2Style, arXiv 2104.07661).

    picture ── encoder ── codes ── generator ── made
    picture, made ── refiner ── added to the codes ── generator ── made, and so on

Published, each stage has an encoder of its own; here all stages after the first share one, as in ReStyle (arXiv
2104.02699), so that their number is free. The published generator is 1024x1024, this one 128x128 and at most 256 wide.

No face is needed to train the encoders: the generator, which stays as it is, draws the pictures, whose codes are then
known. What encoders learn this way they know of drawn pictures; photos are another matter.
"""

from __future__ import annotations

import torch
from torch import nn

from clearport.models.layers.inversion.irse import Encoder
from clearport.models.layers.inversion.stylegan import CODE, Generator, Mapping, mean_code, styles
from clearport.models.training.outputs import Restored

SIDE = 128
STYLES = styles(SIDE)
_CODES = (3, 3, 6)
"""Codes of the heads, from finest to coarsest styles; 4, 5 and 9 of 18 in the paper."""
_WIDTH = 32
MOST, NUMBERS = 256, 1 << 13
"""Sizes of the generator: see ``Generator``."""
_QUIET = 0.25
"""Scale of fresh layers to RGB, so that fresh generators stay within -1..1."""


class First(nn.Module):
    """A picture (B, 3, H, W) in -1..1 to codes (B, N, 512)."""

    average: torch.Tensor

    def __init__(self, encoder: nn.Module, average: torch.Tensor) -> None:
        super().__init__()
        self.encoder = encoder
        self.register_buffer("average", average)

    def forward(self, picture: torch.Tensor) -> torch.Tensor:
        codes: torch.Tensor = self.encoder(picture) + self.average
        return codes


class Refiner(nn.Module):
    """A picture and its reconstruction, both (B, 3, H, W), to a correction of the codes (B, N, 512)."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, picture: torch.Tensor, made: torch.Tensor) -> torch.Tensor:
        change: torch.Tensor = self.encoder(torch.cat((picture, made), dim=1))
        return change


class Inversion(nn.Module):
    """Encoder, refiner and generator, which share a file of weights; ``part`` selects the exported one.

    In training mode it generates as many pictures as it is given, and returns ``Restored``: the second stage's
    pictures, and the maps ``drawn`` (B, 3, S, S), ``codes`` (B, N, 512), and of the stages ``made1``, ``made2``,
    ``codes1``, ``codes2``.
    """

    average: torch.Tensor

    def __init__(
        self,
        part: str,
        *,
        side: int = SIDE,
        codes: tuple[int, int, int] = _CODES,
        width: int = _WIDTH,
        most: int = MOST,
        numbers: int = NUMBERS,
    ) -> None:
        super().__init__()
        self.part, self.styles = part, sum(codes)
        self.encoder, self.refiner = (Encoder(n, width, codes, small=True) for n in (3, 6))
        self.generator, self.mapping = Generator(side, most, numbers), Mapping()
        self.register_buffer("average", mean_code(self.mapping))
        with torch.no_grad():
            for layer in self.generator.rgb.children():
                layer.get_parameter("conv.weight").mul_(_QUIET)
        self.generator.requires_grad_(requires_grad=False)
        self.mapping.requires_grad_(requires_grad=False)

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor | Restored:
        if not self.training:
            found: torch.Tensor = self.deploy()(*inputs)
            return found
        drawn, codes = self.drawn(len(inputs[0]))
        stages = self.stages(drawn, 2)
        maps = {f"codes{number}": each for number, (each, _) in enumerate(stages, 1)}
        maps |= {f"made{number}": each for number, (_, each) in enumerate(stages, 1)}
        return Restored(stages[-1][1], maps={"drawn": drawn, "codes": codes, **maps})

    @torch.no_grad()
    def drawn(self, count: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Generated pictures (B, 3, S, S), clipped, and their codes, with style mixing of two codes as in the paper."""
        first, second = self.mapping(torch.randn(2 * count, CODE).to(self.average.device)).split(count)
        at = int(torch.randint(1, self.styles + 1, ()))
        codes = torch.stack([first] * at + [second] * (self.styles - at), dim=1)
        return self.generator(codes).clamp(-1.0, 1.0), codes

    def stages(self, picture: torch.Tensor, count: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Codes and generated pictures after each stage; gradients of a stage do not reach earlier ones."""
        codes = self.encoder(picture) + self.average
        found = [(codes, self.generator(codes))]
        for _ in range(count - 1):
            codes, made = (each.detach() for each in found[-1])
            codes = codes + self.refiner(torch.cat((picture, made.clamp(-1.0, 1.0)), dim=1))
            found.append((codes, self.generator(codes)))
        return found

    def deploy(self) -> nn.Module:
        """The exported part."""
        parts = {"refiner": Refiner(self.refiner), "generator": self.generator}
        return parts.get(self.part) or First(self.encoder, self.average)
