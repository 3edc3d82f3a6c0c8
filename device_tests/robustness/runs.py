"""Commands that are killed, starved and raced: a process with everything imported is forked for each.

    python -m device_tests.robustness.runs kills --count 200
    python -m device_tests.robustness.runs disks --count 30
    python -m device_tests.robustness.runs writers

Each prints one JSON object: how many runs there were, how they ended, and what went wrong, which should be nothing.
Linux; ``disks`` mounts small file systems, for which it must be root.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from clearport.base import ClearportError
from clearport.bundle.folder import Bundle
from clearport.cli import app as cli
from clearport.disk import ours
from clearport.models import samples, weights
from clearport.pictures.images import load_rgb, save_png
from clearport.registry import NETWORKS

COMMANDS = ("export", "train", "bench")
MINE = "years of work"
LOOKALIKES = ("mine.txt", ".bundle.3fa9c1d2e5b7a804.partial", ".bundle.partial", "bundle.kept-abcdef", ".notes.swp")


@dataclass
class Scene:
    """A folder with outputs of earlier runs, inputs, and files of the user's between them."""

    folder: Path
    temporary: Path
    user: dict[str, str] = field(default_factory=dict)
    made: set[str] = field(default_factory=set)

    @classmethod
    def laid_out(cls, folder: Path, temporary: Path) -> Scene:
        temporary.mkdir(parents=True, exist_ok=True)
        for name in LOOKALIKES:
            (folder / name).write_text(MINE)
        photos = folder / "photos"
        for path in [*samples.calibration()[:2], samples.golden()]:
            save_png(photos / path.name, np.ascontiguousarray(load_rgb(path)[:64, :64]))
        scene = cls(folder, temporary)
        scene.user = scene.digests(photos, *(folder / name for name in LOOKALIKES))
        return scene

    def digests(self, *places: Path) -> dict[str, str]:
        files = [p for place in places for p in ([place] if place.is_file() else sorted(place.rglob("*.png")))]
        return {str(p): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}

    @property
    def bundle(self) -> Path:
        return self.folder / "bundle"

    @property
    def weights(self) -> Path:
        return self.folder / "mine.safetensors"

    @property
    def record(self) -> Path:
        return self.folder / "bench.json"

    def lines(self) -> dict[str, list[str]]:
        """The commands, by name."""
        small = ["--target", "onnxruntime", "--precision", "fp32"]
        return {
            "export": [
                "export",
                "ncnet",
                "--out",
                str(self.bundle),
                "--size",
                "64x64",
                *small,
                "--no-bench",
                "--force",
            ],
            "train": [
                *("train", "ncnet", "--data", str(self.folder / "photos"), "--out", str(self.weights), "--scale", "2"),
                *("--steps", "6", "--batch", "2", "--patch", "12", "--validate-every", "2", "--force"),
            ],
            "bench": [
                *("bench", str(self.bundle), "--json", str(self.record), "--record"),
                *("--runs", "2", "--seconds", "0", "--quiet"),
            ],
        }

    def wrong(self) -> list[str]:
        """What should not be: files of the user's that are lost or changed, outputs that are half there."""
        found = []
        now = self.digests(self.folder / "photos", *(self.folder / name for name in LOOKALIKES))
        found += [f"lost or changed: {name}" for name in self.user if now.get(name) != self.user[name]]
        checks = (self.bundle, self._bundle), (self.weights, self._weights), (self.record, self._record)
        for place, check in checks:
            what = place.name
            if what not in self.made:
                continue
            try:
                found += [f"{what}: {problem}" for problem in check()]
            except (ClearportError, ValueError, KeyError) as error:
                found.append(f"{what}: {error}")
        return found

    def _bundle(self) -> Iterator[str]:
        yield from map(str, Bundle.load(self.bundle).verify_files())

    def _weights(self) -> Iterator[str]:
        weights.load(NETWORKS.get("ncnet"), 2, self.weights)
        if not ours.is_checkpoint(self.weights.with_name("mine.safetensors.checkpoint")):
            yield "no checkpoint"

    def _record(self) -> Iterator[str]:
        if not ours.is_bench_json(self.record):
            yield "neither a record nor a note"

    def left_over(self) -> list[str]:
        """Hidden and temporary files that no run owns any more."""
        names = [p.relative_to(self.folder).as_posix() for p in self.folder.rglob("*") if p.name not in LOOKALIKES]
        odd = [name for name in names if any(part.startswith(".") or ".kept-" in part for part in Path(name).parts)]
        return odd + [f"tmp: {p.name}" for p in self.temporary.iterdir()]


