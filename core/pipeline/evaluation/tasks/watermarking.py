"""Watermarks: bit errors after attacks, and visibility of the mark, on any folder of photos.

A bundle has one of the two networks; the other one runs in PyTorch, from the weights that both share. Marked pictures
are rounded to 8 bits before and after each attack. Bits are drawn per picture, deterministically; the picture is the
photo's center crop of the artifact's size.
"""

from __future__ import annotations

from functools import cache, partial
from typing import TYPE_CHECKING, Any

import numpy as np

from clearport.base import Size
from clearport.graph import shapes
from clearport.pictures.images import load_rgb
from clearport.pipeline.evaluation.judge import of_photos
from clearport.pipeline.goldens import fit
from clearport.registry import NETWORKS
from clearport.runtime import metrics, pixels
from clearport.runtime.figures import Metric, mean_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from pathlib import Path

    import torch

    from clearport.base import Array
    from clearport.models.layers.watermark import Watermark
    from clearport.pictures.images import Image8
    from clearport.pipeline.evaluation.judge import Found, Opened
    from clearport.runtime.figures import Score

MARKED = "marked"
"""The embedder's output, by which it is told from the reader."""
_FREE = Size(256, 256)
_NAMES = ("none", "JPEG 50", "half size", "blur 1", "crop")


class WatermarkJudge:
    """See ``Judge``."""

    metrics = (
        Metric("bit errors", "%", f"misread bits, mean over: {', '.join(_NAMES)}", mean_of("all"), more=False),
        *(Metric(name, "%", f"misread bits after: {name}", mean_of(name), more=False) for name in _NAMES),
        Metric("PSNR", "dB", "RGB, of the marked picture to the unmarked one, 8 bits", mean_of("psnr")),
    )
    groups = "pictures"

    def examples(self, folder: Path, held_back: Collection[str] | None) -> Found:
        return of_photos(folder, held_back, _loaded, "{}")

    def score(self, opened: Opened, given: Any, truth: Any) -> Score:
        network = networks_of(opened.network)
        picture = fit(given, shapes.size_of(shapes.lead(opened.artifact.inputs)) or _FREE)
        embeds = opened.artifact.outputs[0].name == MARKED
        marked = _marked_by_file(opened, picture, truth) if embeds else _marked(network, picture, truth)
        read = partial(_read, network) if embeds else partial(_read_by_file, opened)
        errors = {name: 100.0 * float((read(seen) != truth).mean()) for name, seen in _attacked(marked).items()}
        return {
            **errors,
            "all": float(np.mean(list(errors.values()))),
            "psnr": metrics.psnr_db(marked, picture, 0, "RGB"),
        }


def _loaded(path: Path, number: int) -> tuple[Image8, Array]:
    from clearport.models.layers.watermark import BITS

    return load_rgb(path), np.random.default_rng([number, 64]).integers(0, 2, BITS).astype(np.float32)


def networks_of(path: Path) -> Watermark:
    """Both networks, from the weights of a bundle."""
    return _loaded_networks(path, path.stat().st_mtime_ns)


@cache
def _loaded_networks(path: Path, changed_ns: int) -> Watermark:
    from clearport.models import weights

    del changed_ns  # an export may have replaced the bundle meanwhile
    found: Watermark = weights.load(NETWORKS.get("wmembed"), 1, path).module  # type: ignore[assignment]  # built by it
    return found


def _marked_by_file(opened: Opened, picture: Image8, bits: Array) -> Image8:
    named = {spec.name: picture if spec.is_picture else bits[None] for spec in opened.artifact.inputs}
    spec = opened.artifact.outputs[0]
    outputs = opened.worker.outputs(pixels.tensors(named, opened.artifact.inputs), [spec.name])
    return pixels.to_image(outputs[spec.name], spec)


def _read_by_file(opened: Opened, picture: Image8) -> Array:
    logits = opened.at_once({opened.artifact.inputs[0].name: picture})
    return np.asarray(next(iter(logits.values())).reshape(-1) > 0, np.float32)


def _marked(network: Watermark, picture: Image8, bits: Array) -> Image8:
    import torch

    with torch.inference_mode():
        return _picture(network.embedder(_tensor(picture), torch.from_numpy(bits)[None]))


def _read(network: Watermark, picture: Image8) -> Array:
    import torch

    with torch.inference_mode():
        return np.asarray(network.reader(_tensor(picture))[0].numpy() > 0, np.float32)


def _attacked(marked: Image8) -> Mapping[str, Image8]:
    from clearport.models.layers.attacks import ATTACKS

    attacks: Mapping[str, Callable[[torch.Tensor], torch.Tensor]] = ATTACKS
    return {name: _picture(attack(_tensor(marked))) for name, attack in attacks.items()}


def _tensor(picture: Image8) -> torch.Tensor:
    import torch

    return torch.from_numpy(np.ascontiguousarray(picture)).permute(2, 0, 1)[None] / 255.0


def _picture(values: torch.Tensor) -> Image8:
    levels = (255.0 * values[0].clamp(0.0, 1.0)).round().byte()
    return np.ascontiguousarray(levels.permute(1, 2, 0).numpy())


JUDGE = WatermarkJudge()
