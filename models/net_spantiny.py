"""SPAN with 26 channels, an entry of NTIRE 2024 (arXiv 2311.12770); see ``net_span``."""

from __future__ import annotations

from clearport.base import ModelSpec
from clearport.models.net_span import HALO, PAPER, SPAN, published_state_dict


def build(scale: int) -> SPAN:
    """SPAN with 26 channels for ``scale`` in eval mode, with fresh weights from torch's global generator."""
    return SPAN(scale, width=26).eval()


SPEC = ModelSpec(
    name="spantiny",
    task="super-resolution",
    build=build,
    scales=(2, 3, 4),
    default_scale=4,
    halo=HALO,
    value_range=(0.0, 1.0),
    paper=PAPER,
    importers=(published_state_dict,),
    published=(
        "spantiny_x4.pth of Amazingren/NTIRE2024_ESR (MIT). Measured: x4 31.74/28.34 dB Y and 29.85/26.53 dB RGB "
        "on Set5/Set14; the authors give no figure for these sets."
    ),
)