def forked(words: Sequence[str], temporary: Path, log: Path) -> int:
    """Start a command; the id of its process, which leads a session."""
    process = os.fork()
    if process:
        return process
    try:
        os.setsid()
        os.environ["TMPDIR"] = tempfile.tempdir = str(temporary)
        sink = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        for number in (1, 2):
            os.dup2(sink, number)
        sys.argv = ["clearport", *words]
        import torch

        torch.set_num_threads(1)
        cli.main()
    except SystemExit as ended:
        sys.stdout.flush()
        os._exit(ended.code if isinstance(ended.code, int) else 1)
    finally:
        os._exit(99)


def finished(process: int, limit_s: float = 300.0) -> int:
    """The exit code of a command, minus the number of the signal if one ended it."""
    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        done, status = os.waitpid(process, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.killpg(process, signal.SIGKILL)
    os.waitpid(process, 0)
    return 98


def warm() -> None:
    """Import what the commands import, so that the time of a fork is that of work."""
    import onnx
    import onnxruntime
    import torch

    del onnx, onnxruntime, torch


def timed(words: Sequence[str], scene: Scene, log: Path) -> tuple[int, float]:
    began = time.monotonic()
    code = finished(forked(words, scene.temporary, log))
    return code, time.monotonic() - began


def kills(count: int, seed: int, only: Sequence[str]) -> dict[str, object]:
    """``kill -9`` at random points of export, train and bench, each in the place of what an earlier run left there."""
    draw = random.Random(seed)
    with tempfile.TemporaryDirectory(prefix="robustness-") as name:
        log = Path(name, "log")
        folder = Path(name, "scene")
        folder.mkdir()
        scene = Scene.laid_out(folder, Path(name, "tmp"))
        lines = {what: line for what, line in scene.lines().items() if what in only}
        took = {what: timed(line, scene, log) for what, line in lines.items()}
        wrong = [f"{what} ended with {code}: {log.read_text()[-2000:]}" for what, (code, _) in took.items() if code]
        scene.made = {p.name for p in (scene.bundle, scene.weights, scene.record) if p.exists()}
        ends: Counter[str] = Counter()
        for number in range(count):
            what = list(lines)[number % len(lines)]
            process = forked(lines[what], scene.temporary, log)
            time.sleep(draw.uniform(0.0, took[what][1] * 1.05))
            whole = number % 2 == 0
            _kill(process, whole=whole)
            code = finished(process)
            ends[f"{what} {'killed' if code == -signal.SIGKILL else f'done ({code})'}"] += 1
            wrong += [f"{number} {what}: {problem}" for problem in scene.wrong()]
        time.sleep(3.0)  # workers whose parent is gone end within a second
        last = {what: timed(line, scene, log)[0] for what, line in lines.items()}
        wrong += [f"{what} afterwards ended with {code}" for what, code in last.items() if code]
        wrong += [f"afterwards: {problem}" for problem in scene.wrong()]
        wrong += [f"left over: {left}" for left in scene.left_over()]
    return {
        "kills": count,
        "seed": seed,
        "seconds": {k: round(t, 2) for k, (_, t) in took.items()},
        "ends": dict(ends),
        "wrong": wrong,
    }


def _kill(process: int, *, whole: bool) -> None:
    """Kill a command, and with ``whole`` its workers as well, which otherwise notice by themselves."""
    workers = _below(process) if whole else []
    for number in (process, *workers):
        try:
            os.kill(number, signal.SIGKILL)
        except ProcessLookupError:
            continue


def _below(process: int) -> list[int]:
    import psutil

    try:
        return [child.pid for child in psutil.Process(process).children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


@contextmanager
def small_disk(place: Path, kib: int) -> Iterator[Path]:
    """A file system of its own of ``kib`` KiB."""
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={kib}k", "tmpfs", place], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", place], check=True)
        place.rmdir()


