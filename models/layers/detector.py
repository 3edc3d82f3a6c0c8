"""Common specification of detectors of forged pictures: input is a picture or clip of a face, outputs are logits."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from clearport.base import TensorSpec
from clearport.model_spec import ModelSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import nn

    from clearport.model_spec import Paper

LABELS = ("real", "fake")
SIDE = 224
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def detector(
    name: str,
    build: Callable[[int], nn.Module],
    paper: Paper,
    inputs: tuple[TensorSpec, ...],
    *,
    labels: tuple[str, ...] = LABELS,
    recipe: Mapping[str, Any] = MappingProxyType({}),
    **others: Any,
) -> ModelSpec:
    """The ``SPEC`` of a detector.

    Args:
        name, build, paper, inputs: as in ``ModelSpec``; the value range is that of the inputs.
        labels: classes of its logits; a single label has a single logit.
        recipe: changes to the default training: cross-entropy, binary cross-entropy for a single logit.
        others: further fields of ``ModelSpec``.
    """
    single = len(labels) == 1
    output = TensorSpec(
        "logit" if single else "logits",
        (1, len(labels)),
        kind="vector",
        value_range=None,
        measure="logits",
        labels=labels,
    )
    usual = {"patch": SIDE, "batch": 16, "optimizer": "adam", "lr": 1e-3, "bias_unit": 1.0}
    fields = {"size_multiple": 32, "least_side": 64, **others}
    return ModelSpec(
        name=name,
        task="deepfake-detection",
        build=build,
        scales=(1,),
        default_scale=1,
        halo=0,
        whole_picture=True,
        value_range=inputs[0].span,
        paper=paper,
        inputs=inputs,
        outputs=(output,),
        recipe={"loss": "binary" if single else "cross-entropy", **usual, **recipe},
        **fields,
    )
