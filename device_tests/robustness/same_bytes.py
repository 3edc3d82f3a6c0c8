"""Checksums of every artifact of every bundled network, to compare two states of the code.

python device_tests/robustness/same_bytes.py before.json
python device_tests/robustness/same_bytes.py after.json before.json   # the same, and list what differs (exit 1)
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def bundled() -> list[tuple[str, str]]:
    """(network, scale) of each weights file in the tree."""
    stems = sorted(path.stem for path in (ROOT / "models/weights").glob("*.safetensors"))
    return [(stem.rpartition("_x")[0], stem.rpartition("_x")[2]) for stem in stems]


def checksums(network: str, scale: str, folder: Path) -> dict[str, str]:
    """Path in the bundle -> SHA-256 of each artifact and golden; one entry with the message where the export failed."""
    command = [
        sys.executable,
        "-m",
        "clearport",
        "export",
        network,
        "--size",
        "64x64",
        "--no-bench",
        "--out",
        str(folder),
    ]
    if scale != "1":
        command += ["--scale", scale]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder.parent)
    if not (folder / "manifest.json").exists():
        return {"failed": done.stderr[-400:]}
    skip = {"manifest.json", "report.html", "report.md", "checksums.sha256", "SHA256SUMS"}
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name not in skip)
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def main(written: Path, before: Path | None) -> int:
    """Write the checksums; 1 if they differ from those of ``before``."""
    found: dict[str, dict[str, str]] = {}
    for network, scale in bundled():
        with tempfile.TemporaryDirectory() as folder:
            found[f"{network} x{scale}"] = checksums(network, scale, Path(folder, "bundle"))
        print(network, scale, len(found[f"{network} x{scale}"]), flush=True)
        written.write_text(json.dumps(found, indent=1) + "\n")
    if before is None:
        return 0
    old = json.loads(before.read_text())
    different = [
        f"{name} {path}"
        for name in sorted(old | found)
        for path in sorted(old.get(name, {}) | found.get(name, {}))
        if old.get(name, {}).get(path) != found.get(name, {}).get(path)
    ]
    print("\n".join(different) or "every artifact is the same")
    return bool(different)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else None))
