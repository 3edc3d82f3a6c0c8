"""Matting by clicks as a whole, for pictures of any size: a coarse alpha, refined where it is most uncertain.

    picture ── to 128x128 ──┐                 ┌── alpha ── to the picture's size ──┐
    clicks ── discs ────────┴── part coarse ──┴── scale ── top squares of 64x64 ── each: part refine, pasted ── alpha

The setting ``squares`` is the number of refined squares; the time of each is independent of the picture's size. The
output is a cut-out: the picture with alpha as its fourth channel.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional as F

from clearport.base import Size
from clearport.models import samples
from clearport.models.degradations.composite import Composite, one_click
from clearport.models.layers.matting import COARSE, RADIUS, SQUARE
from clearport.models.networks.matting.matcoarse import PAPER
from clearport.models.system import Part, SystemSpec
from clearport.pictures.images import load_rgb
from clearport.programs.program import (
    Concat,
    Crop,
    Discs,
    Input,
    Output,
    Paste,
    Program,
    Repeat,
    Resize,
    Run,
    Setting,
    Top,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from clearport.base import Float32
    from clearport.models.system import Modules, Tensors
    from clearport.pictures.images import Image8

FADE = 8


def program(size: Size) -> Program:
    """The program, for pictures of any size."""
    del size
    square = (
        Crop(out="image", value="picture", place="place", side=SQUARE),
        Crop(out="rough", value="alpha", place="place", side=SQUARE),
        Run(part="refine", inputs={"image": "image", "rough": "rough"}, outputs={"alpha": "fine"}),
        Paste(out="alpha", onto="alpha", value="fine", place="place", fade=FADE),
    )
    return Program(
        inputs=(
            Input(name="picture", kind="picture", shape=(1, 3, "h", "w"), about="64 pixels and more on each side"),
            Input(name="clicks", kind="points", shape=("n", 3), about="foreground and background"),
        ),
        outputs=(Output(name="cutout", kind="picture"), Output(name="alpha", kind="picture")),
        settings={"squares": Setting(default=8, low=0, high=64, about="squares of 64x64 pixels that are refined")},
        steps=(
            Resize(out="small", value="picture", size=(COARSE, COARSE)),
            Discs(out="discs", points="clicks", at="picture", like="small", radius=RADIUS),
            Run(
                part="coarse",
                inputs={"image": "small", "clicks": "discs"},
                outputs={"alpha": "rough_small", "scale": "scale_small"},
            ),
            Resize(out="alpha", value="rough_small", like="picture"),
            Resize(out="scale", value="scale_small", like="picture"),
            Top(out="places", value="scale", side=SQUARE, count="squares"),
            Repeat(count="squares", each={"place": "places"}, state=("alpha",), steps=square),
            Concat(out="cutout", values=("picture", "alpha")),
        ),
    )


def reference(modules: Modules, inputs: Tensors, settings: Mapping[str, int]) -> Tensors:
    """The same computation with PyTorch's interpolation, searching squares one by one."""
    picture = inputs["picture"]
    height, width = picture.shape[2:]
    small = _resized(picture, (COARSE, COARSE))
    alpha, scale = modules["coarse"](small, _discs(inputs["clicks"], height, width))
    alpha, left = _resized(alpha, (height, width)), _resized(scale, (height, width)).double()
    ramp = torch.minimum(torch.arange(SQUARE), torch.arange(SQUARE).flip(0)).add(1) / (FADE + 1)
    share = torch.minimum(ramp[:, None], ramp[None]).clamp(max=1.0)
    grid = [(y, x) for y in _starts(height) for x in _starts(width)]
    for _ in range(settings["squares"]):
        sums = [float(left[0, 0, y : y + SQUARE, x : x + SQUARE].sum()) for y, x in grid]
        y, x = grid[sums.index(max(sums))]
        here = (..., slice(y, y + SQUARE), slice(x, x + SQUARE))
        left[here] = 0.0
        alpha[here] = alpha[here].lerp(modules["refine"](picture[here], alpha[here]), share)
    return {"cutout": torch.cat((picture, alpha), dim=1), "alpha": alpha}


def _resized(picture: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    return F.interpolate(picture, size=size, mode="bilinear", align_corners=False, antialias=True)


def _discs(points: torch.Tensor, height: int, width: int) -> torch.Tensor:
    found = torch.zeros(1, 1, COARSE, COARSE)
    y, x = torch.meshgrid(torch.arange(COARSE), torch.arange(COARSE), indexing="ij")
    for right, down, sign in points.tolist():
        off = (y + 0.5 - (down + 0.5) * COARSE / height) ** 2 + (x + 0.5 - (right + 0.5) * COARSE / width) ** 2
        found[0, 0][off <= RADIUS**2] = sign
    return found


def _starts(length: int) -> list[int]:
    return sorted({*range(0, length - SQUARE + 1, SQUARE // 2), length - SQUARE})


def examples(size: Size) -> Sequence[Mapping[str, Float32]]:
    """Synthetic composites of the bundled photos, with a click on the foreground."""
    del size
    photos = [np.ascontiguousarray(load_rgb(path)[:240, :320]) for path in (samples.golden(), *samples.calibration())]
    return [example(photo, np.random.default_rng([number, 7]))[0] for number, photo in enumerate(photos)]


def example(photo: Image8, rng: np.random.Generator) -> tuple[dict[str, Float32], Float32]:
    """A composite made from a photo, with one click on the foreground, as inputs; and its alpha (H, W) in 0..1."""
    made = Composite(0)(photo, rng)
    assert made.high is not None
    picture = made.low.astype(np.float32).transpose(2, 0, 1)[None] / np.float32(255.0)
    return {"picture": picture, "clicks": one_click(made.high, rng)}, made.high[..., 0]


SYSTEM = SystemSpec(
    name="matting",
    task="matting",
    about="Cuts out what is clicked on: a coarse alpha, refined in the squares where it is most uncertain.",
    parts={"coarse": Part("matcoarse", Size(COARSE, COARSE)), "refine": Part("matrefine", Size(SQUARE, SQUARE))},
    size=Size(COARSE, COARSE),
    program=program,
    reference=reference,
    examples=examples,
    paper=PAPER,
)
