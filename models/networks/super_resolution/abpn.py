"""ABPN: seven plain convolutions of 28 channels on an anchor of repeated pixels (arXiv 2105.09750).

It is ``PlainNet`` of ``layers.plain``. Its anchor is s² copies of the image, which the authors concatenate; here a
frozen 1x1 convolution makes them, in the channel order of PixelShuffle. A residual of small values is what an int8
network represents well.
"""

from __future__ import annotations

from clearport.model_spec import ModelSpec, Paper
from clearport.models.layers.plain import HALO, PlainNet

_WIDTH = 28


def build(scale: int) -> PlainNet:
    """ABPN for ``scale`` in eval mode, with fresh weights from torch's global generator.

    42,539 parameters at x3, as the paper says.
    """
    return PlainNet(scale, _WIDTH).eval()


SPEC = ModelSpec(
    name="abpn",
    task="super-resolution",
    build=build,
    scales=(2, 3, 4),
    default_scale=3,
    halo=HALO,
    paper=Paper("Anchor-based Plain Net for Mobile Image Super-Resolution", "2105.09750"),
)
