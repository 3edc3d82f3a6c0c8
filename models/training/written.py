"""The output files of training: weights, card, checkpoint and preview, claimed together before the first step."""

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

_THERE = "an earlier training left it there; to go on with that one, add --resume; to replace it, --force"


@contextmanager
def held(options: TrainOptions, reads: Sequence[Path] = ()) -> Iterator[None]:
    """Hold the outputs of a training while it runs; of several processes the first does.

    ``reads`` are files and folders that it reads beside those of its options.

    Raises:
        BadInput: an output cannot be written, or is there already; nothing was done.
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
    """A checkpoint that is resumed is read before the first step, and refused then if it is none."""
    return True


def save_or_keep(out: Path, save: Callable[[Path], None], what: str) -> None:
    """Save the work at ``out``, or, where that fails after all the work, in a folder of temporary files.

    Raises:
        BadInput: it could not be written at ``out``; the message says where ``what`` is.
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
    """Folders that outlive this process: the scratch folder of a command does not."""
    return out.absolute().parent, Path(os.environ.get(OUTER) or tempfile.gettempdir()), Path.home()
