"""Evaluation of a matting system: SAD and MSE of alpha on composites made from photos.

Composites are those of training (``models/degradations/composite.py``) at the photo's own size, deterministic, with one
click on the foreground. The row ``pytorch`` runs the same program with the parts in PyTorch, and each row also has the
figures without refined squares.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from clearport.bundle.system import System
from clearport.errors import BadInput
from clearport.models.data.layouts import find_layout
from clearport.models.systems.matting import example
from clearport.pictures.images import load_rgb
from clearport.pipeline.systems.parts import in_torch, loaded, opened
from clearport.programs.interpreter import execute
from clearport.protocols import no_progress

if TYPE_CHECKING:
    from pathlib import Path

    from clearport.programs.interpreter import Parts
    from clearport.programs.program import Program
    from clearport.protocols import Progress

_SEED = 11
PROTOCOL = (
    "synthetic composites at the photos' own size, one click; SAD: sum of |alpha - true| over a picture, in thousands; "
    "MSE: mean square, in thousandths; alpha 0..1 unrounded, whole picture"
)


@dataclass(frozen=True)
class Matted:
    """The figures of a row, means over all pictures: refined, and without refinement."""

    subject: str
    sad: float
    mse: float
    rough_sad: float
    rough_mse: float


@dataclass(frozen=True)
class MattingOutcome:
    """All rows on one folder."""

    data: str
    pictures: int
    protocol: str
    rows: tuple[Matted, ...]


def evaluate_system(
    folder: Path,
    data: Path,
    targets: tuple[str, ...] = (),
    precisions: tuple[str, ...] = (),
    progress: Progress = no_progress,
) -> MattingOutcome:
    """SAD and MSE of every row of a matting system.

    Raises:
        BadInput: no such system, another task, changed files, or a folder without photos.
        RuntimeFailure: a runtime failed on its file.
    """
    system = System.load(folder)
    if system.record.task != "matting":
        raise BadInput(f"{folder}: clearport eval supports matting systems, not {system.record.task}")
    program = system.record.program
    ends = ({each.name for each in program.inputs}, {each.name for each in program.outputs})
    if ends[0] != {"picture", "clicks"} or "alpha" not in ends[1] or "squares" not in program.settings:
        raise BadInput(
            f"{folder}: eval judges systems of matting that take picture and clicks, give alpha, and have the setting "
            f"squares; this one takes {', '.join(sorted(ends[0]))} and gives {', '.join(sorted(ends[1]))}"
        )
    system.check_files()
    found = find_layout(data, 1, "photos")
    photos = [entry.high for entry in found.entries if entry.high is not None]
    rows = system.rows(targets, precisions)
    scores: dict[str, list[tuple[float, ...]]] = {}
    with ExitStack() as stack:
        subjects: dict[str, Parts] = {"pytorch": _in_torch(system)}
        for row in rows:
            subjects[row.key] = stack.enter_context(opened(system, row.target, row.precision, row.variant, 1))
        for number, photo in enumerate(photos):
            progress("judging", number, len(photos))
            for subject, parts in subjects.items():
                scores.setdefault(subject, []).append(score(system.record.program, parts, photo, number))
    made = tuple(Matted(name, *(float(np.mean(each)) for each in zip(*of, strict=True))) for name, of in scores.items())
    return MattingOutcome(data.resolve().name, len(photos), PROTOCOL, made)


def _in_torch(system: System) -> Parts:
    modules, ends = {}, {}
    for name, part in system.parts.items():
        model = part.manifest.model
        modules[name], ends[name] = loaded(model.name, part.path(model.reference))
    return in_torch(modules, ends)


def score(program: Program, parts: Parts, photo: Path, number: int) -> tuple[float, ...]:
    """SAD and MSE of one composite, refined and unrefined; ``number`` seeds it."""
    inputs, true = example(load_rgb(photo), np.random.default_rng([number, _SEED]))
    found: list[float] = []
    for settings in ({}, {"squares": 0}):
        off = execute(program, parts, inputs, settings)["alpha"][0, 0].astype(np.float64) - true
        found += [float(np.abs(off).sum()) / 1e3, float((off**2).mean()) * 1e3]
    return tuple(found)
