"""TFLite files of networks that clearport was not written for, beside those of litert-torch: CPU time in LiteRT.

    python -m venv PEER && PEER/bin/pip install torch==2.13.0 litert-torch==0.10.0 ai-edge-quantizer
    python device_tests/benchmarks/bench_foreign_tflite.py --peer PEER/bin/python              # all, fp32
    python device_tests/benchmarks/bench_foreign_tflite.py --peer PEER/bin/python --precision int8 nafnet swinir

Both files of a network are loaded in one process and take turns, one thread each; the ratio is the median over the
turns of (CPU time of ours) / (CPU time of the peer's), which holds on a busy machine. Outputs are compared with
PyTorch's: the largest difference in standard deviations of the output (int8: the root of the mean square). int8 files
of both are calibrated on the same two examples, ours with the options of an export. Exits with 1
where a ratio is above its bar: 0.95, and 0.50 for networks with windows or warps.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from clearport.base import Graph, TensorSpec
from tests.foreign import exported, on_targets
from tests.foreign.zoo import Foreign, networks

PEER_SCRIPT = Path(__file__).parent / "peers" / "litert_torch_file.py"
BAR, STRICT_BAR = 0.95, 0.50
_WINDOWS = "tests.foreign.windows"
_WARPS = ("warp", "warp_border", "spatial_transformer")
CALIBRATION_SEEDS = (1, 2)
MINUTES = 10
_LEAST_S, _MOST_TURNS = 2.0, 200


@dataclass(frozen=True)
class Row:
    """One network: CPU ms of one inference, errors against PyTorch in standard deviations, or why there is none."""

    network: str
    ours_ms: float | None = None
    theirs_ms: float | None = None
    ratio: float | None = None
    bar: float = BAR
    our_error: float | None = None
    their_error: float | None = None
    reason: str = ""

    @property
    def missed(self) -> bool:
        """Whether the ratio is above its bar."""
        return self.ratio is not None and self.ratio > self.bar


def main() -> int:
    """Run the benchmark; 1 if a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", help="names in tests/foreign (default: all)")
    parser.add_argument("--peer", type=Path, required=True, help="Python of an environment with litert-torch")
    parser.add_argument("--precision", choices=("fp32", "int8"), default="fp32")
    parser.add_argument("--times", type=int, default=4, help="factor on sides, where it fits (default 4)")
    parser.add_argument("--json", action="store_true", help="print JSON, not a table")
    options = parser.parse_args()
    known = networks()
    rows = []
    for name in options.networks or known:
        row = _row(known[name], options)
        rows.append(row)
        if not options.json:
            print(_line(row), flush=True)
    if options.json:
        print(json.dumps([asdict(row) for row in rows], indent=2))
    return int(any(row.missed for row in rows))


def _row(network: Foreign, options: argparse.Namespace) -> Row:
    strict = network.build.__module__ == _WINDOWS or network.name in _WARPS
    bar = STRICT_BAR if strict else BAR
    sized = _enlarged(network, options.times)
    with tempfile.TemporaryDirectory() as folder:
        job = Path(folder, "job.json")
        try:
            _write(sized, options, Path(folder), job)
            found = json.loads(_finished("timing", sys.executable, __file__, "--time", job).splitlines()[-1])
        except Exception as error:  # one network's failure, on either side, is its row
            return Row(network.name, bar=bar, reason=f"{type(error).__name__}: {error}".splitlines()[0][:160])
    return Row(network.name, bar=bar, **found)


def _enlarged(network: Foreign, times: int) -> Foreign:
    """The network with larger pictures; as it is where it does not take them."""
    shapes = tuple((*s[:2], *(n * times for n in s[2:])) if len(s) == 4 else s for s in network.inputs)
    larger = replace(network, inputs=shapes)
    try:
        exported.wanted(larger.module(), exported.inputs_of(larger))
    except (IndexError, RuntimeError):
        return network
    return larger


def _write(network: Foreign, options: argparse.Namespace, folder: Path, job: Path) -> None:
    given = exported.inputs_of(network)
    wanted = exported.wanted(network.module(), given)
    np.savez(folder / "inputs.npz", *given)
    np.savez(folder / "wanted.npz", *wanted)
    calibration = []
    for seed in CALIBRATION_SEEDS:
        calibration.append(str(folder / f"calibration{seed}.npz"))
        np.savez(calibration[-1], *exported.inputs_of(network, seed))
    asked = {
        "network": network.name,
        "precision": options.precision,
        "inputs": str(folder / "inputs.npz"),
        "wanted": str(folder / "wanted.npz"),
        "calibration": calibration,
        "output": str(folder / "theirs.tflite"),
        "ours": str(_ours(network, options.precision, folder, wanted)),
    }
    job.write_text(json.dumps(asked))
    _finished("litert-torch", options.peer, PEER_SCRIPT, job)


def _finished(what: str, *command: str | Path) -> str:
    """Standard output of a command; ``what`` begins the error where it fails."""
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60 * MINUTES)
    if done.returncode:
        raise RuntimeError(f"{what}: {_said(done.stderr)}")
    return done.stdout


def _said(errors: str) -> str:
    """The exception in a process's standard error, which may go on after it."""
    lines = errors.strip().splitlines() or ["no message"]
    return next((line for line in reversed(lines) if re.match(r"[\w.]*(Error|Exception)\b", line)), lines[-1])