def disks(count: int) -> dict[str, object]:
    """Outputs on disks that are full sooner or later; every other one is that of the temporary files as well."""
    ends: Counter[str] = Counter()
    wrong: list[str] = []
    with tempfile.TemporaryDirectory(prefix="robustness-") as name:
        made = Path(name, "made")
        made.mkdir()
        good = Scene.laid_out(made, Path(name, "tmp"))
        log = Path(name, "log")
        timed(good.lines()["export"], good, log)
        for number in range(count):
            what = COMMANDS[number % 3]
            kib = 16 + round(1.6 ** (number / 2) * 8)
            with small_disk(Path(name, "disk"), kib) as disk:
                ends[_starved(what, good, disk, kib, number % 2 == 0, wrong)] += 1
    return {"places": count, "ends": dict(ends), "wrong": wrong}


def _starved(what: str, good: Scene, disk: Path, kib: int, scratch_too: bool, wrong: list[str]) -> str:
    (disk / "mine.txt").write_text(MINE)
    temporary = disk / "tmp" if scratch_too else good.temporary
    temporary.mkdir(exist_ok=True)
    line = [word.replace(str(good.folder / "mine."), f"{disk}/mine.") for word in good.lines()[what]]
    line = [f"{disk}/bench.json" if word == str(good.record) else word for word in line if word != "--record"]
    if what == "export":
        line[line.index("--out") + 1] = str(disk / "bundle")
    log = good.folder.parent / f"log{kib}"
    code = finished(forked(line, temporary, log))
    said = log.read_text(errors="replace")
    names = sorted(p.relative_to(disk).as_posix() for p in disk.rglob("*"))
    there = [n for n in names if n not in {"mine.txt", "tmp"}]
    where = f"{what} on {kib} KiB ended with {code}"
    if (disk / "mine.txt").read_text() != MINE:
        wrong.append(f"{where}: the user's file is gone")
    if code not in {0, 2} or "Traceback" in said:
        wrong.append(f"{where}: {said[-1500:]}")
    if code == 2 and "full" not in said:
        wrong.append(f"{where}, and does not say why: {said[-1500:]}")
    if any(Path(n).name.startswith(".") for n in there) or any(n.startswith("tmp/") for n in there):
        wrong.append(f"{where}: left over: {there}")
    if code == 2 and what == "export" and there:
        wrong.append(f"{where}: half there: {there[:5]}")
    if code == 0 and what == "export" and (found := Bundle.load(disk / "bundle").verify_files()):
        wrong.append(f"{where}: {found[0]}")
    return f"{what} {'done' if code == 0 else 'refused'}"


def writers() -> dict[str, object]:
    """Two of each command to one place at once: one is done, one refused, and what is there is whole."""
    wrong: list[str] = []
    ends = {}
    with tempfile.TemporaryDirectory(prefix="robustness-") as name:
        folder = Path(name, "scene")
        folder.mkdir()
        scene = Scene.laid_out(folder, Path(name, "tmp"))
        timed(scene.lines()["export"], scene, Path(name, "log"))
        for what, line in scene.lines().items():
            logs = [Path(name, f"{what}{number}") for number in (0, 1)]
            running = [forked(line, scene.temporary, log) for log in logs]
            codes = [finished(process) for process in running]
            ends[what] = sorted(codes)
            said = "".join(log.read_text() for log in logs)
            if sorted(codes) != [0, 2] or "another clearport is writing there" not in said:
                wrong.append(f"{what}: {codes}: {said[-2000:]}")
        scene.made = {p.name for p in (scene.bundle, scene.weights, scene.record)}
        wrong += scene.wrong()
        wrong += [f"left over: {left}" for left in scene.left_over()]
    return {"ends": ends, "wrong": wrong}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("kills", "disks", "writers"))
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", nargs="+", default=COMMANDS, choices=COMMANDS, help="these commands alone are killed")
    given = parser.parse_args()
    warm()
    does: dict[str, Callable[[], dict[str, object]]] = {
        "kills": lambda: kills(given.count, given.seed, given.only),
        "disks": lambda: disks(given.count),
        "writers": writers,
    }
    found = does[given.what]()
    print(json.dumps(found, indent=1))
    return 1 if found["wrong"] else 0


if __name__ == "__main__":
    raise SystemExit(main())
