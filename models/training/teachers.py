"""Distillation: a student imitates the outputs of other networks for the same inputs.

The loss ``distillation`` needs no targets, so any pictures can be used. Task transfer (arXiv 2208.13133) trains a
derainer for real pictures this way: teachers are trained on related tasks with labels for real photos, the student
learns from all of them, and is then fine-tuned on a few pairs of rain. With any derainer NET::

    clearport train NET --data PHOTOS --degradation camera    --out denoise.safetensors
    clearport train NET --data PHOTOS --degradation haze      --out dehaze.safetensors
    clearport train NET --data PHOTOS --degradation low-light --out brighten.safetensors
    clearport train NET --data PHOTOS --degradation "camera + haze + low-light" --loss distillation \\
        --teacher NET=denoise.safetensors@camera --teacher NET=dehaze.safetensors@haze \\
        --teacher NET=brighten.safetensors@low-light --out student.safetensors
    clearport train NET --data RAINY_PAIRS --start student.safetensors --lr 0.0005 --out derain.safetensors

A teacher with ``@DEGRADATION`` is used only for inputs of this degradation in the mix; one without for all. The student
imitates the teacher's picture, not its features, so it may have another architecture.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from clearport.errors import BadInput
from clearport.model_spec import ModelSpec
from clearport.models import weights
from clearport.registry import NETWORKS

if TYPE_CHECKING:
    from torch import nn

    from clearport.models.data.crops import Batch
    from clearport.models.training.outputs import Restored


@dataclass(frozen=True)
class Teacher:
    """A network in eval mode, and the kind of inputs of a mix for which it is used (None: all)."""

    network: nn.Module
    spec: ModelSpec
    kind: int | None


class Teachers:
    """The loss ``distillation``: mean distance to the picture of each teacher, on its inputs.

    Args:
        listed: NETWORK=WEIGHTS or NETWORK=WEIGHTS@DEGRADATION each.
        kinds: the degradations of the mix.

    Raises:
        BadInput: one cannot be read, does not fit the scale, or names a degradation that is not in the mix.
    """

    def __init__(self, listed: Sequence[str], kinds: Sequence[str], scale: int, device: torch.device) -> None:
        if not listed:
            raise BadInput("the loss distillation needs a teacher: --teacher NETWORK=WEIGHTS")
        self.teachers = [_teacher(text, kinds, scale, device) for text in listed]

    def __call__(self, restored: Restored, batch: Batch, peak: float) -> torch.Tensor:
        errors = [_distance(teacher, restored, batch, peak) for teacher in self.teachers]
        return torch.stack(errors).mean()


def _teacher(text: str, kinds: Sequence[str], scale: int, device: torch.device) -> Teacher:
    name, equals, rest = text.partition("=")
    if not equals or not name or not rest:
        raise BadInput(f"--teacher {text!r}: expected NETWORK=WEIGHTS or NETWORK=WEIGHTS@DEGRADATION")
    path, at, kind = rest.rpartition("@")
    if not at or Path(rest).is_file():
        path, kind = rest, ""
    if kind and kind not in kinds:
        raise BadInput(f"--teacher {text!r}: {kind!r} is not in --degradation, which has: {', '.join(kinds)}")
    spec: ModelSpec = NETWORKS.get(name)
    if scale not in spec.scales:
        raise BadInput(f"--teacher {text!r}: {name} does not support the student's scale {scale}")
    network = weights.load(spec, scale, Path(path)).module.to(device)
    only = kinds.index(kind) if kind and len(kinds) > 1 else None
    return Teacher(network, spec, only)


def _distance(teacher: Teacher, restored: Restored, batch: Batch, peak: float) -> torch.Tensor:
    black, white = teacher.spec.value_range
    with torch.no_grad():
        seen = (batch.low - batch.black) * ((white - black) / peak) + black
        shown: torch.Tensor = (teacher.network(seen) - black) * (peak / (white - black)) + batch.black
    errors: torch.Tensor = (restored.image - shown).abs().mean(dim=(1, 2, 3))
    if teacher.kind is not None and batch.kinds is not None:
        own = (batch.kinds == teacher.kind).to(errors.dtype)
        return (errors * own).sum() / own.sum().clamp(min=1.0) / peak
    return errors.mean() / peak
