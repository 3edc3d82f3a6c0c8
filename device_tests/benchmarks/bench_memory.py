"""Peak memory of ``clearport export NETWORK``: all processes together, by stage, beside another checkout's.

The export runs as a user starts it, at its default size, to every target. Its whole process tree is sampled about
every 50 ms. PSS counts a page that several processes share once in all; the sum of their RSS counts it in each, and is
shown because other tools show it. A stage is what the export's progress names; a stage shorter than 50 ms has no line
and belongs to the next. CPU seconds are those of all processes.

Networks take their bundled weights, published ones where ``CLEARPORT_SHARED`` has them, or else fresh ones, which need
as much memory: that proofs of those fail (exit code 1 of the export) is no miss.

    python device_tests/benchmarks/bench_memory.py rlfn iat --against ../old-checkout --json memory.json
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO

import psutil

from clearport.disk.files import write_text
from clearport.registry import NETWORKS

sys.path.insert(0, str(Path(__file__).parents[1]))
from published import some_weights

BAR_GB = 3.0
"""Peak PSS of one export, at most (1e9 bytes)."""

HERE = Path(__file__).parents[2]
INTERVAL_S = 0.05
_LAST = "the end"


@dataclass
class Peak:
    """The most that all processes held at once, in bytes, and how many they were then."""

    pss: int = 0
    rss: int = 0
    processes: int = 0

    def add(self, pss: int, rss: int, processes: int) -> None:
        """Take a sample into account."""
        if pss > self.pss:
            self.pss, self.processes = pss, processes
        self.rss = max(self.rss, rss)


@dataclass
class Found:
    """One export: its peak, the peak of each stage in order, seconds, how it ended, whether its weights were fresh, and
    which checks failed.
    """

    peak: Peak = field(default_factory=Peak)
    stages: dict[str, Peak] = field(default_factory=dict)
    wall_s: float = 0.0
    cpu_s: float = 0.0
    exit_code: int = 0
    fresh: bool = False
    said: str = ""
    failures: list[str] = field(default_factory=list)


class Sampler(threading.Thread):
    """Samples a process and all that it started until it ends."""

    def __init__(self, root: psutil.Process) -> None:
        super().__init__(daemon=True)
        self._root, self._lock, self._since = root, threading.Lock(), Peak()
        self._cpu: dict[tuple[int, float], float] = {}
        self.ended = threading.Event()

    def run(self) -> None:
        """Sample until ``ended`` is set."""
        while not self.ended.is_set():
            began = time.monotonic()
            self._sample()
            took = time.monotonic() - began  # a gigabyte takes milliseconds to look at
            self.ended.wait(max(INTERVAL_S - took, 3 * took))

    def taken(self) -> Peak:
        """The peak since the last call."""
        with self._lock:
            found, self._since = self._since, Peak()
        return found

    @property
    def cpu_s(self) -> float:
        """CPU time of all processes that were seen, up to their last sample."""
        return sum(self._cpu.values())

    def _sample(self) -> None:
        pss = rss = count = 0
        for process in self._tree():
            with suppress(psutil.Error, OSError):
                rss += process.memory_info().rss
                pss += _pss(process)
                count += 1
                times = process.cpu_times()
                self._cpu[process.pid, process.create_time()] = times.user + times.system
        with self._lock:
            self._since.add(pss, rss, count)

    def _tree(self) -> list[psutil.Process]:
        with suppress(psutil.Error):
            return [self._root, *self._root.children(recursive=True)]
        return []


def _pss(process: psutil.Process) -> int:
    """Proportional set size in bytes (Linux); the resident size where the system does not tell."""
    rollup = Path(f"/proc/{process.pid}/smaps_rollup")
    if not rollup.exists():
        return int(process.memory_info().rss)
    (line,) = (line for line in rollup.read_text().splitlines() if line.startswith("Pss:"))
    return int(line.split()[1]) << 10


def main() -> int:
    """Run the benchmark; 1 if a network needs more than the bar, or an export ends badly."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", help="default: all")
    parser.add_argument("--against", type=Path, help="another checkout, which is measured as well")
    parser.add_argument("--json", type=Path, help="file that keeps what was found; networks in it are not run again")
    parser.add_argument("--export", default="", help="more words for the export, such as '--no-bench --size 64x64'")
    options = parser.parse_args()
    kept = json.loads(options.json.read_text()) if options.json and options.json.exists() else {}
    places = {"now": HERE, **({"against": options.against.absolute()} if options.against else {})}
    for network in options.networks or NETWORKS.names():
        rows = kept.setdefault(network, {})
        for label, place in places.items():
            if label not in rows:
                rows[label] = asdict(measured(network, place, options.export.split()))
                _show(network, label, rows[label])
            if options.json:
                write_text(options.json, json.dumps(kept, indent=2) + "\n")
    return 0 if all(_holds(rows["now"]) for rows in kept.values()) else 1


