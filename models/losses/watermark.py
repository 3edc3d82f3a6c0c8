"""The loss of a watermark: cross-entropy of its bits."""

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


def bits(restored: Restored, batch: Batch, peak: float) -> torch.Tensor:
    """Binary cross-entropy of the map ``bits`` (B, N), logits, to the embedded bits.

    Raises:
        BadInput: the network has no such map, or the data have no bits.
    """
    del peak
    if "bits" not in restored.maps or "bits" not in batch.truth:
        raise BadInput("the loss bits needs a network that reads bits, such as wmembed, and --degradation mark")
    return F.binary_cross_entropy_with_logits(restored.maps["bits"], batch.truth["bits"].flatten(1))


LOSSES: Mapping[str, Callable[[Restored, Batch, float], torch.Tensor]] = MappingProxyType({"bits": bits})
