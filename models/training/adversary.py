"""The loss ``adversarial``: a discriminator is trained to tell restored pictures from targets, and the network to fool
it (arXiv 1406.2661, with the non-saturating loss; for deraining, arXiv 1910.03839).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional as F

from clearport.models.losses.pixel import target
from clearport.models.training.discriminator import PatchDiscriminator

if TYPE_CHECKING:
    from torch import nn

    from clearport.models.data.crops import Batch
    from clearport.models.training.device import Place
    from clearport.models.training.outputs import Restored

_LR, _BETAS = 2e-4, (0.5, 0.999)


class Adversary:
    """A discriminator with its own optimizer, initialized from ``seed``."""

    key = "adversary"

    def __init__(self, seed: int, place: Place) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed + 1)
            self.network: nn.Module = PatchDiscriminator().to(place.device).train()
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=_LR, betas=_BETAS)
        self._place = place

    def __call__(self, restored: Restored, batch: Batch, peak: float) -> torch.Tensor:
        """The non-saturating generator loss: 0 if the discriminator takes the restored pictures for targets."""
        for parameter in self.network.parameters():
            parameter.requires_grad_(False)
        return F.softplus(-self.network((restored.image - batch.black) / peak)).mean()

    def learn(self, restored: Restored, batch: Batch, peak: float) -> float:
        """One step of the discriminator on the network's outputs before its step; returns the discriminator's loss."""
        for parameter in self.network.parameters():
            parameter.requires_grad_(True)
        real = self.network((target(batch) - batch.black) / peak)
        made = self.network((restored.image.detach() - batch.black) / peak)
        loss = F.softplus(-real).mean() + F.softplus(made).mean()
        self.optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        self._place.average_gradients(self.network)
        self.optimizer.step()
        return float(loss.detach())

    def state(self) -> dict[str, Any]:
        """Its state in a checkpoint."""
        return {"network": self.network.state_dict(), "optimizer": self.optimizer.state_dict()}

    def restore(self, state: dict[str, Any]) -> None:
        """Restore from ``state``."""
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