def measured(network: str, checkout: Path, more: list[str]) -> Found:
    """Export ``network`` with the sources of ``checkout``, in this interpreter."""
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile("w+") as printed:
        weights = some_weights(NETWORKS.get(network), Path(folder))
        given = [] if weights is None else ["--weights", str(weights)]
        words = ["export", network, "--out", str(Path(folder, "out")), *given, *more]
        environment = {**os.environ, "PYTHONPATH": str(checkout / ".typing"), "PYTHONUNBUFFERED": "1"}
        began = time.monotonic()
        process = subprocess.Popen(
            [sys.executable, "-m", "clearport", *words],
            env=environment,
            stdout=printed,
            stderr=subprocess.PIPE,
            text=True,
        )
        sampler = Sampler(psutil.Process(process.pid))
        sampler.start()
        assert process.stderr is not None
        found = _followed(process.stderr, sampler)
        found.fresh = weights is not None and weights.parent == Path(folder)
        found.exit_code, found.wall_s, found.cpu_s = process.wait(), time.monotonic() - began, sampler.cpu_s
        sampler.ended.set()
        sampler.join()
        printed.seek(0)
        found.failures = [line.strip() for line in printed if "failed" in line]
    return found


def _followed(stderr: IO[str], sampler: Sampler) -> Found:
    """Read the stages as they end, each with the peak since the one before it."""
    found = Found()
    for line in stderr:
        found.said = f"{found.said}{line}"[-2000:]
        if line.startswith("✓"):
            _stage(found, line[1:].rsplit(maxsplit=2)[0].strip(), sampler.taken())
    _stage(found, _LAST, sampler.taken())
    return found


def _stage(found: Found, name: str, peak: Peak) -> None:
    for kept in (found.stages.setdefault(name, Peak()), found.peak):
        kept.add(peak.pss, peak.rss, peak.processes)


def _holds(row: dict[str, object]) -> bool:
    peak = row["peak"]
    assert isinstance(peak, dict)
    return row["exit_code"] in ((0, 1) if row.get("fresh") else (0,)) and peak["pss"] <= BAR_GB * 1e9


def _show(network: str, label: str, row: dict[str, object]) -> None:
    peak, stages = row["peak"], row["stages"]
    assert isinstance(peak, dict)
    assert isinstance(stages, dict)
    verdict = "holds" if _holds(row) else f"MISSED (exit code {row['exit_code']}, bar {BAR_GB:g} GB)"
    print(
        f"{network} ({label}): {_figures(peak)}; {row['wall_s']:.0f} s, CPU {row['cpu_s']:.0f} s; {verdict}", flush=True
    )
    for name, stage in stages.items():
        print(f"    {name:36}{_figures(stage)}", flush=True)
    print("".join(f"    {failure}\n" for failure in row.get("failures", [])), end="", flush=True)


def _figures(peak: dict[str, int]) -> str:
    gb = {key: peak[key] / 1e9 for key in ("pss", "rss")}
    return f"{gb['pss']:6.2f} GB PSS {gb['rss']:6.2f} GB RSS {peak['processes']:3} processes"


if __name__ == "__main__":
    sys.exit(main())
