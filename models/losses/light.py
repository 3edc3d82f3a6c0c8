"""The losses of Zero-DCE (arXiv 2001.06826), for enhanced pictures without targets.

Pictures are taken as 0..1. The authors train with ``spatial + 10*exposure + 5*color + 1600*smooth-curves``, in the
terms of this file: their code squares the distance of the exposure, which the paper does not, and sums over the eight
curves, where the mean is taken here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F

from clearport.errors import BadInput
from clearport.models.losses.pixel import steps

if TYPE_CHECKING:
    from clearport.models.data.crops import Batch
    from clearport.models.training.outputs import Restored

_WELL_EXPOSED, _EXPOSURE_SIDE, _SPATIAL_SIDE = 0.6, 16, 4


def _unit(image: torch.Tensor, batch: Batch, peak: float) -> torch.Tensor:
    return (image - batch.black) / peak


def exposure(restored: Restored, batch: Batch, peak: float) -> torch.Tensor:
    """Squared distance of the mean intensity of 16x16 regions from 0.6."""
    gray = _unit(restored.image, batch, peak).mean(dim=1, keepdim=True)
    side = min(_EXPOSURE_SIDE, *gray.shape[-2:])
    return ((F.avg_pool2d(gray, side) - _WELL_EXPOSED) ** 2).mean()


def color(restored: Restored, batch: Batch, peak: float) -> torch.Tensor:
    """Color constancy: squared differences between the means of the three colors, summed over their pairs."""
    red, green, blue = _unit(restored.image, batch, peak).mean(dim=(2, 3)).unbind(dim=1)
    return ((red - green) ** 2 + (red - blue) ** 2 + (green - blue) ** 2).mean()


def spatial(restored: Restored, batch: Batch, peak: float) -> torch.Tensor:
    """Change of contrast between neighboring 4x4 regions: squared, summed over four neighbors."""
    after, before = (
        F.avg_pool2d(_unit(image, batch, peak).mean(dim=1, keepdim=True), _SPATIAL_SIDE)
        for image in (restored.image, batch.low)
    )
    changes = [(a.abs() - b.abs()) ** 2 for a, b in zip(steps(after), steps(before), strict=True)]
    regions = after[:, 0].numel()
    return torch.stack([2.0 * change.sum() for change in changes]).sum() / regions


def smooth_curves(restored: Restored, batch: Batch, peak: float) -> torch.Tensor:
    """Smoothness of ``maps["curves"]`` (B, 3*n, H, W): (|step across| + |step down|)², a mean over the n curves.

    Raises:
        BadInput: the network outputs no curves.
    """
    del batch, peak
    if "curves" not in restored.maps:
        raise BadInput("the loss smooth-curves needs a network that outputs the map 'curves', such as zerodce")
    curves = restored.maps["curves"].float()
    down, across = (step.abs() for step in steps(curves))
    return 3.0 * ((down[..., :-1] + across[..., :-1, :]) ** 2).mean()


LOSSES: Mapping[str, Callable[[Restored, Batch, float], torch.Tensor]] = MappingProxyType(
    {"exposure": exposure, "color": color, "spatial": spatial, "smooth-curves": smooth_curves}
)
