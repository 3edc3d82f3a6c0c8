"""Losses by name, and sums of them: ``"l1 + 0.2*ssim + 0.05*gradient"``.

A loss is called with the network's output, the batch, and the width of the value range (``peak``), and returns a
nonnegative scalar relative to the peak, so that learning rates and gradient norms are comparable for all value ranges.
Losses are in ``losses/<family>.py``; ``adversarial``, ``contrast`` and ``distillation``, which have networks of their
own, and ``regional``, which has centers, are passed by the trainer.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from clearport.errors import BadInput
from clearport.models.losses import classes as loss_classes
from clearport.models.losses import hdr as loss_hdr
from clearport.models.losses import inversion as loss_inversion
from clearport.models.losses import light as loss_light
from clearport.models.losses import maps as loss_maps
from clearport.models.losses import matting as loss_matting
from clearport.models.losses import pixel as loss_pixel
from clearport.models.losses import rain as loss_rain
from clearport.models.losses import watermark as loss_watermark

if TYPE_CHECKING:
    import torch

    from clearport.models.data.crops import Batch
    from clearport.models.training.outputs import Restored

Loss = Callable[["Restored", "Batch", float], "torch.Tensor"]

LOSSES: Mapping[str, Loss] = MappingProxyType(
    {
        **loss_pixel.LOSSES,
        **loss_rain.LOSSES,
        **loss_maps.LOSSES,
        **loss_light.LOSSES,
        **loss_hdr.LOSSES,
        **loss_watermark.LOSSES,
        **loss_classes.LOSSES,
        **loss_matting.LOSSES,
        **loss_inversion.LOSSES,
    }
)

ADVERSARIAL, CONTRAST, DISTILLATION, REGIONAL = "adversarial", "contrast", "distillation", "regional"

_WITHOUT_TARGETS = frozenset(
    {
        "tv",
        "smooth-curves",
        "exposure",
        "color",
        "spatial",
        "quasi-sparsity",
        "low-rain",
        "transmission",
        "light",
        "mask",
        "rain",
        "bits",
        "binary",
        "cross-entropy",
        "forged",
        "zipf",
        "inversion",
        "augmented",
        "match",
        CONTRAST,
        DISTILLATION,
        REGIONAL,
    }
)

_NUMBER = r"[0-9]*\.?[0-9]+(?:[eE][+-]?[0-9]+)?"
_TERM = re.compile(
    rf"(?:(?P<before>{_NUMBER})\s*\*\s*)?(?P<name>[a-zA-Z][a-zA-Z0-9-]*)(?:\s*\*\s*(?P<after>{_NUMBER}))?"
)
_PLUS = re.compile(r"(?<![0-9.][eE])\+")


@dataclass(frozen=True)
class Term:
    """One summand: ``weight`` times the loss called ``name``."""

    weight: float
    name: str


def names() -> tuple[str, ...]:
    """Every name that ``parse`` accepts, sorted."""
    return tuple(sorted((*LOSSES, ADVERSARIAL, CONTRAST, DISTILLATION, REGIONAL)))


def parse(text: str) -> tuple[Term, ...]:
    """The terms of a sum.

    Raises:
        BadInput: it is not a sum of losses, a name is unknown, or a name is duplicated.
    """
    terms = tuple(_term(part.strip(), text) for part in _PLUS.split(text))
    if len({term.name for term in terms}) < len(terms):
        raise BadInput(f"--loss {text!r}: duplicate loss; write it once, with the sum of both weights")
    return terms


def _term(part: str, text: str) -> Term:
    match = _TERM.fullmatch(part)
    if match is None or (match["before"] and match["after"]):
        raise BadInput(f'--loss {text!r}: cannot read {part!r}; expected a sum such as "l1 + 0.2*ssim"')
    if match["name"] not in names():
        raise BadInput(f"unknown loss {match['name']!r} (available: {', '.join(names())})")
    return Term(float(match["before"] or match["after"] or 1.0), match["name"])


class Objective:
    """A sum of losses. ``others`` has those that are not in ``LOSSES``; ``unaligned``: targets have other content.

    Raises:
        BadInput: as ``parse``; or a loss needs targets and there are none.
    """

    def __init__(
        self,
        text: str,
        others: Mapping[str, Loss] = MappingProxyType({}),
        *,
        targets: bool = True,
        unaligned: bool = False,
    ) -> None:
        self.terms = parse(text)
        self._losses = {term.name: {**LOSSES, **others}[term.name] for term in self.terms}
        if not targets or unaligned:
            able = _WITHOUT_TARGETS | ({ADVERSARIAL} if unaligned else set())
            lost = [term.name for term in self.terms if term.name not in able]
            if lost:
                raise BadInput(
                    f"--loss {text!r}: {', '.join(lost)} compares with targets, but these data have none; "
                    f"available without targets: {', '.join(sorted(able))}"
                )

    def __call__(self, restored: Restored, batch: Batch, peak: float) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """The sum, and the value of each loss before its weight, detached."""
        total, values = None, {}
        for term in self.terms:
            value = self._losses[term.name](restored, batch, peak)
            values[term.name] = value.detach()
            share = value if term.weight == 1.0 else term.weight * value
            total = share if total is None else total + share
        assert total is not None
        return total, values
