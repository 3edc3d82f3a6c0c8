"""Measures CPU latency of the networks that are no restoration of one picture, for their pages in the documentation.

python -m device_tests.zoo.latency docs/latency.json [--network NAME ...]

Each network is exported at the size that it is made for, in fp32 and int8, by every target with a runtime for CPUs.
Its files are timed with PyTorch, interleaved, and the int8 TFLite file is also compiled for an Arm Ethos-U85. Networks
without bundled weights get fresh ones of a fixed seed, which need the same time. Rows that the file already has are
kept, unless the network is named.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import clearport
from clearport.base import Skipped
from clearport.bundle.folder import Bundle
from clearport.disk.files import write_text
from clearport.model_spec import ModelSpec
from clearport.models import weights
from clearport.registry import NETWORKS
from clearport.runtime.devices.device import EstimateReport

from .zoo import some_weights

SIZES = {
    "wmread": "256x256",
    "wmembed": "256x256",
    "matrefine": "64x64",
    "caddm": "224x224",
    "sinstep": "128x128",
    "hdrtransformer": "128x128",
    "negcut": "256x256",
    "matcoarse": "256x256",
    "fst": "224x224",
    "multiattentional": "224x224",
    "cenhdr": "360x640",
    "e2style": "128x128",
    "e2refine": "128x128",
    "altfreezing": "112x112",
    "stylegen": "128x128",
    "dire": "224x224",
}
"""The small ones first."""
CHIP = "ethos-u:u85-1024"
TARGETS, PRECISIONS = ("ncnn", "onnxruntime", "openvino", "tflite"), ("fp32", "int8")


def main() -> int:
    """Measure what is missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("record", type=Path, help="JSON file that keeps the rows")
    parser.add_argument("--network", action="append", help="only this one, again; several times")
    options = parser.parse_args()
    found: dict[str, Any] = json.loads(options.record.read_text()) if options.record.exists() else {}
    for name in options.network or [name for name in SIZES if name not in found]:
        with tempfile.TemporaryDirectory() as folder:
            found[name] = row = _measured(NETWORKS.get(name), Path(folder))
        sys.stdout.write(f"{name:18}{row['size']:10}{row['cpu_ms']}\n")
        sys.stdout.flush()
        write_text(options.record, json.dumps(found, indent=1, sort_keys=True) + "\n")
    return 0


def _measured(spec: ModelSpec, folder: Path) -> dict[str, Any]:
    bundle = clearport.export(
        spec.name,
        folder / "bundle",
        size=SIZES[spec.name],
        targets=TARGETS,
        precisions=PRECISIONS,
        weights=some_weights(spec, folder),
    )
    bundled = weights.bundled_path(spec, spec.default_scale).is_file()
    return row_of(bundle, bundled=bundled) | {"npu": _on_npu(bundle)}


def _on_npu(bundle: Bundle) -> dict[str, Any]:
    """The compiler's estimate, and what is left to the CPU: operators of the int8 TFLite file."""
    if not any(artifact.key == "tflite/int8" for artifact in bundle.artifacts):
        return {"reason": "there is no int8 TFLite file"}
    made = clearport.bench(bundle.folder, devices=(CHIP,), targets=("tflite",), precisions=("int8",))
    cell = next(row.cell for row in made.record.rows if row.artifact == "tflite/int8")
    if isinstance(cell, Skipped):
        return {"reason": cell.reason}
    assert isinstance(cell, EstimateReport)
    return {"ms": round(cell.estimated_ms, 2), "operators": cell.operators_per_unit}


def row_of(bundle: Bundle, *, bundled: bool) -> dict[str, Any]:
    """The medians of a bundle's times in ms of CPU time, by artifact, and where they were taken."""
    manifest = bundle.manifest
    base, host = manifest.baseline, manifest.host
    reports = {"pytorch": base.latency} | {artifact.key: artifact.latency for artifact in bundle.artifacts}
    timed = {key: report for key, report in reports.items() if report is not None and not isinstance(report, Skipped)}
    return {
        "size": manifest.model.size,
        "weights": "bundled" if bundled else "fresh",
        "cpu": host.cpu,
        "load": [host.load_start, host.load_end],
        "date": host.created[:10],
        "cpu_ms": {key: round(report.cpu_median_ms or report.median_ms, 2) for key, report in timed.items()},
        "kb": {artifact.key: round(artifact.bytes / 1000) for artifact in bundle.artifacts},
        "refused": {skipped.what: skipped.reason for skipped in manifest.skipped},
    }


if __name__ == "__main__":
    sys.exit(main())
