"""The public Python interface to systems of several networks, as ``clearport.<name>``.

``clearport.verify`` takes the folder of a system, too, and each of its parts is a bundle for ``clearport.load_bundle``
and the functions beside it.
"""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from clearport import given
from clearport.base import IODType, Prefer
from clearport.errors import BadInput
from clearport.protocols import no_progress

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from clearport.base import Array, Float32
    from clearport.bundle.system import System
    from clearport.pipeline.systems.bench import Times
    from clearport.pipeline.systems.evaluate import MattingOutcome
    from clearport.pipeline.systems.parts import InFiles
    from clearport.pipeline.systems.run import Ran
    from clearport.protocols import Progress

    AnyPath = str | Path


def export_system(
    name: str,
    out: AnyPath,
    *,
    size: str | None = None,
    targets: Sequence[str] = (),
    precisions: Sequence[str] = (),
    weights: AnyPath | None = None,
    io: IODType = "uint8",
    prefer: Prefer = "balanced",
    threads: int = 1,
    measure: bool = True,
    force: bool = False,
    cache: bool = True,
    progress: Progress = no_progress,
) -> System:
    """Export every part of a system, prove each and the whole; ``System.passed`` says whether every check held.

    Args:
        name: a system of ``clearport list``, such as ``sindiffusion`` or ``matting``.
        out: folder of the system; it appears only when it is complete.
        size: input size ``HEIGHTxWIDTH`` in pixels of the parts without a size of their own; None: the system's.
        targets: names such as ``tflite``; empty for all.
        precisions: as of ``clearport.export``.
        weights: a safetensors file of ours, or ``PART=FILE`` where the parts have several; None: the bundled ones.
        io, prefer, threads, measure, force, cache: as of ``clearport.export``, for each part.

    Raises:
        BadInput: there is no such system, or the request cannot be carried out; nothing was written.
        CheckFailed: the program's outputs differ from those of the PyTorch reference; nothing was written.
    """
    from clearport.pipeline.sources.request import ExportRequest
    from clearport.pipeline.systems.export import export_system as export

    request = ExportRequest(
        network=given.text("name", name),
        out=given.path("out", out),
        size=given.size(size),
        targets=given.names("targets", targets),
        precisions=given.names("precisions", precisions),
        weights=given.path_or_none("weights", weights),
        io=io,
        prefer=prefer,
        threads=given.threads(threads),
        measure=measure,
        force=force,
        cache=cache,
    )
    return export(request, progress)


def load_system(folder: AnyPath) -> System:
    """Read ``system.json`` and the manifests of the parts: ``System.record`` and ``System.parts`` (name -> bundle).

    Raises:
        BadInput: there is no system, or ``system.json``, its program or a manifest cannot be used.
    """
    from clearport.bundle.system import System

    return System.load(given.path("folder", folder))


def run_system(
    folder: AnyPath,
    output: AnyPath,
    inputs: AnyPath | Sequence[AnyPath] = (),
    *,
    clicks: Sequence[tuple[float, float] | tuple[float, float, bool]] = (),
    seed: int = 0,
    settings: Mapping[str, int] | None = None,
    target: str = "tflite",
    precision: str = "",
    variant: str | None = None,
    threads: int = 1,
    progress: Progress = no_progress,
) -> Ran:
    """Run a system on files, and write its outputs: the first to ``output``, others beside it.

    Args:
        folder: the system.
        output: PNG for pictures (with alpha, if there are four channels), ``.npy`` for other outputs.
        inputs: pictures, or arrays as ``.npy``, in the order of the program's inputs or as ``NAME=FILE``.
        clicks: ``(x, y)`` in pixels from the top left of the photo, from 0, on the foreground; ``(x, y, False)`` on the
            background.
        seed: seed of the noise inputs that are not in ``inputs`` (standard normal).
        settings: choices of the program that differ from its defaults, such as ``{"squares": 16}``.
        target, precision, variant: the files to run; the default precision is the smallest in which the whole system is
            proven.
        threads: CPU threads of every part.

    Raises:
        BadInput: no such system, files, input or setting; a file was changed, or an output cannot be written.
        RuntimeFailure: a runtime failed on its file.
    """
    from clearport.pipeline.systems.run import SystemRequest
    from clearport.pipeline.systems.run import run_system as run

    request = SystemRequest(
        folder=given.path("folder", folder),
        inputs=given.paths("inputs", inputs),
        output=given.path("output", output),
        clicks=tuple(map(_click, clicks)),
        seed=given.count("seed", seed, least=0),
        settings=given.settings("settings", settings),
        target=target,
        precision=precision,
        variant=variant,
        threads=given.threads(threads),
    )
    return run(request, progress)


