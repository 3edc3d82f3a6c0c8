"""E2Style's later stages: a photo and its reconstruction to a correction of the codes (arXiv 2104.07661).

Like ``e2style``, with six input channels: 5,002,720 parameters, 1.8 G at 128x128 (in the paper 98,029,824 per stage).
All later stages share it here, as in ReStyle (arXiv 2104.02699); in the paper each has its own.
"""

from __future__ import annotations

from dataclasses import replace

from clearport.model_spec import ModelSpec
from clearport.models.layers.inversion.stages import Inversion
from clearport.models.networks.inversion.e2style import CODES, PAPER, PICTURE, RANGE, RECIPE


def build(scale: int) -> Inversion:
    """The network in eval mode with fresh weights; it has one scale."""
    del scale
    return Inversion("refiner").eval()


SPEC = ModelSpec(
    name="e2refine",
    task="inversion",
    build=build,
    scales=(1,),
    default_scale=1,
    halo=0,
    whole_picture=True,
    size_multiple=64,
    least_side=64,
    value_range=RANGE,
    paper=PAPER,
    weights_of="e2style",
    inputs=(PICTURE, replace(PICTURE, name="made")),
    outputs=(replace(CODES, name="change"),),
    recipe=RECIPE,
)
