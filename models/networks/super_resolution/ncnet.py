"""NCNet: super resolution by seven plain convolutions of 32 channels and a nearest convolution (arXiv 2208.11609).

It is ``PlainNet`` of ``layers.plain``. The nearest convolution is its frozen 1x1 kernel: followed by PixelShuffle it is
nearest-neighbor upsampling, and on NPUs it is several times faster than a resize operator.
"""

from __future__ import annotations

from clearport.model_spec import ModelSpec, Paper
from clearport.models.importers.ncnet import published_state_dict, published_tflite
from clearport.models.layers.plain import HALO, PlainNet

_WIDTH = 32


def build(scale: int) -> PlainNet:
    """NCNet for ``scale`` in eval mode, with fresh weights from torch's global generator; 52,279 parameters at x3."""
    return PlainNet(scale, _WIDTH).eval()


SPEC = ModelSpec(
    name="ncnet",
    task="super-resolution",
    build=build,
    scales=(2, 3, 4),
    default_scale=3,
    halo=HALO,
    paper=Paper("Fast Nearest Convolution for Real-Time Efficient Image Super-Resolution", "2208.11609"),
    importers=(published_state_dict, published_tflite),
    recommended=True,
)
