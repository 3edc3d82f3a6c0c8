"""The loss ``contrast``: each patch of a translated picture should correspond to the same patch of its input.

PatchNCE (CUT, arXiv 2007.15651): features of an output position are the query, those of the same input position the
positive, and others negatives, with cosine similarity and a temperature. In NEGCUT (arXiv 2108.04547) a small network
generates hard negatives for each picture from the mean of its features and noise; it is trained adversarially, and a
second term keeps its negatives diverse.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn import functional as F

from clearport.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clearport.models.data.crops import Batch
    from clearport.models.training.device import Place
    from clearport.models.training.outputs import Restored

_LR, _BETAS = 2e-4, (0.5, 0.999)
_WIDTH, _NOISE = 256, 64
_PLACES, _INVENTED = 256, 256
_TEMPERATURE = 0.07
_APART = 1.0
"""Weight of the term that keeps generated negatives diverse."""


class Projections(nn.Module):
    """Projections of features to unit vectors, with one MLP per compared layer."""

    def __init__(self, channels: Sequence[int], more: int = 0) -> None:
        super().__init__()
        self.each = nn.ModuleList(
            nn.Sequential(nn.Linear(count + more, _WIDTH), nn.ReLU(), nn.Linear(_WIDTH, _WIDTH)) for count in channels
        )

    def forward(self, layer: int, features: torch.Tensor) -> torch.Tensor:
        """(..., C) to (..., 256), normalized to length 1."""
        projected: torch.Tensor = F.normalize(self.each[layer](features), dim=-1)
        return projected


class Contrast:
    """Projections and the generator of negatives, with their own optimizers.

    Args:
        channels: channels of the network's maps ``content0``, ``content1``, ... and ``made0``, ...
        seed: seed of the initial weights.
        place: the training device.

    Raises:
        BadInput: the network outputs no features.
    """

    key = "contrast"

    def __init__(self, channels: Sequence[int] | None, seed: int, place: Place) -> None:
        if channels is None:
            raise BadInput("the loss contrast needs a network that outputs its features, such as negcut")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed + 2)
            self.projections = Projections(channels).to(place.device).train()
            self.inventor = Projections(channels, more=_NOISE).to(place.device).train()
        self._optimizers = {
            name: torch.optim.Adam(network.parameters(), lr=_LR, betas=_BETAS)
            for name, network in self._parts().items()
        }
        self._place = place
        self._seen: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = []

    def _parts(self) -> dict[str, Projections]:
        return {"projections": self.projections, "inventor": self.inventor}

    def __call__(self, restored: Restored, batch: Batch, peak: float) -> torch.Tensor:
        """The mean cross-entropy over all layers and positions."""
        del batch, peak
        self._seen, losses = [], []
        for layer in range(len(self.projections.each)):
            content, made = restored.maps[f"content{layer}"].flatten(2), restored.maps[f"made{layer}"].flatten(2)
            chosen = torch.randperm(content.shape[2], device=content.device)[:_PLACES]
            query = self.projections(layer, made[..., chosen].transpose(1, 2))  # (B, P, 256)
            right = self.projections(layer, content[..., chosen].transpose(1, 2)).detach()
            mean = content.mean(dim=2).detach()
            with torch.no_grad():
                wrong = self._invented(layer, mean)
            losses.append(_told(query, right, wrong))
            self._seen.append((query.detach(), right, mean))
        return torch.stack(losses).mean()

    def _invented(self, layer: int, mean: torch.Tensor) -> torch.Tensor:
        """Generated negatives (B, 256, 256) for pictures with mean features (B, C)."""
        noise = torch.randn(len(mean), _INVENTED, _NOISE, device=mean.device)
        made: torch.Tensor = self.inventor(layer, torch.cat((mean[:, None].expand(-1, _INVENTED, -1), noise), dim=2))
        return made

    def learn(self, restored: Restored, batch: Batch, peak: float) -> float:
        """One step of both after the network's: the projections use the gradients of its loss; the generator of
        negatives maximizes that loss. Returns the generator's loss.
        """
        del restored, batch, peak
        self._place.average_gradients(self.projections)
        self._step("projections")
        losses = []
        for layer, (query, right, mean) in enumerate(self._seen):
            wrong = self._invented(layer, mean)
            losses.append(_APART * _likeness(wrong) - _told(query, right, wrong))
        loss = torch.stack(losses).mean()
        torch.autograd.backward(loss)
        self._place.average_gradients(self.inventor)
        self._step("inventor")
        return float(loss.detach())

    def _step(self, name: str) -> None:
        self._optimizers[name].step()
        self._optimizers[name].zero_grad(set_to_none=True)

    def state(self) -> dict[str, Any]:
        """Its state in a checkpoint."""
        return {
            name: {"network": network.state_dict(), "optimizer": self._optimizers[name].state_dict()}
            for name, network in self._parts().items()
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Restore from ``state``."""
        for name, network in self._parts().items():
            network.load_state_dict(state[name]["network"])
            self._optimizers[name].load_state_dict(state[name]["optimizer"])


def _told(query: torch.Tensor, right: torch.Tensor, wrong: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of classifying, for each query (B, P, D), the positive (B, P, D) against negatives (B, N, D)."""
    same = (query * right).sum(dim=2, keepdim=True)
    logits = torch.cat((same, query @ wrong.transpose(1, 2)), dim=2).flatten(0, 1) / _TEMPERATURE
    return F.cross_entropy(logits, torch.zeros(len(logits), dtype=torch.long, device=logits.device))


def _likeness(vectors: torch.Tensor) -> torch.Tensor:
    """The mean cosine similarity of pairs of a picture's unit vectors (B, N, D)."""
    count = vectors.shape[1]
    likeness: torch.Tensor = ((vectors.sum(dim=1) ** 2).sum(dim=1).mean() - count) / (count * (count - 1))
    return likeness