def _ours(network: Foreign, precision: Any, folder: Path, wanted: list[np.ndarray]) -> Path:
    from clearport.export.passes import order as passes
    from clearport.quantize.flow import quantize

    graph = exported.graph_of(exported.exported(network), network.name)
    ends = tuple(_end(*pair) for pair in zip(graph.outputs, wanted, strict=True))
    graph = passes.run(replace(graph, outputs=ends))
    quantized = quantize(graph, _samples(network, graph)) if precision == "int8" else None
    return on_targets._written(graph, "tflite", precision, folder, quantized).path


def _end(spec: TensorSpec, array: np.ndarray) -> TensorSpec:
    """The contract of an output: what leaves 0..1 is no picture, and keeps the range of the calibration in int8."""
    sized = replace(spec, shape=array.shape)
    inside = array.min() >= 0 and array.max() <= 1
    return sized if inside or not spec.is_picture else replace(sized, kind="map", value_range=None)


def _samples(network: Foreign, graph: Graph) -> list[dict[str, np.ndarray]]:
    """The examples of the calibration, pictures as 8-bit levels."""
    examples = [exported.inputs_of(network, seed) for seed in CALIBRATION_SEEDS]
    return [
        {spec.name: _levels(array) if spec.is_picture else array for spec, array in zip(graph.inputs, e, strict=True)}
        for e in examples
    ]


def _levels(picture: np.ndarray) -> np.ndarray:
    """A picture in 0..1 (1, C, H, W) as 8-bit levels (H, W, C)."""
    levels: np.ndarray = np.round(picture[0].transpose(1, 2, 0) * 255).astype(np.uint8)
    return levels


def timed(job: Path) -> dict[str, float]:
    """Both files of a job, in turns, in this process: CPU ms, their ratio, and errors."""
    from ai_edge_litert.interpreter import Interpreter

    asked = json.loads(job.read_text())
    given, wanted = (list(np.load(asked[name]).values()) for name in ("inputs", "wanted"))
    sides = {name: Interpreter(asked[path], num_threads=1) for name, path in (("ours", "ours"), ("theirs", "output"))}
    errors = {name: _error(side, given, wanted, asked["precision"]) for name, side in sides.items()}
    turns: dict[str, list[float]] = {"ours": [], "theirs": []}
    began = time.monotonic()
    while len(turns["ours"]) < _MOST_TURNS and (time.monotonic() - began < _LEAST_S or len(turns["ours"]) < 5):
        for name in sorted(sides, reverse=bool(len(turns["ours"]) % 2)):
            start = time.process_time()
            sides[name].invoke()
            turns[name].append(1e3 * (time.process_time() - start))
    ratio = float(np.median(np.array(turns["ours"]) / np.array(turns["theirs"])))
    return {
        "ours_ms": float(np.median(turns["ours"])),
        "theirs_ms": float(np.median(turns["theirs"])),
        "ratio": ratio,
        "our_error": errors["ours"],
        "their_error": errors["theirs"],
    }


def _error(side: Any, given: list[np.ndarray], wanted: list[np.ndarray], precision: str) -> float:
    side.allocate_tensors()
    for tensor, array in zip(sorted(side.get_input_details(), key=lambda each: each["name"]), given, strict=True):
        fitting = array if tuple(tensor["shape"]) == array.shape else array.transpose(0, 2, 3, 1)
        side.set_tensor(tensor["index"], np.ascontiguousarray(_stored(fitting, tensor)))
    side.invoke()
    worst = 0.0
    for tensor, right in zip(side.get_output_details(), wanted, strict=True):
        made = _real(side.get_tensor(tensor["index"]), tensor)
        made = made if made.shape == right.shape else made.transpose(0, 3, 1, 2)
        worst = max(worst, on_targets.distance(made, right, farthest=precision != "int8"))
    return worst


def _stored(array: np.ndarray, tensor: dict[str, Any]) -> np.ndarray:
    """Numbers as an input takes them: the quantizer of the peer makes inputs and outputs int8, too."""
    if tensor["dtype"] == np.float32:
        return array.astype(np.float32)
    scale, zero_point = tensor["quantization"]
    ends = np.iinfo(tensor["dtype"])
    stored: np.ndarray = np.clip(np.round(array / scale) + zero_point, ends.min, ends.max).astype(tensor["dtype"])
    return stored


def _real(array: np.ndarray, tensor: dict[str, Any]) -> np.ndarray:
    scale, zero_point = tensor["quantization"]
    return array if not scale else ((array.astype(np.float64) - zero_point) * scale).astype(np.float32)


def _line(row: Row) -> str:
    if row.ratio is None:
        return f"{row.network:24} {row.reason}"
    word = "MISSED" if row.missed else ""
    return (
        f"{row.network:24} ours {row.ours_ms:8.2f} ms  theirs {row.theirs_ms:8.2f} ms  ratio {row.ratio:5.2f} "
        f"(at most {row.bar})  off {row.our_error:.1e} and {row.their_error:.1e} {word}"
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--time"]:
        print(json.dumps(timed(Path(sys.argv[2]))))
        raise SystemExit(0)
    raise SystemExit(main())
