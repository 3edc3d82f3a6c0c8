"""How long a user waits: ``clearport --help``, ``clearport export ncnet`` to every target, and one TFLite file.

Each command runs as a user starts it; the figure is the median over the runs. The bars hold on two quiet cores, so
the load average is shown beside them.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from clearport.base import Options, Size
from clearport.export.from_torch import export_graph
from clearport.export.written import target_graph
from clearport.models import samples, weights
from clearport.models.networks.super_resolution.ncnet import SPEC
from clearport.pictures.images import load_rgb
from clearport.quantize.flow import quantize
from clearport.registry import TARGETS

if TYPE_CHECKING:
    from collections.abc import Callable

BARS = {"clearport --help": 0.5, "clearport export ncnet": 90.0, "TFLite int8 file": 0.050}
"""Seconds, at most."""


def main() -> int:
    """Run the benchmark; 1 if a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--runs", type=int, default=3, help="runs of the export (default 3); the others get ten times as many"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        export = ("export", "ncnet", "--out", str(place / "ncnet"), "--force", "--quiet")
        found = {
            "clearport --help": _median(lambda: _clearport("--help"), options.runs * 10),
            "clearport export ncnet": _median(lambda: _clearport(*export), options.runs),
            "TFLite int8 file": _median(_emission(place), options.runs * 10),
        }
    for name, seconds in found.items():
        print(f"{name:24}{seconds * 1e3:10.1f} ms   bar {BARS[name] * 1e3:8.0f} ms   {_verdict(name, seconds)}")
    print(f"{os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f}")
    return 0 if all(seconds <= BARS[name] for name, seconds in found.items()) else 1


def _verdict(name: str, seconds: float) -> str:
    return "holds" if seconds <= BARS[name] else "MISSED"


def _median(job: Callable[[], object], runs: int) -> float:
    samples_s = []
    for _ in range(runs):
        began = time.perf_counter()
        job()
        samples_s.append(time.perf_counter() - began)
    return statistics.median(samples_s)


def _clearport(*words: str) -> None:
    subprocess.run([sys.executable, "-m", "clearport", *words], check=True, stdout=subprocess.DEVNULL)


def _emission(folder: Path) -> Callable[[], object]:
    """Writing one int8 TFLite file, graph and scale table in hand."""
    size = Size(360, 640)
    graph = export_graph(weights.load(SPEC, 3).module, SPEC, 3, size)
    quantized = quantize(graph, [load_rgb(path) for path in samples.calibration()])
    target = TARGETS.get("tflite")
    return lambda: target.lower(target_graph(graph, quantized, "int8"), Options(size), folder)


if __name__ == "__main__":
    sys.exit(main())
