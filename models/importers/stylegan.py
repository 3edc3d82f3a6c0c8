"""Importer of StyleGAN2 generators saved by github.com/rosinality/stylegan2-pytorch (MIT): ``g_ema`` and
``latent_avg``.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

import torch

from clearport.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Mapping

    from clearport.models.importers.checkpoint import Source

_MARK = "to_rgb1.conv.modulation.weight"
_MAPPING_RATE = 0.01
_DRAWN = 4096
_NAMES = (
    (r"^style\.(\d+)\.", lambda match: f"mapping.layers.{int(match[1]) - 1}."),
    (r"^input\.input$", "generator.start"),
    (r"^conv1\.", "generator.layers.0."),
    (r"^convs\.(\d+)\.", lambda match: f"generator.layers.{int(match[1]) + 1}."),
    (r"^to_rgb1\.", "generator.rgb.0."),
    (r"^to_rgbs\.(\d+)\.", lambda match: f"generator.rgb.{int(match[1]) + 1}."),
    (r"^noises\.noise_(\d+)$", r"generator.layers.\1.noise"),
    (r"\.conv\.modulation\.", ".conv.style."),
    (r"\.noise\.weight$", ".strength"),
    (r"\.activate\.bias$", ".bias"),
)


def stylegan2_of_rosinality(source: Source, scale: int) -> Mapping[str, torch.Tensor] | None:
    """The generator, its mapping and the mean of its codes under clearport's names, or None for any other file.

    Raises:
        BadInput: the generator has another size.
    """
    from clearport.models.layers.inversion.stages import MOST, NUMBERS, SIDE
    from clearport.models.layers.inversion.stylegan import Generator, widths

    del scale  # it has one
    state = source.tensors
    if state is None or _MARK not in state:
        return None
    found = imported(state)
    with torch.device("meta"):
        own = {f"generator.{name}": value.shape for name, value in Generator(SIDE, MOST, NUMBERS).state_dict().items()}
    theirs = {name: value.shape for name, value in found.items() if name.startswith("generator.")}
    if theirs != own:
        wanted = ", ".join(f"{width} at {side}x{side}" for side, width in widths(SIDE, MOST, NUMBERS).items())
        odd = sorted(name for name in theirs | own if theirs.get(name) != own.get(name))
        raise BadInput(
            f"{source.path}: a StyleGAN2 of another size than this generator's, {SIDE}x{SIDE} with channels of "
            f"{wanted}: {len(odd)} tensors differ, first {odd[0]}; train one of that size"
        )
    return found


def imported(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The tensors of a generator of any size under clearport's names, with the mean of its codes.

    Published weights exclude the factors of equalized learning rates; here they are multiplied in. Blur kernels are
    dropped, since they are constant.
    """
    from clearport.models.layers.inversion.stylegan import Mapping as Drawing
    from clearport.models.layers.inversion.stylegan import mean_code

    found = {_own_name(key): _scaled(key, value) for key, value in state.items() if not key.endswith(".kernel")}
    mapping = Drawing()
    own = {key.removeprefix("mapping."): value for key, value in found.items() if key.startswith("mapping.")}
    wanted = {key: value.shape for key, value in mapping.state_dict().items()}
    if {key: value.shape for key, value in own.items()} != wanted:
        return found  # the caller reports missing tensors
    mapping.load_state_dict(own)
    return {**found, "average": mean_code(mapping, _DRAWN)}


def _own_name(key: str) -> str:
    for pattern, own in _NAMES:
        key = re.sub(pattern, own, key)
    return key


def _scaled(key: str, value: torch.Tensor) -> torch.Tensor:
    """A tensor with its equalized learning rate multiplied in, in clearport's shape."""
    if key.startswith("style."):
        return value * _MAPPING_RATE * (1.0 / math.sqrt(value.shape[1]) if value.dim() == 2 else 1.0)
    if key.endswith(".modulation.weight"):
        return value / math.sqrt(value.shape[1])
    if key.endswith(".conv.weight"):  # (1, D, C, k, k)
        return value[0] / math.sqrt(value[0, 0].numel())
    return value.flatten() if key.endswith(".bias") else value
