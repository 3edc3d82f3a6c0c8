"""Validation of a network on held-out pictures, and a preview of its outputs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from clearport.models import ranking
from clearport.models.data.pair import Pair
from clearport.models.degradations.diffusion import Diffusion
from clearport.models.layers.attacks import ATTACKS
from clearport.models.layers.diffusion import kept
from clearport.models.layers.inversion.stages import Inversion
from clearport.models.layers.matting import Matting, cut, places_of
from clearport.models.layers.watermark import Watermark
from clearport.models.metrics import psnr_db, to_levels
from clearport.models.training.outputs import taken
from clearport.pictures import light

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from clearport.base import Array, Float32, Task
    from clearport.model_spec import ModelSpec
    from clearport.pictures.images import Image8

_MOST_SHOWN = 6
_JUDGED_STEPS = (100, 300, 500, 700, 900)
_DRAWN, _STAGES = 8, 2
_GAP = 4


_PSNR = ("dB RGB", "Y")
FIGURES: Mapping[Task, tuple[str, str]] = {
    "hdr": ("dB PSNR-mu, 8 bit", "of its luma"),
    "generation": ("dB, noise to what is left of it", "the same at its strongest"),
    "matting": ("dB, alpha", "dB, refined squares"),
    "inversion": ("dB, drawn pictures found again", "dB, photos"),
    "watermarking": ("% of the bits read after attacks", "dB RGB to the unmarked picture"),
    "deepfake-detection": ("% AUC", "% accuracy"),
}
"""Task -> descriptions of its two figures."""


def units_of(spec: ModelSpec) -> tuple[str, str]:
    """Descriptions of the two figures of a validation."""
    return FIGURES.get(spec.task, _PSNR)


def card_key(spec: ModelSpec) -> str:
    """The key of the first figure in a card."""
    return FIGURES[spec.task][0] if spec.task in FIGURES else "rgb_psnr_db"


@dataclass(frozen=True)
class Judgment:
    """Mean PSNR in dB, RGB and BT.601 luma, of the pairs with targets; NaN if there are none.

    Other tasks have other figures (``FIGURES``), of which the first selects the weights, too. ``images`` are the
    outputs, clipped and rounded to 8 bits.
    """

    rgb_db: float
    y_db: float
    images: tuple[Image8, ...]


def judge(network: nn.Module, spec: ModelSpec, scale: int, pairs: Sequence[Pair]) -> Judgment:
    """Run ``network`` in eval mode on the pairs; upscaling networks are compared without a border of ``scale`` pixels.

    High dynamic range is compared and shown after the mu-law, in 8 bits, so that ``rgb_db`` is PSNR-mu.
    """
    network.eval()
    if isinstance(network, Watermark):
        return _read(network, pairs)
    if spec.task == "deepfake-detection":
        return _told_apart(network, pairs, spec)
    if isinstance(network, Matting):
        return _matted(network, pairs)
    if isinstance(network, Inversion):
        return _inverted(network, pairs)
    if spec.task == "generation":
        return _told_from_noise(network, spec, pairs)
    images = tuple(_made(network, pair.low, spec) for pair in pairs if pair.low is not None)
    judged = [(made, _shown(pair.high)) for made, pair in zip(images, pairs, strict=True) if pair.high is not None]
    border = scale if scale > 1 else 0
    rgb, luma = (
        float(np.mean([psnr_db(made, high, border, space) for made, high in judged])) if judged else math.nan
        for space in ("RGB", "Y")
    )
    return Judgment(rgb, luma, images)


@torch.no_grad()
def _read(network: Watermark, pairs: Sequence[Pair]) -> Judgment:
    """Share of bits read after each of ``ATTACKS``, from marked pictures rounded to 8 bits."""
    images, shares, distances = [], [], []
    device = _device(network)
    for pair in pairs:
        assert pair.low is not None
        picture = torch.from_numpy(np.ascontiguousarray(pair.low)).permute(2, 0, 1)[None].to(device) / 255.0
        bits = torch.from_numpy(pair.truth["bits"]).reshape(1, -1).to(device)
        marked = (255.0 * network.embedder(picture, bits)).round() / 255.0
        images.append(to_levels(255.0 * marked[0].permute(1, 2, 0).cpu().numpy()))
        distances.append(psnr_db(images[-1], pair.low, 0))
        shares += [
            ((network.reader(attack(marked)) > 0) == (bits > 0)).float().mean().item() for attack in ATTACKS.values()
        ]
    return Judgment(100.0 * float(np.mean(shares)), float(np.mean(distances)), tuple(images))


@torch.no_grad()
def _told_apart(network: nn.Module, pairs: Sequence[Pair], spec: ModelSpec) -> Judgment:
    """AUC and related figures of logits for real and fake."""
    inputs = tuple(pair.low for pair in pairs if pair.low is not None)
    margins, labels = [], np.array([pair.truth["label"].item() for pair in pairs])
    for image in inputs:
        picture = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None].to(_device(network)).float()
        logits = network(*taken(picture * ((spec.value_range[1] - spec.value_range[0]) / 255.0), {}, spec.inputs))
        margins.append(ranking.margin(logits.float().cpu().numpy()))
    found, images = np.array(margins), tuple(image[..., :3] for image in inputs)
    return Judgment(100.0 * ranking.auc(found, labels), 100.0 * float(((found > 0) == (labels > 0)).mean()), images)


@torch.no_grad()
def _matted(network: Matting, pairs: Sequence[Pair]) -> Judgment:
    """Errors of alpha at the size of the pictures, and in the refined squares."""
    alphas, squares, images = [], [], []
    for pair in pairs:
        assert pair.low is not None
        assert pair.high is not None
        picture, clicks, true = (
            torch.from_numpy(np.ascontiguousarray(values, np.float32)).permute(2, 0, 1)[None].to(_device(network))
            for values in (pair.low / 255.0, pair.truth["clicks"], pair.high)
        )
        alpha, scale = network.coarse(picture, clicks)
        places = places_of(scale)
        refined = network.refine(*(cut(values, places) for values in (picture, alpha)))
        alphas.append(float(F.mse_loss(alpha, true)))
        squares.append(float(F.mse_loss(refined, cut(true, places))))
        images.append(to_levels(255.0 * alpha[0].permute(1, 2, 0).repeat(1, 1, 3).cpu().numpy()))
    whole_db, refined_db = (-10.0 * math.log10(max(float(np.mean(each)), 1e-10)) for each in (alphas, squares))
    return Judgment(whole_db, refined_db, tuple(images))


@torch.no_grad()
def _told_from_noise(network: nn.Module, spec: ModelSpec, pairs: Sequence[Pair]) -> Judgment:
    """Ratio of noise to its prediction error at ``_JUDGED_STEPS``; the pictures are the denoised ones of the first."""
    noiser, images, left = Diffusion(0), [], []
    for number, pair in enumerate(pairs):
        assert pair.low is not None
        rng = np.random.default_rng([number, 3])
        for step in _JUDGED_STEPS:
            made = noiser.at(step, pair.low, rng)
            assert made.high is not None
            maps = {
                name: torch.from_numpy(value).permute(2, 0, 1)[None].to(_device(network))
                for name, value in made.truth.items()
            }
            found: Array = network(*taken(torch.empty(0), maps, spec.inputs))[0].permute(1, 2, 0).cpu().numpy()
            left.append(float(np.mean((found - made.high) ** 2)))
            if step == _JUDGED_STEPS[0]:
                share = kept()[step]
                picture = (made.truth["noisy"] - np.sqrt(1.0 - share) * found) / np.sqrt(share)
                images.append(to_levels(127.5 * (picture + 1.0)))
    decibels = -10.0 * np.log10(np.asarray(left).reshape(-1, len(_JUDGED_STEPS)).mean(axis=0))
    return Judgment(float(decibels.mean()), float(decibels[-1]), tuple(images))


@torch.no_grad()
def _inverted(network: Inversion, pairs: Sequence[Pair]) -> Judgment:
    """PSNR of reconstructed generated pictures (deterministic), and of photos, after two stages."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        drawn, _ = network.drawn(_DRAWN)
    found = F.mse_loss(network.stages(drawn, _STAGES)[-1][1], drawn).item()
    images, distances = [], []
    for pair in pairs:
        assert pair.low is not None
        photo = torch.from_numpy(np.ascontiguousarray(pair.low)).permute(2, 0, 1)[None].to(drawn.device) / 127.5 - 1.0
        small = F.interpolate(photo, size=drawn.shape[2:], mode="area")
        made = network.stages(small, _STAGES)[-1][1]
        whole = F.interpolate(made, size=photo.shape[2:], mode="nearest")
        images.append(to_levels(127.5 * (whole[0].permute(1, 2, 0).cpu().numpy() + 1.0)))
        distances.append(F.mse_loss(made, small).item())
    drawn_db, photos_db = (-10.0 * math.log10(max(each / 4.0, 1e-10)) for each in (found, float(np.mean(distances))))
    return Judgment(drawn_db, photos_db, tuple(images))


