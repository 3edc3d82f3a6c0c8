"""Reads the 32 bits of a picture that ``wmembed`` marked; both share a file of weights, and are trained together."""

from __future__ import annotations

from clearport.base import TensorSpec
from clearport.model_spec import ModelSpec
from clearport.models.layers.watermark import BITS, Watermark
from clearport.models.networks.watermarking.wmembed import PAPER, PICTURE, RECIPE, UNIT


def build(scale: int) -> Watermark:
    """The network in eval mode with fresh weights; it has one scale. The reader has 28,622 parameters."""
    del scale
    return Watermark(reads=True).eval()


SPEC = ModelSpec(
    name="wmread",
    task="watermarking",
    build=build,
    scales=(1,),
    default_scale=1,
    halo=0,
    whole_picture=True,
    size_multiple=16,
    least_side=32,
    value_range=UNIT,
    paper=PAPER,
    weights_of="wmembed",
    inputs=(PICTURE,),
    outputs=(TensorSpec("bits", (1, BITS), kind="vector", value_range=None),),
    recipe=RECIPE,
)
