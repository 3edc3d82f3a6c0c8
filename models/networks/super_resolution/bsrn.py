"""BSRN: blueprint separable residuals (arXiv 2205.05996), the network of NTIRE 2022.

    image ─ conv ─┬─ 5 × block ─ concat of all five ─ conv 1x1 ─ GELU ─ conv ─ add ─ conv ─ PixelShuffle
                  └──────────────────────────────────────────────────────────┘

It is RFDN with GELU and with blueprint separable convolutions: a 1x1 convolution, then a 3x3 one for each channel. In
this published form a learned weight per channel stands in for the contrast-aware attention of the paper, so that
nothing in it looks at the whole picture. Two things of the authors' that are linear are folded by the importer: the
picture goes in once instead of four times, and those weights are in the 1x1 convolution that follows them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional as F

from clearport.model_spec import ModelSpec, Paper
from clearport.models.importers.published import pointwise, renamed
from clearport.models.layers.distillation import Distillation
from clearport.models.layers.esa import HALO, LEAST_SIDE, conv3

if TYPE_CHECKING:
    from clearport.models.importers.checkpoint import Source

_WIDTH, _COPIES = 48, 4
_BLOCKS = ("B1", "B2", "B3", "B4", "B5")


class BSConv(nn.Module):
    """Blueprint separable convolution: 1x1 over the channels, then 3x3 within each."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.pw = nn.Conv2d(inputs, outputs, 1)
        self.dw = nn.Conv2d(outputs, outputs, 3, padding=1, groups=outputs)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        separated: torch.Tensor = self.dw(self.pw(features))
        return separated


class ESDB(Distillation):
    """Efficient separable distillation block: (B, C, H, W) to the same."""

    def __init__(self, width: int) -> None:
        super().__init__(width, F.gelu, BSConv, attention=F.gelu)
        self.conv_out = nn.Conv2d(width, width, 1)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        attended: torch.Tensor = self.conv_out(super().forward(features))
        return attended + features


class BSRN(nn.Module):
    """RGB image (B, 3, H, W) float32 in 0..1 to (B, 3, H*scale, W*scale) in 0..1.

    155,616 parameters at x4 (the authors' 156,288 before folding). Height and width must be at least 16. In training
    mode the output is not clipped.
    """

    def __init__(self, scale: int) -> None:
        super().__init__()
        self.fea_conv = BSConv(3, _WIDTH)
        for name in _BLOCKS:
            self.add_module(name, ESDB(_WIDTH))
        self.c1 = nn.Conv2d(len(_BLOCKS) * _WIDTH, _WIDTH, 1)
        self.c2 = BSConv(_WIDTH, _WIDTH)
        self.upsampler = nn.Sequential(conv3(_WIDTH, 3 * scale * scale), nn.PixelShuffle(scale))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        first = self.fea_conv(image)
        outputs = [first]
        for name in _BLOCKS:
            outputs.append(self.get_submodule(name)(outputs[-1]))
        fused = self.c2(F.gelu(self.c1(torch.cat(outputs[1:], dim=1)))) + first
        restored: torch.Tensor = self.upsampler(fused)
        return restored if self.training else restored.clamp(0.0, 1.0)


def build(scale: int) -> BSRN:
    """BSRN for ``scale`` in eval mode, with fresh weights from torch's global generator."""
    return BSRN(scale).eval()


def published_state_dict(source: Source, scale: int) -> Mapping[str, torch.Tensor] | None:
    """The authors' weights (``B1.cw``, ``upsampler.upsampleOneStep.0.weight`` ...), or None for any other file."""
    del scale  # the shapes tell, and are checked against the network by the caller
    state = renamed(source, r"^upsampler\.upsampleOneStep\.", ((r"^upsampler\.upsampleOneStep\.", "upsampler."),))
    if state is None:
        return None
    folded = {key: value for key, value in state.items() if not key.endswith(".cw")}
    for block in _BLOCKS:
        kernel, weight = state.get(f"{block}.conv_out.weight"), state.get(f"{block}.cw")
        if kernel is not None and weight is not None and kernel.shape[-1:] == weight.shape[-1:]:
            folded[f"{block}.conv_out.weight"] = kernel * weight
    kernel = state.get("fea_conv.pw.weight")
    if kernel is not None and kernel.dim() == 2 and kernel.shape[1] == 3 * _COPIES:
        folded["fea_conv.pw.weight"] = kernel.view(-1, _COPIES, 3).sum(dim=1)
    return pointwise(folded)


SPEC = ModelSpec(
    name="bsrn",
    task="super-resolution",
    build=build,
    scales=(2, 3, 4),
    default_scale=4,
    halo=HALO,
    least_side=LEAST_SIDE,
    value_range=(0.0, 1.0),
    paper=Paper("Blueprint Separable Residual Network for Efficient Image Super-Resolution", "2205.05996"),
    importers=(published_state_dict,),
    published=(
        "bsrn_x4.pth of ofsoundof/NTIRE2022_ESR (MIT). Measured: x4 32.01/28.59 dB Y and 30.11/26.78 dB RGB on "
        "Set5/Set14; the paper reports 32.16/28.62 Y for its somewhat larger BSRN-S."
    ),
)
