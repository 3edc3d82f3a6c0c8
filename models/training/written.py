"""The output files of training (weights, card, checkpoint and preview), locked together before the first step."""

from __future__ import annotations

import os
import secrets
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from clearport.disk import ours
from clearport.disk.outputs import OutFile, OutFolder, claimed
from clearport.errors import BadInput
from clearport.models.weights import card_path
from clearport.problems import OUTER

if TYPE_CHECKING:
    from clearport.models.training.options import TrainOptions

_THERE = "an earlier training left it there; add --resume to continue that one, or --force to replace it"


@contextmanager
def held(options: TrainOptions, reads: Sequence[Path] = ()) -> Iterator[None]:
    """Lock the outputs of a training run; with several processes, only rank 0 does.

    ``reads`` are files and folders that it reads besides those of its options.

    Raises:
        BadInput: an output cannot be written or exists already; nothing was changed.
    """
    if options.devices > 1 and os.environ.get("LOCAL_RANK", "0") != "0":
        yield
        return
    keep = "" if options.resume or options.force else _THERE
    out = options.out
    known = _any_file if options.resume else ours.is_checkpoint
    files = [
        OutFile(out, "--out", "a weights file of clearport", ours.is_weights, keep),
        OutFile(card_path(out), "the card of --out", "the card of weights", ours.is_card, keep),
        OutFile(options.checkpoint, "the checkpoint of --out", "a checkpoint of clearport", known, keep),
    ]
    if options.preview:
        files.append(OutFile(options.preview_path, "the preview of --out", "a PNG picture", ours.is_png, keep))
    log = None if options.log is None else OutFolder(options.log, "--log", shared=True, inside=True)
    teachers = [Path(text.partition("=")[2].rpartition("@")[0] or text.partition("=")[2]) for text in options.teachers]
    start = [] if options.start is None else [options.start]
    judged = [] if options.validation_data is None else [options.validation_data]
    with claimed(*files, log, reads=(*options.data, *judged, *start, *teachers, *options.exclude, *reads)):
        yield


def _any_file(_: Path) -> bool:
    """Accept any file: a checkpoint to resume is validated when it is read, before the first step."""
    return True


def save_or_keep(out: Path, save: Callable[[Path], None], what: str) -> None:
    """Save to ``out``; if that fails, to a fallback folder, so that the work is not lost.

    Raises:
        BadInput: ``out`` could not be written; the message has ``what`` and the fallback path.
    """
    try:
        save(out)
    except BadInput as error:
        for folder in _elsewhere(out):
            instead = folder / f"{out.stem}.kept-{secrets.token_hex(3)}{out.suffix}"
            try:
                save(instead)
            except BadInput:
                continue
            raise BadInput(f"{error}; {what}: {instead}") from error
        raise


def _elsewhere(out: Path) -> tuple[Path, ...]:
    """Fallback folders, best first; the command's scratch folder is not among them, as it is deleted at exit."""
    return out.absolute().parent, Path(os.environ.get(OUTER) or tempfile.gettempdir()), Path.home()
