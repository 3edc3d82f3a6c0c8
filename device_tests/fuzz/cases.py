"""What is mutated, and which commands then read it."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file

from clearport.bundle.files import MANIFEST, SUMS
from clearport.bundle.folder import WEIGHTS
from clearport.pictures.images import load_rgb
from device_tests.fuzz import mutate

Words = tuple[str | Path, ...]


@dataclass(frozen=True)
class Originals:
    """Good inputs: a bundle with one float file for ONNX Runtime, and the record of a bench of it."""

    bundle: Path
    record: Path

    @property
    def artifact(self) -> Path:
        """The bundle's only artifact."""
        (found,) = (self.bundle / "onnxruntime").glob("*.onnx")
        return found


def manifest(good: Originals, rng: random.Random, place: Path) -> Words:
    """A manifest with checksums that agree with it."""
    folder = _copy(good, place)
    (folder / MANIFEST).write_bytes(mutate.json_text((good.bundle / MANIFEST).read_text(), rng))
    _sign(folder, MANIFEST)
    return _reader(folder, rng, place)


def checksums(good: Originals, rng: random.Random, place: Path) -> Words:
    folder = _copy(good, place)
    (folder / SUMS).write_bytes(mutate.binary((good.bundle / SUMS).read_bytes(), rng))
    return "verify", folder


def graph(good: Originals, rng: random.Random, place: Path) -> Words:
    """A model file that is broken, in a bundle that says that it should be so."""
    folder = _copy(good, place)
    name = good.artifact.relative_to(good.bundle).as_posix()
    (folder / name).write_bytes(mutate.binary(good.artifact.read_bytes(), rng))
    _record(folder, name)
    return _reader(folder, rng, place)


def picture(good: Originals, rng: random.Random, place: Path) -> Words:
    """A picture to restore, or one of a pair to be judged with."""
    path = place / f"p.{rng.choice(tuple(_SAVED))}"
    path.write_bytes(mutate.binary(_picture(good, path.suffix[1:]), rng))
    folder = _copy(good, place)
    if rng.random() < 0.7:
        return "run", folder, path, "-o", place / "out.png", "--target", "onnxruntime", "--precision", "fp32"
    pairs = place / "pairs"
    pairs.mkdir()
    for side in ("LR", "HR"):
        shutil.copyfile(good.bundle / f"goldens/{'input' if side == 'LR' else 'float'}.png", pairs / f"a_{side}.png")
    path.replace(pairs / f"b_LR{path.suffix}")
    shutil.copyfile(good.bundle / "goldens/float.png", pairs / "b_HR.png")
    return "eval", folder, "--data", pairs


_SAVED: dict[str, dict[str, object]] = {"png": {}, "jpg": {}, "tif": {}, "webp": {}, "bmp": {}}


def _picture(good: Originals, kind: str) -> bytes:
    buffer = BytesIO()
    formats = {"jpg": "JPEG", "tif": "TIFF"}
    source = Image.fromarray(np.ascontiguousarray(load_rgb(good.bundle / "goldens/input.png")[:24, :24]))
    source.save(buffer, formats.get(kind, kind.upper()))
    return buffer.getvalue()


def weights(good: Originals, rng: random.Random, place: Path) -> Words:
    """A safetensors file, or a checkpoint of PyTorch."""
    path = place / f"w.{rng.choice(('safetensors', 'pth'))}"
    data = (good.bundle / WEIGHTS).read_bytes()
    if path.suffix == ".pth":
        buffer = BytesIO()
        torch.save(load_file(good.bundle / WEIGHTS), buffer)
        data = buffer.getvalue()
    path.write_bytes(mutate.binary(data, rng))
    options = ("--size", "16x16", "--target", "onnxruntime", "--precision", "fp32", "--no-bench")
    return "export", "ncnet", "--weights", path, "--out", place / "exported", *options


def record(good: Originals, rng: random.Random, place: Path) -> Words:
    """A record of an earlier bench, to be compared with or to be gone on from."""
    path = place / "old.json"
    path.write_bytes(mutate.json_text(good.record.read_text(), rng))
    how = ("--compare", path) if rng.random() < 0.5 else ("--json", path, "--resume")
    return "bench", _copy(good, place), "--runs", "1", "--seconds", "0", *how


KINDS: dict[str, Callable[[Originals, random.Random, Path], Words]] = {
    each.__name__: each for each in (manifest, checksums, graph, picture, weights, record)
}


def _reader(folder: Path, rng: random.Random, place: Path) -> Words:
    """One of the commands that read a bundle."""
    source, out = folder / "goldens/input.png", place / "out.png"
    command = rng.randrange(4)
    if command == 0:
        return "run", folder, source, "-o", out, "--target", "onnxruntime", "--precision", "fp32"
    if command == 1:
        pairs = place / "pairs"
        pairs.mkdir()
        shutil.copyfile(source, pairs / "a_LR.png")
        shutil.copyfile(folder / "goldens/float.png", pairs / "a_HR.png")
        return "eval", folder, "--data", pairs
    return ("verify", folder) if command == 2 else ("report", folder)


def _copy(good: Originals, place: Path) -> Path:
    return Path(shutil.copytree(good.bundle, place / "bundle"))


def _sign(folder: Path, name: str) -> None:
    """Give a file the line in the list of checksums that it needs."""
    lines = [line for line in (folder / SUMS).read_text().splitlines() if not line.endswith(f"  {name}")]
    lines.append(f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}")
    (folder / SUMS).write_text("\n".join(sorted(lines, key=lambda line: line[66:])) + "\n")


def _record(folder: Path, name: str) -> None:
    """Let the manifest say that an artifact's file should be as it is."""
    found = json.loads((folder / MANIFEST).read_text())
    digest = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    found["files"][name] = digest
    for artifact in found["artifacts"]:
        if artifact["path"] == name:
            artifact |= {"sha256": digest, "bytes": (folder / name).stat().st_size}
    (folder / MANIFEST).write_text(json.dumps(found, indent=2, sort_keys=True, ensure_ascii=False) + "\n")
    for each in (name, MANIFEST):
        _sign(folder, each)