class OpenSystem:
    """A system whose files are loaded; made by ``open_system``."""

    def __init__(self, system: System, parts: InFiles) -> None:
        self.system = system
        self._parts = parts

    @property
    def method(self) -> str:
        """The runtime of the files, such as ``ran on LiteRT``."""
        return self._parts.method

    def __call__(self, inputs: Mapping[str, Array], settings: Mapping[str, int] | None = None) -> dict[str, Float32]:
        """The outputs of the program, by name, as float32 arrays.

        Args:
            inputs: an array for each input. ``picture``: (1, C, H, W), RGB, real values in the program's
                ``low``..``high`` (0..1 for ``matting``). ``points``: (N, 3), x and y in pixels from the top left, and 1
                (foreground) or -1 (background). ``noise``: of the program's shape, drawn from a normal distribution.
            settings: choices of the program that differ from its defaults.

        Outputs that are pictures are (1, C, H, W) with real values in their ``low``..``high``, neither rounded nor
        clipped.

        Raises:
            BadInput: an input is missing or has another shape, or a setting is out of its bounds.
            RuntimeFailure: a runtime failed on its file.
        """
        import numpy as np

        from clearport.programs.interpreter import execute

        arrays = {name: np.asarray(value, np.float32) for name, value in inputs.items()}
        return execute(self.system.record.program, self._parts, arrays, settings)


@contextmanager
def open_system(
    folder: AnyPath, *, target: str = "tflite", precision: str = "", variant: str | None = None, threads: int = 1
) -> Iterator[OpenSystem]:
    """A context manager that loads a system's files once, each in its own process, for many runs on arrays.

    Yields an ``OpenSystem``, which is called with arrays.

    Args:
        folder: the system.
        target, precision, variant, threads: as of ``run_system``.

    Raises:
        BadInput: no such system or files, a file was changed, or nothing here runs it.
        RuntimeFailure: a runtime refused its file.
    """
    from clearport.pipeline.systems.parts import opened

    system = load_system(folder)
    row = system.row(target, precision, variant)
    system.check_files()
    with opened(system, row.target, row.precision, row.variant, given.threads(threads)) as parts:
        yield OpenSystem(system, parts)


def bench_system(
    folder: AnyPath,
    *,
    targets: Sequence[str] = (),
    precisions: Sequence[str] = (),
    runs: int = 5,
    threads: int = 1,
    progress: Progress = no_progress,
) -> Times:
    """Time the whole system with the files of each target and precision, and each part within it; wall-clock
    milliseconds.

    Rows are interleaved on the golden inputs, ``runs`` timed runs after one warm-up, on this machine's CPU.

    Raises:
        BadInput: there is no system or no such row, or a file was changed.
        RuntimeFailure: a runtime failed on its file.
    """
    from clearport.pipeline.systems.bench import bench_system as bench

    return bench(
        given.path("folder", folder),
        targets=given.names("targets", targets),
        precisions=given.names("precisions", precisions),
        runs=given.count("runs", runs),
        threads=given.threads(threads),
        progress=progress,
    )


def evaluate_system(
    folder: AnyPath,
    data: AnyPath,
    *,
    targets: Sequence[str] = (),
    precisions: Sequence[str] = (),
    progress: Progress = no_progress,
) -> MattingOutcome:
    """SAD (in thousands) and MSE (in thousandths) of a matting system's alpha in 0..1.

    ``data`` is a folder of photos, from which composites are made deterministically.

    Raises:
        BadInput: there is no system, it is of another task, it was changed, or the folder holds no photos.
        RuntimeFailure: a runtime failed on its file.
    """
    from clearport.pipeline.systems.evaluate import evaluate_system as evaluate

    place, photos = given.path("folder", folder), given.path("data", data)
    wanted = given.names("targets", targets), given.names("precisions", precisions)
    return evaluate(place, photos, *wanted, progress)


def _click(click: tuple[float, float] | tuple[float, float, bool]) -> str:
    """As the command line takes it."""
    if len(click) not in {2, 3} or min(click[:2]) < 0:
        raise BadInput(f"click {click}: expected (x, y) in pixels from 0, or (x, y, False) on what is not wanted")
    wanted = len(click) == 2 or bool(click[2])
    return f"{'' if wanted else '-'}{click[0]:.3f},{click[1]:.3f}"
