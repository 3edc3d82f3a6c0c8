"""The loss of matting by clicks: alpha, its uncertainty, and the refined squares (arXiv 2012.08323)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F

from clearport.errors import BadInput
from clearport.models.layers.matting import cut
from clearport.models.losses.pixel import steps, target

if TYPE_CHECKING:
    from clearport.models.data.crops import Batch
    from clearport.models.training.outputs import Restored

_UNCERTAIN, _REFINED, _WORST = 0.05, 1.0, 0.2
"""Weights of the uncertainty and of the squares, and the share of a square's worst pixels that count twice."""


def matting(restored: Restored, batch: Batch, peak: float) -> torch.Tensor:
    """L1 of alpha where the target is between 0 and 1, L2 elsewhere, and L1 of gradients; the negative log-likelihood
    of a Laplace distribution; and L1 of refined squares, whose worst fifth counts twice.

    It is shifted to be nonnegative: the scale is at least 0.002.

    Raises:
        BadInput: the network does not output these maps.
    """
    del peak
    if "square" not in restored.maps or "scale" not in restored.maps:
        raise BadInput("the loss matting needs a network that outputs alpha, such as matcoarse")
    alpha, true, scale = restored.image, target(batch), restored.maps["scale"]
    off = (alpha - true).abs()
    between = ((true > 0.0) & (true < 1.0)).float()
    coarse = (between * off).sum() / between.sum().clamp(min=1.0) + ((1.0 - between) * off**2).mean()
    edges = sum(F.l1_loss(a, b) for a, b in zip(steps(alpha), steps(true), strict=True))
    likelihood = (scale / 0.002).log().mean() + (off.detach() / scale).mean()
    refined, places = restored.maps["square"], restored.maps["place"].long()
    square = (refined - cut(true[: len(refined)], places)).abs().flatten(1)
    worst = square.topk(int(_WORST * square.shape[1]), dim=1).values.mean()
    return coarse + off.mean() + edges + _UNCERTAIN * likelihood + _REFINED * (square.mean() + worst)


LOSSES: Mapping[str, Callable[[Restored, Batch, float], torch.Tensor]] = MappingProxyType({"matting": matting})
