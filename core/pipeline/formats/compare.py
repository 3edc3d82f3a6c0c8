"""``clearport compare``: two files on the same pictures, and their interleaved latency."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from clearport.base import Size, Skipped
from clearport.errors import BadInput
from clearport.graph import shapes
from clearport.models import samples
from clearport.pictures.images import as_gray, load_rgb
from clearport.pipeline.formats.compared import Compared, Layer, OfFile, OfPicture
from clearport.pipeline.formats.sides import Side, common_size, side_of
from clearport.pipeline.prove import run_each
from clearport.protocols import no_progress
from clearport.runtime import pixels
from clearport.runtime.latency.candidate import Candidate
from clearport.runtime.latency.measure import measure
from clearport.runtime.latency.record import LatencyPlan, LatencyReport
from clearport.runtime.usable import runners_of

if TYPE_CHECKING:
    from clearport.base import Array
    from clearport.pictures.images import Image8
    from clearport.protocols import Progress, Runner

_MOST_FREE = 256
"""Maximum side of the picture for files of dynamic size."""


@dataclass(frozen=True)
class CompareRequest:
    """Both files, the pictures (empty: the golden photo), and how to measure."""

    a: str
    b: str
    pictures: tuple[Path, ...] = ()
    span: tuple[float, float] | None = None
    threads: int = 1
    runs: int = 10
    seconds: float = 1.0
    bench: bool = True


def compare(request: CompareRequest, progress: Progress = no_progress) -> Compared:
    """Run both files on the same pictures, compare their outputs, and time them interleaved.

    Raises:
        BadInput: a file or picture cannot be used, or the files do not match.
        NotInstalled: the runtime of a file is missing.
        RuntimeFailure: a runtime failed.
    """
    progress("reading", 0, 0)
    a, b = side_of(request.a, request.span), side_of(request.b, request.span)
    runners = _runner(a), _runner(b)
    pictures = {path.name: load_rgb(path) for path in request.pictures or (samples.golden(),)}
    size = _size(a, b, pictures)
    cut = {name: _center(picture, size) for name, picture in pictures.items()}
    outputs = []
    for number, (side, runner) in enumerate(zip((a, b), runners, strict=True)):
        progress("running both", number, 2)
        outputs.append(_outputs(side, runner, list(cut.values()), request.threads))
    rows = [_apart(name, *both) for name, both in zip(cut, zip(*outputs, strict=True), strict=True)]
    first = next(iter(cut.values()))
    reports = _timed(request, (a, b), runners, first, progress)
    return Compared(
        size=str(size),
        a=_file(a, runners[0], reports[0]),
        b=_file(b, runners[1], reports[1]),
        psnr_db=_overall(rows),
        pictures=tuple(rows),
        ratio=_ratio(reports[1]),
        layers=tuple(_layers(*reports)),
    )


def _runner(side: Side) -> Runner:
    obstacles = []
    for runner, obstacle in runners_of(side.artifact):
        if obstacle is None:
            return runner
        obstacles.append(f"{runner.title}: {obstacle}")
    raise BadInput(f"{side.word}: nothing here runs it: {'; '.join(obstacles) or side.artifact.target}")


def _size(a: Side, b: Side, pictures: dict[str, Image8]) -> Size:
    free = all(shapes.size_of(side.artifact.inputs[0]) is None for side in (a, b))
    sides = [min(p.shape[axis] for p in pictures.values()) for axis in (0, 1)]
    return common_size((a, b), Size(*(min(n, _MOST_FREE) if free else n for n in sides)))


def _center(picture: Image8, size: Size) -> Image8:
    top, left = (picture.shape[0] - size.height) // 2, (picture.shape[1] - size.width) // 2
    return np.ascontiguousarray(picture[top : top + size.height, left : left + size.width])


def _given(side: Side, picture: Image8) -> dict[str, Array]:
    spec = side.artifact.inputs[0]
    return {spec.name: picture if spec.channels == 3 else as_gray(picture)}


def _outputs(side: Side, runner: Runner, pictures: list[Image8], threads: int) -> list[Image8]:
    spec = side.artifact.outputs[0]
    found = run_each(runner.name, side.artifact, [_given(side, picture) for picture in pictures], threads)
    return [pixels.to_image(output[spec.name], spec) for output in found]


def _apart(name: str, a: Image8, b: Image8) -> OfPicture:
    if a.shape != b.shape:
        sizes = " and ".join("x".join(map(str, each.shape)) for each in (a, b))
        raise BadInput(f"outputs of {sizes} cannot be compared: the files have different scales")
    apart = np.abs(a.astype(np.int32) - b)
    mean_square = float(np.mean(apart.astype(np.float64) ** 2))
    decibels = 10 * math.log10(255**2 / mean_square) if mean_square else None
    return OfPicture(
        picture=name,
        psnr_db=decibels,
        max_levels=int(apart.max()),
        mean_levels=float(apart.mean()),
        equal_share=float(np.mean(apart == 0)),
    )


def _overall(rows: list[OfPicture]) -> float | None:
    """PSNR of the mean error of all pictures."""
    errors = [0.0 if row.psnr_db is None else 10 ** (-row.psnr_db / 10) for row in rows]
    return -10 * math.log10(sum(errors) / len(errors)) if any(errors) else None


def _timed(
    request: CompareRequest,
    sides: tuple[Side, Side],
    runners: tuple[Runner, Runner],
    picture: Image8,
    progress: Progress,
) -> list[LatencyReport | Skipped]:
    if not request.bench:
        return [Skipped(side.word, "not measured: switched off by --no-bench") for side in sides]
    keys = ("a", "b")
    found: dict[str, LatencyReport | Skipped] = {
        key: Skipped(key, f"{runner.title} does not represent a device's latency")
        for key, runner in zip(keys, runners, strict=True)
    }
    candidates = [
        Candidate(key, runner.name, side.artifact.path, pixels.tensors(_given(side, picture), side.artifact.inputs))
        for key, runner, side in zip(keys, runners, sides, strict=True)
        if runner.measures_latency
    ]
    plan = LatencyPlan(rounds=request.runs, runs=1, min_seconds=request.seconds, threads=request.threads, profile=True)
    progress("measuring interleaved", 0, 0)
    both = len(candidates) == len(keys)
    found.update(measure(candidates, plan, "a" if both else None).reports if candidates else {})
    return [found[key] for key in keys]


def _file(side: Side, runner: Runner, report: LatencyReport | Skipped) -> OfFile:
    return OfFile(
        word=side.word,
        target=side.artifact.target,
        bytes=side.file.bytes,
        macs=side.file.macs,
        operators=sum(side.file.operators.values()),
        runner=runner.title,
        median_ms=None if isinstance(report, Skipped) else report.median_ms,
        why_untimed=report.reason if isinstance(report, Skipped) else "",
    )


def _ratio(report: LatencyReport | Skipped) -> tuple[float, float, float] | None:
    if isinstance(report, Skipped) or report.ratio is None:
        return None
    return report.ratio.value, report.ratio.low, report.ratio.high


def _layers(a: LatencyReport | Skipped, b: LatencyReport | Skipped) -> list[Layer]:
    if isinstance(a, Skipped) or isinstance(b, Skipped):
        return []
    theirs = {row.name: row.ms for row in b.profile}
    return [Layer(name=row.name, a_ms=row.ms, b_ms=theirs[row.name]) for row in a.profile if row.name in theirs]
