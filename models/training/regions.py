"""The loss ``regional``: attention maps should see different regions, and one map the same of every face.

Regional independence (multi-attentional detection, arXiv 2103.02406): the features of each map stay within a margin of
the map's center, which is smaller for real faces, and centers keep apart. Centers follow the mean of the features.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from clearport.errors import BadInput
from clearport.models.losses.classes import labels

if TYPE_CHECKING:
    from clearport.models.data.crops import Batch
    from clearport.models.training.outputs import Restored

FOLLOW = 0.05
"""Share of the distance to a batch's mean that centers move in a step. The paper decays it; here it is constant."""

INSIDE, APART = (0.05, 0.1), 0.2
"""Squared distances of unit vectors: the largest to a center, for real and for fake, and the least between centers."""


class Regions:
    """The loss and its centers, which are those of the first batch at first."""

    key = "regional"

    def __init__(self) -> None:
        self.centers: torch.Tensor | None = None
        self._moved: torch.Tensor | None = None

    def __call__(self, restored: Restored, batch: Batch, peak: float) -> torch.Tensor:
        """The mean over the pictures of what is outside the margins, and what centers lack in distance.

        Raises:
            BadInput: the network has no map ``regions`` (B, M, C) of unit vectors, or the data have no classes.
        """
        del peak
        if "regions" not in restored.maps:
            raise BadInput("the loss regional needs a network with attention maps, such as multiattentional")
        regions, found = restored.maps["regions"], labels(batch, "regional")
        mean = regions.mean(dim=0)
        before = mean.detach() if self.centers is None else self.centers
        centers = before + FOLLOW * (mean - before)
        margins = torch.tensor(INSIDE, device=regions.device)[found]
        outside = ((regions - centers) ** 2).sum(dim=2) - margins[:, None]
        first, second = torch.triu_indices(len(centers), len(centers), offset=1)
        lacking = APART - ((centers[first] - centers[second]) ** 2).sum(dim=1)
        self._moved = centers.detach()
        return outside.clamp_min(0.0).sum(dim=1).mean() + lacking.clamp_min(0.0).sum()

    def learn(self, restored: Restored, batch: Batch, peak: float) -> float:
        """Move the centers, after the network's step."""
        del restored, batch, peak
        self.centers = self._moved
        return 0.0

    def state(self) -> dict[str, Any]:
        """Its state in a checkpoint."""
        return {"centers": self.centers}

    def restore(self, state: dict[str, Any]) -> None:
        """Restore from ``state``."""
        self.centers = state["centers"]