def _made(network: nn.Module, low: Image8, spec: ModelSpec) -> Image8:
    if not spec.inputs:
        return restore(network, low, spec.value_range)
    return _shown(values_of(network, low, spec))


def _shown(high: Array) -> Image8:
    """An output for display: pictures unchanged; alpha as gray; high dynamic range tone-mapped."""
    if high.shape[2] == 1:
        return to_levels(255.0 * high.repeat(3, axis=2))
    return high if high.dtype == np.uint8 else light.tone_mapped(high)


@torch.no_grad()
def values_of(network: nn.Module, low: Image8, spec: ModelSpec) -> Float32:
    """Run a network on several pictures, uint8, concatenated along the channels of (H, W, C).

    Returns:
        Its first output (H, W, C), float32 in the network's range.
    """
    black, step = spec.value_range[0], (spec.value_range[1] - spec.value_range[0]) / 255.0
    device = _device(network)
    levels = torch.tensor(low, device=device).permute(2, 0, 1)[None].float()
    made: torch.Tensor = network(*taken(levels * step + black, {}, spec.inputs))
    return np.ascontiguousarray(made[0].permute(1, 2, 0).cpu().numpy(), np.float32)


@torch.no_grad()
def restore(network: nn.Module, image: Image8, value_range: tuple[float, float] = (0.0, 255.0)) -> Image8:
    """Run a network on one uint8 picture (H, W, 3); ``value_range`` has its values of black and white."""
    black, step = value_range[0], (value_range[1] - value_range[0]) / 255.0
    device = _device(network)
    levels = torch.tensor(image, device=device).permute(2, 0, 1)[None].float()
    made = ((network(levels * step + black) - black) / step)[0].permute(1, 2, 0)
    return to_levels(made.cpu().numpy())


