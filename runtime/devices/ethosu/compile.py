"""Runs Vela in a subprocess: compiles an int8 .tflite file and parses Vela's reports.

Vela is never imported: its core is native code, and it prints. The operators left to the CPU are read from the compiled
file, where they are beside the ``ethos-u`` operators.
"""

from __future__ import annotations

import csv
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from clearport.errors import NotInstalled, RuntimeFailure
from clearport.registry import missing

if TYPE_CHECKING:
    from clearport.runtime.devices.ethosu.chips import Chip

PACKAGE = "ethos-u-vela"
EXTRA = "ethosu"
_REFUSED = re.compile(
    r"^Warning \(supported operators\) operator: \S+, ofm: '(.*)'\n((?:Reason: .*|\s+- .*)(?:\n\s+- .*)*)", re.M
)
_QUOTED_LINES = 6


@dataclass(frozen=True)
class Compiled:
    """Vela's outputs.

    Attributes:
        file: the compiled .tflite file.
        summary: column -> text of Vela's summary.
        layers: column -> text for each operator that it scheduled.
        reasons: name of an output tensor -> the reason that its operator stays on the CPU.
    """

    file: Path
    summary: Mapping[str, str]
    layers: tuple[Mapping[str, str], ...]
    reasons: Mapping[str, str]

    @property
    def npu_ms(self) -> float:
        return float(self.summary["inference_time"]) * 1e3

    @property
    def sram_bytes(self) -> int:
        return round(float(self.summary["sram_memory_used"]) * 1024)


def compile_file(path: Path, chip: Chip, folder: Path, timeout_s: float, arena_bytes: int | None = None) -> Compiled:
    """Compile a file for a chip into an empty folder; ``arena_bytes`` is the arena limit that Vela tries to meet.

    Raises:
        NotInstalled: Vela is missing.
        RuntimeFailure: it refused the file or a setting, crashed, or timed out.
    """
    if missing((PACKAGE,)):
        raise NotInstalled(PACKAGE, EXTRA)
    folder.mkdir(parents=True)
    said = _run(path, chip, folder, timeout_s, arena_bytes)
    (folder / "log.txt").write_text(said)
    [summary] = _table(_one(folder, "*_summary_*.csv"))
    layers = _table(_one(folder, "*_per-layer.csv"))
    return Compiled(_one(folder, "*_vela.tflite"), summary, tuple(layers), refusals(said))


def _run(path: Path, chip: Chip, folder: Path, timeout_s: float, arena_bytes: int | None) -> str:
    command = [sys.executable, "-P", "-m", "ethosu.vela", str(path), "--output-dir", str(folder)]
    command += ["--accelerator-config", chip.accelerator, "--config", chip.config]
    command += ["--system-config", chip.system, "--memory-mode", chip.memory, "--verbose-performance"]
    if arena_bytes is not None:
        command += ["--arena-cache-size", str(arena_bytes)]
    what = f"Vela, compiling {path.name} for {chip.accelerator}"
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False, timeout=timeout_s)
    except subprocess.TimeoutExpired as error:
        raise RuntimeFailure(f"{what}: gave no answer within {timeout_s:g} s and was ended") from error
    if done.returncode:
        lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        words = "".join(f"\n  | {line}" for line in lines[-_QUOTED_LINES:])
        raise RuntimeFailure(f"{what}: ended with exit code {done.returncode}{words}")
    return done.stdout


def refusals(said: str) -> dict[str, str]:
    """Name of an output tensor -> the reason that its operator stays on the CPU, from Vela's log."""
    return {name: _plain(reason) for name, reason in _REFUSED.findall(said)}


def _plain(reason: str) -> str:
    lines = (line.strip().removeprefix("Reason:").strip(" -") for line in reason.splitlines())
    return "; ".join(line for line in lines if line)


def _table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def _one(folder: Path, pattern: str) -> Path:
    found = sorted(folder.glob(pattern))
    if len(found) != 1:
        raise RuntimeFailure(f"Vela left {len(found)} files {pattern}, not one")
    return found[0]
