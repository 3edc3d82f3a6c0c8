"""What several tests of networks and of their training need."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from clearport.models.training.train import TrainOptions
from clearport.pictures.images import save_png


@pytest.fixture
def one_thread() -> None:
    """Sums of several threads may differ in their last bit from run to run."""
    torch.set_num_threads(1)


@pytest.fixture
def waves(tmp_path: Path) -> Callable[[int, int], Path]:
    """Makes a folder of six small smooth photos, ``height`` by ``width`` pixels."""

    def made(height: int, width: int) -> Path:
        rng = np.random.default_rng(7)
        y, x = np.mgrid[:height, :width]
        for i in range(6):
            colors = [np.sin(y * rng.uniform(0.1, 0.8) + x * rng.uniform(0.1, 0.8)) for _ in range(3)]
            save_png(tmp_path / "photos" / f"{i}.png", (127 + 120 * np.stack(colors, axis=-1)).astype(np.uint8))
        return tmp_path / "photos"

    return made


@pytest.fixture
def options(tmp_path: Path, waves: Callable[[int, int], Path]) -> TrainOptions:
    """A few steps of a small derainer on hazy waves."""
    return TrainOptions(
        network="mobilederain",
        data=(waves(36, 40),),
        out=tmp_path / "mine.safetensors",
        steps=6,
        batch=2,
        patch=16,
        validation_photos=2,
        validate_every=3,
        lr=1e-3,
        bfloat16=False,
        degradation="haze",
        workers=0,
    )
