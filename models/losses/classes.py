"""Losses of classifiers: ``Restored.image`` holds logits (B, K), and the truth ``label`` is a class number."""

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


def labels(batch: Batch, loss: str) -> torch.Tensor:
    """The classes of a batch (B,).

    Raises:
        BadInput: the data have none.
    """
    if "label" not in batch.truth:
        raise BadInput(
            f"the loss {loss} needs labels: those of real/ and fake/ (--degradation labels), or of forged photos "
            "(--degradation forgery)"
        )
    return batch.truth["label"].flatten().long()


def cross_entropy(restored: Restored, batch: Batch, peak: float) -> torch.Tensor:
    """Cross-entropy of the logits.

    Raises:
        BadInput: the network gives one logit.
    """
    del peak
    found = labels(batch, "cross-entropy")
    if restored.image.shape[1] < 2:
        raise BadInput("the loss cross-entropy needs a logit of each class; this network gives one: use binary")
    return F.cross_entropy(restored.image.flatten(1), found)


def binary(restored: Restored, batch: Batch, peak: float) -> torch.Tensor:
    """Binary cross-entropy of one logit (B, 1), that of class 1.

    Raises:
        BadInput: the network gives several.
    """
    del peak
    found = labels(batch, "binary")
    if restored.image.shape[1] != 1:
        raise BadInput("the loss binary needs a network of one logit; this one has several: use cross-entropy")
    return F.binary_cross_entropy_with_logits(restored.image.flatten(), found.float())


def forged(restored: Restored, batch: Batch, peak: float) -> torch.Tensor:
    """Binary cross-entropy of the map ``forged`` (B, 1, h, w), logits, to the share of each place that is forged.

    0 where the truth is not known.

    Raises:
        BadInput: the network has no such map.
    """
    del peak
    if "forged" not in restored.maps:
        raise BadInput("the loss forged needs a network that finds places, such as caddm")
    made = restored.maps["forged"]
    if "forged" not in batch.truth:
        return 0.0 * made.sum()
    height, width = made.shape[-2:]
    wanted = F.adaptive_avg_pool2d(batch.truth["forged"].float(), (height, width))
    return F.binary_cross_entropy_with_logits(made, wanted)


def zipf(restored: Restored, batch: Batch, peak: float) -> torch.Tensor:
    """Zipf's label smoothing (arXiv 2207.12980): the classes that are wrong should follow Zipf's law, too.

    The divergence of the softmax over wrong classes from ``zipf_law``, whose ranks come from how many pixels of the map
    ``dense`` (B, K, h, w), the classifier before its mean, choose each class. Added to cross-entropy with weight 0.1
    (CIFAR-100) or 1 (TinyImageNet).

    Raises:
        BadInput: the network has no such map, or there are only two classes.
    """
    del peak
    if "dense" not in restored.maps or restored.image.shape[1] < 3:
        raise BadInput("the loss zipf needs a classifier of three classes and more with the map dense")
    target = labels(batch, "zipf")
    votes = F.one_hot(restored.maps["dense"].argmax(dim=1).flatten(1), restored.image.shape[1]).sum(dim=1)
    law = zipf_law(votes, target)
    wrong = restored.image.scatter(1, target[:, None], float("-inf"))
    logs = wrong.log_softmax(dim=1).masked_fill(law == 0, 0.0)
    return (law * (law.clamp_min(1e-12).log() - logs)).sum(dim=1).mean()


def zipf_law(scores: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """The probabilities (B, K) of wrong classes by Zipf's law.

    Classes are ranked by their scores (B, K), the target among them, and equal ones share the first of their ranks.
    Each class gets one over its rank; then the target is struck out, and the rest sums up to 1.
    """
    ranks = 1 + (scores[:, None] > scores[..., None]).sum(dim=2)
    law = (1.0 / ranks).scatter(1, target[:, None], 0.0)
    return law / law.sum(dim=1, keepdim=True)


LOSSES: Mapping[str, Callable[[Restored, Batch, float], torch.Tensor]] = MappingProxyType(
    {"cross-entropy": cross_entropy, "binary": binary, "forged": forged, "zipf": zipf}
)
