"""FSRCNN: luma at low resolution, shrunk, mapped and expanded (arXiv 1608.00367), in the published form of Saafke.

    luma ─ conv 5x5 1-56 ─ conv 1x1 56-12 ─ 4 × conv 3x3 12-12 ─ conv 1x1 12-56 (PReLU after each) ─ conv 1x1 56-s²

The paper ends in a 9x9 transposed convolution; the published TensorFlow graph has a 1x1 convolution and depth_to_space
in its place, and so has this. Colors are enlarged bilinearly (``layers.luma``).
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

_WIDTH, _SHRUNK, _MAPPINGS = 56, 12, 4
_LAYERS = _MAPPINGS + 4


def build(scale: int) -> OverLuma:
    """FSRCNN for ``scale`` in eval mode, with fresh weights; 8,785 parameters at x3."""
    plan = [(1, _WIDTH, 5), (_WIDTH, _SHRUNK, 1), *[(_SHRUNK, _SHRUNK, 3)] * _MAPPINGS, (_SHRUNK, _WIDTH, 1)]
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for i, (inputs, outputs, size) in enumerate(plan, start=1):
        layers[f"conv{i}"] = nn.Conv2d(inputs, outputs, size, padding=size // 2)
        layers[f"prelu{i}"] = nn.PReLU(outputs)
    layers[f"conv{_LAYERS}"] = nn.Conv2d(_WIDTH, scale * scale, 1)
    return OverLuma(scale, nn.Sequential(layers)).eval()


def published_graph(source: Source, scale: int) -> Mapping[str, torch.Tensor] | None:
    """The weights in the authors' frozen TensorFlow graph, or None for any other file.

    Raises:
        BadInput: it is a TensorFlow graph, but damaged or not FSRCNN.
    """
    nodes = read_graph(source.path)
    if nodes is None:
        return None
    names = {f"f{i}": f"luma_to_parts.conv{i}.weight" for i in range(1, _LAYERS + 1)}
    names |= {f"b{i}": f"luma_to_parts.conv{i}.bias" for i in range(1, _LAYERS + 1)}
    names |= {f"alpha{i}": f"luma_to_parts.prelu{i}.weight" for i in range(1, _LAYERS)}
    state = kernels(source.path, nodes, names)
    last = f"luma_to_parts.conv{_LAYERS}.bias"
    if state[last].numel() == 1:  # one number, added after depth_to_space
        state[last] = state[last].repeat(scale * scale)
    return state


SPEC = ModelSpec(
    name="fsrcnn",
    task="super-resolution",
    build=build,
    scales=(2, 3, 4),
    default_scale=3,
    halo=2 + _MAPPINGS,  # two pixels for the 5x5 convolution, one for each 3x3
    value_range=(0.0, 1.0),
    paper=Paper("Accelerating the Super-Resolution Convolutional Neural Network", "1608.00367"),
    importers=(published_graph,),
    published=(
        "fsrcnn_x3.pb of Saafke/FSRCNN_Tensorflow (Apache-2.0). Measured: x3 30.60/27.83 dB Y and 28.72/26.07 dB "
        "RGB on Set5/Set14, hardly over bicubic (30.40/27.63 Y) and far under the paper's 33.16 Y: so these "
        "weights are, on pictures shrunk with antialiasing; shrunk without, they gain 1 dB."
    ),
)
