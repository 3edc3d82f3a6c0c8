"""What quantizing costs, and what it gives: CPU seconds and peak memory by stage, and dB, beside another commit's.

Each network is exported, and quantized in a process of its own on the photos that clearport brings. A stage is what
the quantizer's progress names; what comes before the first counts as the start. Memory is the peak resident set of
that process (Linux: its high-water mark, set back at each stage). With ``--against COMMIT`` the same is done with the
sources of that commit, from a git worktree that is removed again.

Where ``CLEARPORT_SHARED`` is set, both are judged on pictures that nobody was calibrated on: Set5 and Set14, twelve
pictures each of Rain100L and Rain100H, a dark picture of each SICE scene that IAGC's training held back. ``dB`` is the
PSNR of the int8 network's picture (the QDQ model) to the float network's, ``loss`` what int8 loses against ground truth
(RGB, 8 bit, paired). Weights are the published ones where that folder has them, else the bundled ones; a network that
has neither gets fresh ones, and no judgment.

    python device_tests/benchmarks/bench_quantize.py rlfn ncnet --against f783cd3 --json quantize.json
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import pickle
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir

from clearport.base import Size
from clearport.graph import nodes as graphs
from clearport.models import samples, weights
from clearport.models.metrics import psnr_db, to_levels
from clearport.models.task_inputs import as_inputs
from clearport.pictures.images import load_rgb
from clearport.registry import NETWORKS

sys.path.insert(0, str(Path(__file__).parents[1]))
from published import PUBLISHED

BAR_SHARE, BAR_GB, BAR_DB = 0.20, 1.5, 0.01
"""At most: CPU seconds, as a share of the other commit's; peak memory; a loss more than the other commit's."""

SIZE = Size(360, 640)
SIDES = {"super-resolution": 192, "deraining": 320, "low-light": 384}
"""Pictures are judged on their middles, of so many pixels a side: small enough for every network."""
PICTURES = 12
HERE = Path(__file__).parents[2]
WEIGHTS = {**PUBLISHED, "ncnet": "ncnet/ncnet_x3_fp32.pth"}
GRAPH, MODEL, QUANTIZED = "graph.pickle", "graph.onnx", "quantized.onnx"


def main() -> int:
    """Run the benchmark; 1 if a network misses the bars."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", help="default: all")
    parser.add_argument("--against", metavar="COMMIT", help="a commit that is measured as well")
    parser.add_argument("--no-quality", action="store_true", help="do not judge pictures")
    parser.add_argument("--json", type=Path, help="file that keeps what was found; what is in it is not run again")
    parser.add_argument("--step", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step:
        name, network, folder = options.step
        print(json.dumps(STEPS[name](network, Path(folder))))
        return 0
    found: dict[str, Any] = json.loads(options.json.read_text()) if options.json and options.json.exists() else {}
    with _checkouts(options.against) as places:
        for network in options.networks or NETWORKS.names():
            rows = found.setdefault(network, {})
            for label, place in places.items():
                if label not in rows:
                    rows[label] = _measured(network, place, judge=not options.no_quality)
                    _show(network, label, rows[label])
                if options.json:
                    options.json.write_text(json.dumps(found, indent=2) + "\n")
    missed = [network for network, rows in found.items() if not _holds(network, rows)]
    return 1 if missed else 0


@contextlib.contextmanager
def _checkouts(commit: str | None) -> Iterator[dict[str, Path]]:
    """The folders whose sources are measured, by label."""
    if commit is None:
        yield {"now": HERE}
        return
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place, "checkout")
        subprocess.run(["git", "-C", HERE, "worktree", "add", "--quiet", "--detach", folder, commit], check=True)
        try:
            yield {commit: folder, "now": HERE}
        finally:
            subprocess.run(["git", "-C", HERE, "worktree", "remove", "--force", folder], check=True)


def _measured(network: str, checkout: Path, *, judge: bool) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        found: dict[str, Any] = {}
        for step in STEPS:
            command = [sys.executable, __file__, "--step", step, network, folder]
            environment = {**os.environ, "PYTHONPATH": str(checkout / ".typing"), "XDG_CACHE_HOME": folder}
            done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
            found.update(json.loads(done.stdout.splitlines()[-1]))
        if judge and _pictures(network):
            found.update(_judge(network, Path(folder), found))
    return found


def _export(network: str, folder: Path) -> dict[str, Any]:
    """Keep the graph: what quantizes it shall not have PyTorch in its memory already."""
    from clearport.export.from_torch import export_graph

    spec, shared = NETWORKS.get(network), os.environ.get("CLEARPORT_SHARED")
    given = Path(shared, "weights", WEIGHTS[network]) if shared and network in WEIGHTS else None
    loaded = weights.load(spec, spec.default_scale, given)
    graph = export_graph(loaded.module, spec, spec.default_scale, SIZE)
    (folder / GRAPH).write_bytes(pickle.dumps(replace(graph, model=None)))
    (folder / MODEL).write_bytes(graphs.to_bytes(graph.model))
    return {"weights": given.name if given else "bundled or fresh"}


