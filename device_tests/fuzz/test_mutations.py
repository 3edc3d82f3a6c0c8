"""Mutated inputs, by the command line: exit code 0, 1 or 2 with a message, never a traceback, a hang or gigabytes.

``CLEARPORT_FUZZ_SEED`` starts the slow run somewhere else, and ``CLEARPORT_FUZZ_COUNT`` says how many inputs it has.
"""

from __future__ import annotations

import os
import random
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

import clearport
from device_tests.fuzz.cases import KINDS, Originals
from device_tests.fuzz.forked import Forked

CPU_S, PEAK_MIB = 10.0, 2048
"""What a command that refuses its input, or does as it says, may take."""
FEW, MANY = 2, int(os.environ.get("CLEARPORT_FUZZ_COUNT", "2000"))
SEED = int(os.environ.get("CLEARPORT_FUZZ_SEED", "0"))
SHARES = {"manifest": 0.35, "picture": 0.2, "graph": 0.15, "record": 0.15, "weights": 0.1, "checksums": 0.05}


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Originals:
    place = tmp_path_factory.mktemp("good")
    options = {"size": "16x16", "targets": ("onnxruntime",), "precisions": ("fp32",), "measure": False}
    bundle = clearport.export("ncnet", place / "bundle", **options)  # type: ignore[arg-type]  # as keywords
    clearport.bench(bundle.folder, runs=1, seconds=0).record.save(place / "bench.json")
    return Originals(bundle.folder, place / "bench.json")


@pytest.fixture(scope="module")
def forked() -> Iterator[Forked]:
    with Forked() as server:
        yield server


def judged(kind: str, seed: int, good: Originals, forked: Forked, place: Path) -> str | None:
    """What is wrong with how one mutated input was taken; None: nothing."""
    place.mkdir()
    words = KINDS[kind](good, random.Random(zlib.crc32(f"{kind} {seed}".encode())), place)
    ended = forked.run(place, *words)
    said = f"{kind} {seed}: {' '.join(map(str, words))}\n{ended}"
    if ended.code not in {0, 1, 2}:
        return f"exit code {ended.code}: {said}"
    if "Traceback" in ended.err or "error: unexpected" in ended.err:
        return f"an exception that nobody expected: {said}"
    if ended.code == 2 and "error" not in ended.err.lower():
        return f"no message: {said}"
    if ended.cpu_s > CPU_S or ended.peak_mib > PEAK_MIB:
        return f"too much: {said}"
    left = [path for path in place.rglob("*") if path.name.endswith((".partial", ".old"))]
    return f"left behind {left}: {said}" if left else None


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"graph"}))
def test_a_few_mutated_inputs(kind: str, good: Originals, forked: Forked, tmp_path: Path) -> None:
    """Broken model files are left to the slow run: they are the runtimes' own to refuse, in a worker."""
    found = [judged(kind, seed, good, forked, tmp_path / str(seed)) for seed in range(FEW)]
    assert [each for each in found if each] == []


@pytest.mark.slow
@pytest.mark.timeout(4 * 3600)
@pytest.mark.parametrize("kind", sorted(KINDS))
def test_many_mutated_inputs(kind: str, good: Originals, forked: Forked, tmp_path: Path) -> None:
    seeds = range(SEED + FEW, SEED + FEW + round(MANY * SHARES[kind]))
    found = [judged(kind, seed, good, forked, tmp_path / str(seed)) for seed in seeds]
    assert [each for each in found if each] == []
