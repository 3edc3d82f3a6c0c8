"""ESPCN: three convolutions over luma, and the first sub-pixel convolution (arXiv 1609.05158).

    luma ─ conv 5x5 1-64 ─ ReLU ─ conv 3x3 64-32 ─ ReLU ─ conv 3x3 32-s² ─ tanh

The published TensorFlow graph of fannymonori has ReLU within and tanh behind depth_to_space; as tanh looks at each
value alone, it stands before it here. Colors are enlarged bilinearly (``layers.luma``).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import nn

from clearport.model_spec import ModelSpec, Paper
from clearport.models.importers.tensorflow import kernels, read_graph
from clearport.models.layers.luma import OverLuma

if TYPE_CHECKING:
    from clearport.models.importers.checkpoint import Source

_LAYERS = 3


def build(scale: int) -> OverLuma:
    """ESPCN for ``scale`` in eval mode, with fresh weights; 22,729 parameters at x3."""
    layers: OrderedDict[str, nn.Module] = OrderedDict(
        conv1=nn.Conv2d(1, 64, 5, padding=2),
        relu1=nn.ReLU(),
        conv2=nn.Conv2d(64, 32, 3, padding=1),
        relu2=nn.ReLU(),
        conv3=nn.Conv2d(32, scale * scale, 3, padding=1),
        tanh=nn.Tanh(),
    )
    return OverLuma(scale, nn.Sequential(layers)).eval()


def published_graph(source: Source, scale: int) -> Mapping[str, torch.Tensor] | None:
    """The weights in the authors' frozen TensorFlow graph, or None for any other file.

    Raises:
        BadInput: it is a TensorFlow graph, but damaged or not ESPCN.
    """
    del scale  # the shapes tell, and are checked against the network by the caller
    nodes = read_graph(source.path)
    if nodes is None:
        return None
    names = {f"f{i}": f"luma_to_parts.conv{i}.weight" for i in range(1, _LAYERS + 1)}
    names |= {f"b{i}": f"luma_to_parts.conv{i}.bias" for i in range(1, _LAYERS + 1)}
    return kernels(source.path, nodes, names)


SPEC = ModelSpec(
    name="espcn",
    task="super-resolution",
    build=build,
    scales=(2, 3, 4),
    default_scale=3,
    halo=4,  # two pixels for the 5x5 convolution, one for each 3x3
    value_range=(0.0, 1.0),
    paper=Paper(
        "Real-Time Single Image and Video Super-Resolution Using an Efficient Sub-Pixel Convolutional Neural Network",
        "1609.05158",
    ),
    importers=(published_graph,),
    published=(
        "espcn_x3.pb of fannymonori/TF-ESPCN (Apache-2.0). Measured: x3 30.54/27.72 dB Y and 28.66/25.97 dB RGB "
        "on Set5/Set14, hardly over bicubic (30.40/27.63 Y) and far under the paper's 33.13 Y: so these weights "
        "are, on pictures shrunk with antialiasing; shrunk without, they gain 1 dB."
    ),
)
