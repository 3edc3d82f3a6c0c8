"""int8 against fp32 in the same runtime: NCNet x3 as ONNX Runtime and OpenVINO files, on the CPU.

The files of a runtime take turns, each in a process of its own and loaded all the time; the figure is the median over
the turns of (CPU time of int8) / (CPU time of fp32), with its 95 % bootstrap interval: it holds on a busy machine,
where single times do not. OpenVINO is asked for float32 throughout, as for parity: where the processor has bfloat16,
its own choice for fp32 files would be that.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clearport.base import Artifact, Options, Size
from clearport.export.from_torch import export_graph
from clearport.export.written import target_graph
from clearport.models import samples, weights
from clearport.models.networks.super_resolution.ncnet import SPEC
from clearport.pictures.images import load_rgb
from clearport.quantize.flow import quantize
from clearport.registry import TARGETS
from clearport.runtime import pixels
from clearport.runtime.latency import measure as latency
from clearport.runtime.latency.record import LatencyReport

if TYPE_CHECKING:
    from collections.abc import Iterator

    from clearport.base import Graph
    from clearport.quantized import QuantizedGraph

SCALE = 3
BARS = {"onnxruntime": 0.80, "openvino": 0.35}
"""CPU time of int8 over that of fp32, at most."""


def main() -> int:
    """Run the benchmark; 1 if a bar is missed, or an int8 file ran in float."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="360x640", help="HEIGHTxWIDTH in pixels (default 360x640)")
    parser.add_argument("--rounds", type=int, default=20, help="turns of every file (default 20)")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads (default 1)")
    parser.add_argument("--weights", type=Path, help="weights of NCNet x3 (default: the bundled ones)")
    parser.add_argument("--json", action="store_true", help="print JSON, not a table")
    options = parser.parse_args()
    size = Size.parse(options.size)
    if size is None:
        parser.error("--size: the benchmark needs one size")
    plan = latency.LatencyPlan(options.rounds, runs=1, threads=options.threads, max_seconds=600)
    with tempfile.TemporaryDirectory() as folder:
        found = _benchmark(size, options.weights, plan, Path(folder))
    print(json.dumps(found, indent=2) if options.json else _table(found))
    return 0 if found["passed"] else 1


def _benchmark(size: Size, path: Path | None, plan: latency.LatencyPlan, folder: Path) -> dict[str, Any]:
    graph = export_graph(weights.load(SPEC, SCALE, path).module, SPEC, SCALE, size)
    quantized = quantize(graph, [load_rgb(photo) for photo in samples.calibration()])
    files = {a.key: a for a in _files(graph, quantized, size, folder)}
    picture = load_rgb(samples.golden())
    whole = picture.repeat(-(-size.height // picture.shape[0]), 0).repeat(-(-size.width // picture.shape[1]), 1)
    picture = whole[: size.height, : size.width]
    candidates = [
        latency.Candidate(key, a.target, a.path, {a.inputs[0].name: pixels.to_tensor(picture, a.inputs[0])})
        for key, a in files.items()
    ]
    runs = {target: latency.measure(_of(candidates, target), plan, f"{target}/fp32") for target in BARS}
    reports: dict[str, LatencyReport] = {}
    for run in runs.values():
        for key, report in run.reports.items():
            if not isinstance(report, LatencyReport):
                raise SystemExit(f"{key}: {report.reason}")
            reports[key] = report
    rows = {key: _row(key, report) for key, report in reports.items()}
    return {"passed": all(row["passed"] for row in rows.values()), "rows": rows, "host": asdict(runs["openvino"].host)}


def _files(graph: Graph, quantized: QuantizedGraph, size: Size, folder: Path) -> Iterator[Artifact]:
    for target in BARS:
        for precision in ("fp32", "int8"):
            for made in TARGETS.get(target).lower(
                target_graph(graph, quantized, precision), Options(size), folder / target
            ):
                assert isinstance(made, Artifact)
                yield made


def _of(candidates: list[latency.Candidate], target: str) -> list[latency.Candidate]:
    return [c for c in candidates if c.key.startswith(f"{target}/")]


def _row(key: str, report: LatencyReport) -> dict[str, Any]:
    target, precision, *variant = key.split("/")
    ratio = report.cpu_ratio
    judged = precision == "int8" and not variant
    share = report.facts["int8_share"] if precision == "int8" else None
    held = not judged or (ratio is not None and ratio.value <= BARS[target])
    return {
        "median_ms": report.median_ms,
        "cpu_median_ms": report.cpu_median_ms,
        "cpu_ratio": None if ratio is None else asdict(ratio),
        "bar": BARS[target] if judged else None,
        "int8_share": share,
        "peak_memory_mib": report.peak_memory_mib,
        "passed": held and share in (None, 1.0),
    }


def _table(found: dict[str, Any]) -> str:
    host = found["host"]
    lines = [
        f"{host['cpu']}, {host['cores']} cores, load {host['load_start']} -> {host['load_end']}",
        "file                      median ms   CPU ms   int8/fp32 (95 % interval)    bar   int8 kernels",
    ]
    for key, row in found["rows"].items():
        ratio = row["cpu_ratio"]
        text = f"{ratio['value']:.3f} ({ratio['low']:.3f}..{ratio['high']:.3f})" if ratio else "1"
        bar = f"{row['bar']:.2f}" if row["bar"] else ""
        share = f"{row['int8_share']:.0%}" if row["int8_share"] is not None else ""
        lines.append(
            f"{key:<24} {row['median_ms']:>10.1f} {row['cpu_median_ms']:>8.1f}   {text:<26} {bar:>5}   {share}"
        )
    return "\n".join([*lines, "bars held" if found["passed"] else "a bar was MISSED"])


if __name__ == "__main__":
    sys.exit(main())
