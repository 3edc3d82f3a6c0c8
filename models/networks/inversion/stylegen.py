"""StyleGAN2's generator for phones, its modulated convolutions with constant kernels (arXiv 1912.04958).

Published is 1024x1024, up to 512 wide: 28,268,812 parameters (30,370,060 with the mapping of noise to codes, which
inversion does not need) and 75.4 G multiply-accumulates. This one is 128x128 and at most 256 wide, 128 at 64x64 and
64 at 128x128: 6,530,269 parameters and 2.9 G. Noise is fixed, as it is for inversion.

In int8 files the small maps stay float because of their loss: 9 % of the multiply-accumulates, and most of the weights.
With fresh weights TFLite's file is 23 MB instead of 26, with 38.0 dB to PyTorch; all in int8 would be 33.9 dB, below
the limit of 35. Core ML's file with 8-bit weights has 9.7 MB and 52.7 dB: the one to deploy. Core AI's float16 file has
62.0 dB, those of the other targets have 65 to 75 dB.

Codes, (1, 12, 512), are those of W+: coarse styles first, two for each side, and one for the last picture. ``e2style``
says where weights come from.
"""

from __future__ import annotations

from clearport.base import TensorSpec
from clearport.model_spec import ModelSpec, Paper
from clearport.models.layers.inversion.stages import SIDE, Inversion
from clearport.models.networks.inversion.e2style import CODES, RANGE, RECIPE


def build(scale: int) -> Inversion:
    """The network in eval mode with fresh weights; it has one scale."""
    del scale
    return Inversion("generator").eval()


SPEC = ModelSpec(
    name="stylegen",
    task="inversion",
    build=build,
    scales=(1,),
    default_scale=1,
    halo=0,
    whole_picture=True,
    size_multiple=SIDE,
    least_side=SIDE,
    value_range=RANGE,
    paper=Paper("Analyzing and Improving the Image Quality of StyleGAN", "1912.04958"),
    weights_of="e2style",
    inputs=(CODES,),
    outputs=(TensorSpec("picture", (1, 3, SIDE, SIDE), value_range=RANGE),),
    recipe=RECIPE,
)