def _device(network: nn.Module) -> torch.device:
    return next((p.device for p in network.parameters()), torch.device("cpu"))


def preview(pairs: Sequence[Pair], images: Sequence[Image8]) -> Image8:
    """Up to six pictures side by side, each with its inputs above (nearest upscaling) and its target below."""
    columns = []
    for pair, made in list(zip(pairs, images, strict=True))[:_MOST_SHOWN]:
        assert pair.low is not None
        times = made.shape[0] // pair.low.shape[0]
        given = np.split(pair.low, max(1, pair.low.shape[2] // 3), axis=2)
        shown = [*(each.repeat(times, axis=0).repeat(times, axis=1) for each in given), made]
        columns.append(shown if pair.high is None else [*shown, _shown(pair.high)])
    tall, wide = (max(made.shape[axis] for column in columns for made in column) for axis in (0, 1))
    rows = max(len(column) for column in columns)
    size = (rows * (tall + _GAP) - _GAP, len(columns) * (wide + _GAP) - _GAP, 3)
    grid: Image8 = np.full(size, 255, np.uint8)
    for x, column in enumerate(columns):
        for y, picture in enumerate(column):
            top, left = y * (tall + _GAP), x * (wide + _GAP)
            grid[top : top + picture.shape[0], left : left + picture.shape[1]] = picture
    return grid
