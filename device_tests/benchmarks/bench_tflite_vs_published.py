"""int8 TFLite of NCNet x3 against the file its authors published: CPU time and fidelity, same runtime, same run.

Needs the folder that CLEARPORT_SHARED names: the published weights and file (``weights/ncnet``) and photos
(``data``). Both files run on LiteRT, one thread, in turns, each in a process of its own; the figure is the median
over the turns of (CPU time of ours) / (CPU time of theirs), which holds on a busy machine where single times do not.
Fidelity is the PSNR (RGB, 8 bit, no border) to PyTorch fp32 on photos that were not used for calibration.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from clearport.base import Artifact, IODType, Options, Size, TensorSpec
from clearport.export import to_tflite
from clearport.export.from_torch import export_graph
from clearport.images import find_pictures, load_rgb
from clearport.models import weights
from clearport.models.metrics import psnr_db
from clearport.models.net_ncnet import SPEC
from clearport.quantize.flow import quantize
from clearport.runtime import latency, pixels
from clearport.runtime.worker import Worker

if TYPE_CHECKING:
    from clearport.images import Image8

SIZE = Size(360, 640)
SCALE = 3
BARS = {"int8": 0.76, "uint8": 0.80}
"""CPU time over that of the published file, at most."""
BAR_DB = 52.0
KINDS: tuple[IODType, ...] = ("int8", "uint8")


def main() -> int:
    """Run the benchmark; 1 if a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=40, help="turns of every file (default 40)")
    parser.add_argument("--calibration", type=int, default=16, help="photos to calibrate on (default 16)")
    parser.add_argument("--json", action="store_true", help="print JSON, not a table")
    options = parser.parse_args()
    place = os.environ.get("CLEARPORT_SHARED")
    if not place:
        parser.error("set CLEARPORT_SHARED to the folder with weights/ncnet and data")
    with tempfile.TemporaryDirectory() as folder:
        found = _benchmark(Path(place), Path(folder), options.rounds, options.calibration)
    print(json.dumps(found, indent=2) if options.json else _table(found))
    return 0 if found["passed"] else 1


def _benchmark(shared: Path, folder: Path, rounds: int, photos: int) -> dict[str, Any]:
    network = weights.load(SPEC, SCALE, shared / "weights/ncnet/ncnet_x3_fp32.pth").module
    graph = export_graph(network, SPEC, SCALE, SIZE)
    seen = find_pictures(shared / "data/photos/div2k_test_x4")[:photos]
    quantized = quantize(graph, [load_rgb(path) for path in seen])
    files: dict[str, Artifact] = {}
    for kind in KINDS:
        (files[kind],) = to_tflite.TARGET.lower(graph, quantized, "int8", Options(SIZE, kind), folder / kind)
    published = shared / "weights/ncnet/published_model.tflite"
    pictures = _pictures(shared)
    quality = {kind: [_psnr(network, file, picture) for picture in pictures] for kind, file in files.items()}
    times = _times(files, published, pictures[0], rounds)
    ratios = {kind: asdict(times.reports[kind].cpu_ratio) for kind in files}
    fast = all(ratios[kind]["value"] <= BARS[kind] for kind in files)
    return {
        "passed": fast and all(min(q) >= BAR_DB for q in quality.values()),
        "cpu_median_ms": {key: report.cpu_median_ms for key, report in times.reports.items()},
        "cpu_ratio": ratios,
        "bars": BARS,
        "psnr_db": quality,
        "host": asdict(times.host),
    }


def _pictures(shared: Path) -> list[Image8]:
    """The middle of every Set14 photo that is large enough."""
    photos = [load_rgb(path) for path in find_pictures(shared / "data/sr/set14/x3") if "HR" in path.name]
    large = [p for p in photos if p.shape[0] >= SIZE.height and p.shape[1] >= SIZE.width]
    starts = [((p.shape[0] - SIZE.height) // 2, (p.shape[1] - SIZE.width) // 2) for p in large]
    return [p[y : y + SIZE.height, x : x + SIZE.width] for p, (y, x) in zip(large, starts, strict=True)]


def _psnr(network: torch.nn.Module, file: Artifact, picture: Image8) -> float:
    with torch.inference_mode():
        real = network(torch.from_numpy(picture.transpose(2, 0, 1)[None].astype(np.float32)))[0].numpy()
    wanted = np.rint(real.clip(0, 255)).astype(np.uint8).transpose(1, 2, 0)
    with Worker("litert", file.path) as worker:
        given = worker.run({file.inputs[0].name: pixels.to_tensor(picture, file.inputs[0])})
    return psnr_db(pixels.to_image(given[file.outputs[0].name], file.outputs[0]), wanted, 0)


def _times(files: dict[str, Artifact], published: Path, picture: Image8, rounds: int) -> latency.LatencyRun:
    candidates = [
        latency.Candidate(kind, "litert", file.path, {"image": pixels.to_tensor(picture, file.inputs[0])})
        for kind, file in files.items()
    ]
    theirs = TensorSpec("input_1", (1, SIZE.height, SIZE.width, 3), "uint8", "NHWC", scale=1.0, zero_point=0)
    candidates.append(
        latency.Candidate("published", "litert", published, {theirs.name: pixels.to_tensor(picture, theirs)})
    )
    return latency.measure(candidates, latency.LatencyPlan(rounds, runs=1, max_seconds=600), "published")


def _table(found: dict[str, Any]) -> str:
    lines = ["file        CPU ms (median)  ratio   bar    PSNR dB to fp32"]
    for key, cpu_ms in found["cpu_median_ms"].items():
        ratio = f"{found['cpu_ratio'][key]['value']:.3f}   {BARS[key]:.2f}" if key in BARS else "1.000       "
        quality = " ".join(f"{db:.2f}" for db in found["psnr_db"].get(key, []))
        lines.append(f"{key:<10}  {cpu_ms:>15.1f}  {ratio}   {quality}")
    return "\n".join([*lines, "bars held" if found["passed"] else "a bar was MISSED"])


if __name__ == "__main__":
    sys.exit(main())
