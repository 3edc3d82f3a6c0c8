"""The state of a training besides network and optimizer: average weights, best weights, and counters."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

_COUNTERS = ("step", "elapsed_s", "psnr_db", "best_psnr_db")


@dataclass
class State:
    """The state of a run.

    Attributes:
        average: moving average of the plain network's weights, on the training's device.
        best: the average with the best validation PSNR; the latest without targets.
        losses: losses of the steps since the last report.
        elapsed_s: time spent in steps and validations, over all resumed runs.
    """

    average: dict[str, torch.Tensor]
    best: dict[str, torch.Tensor]
    step: int = 0
    elapsed_s: float = 0.0
    psnr_db: float = -math.inf
    best_psnr_db: float = -math.inf
    losses: list[torch.Tensor] = field(default_factory=list)

    def average_in(self, weights: Mapping[str, torch.Tensor], decay: float) -> None:
        """Update the average with ``weights``; integers (counters) are copied."""
        decay = min(decay, (1 + self.step) / (10 + self.step))
        for key, value in weights.items():
            if value.is_floating_point():
                self.average[key].lerp_(value, 1.0 - decay)
            else:
                self.average[key].copy_(value)

    def judged(self, psnr_db: float) -> None:
        """Keep the average if it is the best so far, or if there is no figure."""
        self.psnr_db = psnr_db
        if math.isnan(psnr_db) or psnr_db >= self.best_psnr_db:
            self.best_psnr_db = self.best_psnr_db if math.isnan(psnr_db) else psnr_db
            self.best = copied(self.average)

    def mean_loss(self) -> float:
        """The mean loss since the last report."""
        return float(torch.stack(self.losses).double().mean()) if self.losses else math.nan

    def saved(self) -> dict[str, Any]:
        """Plain values for a checkpoint."""
        losses = torch.stack(self.losses).cpu() if self.losses else torch.zeros(0)
        counters = {name: getattr(self, name) for name in _COUNTERS}
        return {"average": self.average, "best": self.best, "losses": losses, "counters": counters}

    def restore(self, saved: Mapping[str, Any], device: torch.device) -> None:
        """Restore from ``saved``."""
        self.average, self.best = ({k: v.to(device) for k, v in saved[name].items()} for name in ("average", "best"))
        self.losses = list(saved["losses"].to(device))
        for name in _COUNTERS:
            setattr(self, name, saved["counters"][name])


def copied(weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """An independent copy."""
    return {key: value.clone() for key, value in weights.items()}


class Pace:
    """Steps per second since the last mark, and the time of the last tick."""

    def __init__(self, step: int) -> None:
        self.mark(step)

    def mark(self, step: int) -> None:
        """Reset."""
        self._began, self._step, self._ticked = time.monotonic(), step, time.monotonic()

    def steps_per_s(self, step: int) -> float:
        """Since the mark."""
        return (step - self._step) / max(1e-9, time.monotonic() - self._began)

    def tick_is_due(self) -> bool:
        """Whether a second has passed since this was last true."""
        now = time.monotonic()
        if now - self._ticked < 1.0:
            return False
        self._ticked = now
        return True
