"""TensorBoard: curves of a training, and its preview. TensorBoard comes with the extra ``train``."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clearport.base import NotInstalled

if TYPE_CHECKING:
    from clearport.images import Image8
    from clearport.models.train_options import Tick


class Log:
    """Writes events into a folder, or does nothing where it is None.

    Raises:
        NotInstalled: there is no TensorBoard.
    """

    def __init__(self, folder: Path | None) -> None:
        self._writer: Any = None
        if folder is not None:
            try:
                from torch.utils.tensorboard import SummaryWriter
            except ImportError as error:
                raise NotInstalled("tensorboard", "train") from error
            self._writer = SummaryWriter(str(folder))

    def tick(self, tick: Tick) -> None:
        """Loss, its parts, and the learning rate."""
        if self._writer is None:
            return
        values = {"loss": tick.loss, "lr": tick.lr, "steps_per_s": tick.steps_per_s}
        values |= {f"losses/{name}": value for name, value in tick.losses.items()}
        for name, value in values.items():
            self._writer.add_scalar(name, value, tick.step)

    def validation(self, step: int, psnr_db: Mapping[str, float], image: Image8) -> None:
        """PSNR by colour space, and pictures of a validation."""
        if self._writer is None:
            return
        for name, value in psnr_db.items():
            if not math.isnan(value):
                self._writer.add_scalar(f"validation/{name}_psnr_db", value, step)
        self._writer.add_image("validation", image, step, dataformats="HWC")
        self._writer.flush()

    def close(self) -> None:
        """End the file."""
        if self._writer is not None:
            self._writer.close()
