"""The latency of a bundle's artifacts on this machine, at length."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from clearport.base import BadInput, Skipped, no_progress
from clearport.bundle import WEIGHTS, Bundle
from clearport.files import write_text
from clearport.images import load_rgb
from clearport.pipeline_latency import BASELINE, Latencies, measure_all
from clearport.pipeline_prove import network_artifact
from clearport.pipeline_select import select
from clearport.runtime.latency_record import LatencyPlan

if TYPE_CHECKING:
    from pathlib import Path

    from clearport.base import Progress
    from clearport.runtime.latency_record import LatencyReport

SCHEMA_VERSION = 1
UNITS = ("cpu",)
RUNS_PER_ROUND = 5


@dataclass(frozen=True)
class BenchRequest:
    """What to measure; see ``clearport bench --help``."""

    folder: Path
    threads: int = 1
    unit: str = "cpu"
    runs: int = 50
    seconds: float = 1.0
    targets: tuple[str, ...] = ()
    precisions: tuple[str, ...] = ()


@dataclass(frozen=True)
class BenchOutcome:
    """Key of an artifact, or ``pytorch``, -> its record or why there is none; and the machine."""

    bundle: Bundle
    latencies: Latencies

    @property
    def rows(self) -> tuple[tuple[str, LatencyReport | Skipped], ...]:
        """The baseline first, then the artifacts in the bundle's order."""
        keys = [BASELINE, *(a.key for a in self.bundle.artifacts if a.key in self.latencies.reports)]
        return tuple((key, self.latencies.reports[key]) for key in keys)

    def to_json(self) -> str:
        """Every record, raw samples included."""
        model = self.bundle.manifest.model
        plain = {
            "schema_version": SCHEMA_VERSION,
            "model": {"name": model.name, "scale": model.scale, "size": model.size, "macs": model.macs},
            "host": asdict(self.latencies.host),
            "records": {key: asdict(row) for key, row in self.rows},
        }
        return json.dumps(plain, indent=2, ensure_ascii=False, allow_nan=False) + "\n"

    def save(self, path: Path) -> None:
        """Write ``to_json`` to a file, atomically."""
        write_text(path, self.to_json())


def bench_bundle(request: BenchRequest, progress: Progress = no_progress) -> BenchOutcome:
    """Measure PyTorch and every artifact asked for, in turns, on the golden picture.

    Raises:
        BadInput: there is no bundle, it has no such artifact, or the unit cannot be measured.
    """
    if request.unit not in UNITS:
        raise BadInput(f"--unit {request.unit}: this machine's runtimes are measured on {', '.join(UNITS)}")
    bundle = Bundle.load(request.folder)
    records = select(bundle, request.targets, request.precisions)
    picture = load_rgb(bundle.path(bundle.golden("input")))
    contract = bundle.manifest.pixel_contract
    network = network_artifact(bundle.path(WEIGHTS), contract.inputs[0], contract.outputs[0])
    plan = LatencyPlan(
        rounds=-(-request.runs // RUNS_PER_ROUND),
        runs=min(request.runs, RUNS_PER_ROUND),
        min_seconds=request.seconds,
        max_seconds=3600.0,
        threads=request.threads,
        unit=request.unit,
    )
    artifacts = [bundle.artifact(record) for record in records]
    return BenchOutcome(bundle, measure_all(network, artifacts, picture, plan, progress))
