"""Refines alpha in squares of 64x64 pixels; both networks of matting share a file of weights, and learn together."""

from __future__ import annotations

from dataclasses import replace

from clearport.model_spec import ModelSpec
from clearport.models.layers.matting import Matting
from clearport.models.networks.matting.matcoarse import ALPHA, PAPER, PICTURE, RECIPE, UNIT


def build(scale: int) -> Matting:
    """The network in eval mode with fresh weights; it has one scale."""
    del scale
    return Matting(refines=True).eval()


SPEC = ModelSpec(
    name="matrefine",
    task="matting",
    build=build,
    scales=(1,),
    default_scale=1,
    halo=18,  # 1 + 1 + 2 + 4 + 8 + 1, and one more
    least_side=24,
    value_range=UNIT,
    paper=PAPER,
    weights_of="matcoarse",
    inputs=(PICTURE, replace(ALPHA, name="rough")),
    outputs=(ALPHA,),
    recipe=RECIPE,
)