def _graph(folder: Path) -> Any:
    return replace(pickle.loads((folder / GRAPH).read_bytes()), model=ir.load(folder / MODEL))


class _Stages:
    """CPU seconds and peak bytes of each stage that a progress names."""

    def __init__(self) -> None:
        self.found: dict[str, dict[str, float]] = {}
        self._stage, self._since = "start", _cpu_s()
        _peak_gb()

    def __call__(self, stage: str, _done: int, _total: int) -> None:
        self.close()
        self._stage = stage

    def close(self) -> None:
        """Give what was used since the last call to the stage of that call."""
        row = self.found.setdefault(self._stage, {"cpu_s": 0.0, "peak_gb": 0.0})
        now = _cpu_s()
        row["cpu_s"] += now - self._since
        row["peak_gb"] = max(row["peak_gb"], _peak_gb())
        self._since = now


def _cpu_s() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _peak_gb() -> float:
    """The most that was resident since the last call (Linux), else since the process began."""
    status = Path("/proc/self/status")
    if not status.exists():
        import resource

        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9
    (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
    Path("/proc/self/clear_refs").write_text("5")
    return int(line.split()[1]) * 1024 / 1e9


def _quantize(network: str, folder: Path) -> dict[str, Any]:
    from clearport.quantize import qdq
    from clearport.quantize.flow import QuantizeOptions, quantize

    task, graph = NETWORKS.get(network).task, _graph(folder)
    photos = as_inputs([load_rgb(path) for path in samples.calibration()], task)
    stages = _Stages()
    began, wall = _cpu_s(), time.monotonic()
    quantized = quantize(graph, photos, QuantizeOptions(task=task, progress=stages))
    stages.close()
    took = {"cpu_s": _cpu_s() - began, "wall_s": time.monotonic() - wall}
    (folder / QUANTIZED).write_bytes(graphs.to_bytes(qdq.to_qdq(quantized)))
    ranges = [list(getattr(end, "span", None) or end.value_range) for end in _ends(graph) + _ends(quantized.graph)]
    return {
        **took,
        "peak_gb": max(row["peak_gb"] for row in stages.found.values()),
        "stages": stages.found,
        "ranges": ranges,
        "record": {k: v for k, v in quantized.table.calibration.items() if k not in ("images", "adjusted")},
    }


def _ends(graph: Any) -> list[Any]:
    return [graph.input, graph.output]


def _judge(network: str, folder: Path, found: dict[str, Any]) -> dict[str, Any]:
    """With these sources: of another commit's there are only its ONNX files."""
    side = None if any(node.op_type == "Reshape" for node in ir.load(folder / MODEL).graph) else SIDES[_task(network)]
    size = SIZE if side is None else Size(side, side)
    sessions = [graphs.session(_resized(ir.load(folder / name), size), 2) for name in (MODEL, QUANTIZED)]
    ranges = [found["ranges"][:2], found["ranges"][2:]]
    networks = list(zip(sessions, ranges, strict=True))
    scale = NETWORKS.get(network).default_scale
    rows = [_compared(networks, size, scale, pair) for pair in _pictures(network)]
    psnr, losses = (np.array([row[i] for row in rows]) for i in (0, 1))
    return {"psnr_db": float(psnr.mean()), "worst_db": float(psnr.min()), "loss_db": float(losses.mean())}


def _resized(model: ir.Model, size: Size) -> ir.Model:
    """The model at another size; Resizes to a size come to that in proportion."""
    body = model.graph
    old = [int(n) for n in body.inputs[0].shape[2:]]
    for node in list(body):
        for value in node.outputs:
            value.shape = None
        if node.op_type == "Resize" and len(node.inputs) > 3 and node.inputs[3] is not None:
            held = graphs.need_constant(node, 3)
            now = [
                *held[:2],
                *(n * to // was for n, to, was in zip(held[2:], (size.height, size.width), old, strict=True)),
            ]
            node.replace_input_with(3, graphs.new_constant(body, f"{node.name}.now", np.array(now, np.int64)))
    body.inputs[0].shape = ir.Shape([1, 3, size.height, size.width])
    return model


def _compared(
    networks: Sequence[tuple[Any, Any]], size: Size, scale: int, pair: tuple[Path, Path]
) -> tuple[float, float]:
    """PSNR of int8 to float, and what int8 loses against the truth, of a picture's middle; small ones are mirrored."""
    low, truth = (load_rgb(path) for path in pair)
    height, width = min(low.shape[0], size.height), min(low.shape[1], size.width)
    top, left = (low.shape[0] - height) // 2, (low.shape[1] - width) // 2
    low = low[top : top + height, left : left + width]
    truth = truth[top * scale : (top + height) * scale, left * scale : (left + width) * scale]
    whole = np.pad(low, ((0, size.height - height), (0, size.width - width), (0, 0)), mode="symmetric")
    real, given = (_ran(*network, whole)[: truth.shape[0], : truth.shape[1]] for network in networks)
    truth = truth[: real.shape[0], : real.shape[1]]
    error = np.square(real - given, dtype=np.float64).mean()
    gained = [psnr_db(to_levels(x), truth, scale if scale > 1 else 0) for x in (real, given)]
    return 10 * float(np.log10(255**2 / max(error, 1e-9))), gained[0] - gained[1]


def _ran(session: Any, ranges: Sequence[Sequence[float]], image: Any) -> Any:
    """The picture (H, W, 3) on the scale of 0..255, clipped."""
    (begin, end), (low, high) = ranges
    given = image.transpose(2, 0, 1)[None].astype(np.float32) * np.float32((end - begin) / 255) + np.float32(begin)
    out = session.run(None, {session.get_inputs()[0].name: given})[0][0].transpose(1, 2, 0)
    return np.clip((out - low) * (255 / (high - low)), 0, 255)


def _task(network: str) -> str:
    return NETWORKS.get(network).task


def _pictures(network: str) -> list[tuple[Path, Path]]:
    """Pairs of an input and its truth; none where there are none, or no weights that are worth a judgment."""
    spec, shared = NETWORKS.get(network), os.environ.get("CLEARPORT_SHARED")
    trained = network in WEIGHTS or weights.bundled_path(spec, spec.default_scale).is_file()
    if not shared or not trained:
        return []
    data = Path(shared, "data")
    if spec.task == "super-resolution":
        lows = [
            p for s in ("set5", "set14") for p in sorted((data / "sr" / s / f"x{spec.default_scale}").glob("*_LR*"))
        ]
        return [(low, low.with_name(low.name.replace("_LR", "_HR"))) for low in lows]
    if spec.task == "deraining":
        return [pair for name in ("rain100l", "rain100h") for pair in _rainy(data / "rain" / name)]
    return _dark(data / "lowlight/sice")


def _rainy(folder: Path) -> list[tuple[Path, Path]]:
    rainy = sorted((folder / "rainy").iterdir())
    return [(path, folder / "clean" / path.name) for path in rainy[:: max(1, len(rainy) // PICTURES)][:PICTURES]]


def _dark(folder: Path) -> list[tuple[Path, Path]]:
    held = {str(scene) for scene in weights.read_card(weights.bundled_path(NETWORKS.get("iagc"), 1))["held_back"]}
    rows = [row for row in json.loads((folder / "pairs.json").read_text()) if str(row["scene"]) in held]
    first = {row["scene"]: row for row in reversed(rows)}
    return [(folder / "images" / row["low"], folder / "images" / row["normal"]) for row in first.values()]


STEPS = {"export": _export, "quantize": _quantize}


def _show(network: str, label: str, row: dict[str, Any]) -> None:
    judged = f"; {row['psnr_db']:.2f} dB (worst {row['worst_db']:.2f}), loses {row['loss_db']:.3f} dB"
    figures = f"CPU {row['cpu_s']:.1f} s, {row['wall_s']:.1f} s, {row['peak_gb']:.2f} GB"
    print(f"{network} ({label}): {figures}{judged if 'psnr_db' in row else ''}", flush=True)
    for name, stage in row["stages"].items():
        print(f"    {name:34}{stage['cpu_s']:7.1f} s {stage['peak_gb']:6.2f} GB", flush=True)


def _holds(network: str, rows: dict[str, Any]) -> bool:
    now, others = rows["now"], [row for label, row in rows.items() if label != "now"]
    missed = [f"{now['peak_gb']:.2f} GB"] if now["peak_gb"] > BAR_GB else []
    for other in others:
        if now["cpu_s"] > BAR_SHARE * other["cpu_s"]:
            missed.append(f"{now['cpu_s'] / other['cpu_s']:.2f} of the CPU seconds")
        if now.get("loss_db", 0.0) > other.get("loss_db", 0.0) + BAR_DB:
            missed.append(f"{now['loss_db'] - other['loss_db']:.3f} dB more lost")
    print(f"{network}: {'MISSED: ' + ', '.join(missed) if missed else 'holds'}", flush=True)
    return not missed


if __name__ == "__main__":
    sys.exit(main())
