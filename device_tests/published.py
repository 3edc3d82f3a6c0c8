"""Weights for a network: bundled ones, published ones where ``CLEARPORT_SHARED`` has them, else fresh ones."""

from __future__ import annotations

import os
from pathlib import Path

import torch

from clearport.model_spec import ModelSpec
from clearport.models import weights

PUBLISHED = {
    "bsrn": "bsrn/bsrn_x4.pth",
    "espcn": "espcn/espcn_x3.pb",
    "fmen": "fmen/fmen_x4.pth",
    "fsrcnn": "fsrcnn/fsrcnn_x3.pb",
    "iat": "iat/iat_lol_v1.pth",
    "imdn": "imdn/imdn_x4.pth",
    "rfdn": "rfdn/rfdn_x4.pth",
    "rlfn": "rlfn/rlfn_ntire_x4.pth",
    "safmn": "safmn/safmn_x4.pth",
    "safmnpp": "safmn/light_safmnpp_x4.pth",
    "sci": "sci/medium.pt",
    "span": "span/span_ch28_x4.pth",
    "spantiny": "span/spantiny_x4.pth",
}
"""Published weights files, below ``weights`` in the folder that ``CLEARPORT_SHARED`` names, by network."""


def some_weights(spec: ModelSpec, folder: Path) -> Path | None:
    """A weights file for the network's default scale; None for the bundled one.

    Where there are neither bundled nor published ones, a file of fresh ones of a fixed seed, in ``folder``.
    """
    if weights.bundled_path(spec, spec.default_scale).is_file():
        return None
    shared = os.environ.get("CLEARPORT_SHARED")
    if shared and spec.name in PUBLISHED:
        return Path(shared) / "weights" / PUBLISHED[spec.name]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = spec.build(spec.default_scale)
    path = folder / f"{spec.name}.safetensors"
    weights.save(path, module, spec.name, spec.default_scale, {})
    return path
