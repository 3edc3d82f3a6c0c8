"""Durations that are NaN or infinite are refused before work starts: such a bench would never end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from clearport.errors import BadInput
from clearport.models.training.options import TrainOptions
from clearport.pipeline.benching.values import BenchRequest
from clearport.pipeline.evaluation.limits import Limits
from clearport.pipeline.serve import ServeRequest
from clearport.runtime.devices.device import Settings

HERE = Path("b")
TAKERS: dict[str, Callable[[float], Any]] = {
    "--seconds": lambda value: BenchRequest(HERE, seconds=value),
    "--sustained": lambda value: BenchRequest(HERE, sustained_s=value),
    "--timeout": lambda value: Settings(timeout_s=value),
    "--seconds of serve": lambda value: ServeRequest(HERE, seconds=value),
    "--ema": lambda value: TrainOptions("ncnet", (HERE,), HERE, steps=1, ema=value),
    "--minutes": lambda value: TrainOptions("ncnet", (HERE,), HERE, minutes=value),
    "--max-clipped": lambda value: Limits(max_clipped=value).check(),
}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf"), -1.0])
@pytest.mark.parametrize("option", TAKERS)
def test_numbers_that_are_no_amount_are_refused(option: str, value: float) -> None:
    with pytest.raises(BadInput, match=rf"^{option.split(maxsplit=1)[0]} {value:g}"):
        TAKERS[option](value)


def test_a_limit_may_be_negative_where_a_gain_can_be_required() -> None:
    Limits(max_drop=-0.5, min_psnr=-1).check()
    with pytest.raises(BadInput, match=r"^--max-drop nan: expected a finite number$"):
        Limits(max_drop=float("nan")).check()
