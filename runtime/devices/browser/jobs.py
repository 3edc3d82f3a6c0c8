"""Jobs for a page: offers their files and raw inputs, receives their rows and raw outputs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from clearport.base import Skipped
from clearport.disk.files import size_bytes
from clearport.runtime import pixels
from clearport.runtime.devices.browser.desk import Desk, Event, Listener, OutputCame, RowCame, RunEnded
from clearport.runtime.devices.browser.offer import candidates_of, plan_of
from clearport.runtime.devices.browser.page import Content, content_of, page_files
from clearport.runtime.devices.browser.records import Records
from clearport.runtime.devices.browser.rows import report_of
from clearport.runtime.devices.browser.server import BrowserServer, Place
from clearport.runtime.devices.browser.thread import serving
from clearport.runtime.devices.browser.wire import Candidate, Offer, TilingRules
from clearport.runtime.devices.device import Job, Row, Settings
from clearport.runtime.devices.remote.plan import Entry, baselines_of

if TYPE_CHECKING:
    from clearport.base import Array
    from clearport.runtime.latency.record import LatencyPlan

LARGEST_SCALE = 8
"""Maximum ratio of an output's height and width to the input's."""


class Hall:
    """One run of one page over all jobs.

    Attributes:
        refused: rows of jobs that browsers cannot run.
        open_keys: candidate -> its job.
        done: number of rows received.
        ended: whether the run has ended.
        lost: the reason that it ended early; empty if it did not.
    """

    def __init__(
        self, device: str, jobs: Sequence[Job], settings: Settings, plan: LatencyPlan, listener: Listener
    ) -> None:
        self._device, self._plan, self._listener = device, plan, listener
        self.refused: list[Row] = []
        self.open_keys: dict[str, Job] = {}
        self._candidates: list[Candidate] = []
        self._contents: dict[str, Content] = {}
        self._limits: dict[str, int] = {}
        self._outputs: dict[str, bytes] = {}
        self.done, self.ended, self.lost = 0, False, ""
        for number, job in enumerate(jobs):
            self._admit(number, job, settings.runners)
        self._candidates = _paired(self._candidates, self.open_keys)

    def _admit(self, number: int, job: Job, runners: Sequence[str]) -> None:
        path = job.artifact.path
        url = f"files/{number}/{path.name}"
        ways = candidates_of(job.artifact, url, size_bytes(path))
        fitting = [w for w in ways if isinstance(w, Candidate) and w.unit == job.unit and _wanted(w, runners)]
        if not fitting:
            reasons = [w.reason for w in ways if isinstance(w, Skipped)]
            reason = "; ".join(dict.fromkeys(reasons)) or f"no runtime for browsers runs it on the {job.unit}"
            self.refused.append(Row(self._device, job.name, job.unit, "", Skipped(job.name, reason)))
            return
        (given,) = job.inputs.values()
        self._contents[url] = content_of(path, path.name)
        self._contents[f"inputs/{number}.bin"] = content_of(np.ascontiguousarray(given).tobytes(), ".bin")
        for way in fitting:
            self._open(number, job, way, given)

    def _open(self, number: int, job: Job, way: Candidate, given: Array) -> None:
        key, path = f"{job.name} {way.runner} {way.backend}", f"output/{len(self._candidates)}"
        fixed = replace(way.input, shape=given.shape)
        urls = {"input_url": f"inputs/{number}.bin", "output_url": path}
        self._candidates.append(way.model_copy(update={"key": key, "input": fixed, **urls}))
        self._limits[path] = given.size * LARGEST_SCALE**2 * np.dtype(way.output.dtype).itemsize
        self.open_keys[key] = job

    @contextmanager
    def serving(self) -> Iterator[str]:
        """Serve the jobs to one page on this machine; yields its address."""
        offer = Offer(
            title="clearport bench",
            about="This page is controlled by clearport: no action is needed.",
            tiling=TilingRules(scale=1, halo=0, multiple=1, whole_pixels=1),
            plan=plan_of(self._plan),
            candidates=tuple(self._candidates),
            automatic=True,
        )
        desk = Desk(offer, Records(None, "", {}), self._listener)
        contents: Mapping[str, Content] = {**page_files(), **self._contents}
        with serving(BrowserServer(desk, contents, self._limits, Place())) as address:
            yield address

    def take(self, event: Event) -> Row | None:
        """The row of an event, if it has one."""
        if isinstance(event, OutputCame):
            self._outputs[event.candidate.key] = event.content
        elif isinstance(event, RunEnded):
            self.ended, self.lost = True, event.outcome if event.gone else ""
        elif isinstance(event, RowCame):
            return self._row(event)
        return None

    def _row(self, event: RowCame) -> Row:
        self.done += 1
        way = event.candidate
        job = self.open_keys[way.key]
        cell = report_of(event.sent, way)
        content = self._outputs.pop(way.key, None)
        outputs = {}
        if content is not None and not isinstance(cell, Skipped):
            outputs = {way.output.name: _tensor(content, job)}
        return Row(self._device, job.name, job.unit, way.runner, cell, outputs)


def _paired(candidates: Sequence[Candidate], jobs: Mapping[str, Job]) -> list[Candidate]:
    """The candidates with their baselines: the candidate of the job's baseline on the same backend."""
    entries = {way.key: Entry(jobs[way.key], way.runner, way.key) for way in candidates}
    found: dict[str, Entry] = {}
    for backend in {way.backend for way in candidates}:
        alike = [entries[way.key] for way in candidates if way.backend == backend]
        found |= baselines_of(alike, alike)
    return [way.model_copy(update={"baseline": found[way.key].key if way.key in found else None}) for way in candidates]


def _tensor(content: bytes, job: Job) -> Array:
    """A raw output reshaped; its height and width are the input's times one scale."""
    result = job.artifact.outputs[0]
    flat = np.frombuffer(content, result.dtype)
    if not result.dynamic:
        return flat.reshape([int(n) for n in result.shape])
    (given,) = job.inputs.values()
    source = replace(job.artifact.inputs[0], shape=given.shape)
    height, width = (int(n) for n in pixels.image_size(source))
    scale = round((flat.size / (3 * height * width)) ** 0.5)
    shape = (1, height * scale, width * scale, 3) if result.layout == "NHWC" else (1, 3, height * scale, width * scale)
    return flat.reshape(shape)


def _wanted(way: Candidate, runners: Sequence[str]) -> bool:
    return not runners or way.runner in runners
