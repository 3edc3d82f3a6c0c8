"""Options of quantization-aware training: those of ``clearport train``, with other defaults."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from clearport.errors import BadInput
from clearport.models.training.options import TrainOptions
from clearport.registry import NETWORKS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from clearport.base import Prefer, Task

TASKS: frozenset[Task] = frozenset({"super-resolution", "deraining", "low-light", "hdr", "translation"})
"""Tasks of networks that can be trained so: those that give a picture."""

DEFAULTS: Mapping[str, Any] = {
    "minutes": 10.0,
    "batch": 8,
    "patch": 48,
    "optimizer": "adam",
    "lr": 0.01,
    "loss": "distillation",
    "ema": 0.98,
    "validate_every": 50,
    "bfloat16": False,
}
"""Where they differ from those of a float training; learning rates are in levels of the int8 grid."""

_OF_DATA = ("degradation", "layout", "shrink", "patch")
"""What the recipe of a network's float training says of its data, which holds here, too."""

_NOT_HERE = ("start_partial", "teachers", "optimizer", "widen", "devices", "device", "bfloat16")


@dataclass(frozen=True)
class QatOptions:
    """A quantization-aware training.

    Attributes:
        train: of the training; ``start`` are the float weights (None: the bundled ones).
        prefer: what layers that stay in float may cost, as in an export.
        calibration: photos that the ranges are calibrated on, as in an export (None: the bundled ones).
    """

    train: TrainOptions
    prefer: Prefer = "balanced"
    calibration: Path | None = None


def qat_options(
    network: str, *, prefer: Prefer = "balanced", calibration: Path | None = None, **given: Any
) -> QatOptions:
    """Options of a training; what is ``given`` as None is the default.

    Raises:
        BadInput: no such network, or one whose output is no picture, or options that cannot be used.
    """
    spec = NETWORKS.get(network)
    if spec.task not in TASKS or spec.weights_of:
        raise BadInput(f"--qat: {network} does not give a picture; supported are the tasks {', '.join(sorted(TASKS))}")
    chosen = {name: value for name, value in given.items() if value is not None and value is not False}
    odd = [name for name in _NOT_HERE if name in chosen]
    if odd:
        option = "teacher" if odd[0] == "teachers" else odd[0].replace("_", "-")
        raise BadInput(f"--qat does not take --{option}: integers learn by Adam from the float network, on the CPU")
    defaults = {**DEFAULTS, **{name: value for name, value in spec.recipe.items() if name in _OF_DATA}}
    if "steps" in chosen:
        del defaults["minutes"]
    return QatOptions(TrainOptions(network=network, **{**defaults, **chosen}), prefer, calibration)
