"""The time of a system, and of each part in it, on this machine's CPU.

Rows are interleaved, so that other load slows all of them alike. Times are the program's: they include the transfer of
tensors to the runtime's process, which ``clearport bench`` of a single part excludes.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from statistics import median
from typing import TYPE_CHECKING

from clearport.bundle.bench_file import wanted as wanted_json
from clearport.bundle.system import System
from clearport.disk.files import write_text
from clearport.disk.outputs import claimed
from clearport.pipeline.systems.parts import opened
from clearport.pipeline.systems.verify import goldens
from clearport.programs.interpreter import execute
from clearport.protocols import no_progress
from clearport.runtime.latency.host import host, load_average

if TYPE_CHECKING:
    from pathlib import Path

    from clearport.bundle.system import RowRecord
    from clearport.pipeline.systems.parts import InFiles
    from clearport.protocols import Progress


@dataclass(frozen=True)
class PartTime:
    """A part of a system: its number of runs, and the median time of one."""

    calls: int
    median_ms: float


@dataclass(frozen=True)
class WholeTime:
    """A row: all samples of the system, and its parts."""

    artifact: str
    method: str
    samples_ms: tuple[float, ...]
    parts: Mapping[str, PartTime]

    @property
    def median_ms(self) -> float:
        return median(self.samples_ms)


@dataclass(frozen=True)
class Times:
    """All rows, and the machine."""

    system: str
    cpu: str
    threads: int
    rows: tuple[WholeTime, ...]


def bench_system(
    folder: Path,
    *,
    targets: tuple[str, ...] = (),
    precisions: tuple[str, ...] = (),
    runs: int = 5,
    threads: int = 1,
    json_file: Path | None = None,
    progress: Progress = no_progress,
) -> Times:
    """Run each row ``runs`` times on the golden inputs, after one untimed run.

    Raises:
        BadInput: no such system or row, or the record cannot be written.
        RuntimeFailure: a runtime failed on its file.
    """
    system = System.load(folder)
    rows = system.rows(targets, precisions)
    system.check_files()
    with claimed(wanted_json(json_file), reads=(folder,)):
        times = Times(
            system.record.name, host(load_average()).cpu, threads, _measured(system, rows, runs, threads, progress)
        )
        if json_file is not None:
            kind = {"clearport": "system bench", "plan": {"runs": runs, "threads": threads}}
            write_text(json_file, json.dumps({**kind, **asdict(times)}, indent=2) + "\n")
    return times


def _measured(
    system: System, rows: list[RowRecord], runs: int, threads: int, progress: Progress
) -> tuple[WholeTime, ...]:
    inputs, _ = goldens(system)
    program = system.record.program
    samples: dict[str, list[float]] = {row.key: [] for row in rows}
    with ExitStack() as stack:
        parts: dict[str, InFiles] = {}
        for row in rows:
            parts[row.key] = stack.enter_context(opened(system, row.target, row.precision, row.variant, threads))
            execute(program, parts[row.key], inputs)
            parts[row.key].seconds.clear()
        for number in range(runs):
            progress("measuring the whole", number, runs)
            for row in rows:
                began = time.perf_counter()
                execute(program, parts[row.key], inputs)
                samples[row.key].append(1e3 * (time.perf_counter() - began))
    return tuple(
        WholeTime(
            row.key,
            parts[row.key].method,
            tuple(samples[row.key]),
            {name: PartTime(len(each) // runs, 1e3 * median(each)) for name, each in parts[row.key].seconds.items()},
        )
        for row in rows
    )
