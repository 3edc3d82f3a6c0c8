"""Commands that are killed, starved and raced: a process with everything imported is forked for each.

    python -m device_tests.robustness.runs kills --count 200
    python -m device_tests.robustness.runs disks --count 30
    python -m device_tests.robustness.runs writers

Each prints one JSON object: how many runs there were, how they ended, and what went wrong, which should be nothing.
Linux; ``disks`` mounts small file systems, for which it must be root.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from clearport.bundle.folder import Bundle

from .processes import finished, forked, kill, timed, warm
from .scene import MINE, Scene

COMMANDS = ("export", "train", "bench")


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
            kill(process, whole=whole)
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
            if sorted(codes) != [0, 2] or "another clearport process is writing there" not in said:
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
