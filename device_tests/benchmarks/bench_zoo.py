"""What int8 costs every network: PyTorch fp32 and the int8 file on the development sets, in pairs.

The file is the TFLite one; where a network has none (the reason is kept), ONNX Runtime's from the same scale table.

Networks take their bundled weights, or published ones where ``CLEARPORT_SHARED`` has them; those that have neither are
left out. Low light is judged on the SICE scenes that IAGC's training held back. Pictures larger than the artifact are
cut into tiles, and PyTorch sees the same tiles. One line per network and set on standard output as it comes; ``--json``
keeps everything. Networks that are already in that file are not measured again, so that an interrupted run goes on.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import clearport
from clearport.bundle.folder import Bundle
from clearport.disk.files import write_text
from clearport.model_spec import ModelSpec
from clearport.models import weights
from clearport.registry import NETWORKS

sys.path.insert(0, str(Path(__file__).parents[1]))
from published import PUBLISHED

SETS = {
    "super-resolution": ("sr/set5/x{scale}", "sr/set14/x{scale}"),
    "deraining": ("rain/rain100l", "rain/rain100h"),
    "low-light": ("lowlight/sice",),
}
SIZES = {"super-resolution": "192x192", "deraining": "328x488", "low-light": "384x512"}
TARGETS = ("tflite", "onnxruntime")
CHOICE = (
    "calibrator",
    "equalization",
    "simulated_psnr_db",
    "simulated_loss_db",
    "tail",
    "float_layers",
    "float_share",
    "islands",
)
"""What is kept of the table's record."""
ALLOWED_DB = {True: 0.10, False: 0.30}
"""The largest loss of a recommended network, and of any other."""


def main() -> int:
    """Run the benchmark; 1 if a network loses more than it may."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", action="append", help="only this one; several times")
    parser.add_argument("--json", type=Path, help="file that keeps what was found")
    options = parser.parse_args()
    shared = Path(os.environ["CLEARPORT_SHARED"])
    found: dict[str, Any] = json.loads(options.json.read_text()) if options.json and options.json.exists() else {}
    for name in options.network or NETWORKS.names():
        spec = NETWORKS.get(name)
        if name in found or spec.inputs or not (given := _weights(spec, shared)):  # tasks of their own: clearport eval
            continue
        found[name] = _measure(spec, None if given == "bundled" else Path(given), shared)
        if options.json:
            write_text(options.json, json.dumps(found, indent=2) + "\n")
    return 0 if all(row["loss_db"] <= row["allowed_db"] for rows in found.values() for row in rows["sets"]) else 1


def _weights(spec: ModelSpec, shared: Path) -> str:
    if weights.bundled_path(spec, spec.default_scale).is_file():
        return "bundled"
    return str(shared / "weights" / PUBLISHED[spec.name]) if spec.name in PUBLISHED else ""


def _measure(spec: ModelSpec, given: Path | None, shared: Path) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as place:
        began = time.monotonic()
        bundle, target = _exported(spec, given, Path(place))
        seconds = time.monotonic() - began
        sets = [_row(spec, bundle.folder, target, data) for data in _sets(spec, shared / "data", Path(place))]
        scales = json.loads((bundle.folder / "scales.json").read_text())
    about = {"weights": str(given.name) if given else "bundled", "export_s": round(seconds, 1), "target": target}
    return {**about, "sets": sets, **_choice(scales)}


def _exported(spec: ModelSpec, given: Path | None, place: Path) -> tuple[Bundle, str]:
    """A bundle with an int8 file, and the target that it is of."""
    for target in TARGETS:
        bundle = clearport.export(
            spec.name,
            place / target,
            size=SIZES[spec.task],
            targets=(target,),
            precisions=("fp32", "int8"),
            weights=given,
            measure=False,
        )
        if any(artifact.precision == "int8" for artifact in bundle.artifacts):
            return bundle, target
        print(f"{spec.name:14}{'; '.join(s.reason for s in bundle.manifest.skipped)}", flush=True)
    raise SystemExit(f"{spec.name}: no int8 file")


def _sets(spec: ModelSpec, data: Path, place: Path) -> list[Path]:
    if spec.task != "low-light":
        return [data / one.format(scale=spec.default_scale) for one in SETS[spec.task]]
    scenes = weights.read_card(weights.bundled_path(NETWORKS.get("iagc"), 1))["held_back"]
    (sice,) = SETS[spec.task]
    rows = json.loads((data / sice / "pairs.json").read_text())
    folder = place / "sice" / "held_back"
    folder.mkdir(parents=True)
    (folder / "images").symlink_to(data / sice / "images")
    write_text(folder / "pairs.json", json.dumps([row for row in rows if str(row["scene"]) in scenes]))
    return [folder]


def _choice(scales: dict[str, Any]) -> dict[str, Any]:
    about = scales["calibration"]
    return {key: about[key] for key in CHOICE if key in about}


def _row(spec: ModelSpec, folder: Path, target: str, place: Path) -> dict[str, Any]:
    outcome = clearport.evaluate(folder, place, targets=(target,), precisions=("int8",))
    by_name = {row.subject: row.report for row in outcome.rows}
    if f"{target}/int8" not in by_name:
        raise SystemExit(f"{spec.name}: {'; '.join(check.message for check in outcome.checks)}")
    network, file = by_name["pytorch"], by_name[f"{target}/int8"]
    row = {
        "set": "/".join(place.parts[-2:]),
        "rgb_db": round(network.psnr_rgb_db, 3),
        "y_db": round(network.psnr_y_db, 3),
        "int8_rgb_db": round(file.psnr_rgb_db, 3),
        "loss_db": round(network.psnr_rgb_db - file.psnr_rgb_db, 3),
        "allowed_db": ALLOWED_DB[spec.recommended],
    }
    verdict = "holds" if row["loss_db"] <= row["allowed_db"] else "MISSED"
    figures = f"{row['rgb_db']:8.3f} RGB {row['y_db']:8.3f} Y   int8 loses {row['loss_db']:6.3f} dB"
    print(f"{spec.name:14}{row['set']:16}{figures} {verdict}", flush=True)
    return row


if __name__ == "__main__":
    raise SystemExit(main())
