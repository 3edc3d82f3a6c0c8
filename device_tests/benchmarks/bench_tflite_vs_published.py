"""int8 TFLite of NCNet x3 against the files its authors published: CPU time and fidelity, same runtime, same run.

Needs the folder that CLEARPORT_SHARED names, with the published weights and files (``weights/ncnet``). All files run on
LiteRT, one thread, in turns, each in a process of its own; the figure is the median over the turns of (CPU time of
ours) / (CPU time of ``published_model.tflite``), which holds on a busy machine where single times do not.
Fidelity is the PSNR (RGB, 8 bit, no border) to PyTorch fp32 on photos that were not used for calibration: the bundled
golden photo, and every photo given. The exit code is 1 if a file of ours misses its bar.
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

from clearport.base import Artifact, IODType, Options, Size, Skipped, TensorSpec
from clearport.disk.files import digest
from clearport.errors import BadInput, RuntimeFailure
from clearport.export.from_torch import export_graph
from clearport.export.tflite import target as to_tflite
from clearport.export.written import target_graph
from clearport.models import samples, weights
from clearport.models.metrics import psnr_db
from clearport.models.networks.super_resolution.ncnet import SPEC
from clearport.pictures.images import load_rgb
from clearport.quantize.flow import quantize
from clearport.runtime import pixels
from clearport.runtime.latency import measure as latency
from clearport.runtime.worker.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clearport.pictures.images import Image8

SIZE = Size(360, 640)
SCALE = 3
BARS = {"int8": 0.76, "uint8": 0.80}
"""CPU time over that of the published file, at most."""
THEIRS = ("published_model", "published_model_none")
"""The files whose activations are int8 too."""
KINDS: tuple[IODType, ...] = ("int8", "uint8")


def main() -> int:
    """Run the benchmark; 1 if a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=40, help="turns of every file (default 40)")
    parser.add_argument("--photo", type=Path, action="append", default=[], help="a photo of at least 640x360")
    parser.add_argument("--json", action="store_true", help="print JSON, not a table")
    options = parser.parse_args()
    place = os.environ.get("CLEARPORT_SHARED")
    if not place:
        parser.error("set CLEARPORT_SHARED to the folder with weights/ncnet")
    photos = [load_rgb(path) for path in (samples.golden(), *options.photo)]
    with tempfile.TemporaryDirectory() as folder:
        found = _benchmark(Path(place) / "weights/ncnet", Path(folder), [_middle(p) for p in photos], options.rounds)
    print(json.dumps(found, indent=2) if options.json else _table(found))
    return 0 if found["passed"] else 1


def _benchmark(published: Path, folder: Path, photos: Sequence[Image8], rounds: int) -> dict[str, Any]:
    network = weights.load(SPEC, SCALE, published / "ncnet_x3_fp32.pth").module
    files = _ours(network, folder) | {name: _theirs(published / f"{name}.tflite") for name in THEIRS}
    times = _times(files, photos[0], rounds)
    ratios = {kind: asdict(_measured(times, kind).cpu_ratio) for kind in BARS}
    return {
        "passed": all(ratios[kind]["value"] <= bar for kind, bar in BARS.items()),
        "cpu_median_ms": {name: _measured(times, name).cpu_median_ms for name in files},
        "cpu_ratio": ratios,
        "bars": BARS,
        "psnr_db": {name: [_psnr_db(network, file, photo) for photo in photos] for name, file in files.items()},
        "host": asdict(times.host),
    }


def _ours(network: torch.nn.Module, folder: Path) -> dict[str, Artifact]:
    graph = export_graph(network, SPEC, SCALE, SIZE)
    quantized = quantize(graph, [load_rgb(path) for path in samples.calibration()])
    files: dict[str, Artifact] = {}
    for kind in KINDS:
        (files[kind],) = to_tflite.TARGET.lower(
            target_graph(graph, quantized, "int8"), Options(SIZE, kind), folder / kind
        )
    return files


def _theirs(path: Path) -> Artifact:
    """A published file: uint8 pixels in and out."""
    ends = []
    for name, times in (("input_1", 1), ("Identity", SCALE)):
        shape = (1, SIZE.height * times, SIZE.width * times, 3)
        ends.append(TensorSpec(name, shape, "uint8", "NHWC", scale=1.0, zero_point=0))
    return Artifact("tflite", "int8", path, digest(path), (ends[0],), (ends[1],), {})


def _middle(photo: Image8) -> Image8:
    y, x = (photo.shape[0] - SIZE.height) // 2, (photo.shape[1] - SIZE.width) // 2
    if y < 0 or x < 0:
        raise BadInput(f"a photo of {photo.shape[1]}x{photo.shape[0]} is smaller than {SIZE.width}x{SIZE.height}")
    return np.ascontiguousarray(photo[y : y + SIZE.height, x : x + SIZE.width])


def _psnr_db(network: torch.nn.Module, file: Artifact, photo: Image8) -> float:
    with torch.inference_mode():
        real = network(torch.from_numpy(np.ascontiguousarray(photo.transpose(2, 0, 1)[None], np.float32)))[0].numpy()
    wanted = np.rint(real.clip(0, 255)).astype(np.uint8).transpose(1, 2, 0)
    source, result = file.inputs[0], file.outputs[0]
    with Worker("litert", file.path) as worker:
        given = worker.run({source.name: pixels.to_tensor(photo, source)})[result.name]
    return psnr_db(pixels.to_image(given, result), wanted, 0)


def _times(files: dict[str, Artifact], photo: Image8, rounds: int) -> latency.LatencyRun:
    candidates = [
        latency.Candidate(name, "litert", f.path, {f.inputs[0].name: pixels.to_tensor(photo, f.inputs[0])})
        for name, f in files.items()
    ]
    return latency.measure(candidates, latency.LatencyPlan(rounds, runs=1, max_seconds=600), "published_model")


def _measured(times: latency.LatencyRun, name: str) -> latency.LatencyReport:
    report = times.reports[name]
    if isinstance(report, Skipped):
        raise RuntimeFailure(f"{name}: {report.reason}")
    return report


def _table(found: dict[str, Any]) -> str:
    lines = ["file                    CPU ms   ratio    bar    PSNR dB to fp32"]
    for name, cpu_ms in found["cpu_median_ms"].items():
        ratio = f"{found['cpu_ratio'][name]['value']:.3f}   {BARS[name]:.2f}" if name in BARS else " " * 12
        quality = " ".join(f"{db:.2f}" for db in found["psnr_db"][name])
        lines.append(f"{name:<22}  {cpu_ms:>6.1f}   {ratio}   {quality}")
    return "\n".join([*lines, "bars held" if found["passed"] else "a bar was MISSED"])


if __name__ == "__main__":
    sys.exit(main())
