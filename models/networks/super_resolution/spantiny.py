"""SPAN with 26 channels, an entry of NTIRE 2024 (arXiv 2311.12770); see ``super_resolution.span``."""

from __future__ import annotations

from dataclasses import replace

from clearport.models.networks.super_resolution import span as net_span


def build(scale: int) -> net_span.SPAN:
    """SPAN with 26 channels for ``scale`` in eval mode, with fresh weights from torch's global generator."""
    return net_span.SPAN(scale, width=26).eval()


SPEC = replace(
    net_span.SPEC,
    name="spantiny",
    build=build,
    published=(
        "spantiny_x4.pth of Amazingren/NTIRE2024_ESR (MIT). Measured: x4 31.74/28.34 dB Y and 29.85/26.53 dB RGB "
        "on Set5/Set14; the authors give no figure for these sets."
    ),
)
