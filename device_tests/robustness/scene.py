"""A folder with outputs of earlier runs, inputs, and files of the user's: what robustness runs work in."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from clearport.bundle.folder import Bundle
from clearport.disk import ours
from clearport.errors import ClearportError
from clearport.models import samples, weights
from clearport.pictures.images import load_rgb, save_png
from clearport.registry import NETWORKS

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
