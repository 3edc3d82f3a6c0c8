"""The runners and baselines of jobs on a device."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from clearport.base import Skipped
from clearport.registry import RUNNERS
from clearport.runtime.usable import units_of

if TYPE_CHECKING:
    from clearport.runtime.devices.device import Job

TORCH = "torch"


@dataclass(frozen=True)
class Entry:
    """A job with one of its runners; ``key`` names both if the job has several."""

    job: Job
    runner: str
    key: str


def fitting(job: Job, asked: Sequence[str]) -> list[str]:
    """The measuring runners for a job's target and unit, restricted to ``asked`` if that is not empty."""
    found = [RUNNERS.get(name) for name in RUNNERS.names() if not asked or name in asked]
    return [
        runner.name
        for runner in found
        if runner.measures_latency
        and job.artifact.target != TORCH
        and job.artifact.target in runner.targets
        and job.unit in units_of(runner)
    ]


def entries_of(job: Job, obstacles: Mapping[str, str | None], asked: Sequence[str]) -> Iterator[Entry | Skipped]:
    """Entries for each runner of a job; on the CPU only the first usable one.

    ``obstacles``: runner -> the reason that it cannot be used on the device, or None. ``Skipped.what`` is the runner
    that cannot, or empty if the reason concerns no single runner.
    """
    names = fitting(job, asked)
    able = [name for name in names if obstacles[name] is None]
    if not names:
        yield Skipped("", _nobody(job, asked))
    elif job.unit == "cpu" and not asked:
        if able:
            yield Entry(job, able[0], job.name)
        else:
            yield Skipped("", "; ".join(str(obstacles[name]) for name in names))
    else:
        for name in names:
            if name in able:
                yield Entry(job, name, job.name if len(names) == 1 else f"{job.name} {name}")
            else:
                yield Skipped(name, str(obstacles[name]))


def baselines_of(entries: Sequence[Entry], others: Sequence[Entry]) -> dict[str, Entry]:
    """Key of an entry -> its baseline: the job that it names, with the same runner if possible."""
    found = {}
    for entry in entries:
        theirs = [other for other in others if other.job.name == entry.job.baseline]
        same = [other for other in theirs if other.runner == entry.runner]
        if theirs:
            found[entry.key] = (same or theirs)[0]
    return found


def _nobody(job: Job, asked: Sequence[str]) -> str:
    if job.artifact.target == TORCH:
        return "PyTorch is measured on this machine only: it needs the networks' code, which is not sent to devices"
    of = f" of {', '.join(asked)}" if asked else ""
    return f"no runner{of} takes {job.artifact.target} files to the {job.unit} of a device"
