"""C++ kits on a 4K output: equal to Python's tiles, time beside that of bare inferences, and memory.

python -m device_tests.benchmarks.bench_kit [TARGET ...] [--bundle FOLDER]

NCNet x3 at 360x640 is exported where no bundle is named. Targets: tflite (default), onnxruntime, openvino, all in int8,
and ncnn in fp32, for which see ``device_tests/files/kit_compiler.py``.

A 1280x720 photo becomes 3840x2160 in tiles. ``ratio`` is the CPU time of the whole picture (cutting, inference, putting
together) over that of as many inferences alone, medians of turns in one process on one thread. Needs g++ and Linux.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

import clearport
from clearport.base import Size
from clearport.bundle.folder import Bundle
from clearport.bundle.manifest import ArtifactRecord
from clearport.models import samples
from clearport.pictures.images import load_rgb
from clearport.pipeline.kit import KitRequest, write_kit
from clearport.pipeline.prove import TIMEOUT_S, open_worker
from clearport.pipeline.run import tiling_of
from clearport.reports.usage import opened
from clearport.runtime import tiling
from device_tests.files import kit_compiler

WIDTH, HEIGHT, ROUNDS = 1280, 720, 7
RUNNERS = {"tflite": "litert", "onnxruntime": "onnxruntime", "openvino": "openvino", "ncnn": "ncnn"}
PROGRAM = r"""
#include <ctime>
#include <cstdio>
#include <fstream>
#include <vector>
#include <string>

#include "restorer.hpp"

static double cpu_ms() {
  timespec now;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return 1e3 * now.tv_sec + 1e-6 * now.tv_nsec;
}

// Not getrusage: its peak may be that of the process that started this one.
static double peak_mb() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.rfind("VmHWM:", 0) == 0) return std::atof(line.c_str() + 6) * 1024 / 1e6;
  }
  return 0;
}

int main(int count, char** words) {
  const int width = std::atoi(words[2]), height = std::atoi(words[3]), rounds = std::atoi(words[5]);
  std::vector<std::uint8_t> given(3 * width * height), made(given.size() * clearport::kScale * clearport::kScale);
  std::ifstream(words[1], std::ios::binary).read(reinterpret_cast<char*>(given.data()), given.size());
  clearport::Restorer restorer(words[6], 1);
  const auto rows = clearport::spans(height, clearport::kTileHeight);
  const auto columns = clearport::spans(width, clearport::kTileWidth);
  const int tiles = rows.size() * columns.size();
  restorer.restore(given.data(), width, height, made.data());
  std::printf("{\"tiles\": %d, \"turns\": [", tiles);
  for (int round = 0; round < rounds; ++round) {
    const double begin = cpu_ms();
    for (int i = 0; i < tiles; ++i) restorer.run();
    const double middle = cpu_ms();
    restorer.restore(given.data(), width, height, made.data());
    std::printf("%s[%f, %f]", round ? ", " : "", middle - begin, cpu_ms() - middle);
  }
  const double peak = peak_mb();
  std::ofstream(words[4], std::ios::binary).write(reinterpret_cast<const char*>(made.data()), made.size());
  std::printf("], \"peak_mb\": %.1f}\n", peak);
  return count == 7 ? 0 : 2;
}
"""


def photo() -> np.ndarray:
    """A bundled photo, enlarged to the size of the input."""
    source = Image.fromarray(load_rgb(samples.calibration()[0]))
    return np.asarray(source.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC))


def by_python(bundle: Bundle, record: ArtifactRecord, given: np.ndarray) -> np.ndarray:
    artifact = bundle.artifact(record)
    with open_worker(RUNNERS[record.target], artifact, 1, TIMEOUT_S) as worker:
        return tiling.restore(given, tiling.engine(worker, artifact), tiling_of(bundle, artifact))


def measured(bundle: Bundle, target: str, out: Path) -> dict[str, object]:
    precision = "fp32" if target == "ncnn" else "int8"
    kit = write_kit(KitRequest(bundle.folder, "cpp", out, target, precision)).folder
    (kit / "bench.cpp").write_text(PROGRAM)
    program = kit_compiler.compiled(kit, target, "bench.cpp")
    given = photo()
    (kit / "given.bin").write_bytes(given.tobytes())
    record = bundle.find(target, precision)
    model = (kit / "model" / opened(bundle.manifest, record).removeprefix(f"{Path(record.path).parent}/")).relative_to(
        kit
    )
    line = [program, "given.bin", WIDTH, HEIGHT, "made.bin", ROUNDS, model]
    done = subprocess.run(list(map(str, line)), cwd=kit, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    found = json.loads(done.stdout)
    wanted = by_python(bundle, record, given)
    made = np.fromfile(kit / "made.bin", np.uint8).reshape(wanted.shape)
    bare, whole = (np.array([turn[i] for turn in found["turns"]]) for i in (0, 1))
    return {
        "target": record.key,
        "output": str(Size(*wanted.shape[:2])),
        "tiles": found["tiles"],
        "equal to Python": bool((made == wanted).all()),
        "largest difference": int(np.abs(made.astype(int) - wanted).max()),
        "bare inferences, CPU ms": round(float(np.median(bare)), 1),
        "whole picture, CPU ms": round(float(np.median(whole)), 1),
        "ratio": round(float(np.median(whole / bare)), 4),
        "peak memory, MB": found["peak_mb"],
    }


def main(targets: list[str], folder: Path | None) -> int:
    good = True
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        if folder is None:
            clearport.export("ncnet", place / "x3", targets=targets, precisions=("int8", "fp32"), measure=False)
        bundle = Bundle.load(folder or place / "x3")
        for target in targets:
            result = measured(bundle, target, place / target)
            print(json.dumps(result, indent=1), flush=True)
            good = good and result["largest difference"] <= (1 if target == "ncnn" else 0)  # type: ignore[operator]
            good = good and result["ratio"] <= 1.05 and result["peak memory, MB"] < 400  # type: ignore[operator]
    return 0 if good else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("targets", nargs="*", default=["tflite"], choices=RUNNERS)
    parser.add_argument("--bundle", type=Path)
    chosen = parser.parse_args()
    sys.exit(main(chosen.targets, chosen.bundle))
