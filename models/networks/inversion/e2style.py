"""E2Style's encoder for phones: a photo to the codes that a StyleGAN2 makes it of (arXiv 2104.07661).

The published encoder is IR-SE-50 without its last stage, with 98,028,096 parameters (of 111,241,792 as built) and
28.6 G multiply-accumulates at 256x256, for 18 codes of a 1024x1024 generator. This one is half as wide, its heads have
no linear layer over 7x7 windows, and its 12 codes are for 128x128: 5,001,856 parameters and 1.8 G at 128x128.

With ``e2refine`` and ``stylegen``, which share its file of weights, it is the systems ``inversion`` and ``childgan``.

No weights are bundled: a generator of faces and the photos of people that it is made of are not clearport's to ship.
``clearport train e2style --data PHOTOS --start GENERATOR --start-partial`` trains both encoders on pictures that the
generator draws itself; it looks at no face, and the photos are only shown in previews. A generator is a file of 128x128
by github.com/rosinality/stylegan2-pytorch (MIT), with at most 256 channels, 128 at 64x64 and 64 at 128x128.
The encoders then know what the generator draws, and less of photos, which the paper trains on. Without a generator they
learn to invert one of random weights, which only shows that they learn: 60 steps of 2 pictures took its pictures, found
again, from 16.8 to 19.5 dB.

On a phone, what makes sense is this size: three stages are 14.0 G. The published three are 294 million parameters of
encoders and a generator of 28.3 million and 75.4 G, run three times: 312 G a photo, and 320 MB as 8-bit weights.
"""

from __future__ import annotations

from clearport.base import TensorSpec
from clearport.model_spec import ModelSpec, Paper
from clearport.models.importers.stylegan import stylegan2_of_rosinality
from clearport.models.layers.inversion.stages import SIDE, STYLES, Inversion
from clearport.models.layers.inversion.stylegan import CODE


def build(scale: int) -> Inversion:
    """The network in eval mode with fresh weights; it has one scale."""
    del scale
    return Inversion("encoder").eval()


RANGE = (-1.0, 1.0)
PAPER = Paper("E2Style: Improve the Efficiency and Effectiveness of StyleGAN Inversion", "2104.07661")
PICTURE = TensorSpec("image", (1, 3, "H", "W"), value_range=RANGE)
CODES = TensorSpec("codes", (1, STYLES, CODE), kind="vector", value_range=None)
RECIPE = {
    "degradation": "unpaired",
    "loss": "inversion",
    "patch": SIDE,
    "batch": 8,
    "optimizer": "adam",
    "lr": 1e-3,
    "bias_unit": 1.0,
}

SPEC = ModelSpec(
    name="e2style",
    task="inversion",
    build=build,
    scales=(1,),
    default_scale=1,
    halo=0,
    whole_picture=True,
    size_multiple=64,
    least_side=64,
    value_range=RANGE,
    importers=(stylegan2_of_rosinality,),
    paper=PAPER,
    inputs=(PICTURE,),
    outputs=(CODES,),
    recipe=RECIPE,
)
