"""Jobs for ``browser:chromium``, and how far its rows are from golden pictures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from clearport.bundle.folder import Bundle
from clearport.pictures.images import load_rgb
from clearport.protocols import no_progress
from clearport.runtime import pixels
from clearport.runtime.devices.browser.family import BrowserSession
from clearport.runtime.devices.device import Job, Row, Unit
from clearport.runtime.latency.record import LatencyPlan

PLAN = LatencyPlan(rounds=2, runs=2, warmup=1, min_seconds=0.0, max_seconds=60.0, timeout_s=120.0)
LSB = 1.0


def job(bundle: Bundle, key: str, unit: Unit = "cpu") -> Job:
    artifact = next(bundle.artifact(record) for record in bundle.artifacts if record.key == key)
    picture = load_rgb(bundle.path(bundle.golden("input")))
    return Job(artifact, unit, {artifact.inputs[0].name: pixels.to_tensor(picture, artifact.inputs[0])})


def measure(session: BrowserSession, *jobs: Job, plan: LatencyPlan = PLAN) -> list[Row]:
    return list(session.measure(jobs, plan, no_progress))


def levels_off(row: Row, of: Job, golden: Path) -> float:
    """The largest difference to a golden picture, in 8-bit levels."""
    (output,) = row.outputs.values()
    picture = pixels.to_image(output, of.artifact.outputs[0])
    return float(np.abs(picture.astype(int) - load_rgb(golden)).max())


def spoilt(of: Job, folder: Path, content: bytes) -> Job:
    path = folder / of.artifact.path.name
    path.write_bytes(content)
    return replace(of, artifact=replace(of.artifact, path=path), label=f"spoilt {of.artifact.target}")
