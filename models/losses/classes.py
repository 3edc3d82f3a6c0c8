"""Losses of classifiers: ``Restored.image`` has logits (B, K), and the truth ``label`` is a class index."""

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
    """The class indices of a batch (B,).

    Raises:
        BadInput: the data have no classes.
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
        BadInput: the network has only one logit.
    """
    del peak
    found = labels(batch, "cross-entropy")
    if restored.image.shape[1] < 2:
        raise BadInput("the loss cross-entropy needs one logit per class; this network has a single one: use binary")
    return F.cross_entropy(restored.image.flatten(1), found)


def binary(restored: Restored, batch: Batch, peak: float) -> torch.Tensor:
    """Binary cross-entropy of one logit (B, 1), that of class 1.

    Raises:
        BadInput: the network has several logits.
    """
    del peak
    found = labels(batch, "binary")
    if restored.image.shape[1] != 1:
        raise BadInput("the loss binary needs a network with one logit; this one has several: use cross-entropy")
    return F.binary_cross_entropy_with_logits(restored.image.flatten(), found.float())


def forged(restored: Restored, batch: Batch, peak: float) -> torch.Tensor:
    """Binary cross-entropy of the map ``forged`` (B, 1, h, w), logits, to the forged share of each cell.

    0 if the truth is unknown.

    Raises:
        BadInput: the network has no such map.
    """
    del peak
    if "forged" not in restored.maps:
        raise BadInput("the loss forged needs a network that locates forgeries, such as caddm")
    made = restored.maps["forged"]
    if "forged" not in batch.truth:
        return 0.0 * made.sum()
    height, width = made.shape[-2:]
    wanted = F.adaptive_avg_pool2d(batch.truth["forged"].float(), (height, width))
    return F.binary_cross_entropy_with_logits(made, wanted)


def augmented(restored: Restored, batch: Batch, peak: float) -> torch.Tensor:
    """Cross-entropy of the logits ``augmented`` (B, K), those of pictures that the network's own attention changed.

    Raises:
        BadInput: the network has none.
    """
    del peak
    return F.cross_entropy(_of_attention(restored, "augmented"), labels(batch, "augmented"))


def match(restored: Restored, batch: Batch, peak: float) -> torch.Tensor:
    """The mean distance between the features of each attention map (B, M, C), of pictures and of augmented ones.

    Raises:
        BadInput: the network has none.
    """
    del batch, peak
    distances = _of_attention(restored, "augmented-regions") - _of_attention(restored, "regions")
    return distances.pow(2).sum(dim=2).clamp_min(1e-12).sqrt().mean()


def _of_attention(restored: Restored, name: str) -> torch.Tensor:
    if name not in restored.maps:
        raise BadInput("the losses augmented and match need a network with attention maps, such as multiattentional")
    return restored.maps[name]


def zipf(restored: Restored, batch: Batch, peak: float) -> torch.Tensor:
    """Zipf's label smoothing (arXiv 2207.12980): probabilities of non-target classes should follow Zipf's law.

    KL divergence of the softmax over non-target classes from ``zipf_law``. Ranks come from the number of pixels of the
    map ``dense`` (B, K, h, w), the classifier before its mean, that choose each class. Added to cross-entropy with
    weight 0.1 (CIFAR-100) or 1 (TinyImageNet).

    Raises:
        BadInput: the network has no such map, or there are only two classes.
    """
    del peak
    if "dense" not in restored.maps or restored.image.shape[1] < 3:
        raise BadInput("the loss zipf needs a classifier with at least three classes and the map dense")
    target = labels(batch, "zipf")
    votes = F.one_hot(restored.maps["dense"].argmax(dim=1).flatten(1), restored.image.shape[1]).sum(dim=1)
    law = zipf_law(votes, target)
    wrong = restored.image.scatter(1, target[:, None], float("-inf"))
    logs = wrong.log_softmax(dim=1).masked_fill(law == 0, 0.0)
    return (law * (law.clamp_min(1e-12).log() - logs)).sum(dim=1).mean()


def zipf_law(scores: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Target probabilities (B, K) of non-target classes by Zipf's law.

    Classes, including the target, are ranked by scores (B, K); equal scores share the first of their ranks. Each class
    gets one over its rank; then the target is set to 0, and the rest is normalized to sum 1.
    """
    ranks = 1 + (scores[:, None] > scores[..., None]).sum(dim=2)
    law = (1.0 / ranks).scatter(1, target[:, None], 0.0)
    return law / law.sum(dim=1, keepdim=True)


LOSSES: Mapping[str, Callable[[Restored, Batch, float], torch.Tensor]] = MappingProxyType(
    {
        "cross-entropy": cross_entropy,
        "binary": binary,
        "forged": forged,
        "zipf": zipf,
        "augmented": augmented,
        "match": match,
    }
)
