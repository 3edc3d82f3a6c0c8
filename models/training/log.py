"""TensorBoard: curves of a training, and its preview. TensorBoard is in the extra ``train``."""

from __future__ import annotations

import errno
import math
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clearport.disk.files import explain
from clearport.errors import NotInstalled

if TYPE_CHECKING:
    from clearport.models.training.options import Tick
    from clearport.pictures.images import Image8


_ROOM = 1 << 20
"""Minimum free bytes for writing events."""


class Log:
    """Writes events into a folder; does nothing for None.

    ``problem`` is the reason that it stopped writing, if it did: a full disk ends the log, not the training.

    Raises:
        NotInstalled: TensorBoard is missing.
    """

    def __init__(self, folder: Path | None) -> None:
        self._writer: Any = None
        self.problem = ""
        self._folder = folder or Path()
        if folder is not None:
            try:
                from torch.utils.tensorboard import SummaryWriter
            except ImportError as error:
                raise NotInstalled("tensorboard", "train") from error
            self._writer = SummaryWriter(str(folder))

    def tick(self, tick: Tick) -> None:
        """Write the loss, its terms, and the learning rate."""
        values = {"loss": tick.loss, "lr": tick.lr, "steps_per_s": tick.steps_per_s}
        values |= {f"losses/{name}": value for name, value in tick.losses.items()}

        def write(writer: Any) -> None:
            for name, value in values.items():
                writer.add_scalar(name, value, tick.step)

        self._write(write)

    def validation(self, step: int, psnr_db: Mapping[str, float], image: Image8) -> None:
        """Write PSNR by color space, and pictures of a validation."""

        def write(writer: Any) -> None:
            for name, value in psnr_db.items():
                if not math.isnan(value):
                    writer.add_scalar(f"validation/{name}_psnr_db", value, step)
            writer.add_image("validation", image, step, dataformats="HWC")
            writer.flush()

        self._write(write)

    def close(self) -> None:
        """End the file."""
        self._write(lambda writer: writer.close())

    def _write(self, write: Callable[[Any], None]) -> None:
        """Call ``write`` with the writer; a full disk ends the log."""
        if self._writer is None:
            return
        try:
            if shutil.disk_usage(self._folder).free >= _ROOM:
                write(self._writer)
                return
            error = OSError(errno.ENOSPC, "")  # TensorBoard's thread would print its traceback
        except OSError as failed:
            error = failed
        self._writer, self.problem = None, str(explain(error, self._folder))
