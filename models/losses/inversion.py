"""The loss of inversion: reconstruction of generated pictures and of their codes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F

from clearport.errors import BadInput

if TYPE_CHECKING:
    from clearport.models.data.crops import Batch
    from clearport.models.training.outputs import Restored

_CODES = 0.05
_HALVINGS = 3


def inversion(restored: Restored, batch: Batch, peak: float) -> torch.Tensor:
    """Mean squared error of pictures at full, half and quarter size, plus 0.05 times that of codes, over all stages.

    The published loss also has LPIPS and face identity terms, whose networks clearport does not include.

    Raises:
        BadInput: the network does not generate pictures.
    """
    del batch  # the photos themselves are not used
    maps = restored.maps
    if "drawn" not in maps:
        raise BadInput("the loss inversion needs a network that generates its own pictures, such as e2style")
    stages = sorted(name.removeprefix("made") for name in maps if name.startswith("made"))
    errors = [_unlike(maps[f"made{stage}"], maps["drawn"]) / peak**2 for stage in stages]
    errors += [_CODES * F.mse_loss(maps[f"codes{stage}"], maps["codes"]) for stage in stages]
    return torch.stack(errors).sum() / len(stages)


def _unlike(made: torch.Tensor, drawn: torch.Tensor) -> torch.Tensor:
    found = [F.mse_loss(F.avg_pool2d(made, 1 << n), F.avg_pool2d(drawn, 1 << n)) for n in range(_HALVINGS)]
    return torch.stack(found).mean()


LOSSES: Mapping[str, Callable[[Restored, Batch, float], torch.Tensor]] = MappingProxyType({"inversion": inversion})
