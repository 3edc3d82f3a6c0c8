"""Every bundled weights file: it loads, and its card says what it is, how it came to be, and how good it is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from clearport.disk.files import file_sha256
from clearport.export.from_torch import deployed
from clearport.graph import shapes
from clearport.models import normalized, samples, weights
from clearport.models.data.crops import center
from clearport.models.data.pair import Pair
from clearport.models.metrics import psnr_db
from clearport.models.networks.hdr.cenhdr import STOPS
from clearport.models.training.judge import judge as judged_in_training
from clearport.models.training.judge import restore, values_of
from clearport.pictures.images import load_rgb
from clearport.pictures.light import GAMMA
from clearport.pipeline.evaluation.judge import judge_of
from clearport.pipeline.systems.evaluate import score
from clearport.pipeline.systems.parts import in_torch
from clearport.registry import NETWORKS, SYSTEMS
from clearport.runtime.quality import find_pairs

if TYPE_CHECKING:
    from clearport.base import Array
    from clearport.graph.feeds import Sample
    from clearport.pictures.images import Image8

BUNDLED = [
    (name, scale)
    for name in NETWORKS.names()
    for scale in NETWORKS.get(name).scales
    if weights.bundled_path(NETWORKS.get(name), scale).is_file() and not NETWORKS.get(name).weights_of
]
OF_SYSTEMS = {"generation", "matting"}
PICTURES = [
    (name, scale)
    for name, scale in BUNDLED
    if judge_of(NETWORKS.get(name).task) is None and NETWORKS.get(name).task not in OF_SYSTEMS
]
"""Those that are judged by PSNR of pictures; the others have tests of their own."""
SETS = {
    "set5": "sr/set5/x{scale}",
    "set14": "sr/set14/x{scale}",
    "rain100l": "rain/rain100l",
    "rain100h": "rain/rain100h",
    "sice_held_back": "lowlight/sice",
    "bsds500_test_brackets": "photos/bsds500_test",
    "bsds500_test_marks": "photos/bsds500_test",
    "bsds500_test_composites": "photos/bsds500_test",
    "its_own_photo": "",
    "bsds500_test_forgeries": "photos/bsds500_test",
}
"""Key of a card's figures -> folder of pairs."""

BARS = {("mobilederain", "rain100l", "y"): 31.0, ("mobilederain", "rain100h", "y"): 22.0}
BARS |= {("iagc", "sice_held_back", "rgb"): 17.5, ("ncnet", "set5", "rgb"): 31.4}
"""What the recommended networks must reach at their default scale, in dB."""


@pytest.mark.parametrize(("name", "scale"), BUNDLED)
def test_it_loads_and_its_card_describes_it(name: str, scale: int) -> None:
    spec = NETWORKS.get(name)
    loaded = weights.load(spec, scale)
    assert not loaded.module.training
    assert loaded.sha256 == file_sha256(weights.bundled_path(spec, scale))
    assert loaded.source == f"bundled weights of {name} x{scale}"
    card = loaded.card
    assert (card["network"], card["scale"], card["license"]) == (name, scale, spec.license)
    assert card["params"] == sum(p.numel() for p in deployed(loaded.module).parameters())
    assert all(source["terms"] and source["photos"] > 0 for source in card["data"])
    assert {"seed", "loss", "lr", "batch", "patch", "steps"} <= set(card["training"])
    assert set(card["quality"]) <= set(SETS)
    assert card["protocol"]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "scale"), PICTURES)
def test_it_is_as_good_as_its_card_says(shared: Path, name: str, scale: int) -> None:
    loaded = weights.load(NETWORKS.get(name), scale)
    key = list(loaded.card["quality"])[-1 if NETWORKS.get(name).task == "deraining" else 0]
    said, found = loaded.card["quality"][key], judge(shared, name, scale, key)
    for space, value in found.items():
        assert value == pytest.approx(said[f"{space}_psnr_db"], abs=0.01)  # kernels of other processors


class InProcess:
    """A module as what a judge of evaluations runs."""

    def __init__(self, name: str) -> None:
        self.spec = NETWORKS.get(name)
        self.module = weights.load(self.spec, 1).module

    def in_tiles(self, picture: Image8) -> Array:
        return values_of(self.module, picture, self.spec)


class OneFrame:
    """A frame of a bracket as the judge's light, which is 1 where the short one clips."""

    def __init__(self, number: int) -> None:
        self.number = number

    def in_tiles(self, picture: Image8) -> Array:
        frame = picture[..., 3 * self.number : 3 * self.number + 3]
        return (frame / 255.0 * 2.0 ** (-STOPS * self.number / GAMMA)).astype(np.float32)


@pytest.mark.slow
def test_cenhdr_is_as_good_as_its_card_says(shared: Path, tmp_path: Path) -> None:
    judge, opened = judge_of("hdr"), InProcess("cenhdr")
    assert judge is not None
    said = weights.load(opened.spec, 1).card["quality"]["bsds500_test_brackets"]
    examples = judge.examples(every_fourth(shared / "data" / SETS["bsds500_test_brackets"], tmp_path), None).examples
    scores = [judge.score(opened, *example.load()) for example in examples]  # type: ignore[arg-type]  # no file
    for metric, key in zip(judge.metrics, ("psnr_mu_db", "psnr_linear_db"), strict=True):
        assert metric.of(scores) == pytest.approx(said[key], abs=0.01)
    told = weights.load(opened.spec, 1).card["protocol"]
    for number, words in enumerate(("the short one {:.2f} and {:.2f}", "medium frame alone has {:.2f} and {:.2f} dB")):
        scores = [judge.score(OneFrame(number), *example.load()) for example in examples]  # type: ignore[arg-type]
        assert words.format(*(metric.of(scores) for metric in judge.metrics)) in told


def every_fourth(folder: Path, place: Path) -> Path:
    """A folder of every fourth file of another one."""
    for path in sorted(folder.iterdir())[::4]:
        (place / path.name).symlink_to(path)
    return place


class InProcessReader:
    """The reader of marks as what a judge of evaluations runs."""

    def __init__(self) -> None:
        spec = NETWORKS.get("wmread")
        self.module = deployed(weights.load(spec, 1).module)
        self.network = weights.bundled_path(spec, 1)
        self.artifact = SimpleNamespace(inputs=(replace(spec.inputs[0], shape=(1, 3, 256, 256)),), outputs=spec.outputs)

    @torch.inference_mode()
    def at_once(self, sample: Sample) -> dict[str, Array]:
        picture = torch.from_numpy(sample["image"]).permute(2, 0, 1)[None] / 255.0
        return {"bits": self.module(picture).numpy()}


@pytest.mark.slow
def test_marks_are_as_good_as_their_card_says(shared: Path, tmp_path: Path) -> None:
    judge, opened = judge_of("watermarking"), InProcessReader()
    assert judge is not None
    said = weights.load(NETWORKS.get("wmembed"), 1).card["quality"]["bsds500_test_marks"]
    examples = judge.examples(every_fourth(shared / "data" / SETS["bsds500_test_marks"], tmp_path), None).examples
    scores = [judge.score(opened, *example.load()) for example in examples]  # type: ignore[arg-type]  # no file
    found = [metric.of(scores) for metric in judge.metrics]
    assert found == pytest.approx(list(said.values()), abs=0.1)  # a bit in 1280 is 0.08
    assert found[0] == pytest.approx(np.mean(found[1:-1]))


class InProcessDetector:
    """A detector as what a judge of evaluations runs."""

    def __init__(self) -> None:
        spec = NETWORKS.get("caddm")
        self.module = normalized.module(weights.load(spec, 1).module, spec.inputs).eval()
        self.artifact = SimpleNamespace(inputs=(replace(spec.inputs[0], shape=(1, 3, 224, 224)),))

    @torch.inference_mode()
    def at_once(self, sample: Sample) -> dict[str, Array]:
        picture = torch.from_numpy(sample["image"]).permute(2, 0, 1)[None].float()
        return {"logits": self.module(picture).numpy()}


@pytest.mark.slow
def test_forgeries_are_found_as_the_card_says(shared: Path) -> None:
    judge, opened = judge_of("deepfake-detection"), InProcessDetector()
    assert judge is not None
    said = weights.load(NETWORKS.get("caddm"), 1).card["quality"]["bsds500_test_forgeries"]
    examples = judge.examples(shared / "data" / SETS["bsds500_test_forgeries"], None).examples
    assert len(examples) == 160
    scores = [judge.score(opened, *example.load()) for example in examples]  # type: ignore[arg-type]  # no file
    found = [metric.of(scores) for metric in judge.metrics]
    assert found == pytest.approx(list(said.values()), abs=0.7)  # of a photo in 160, at other processors' rounding


@pytest.mark.parametrize(("name", "key", "space"), BARS)
def test_recommended_networks_reach_their_bars(shared: Path, name: str, key: str, space: str) -> None:
    assert judge(shared, name, NETWORKS.get(name).default_scale, key)[space] >= BARS[name, key, space]


def judge(shared: Path, name: str, scale: int, key: str) -> dict[str, float]:
    """Mean PSNR in dB over RGB and over Y."""
    spec = NETWORKS.get(name)
    loaded = weights.load(spec, scale)
    held_back = loaded.card.get("held_back")
    folder = shared / "data" / SETS[key].format(scale=scale)
    rows = []
    for pair in find_pairs(folder, scale, set(held_back) if held_back else None):
        low = load_rgb(pair.degraded)
        height, width = (n * scale for n in low.shape[:2])
        made = restore(loaded.module, extended(low, spec.size_multiple), spec.value_range)[:height, :width]
        high, border = load_rgb(pair.clean)[:height, :width], scale if scale > 1 else 0
        rows.append((psnr_db(made, high, border, "RGB"), psnr_db(made, high, border, "Y")))
    rgb, luma = np.mean(rows, axis=0)
    return {"rgb": float(rgb), "y": float(luma)}


def extended(image: Image8, multiple: int) -> Image8:
    """Mirrored below and at the right to sides that the network takes."""
    below, right = (-n % multiple for n in image.shape[:2])
    return np.pad(image, ((0, below), (0, right), (0, 0)), mode="symmetric")


@pytest.mark.slow
def test_matting_is_as_good_as_its_card_says(shared: Path) -> None:
    spec = SYSTEMS.get("matting")
    if not weights.bundled_path(NETWORKS.get("matcoarse"), 1).is_file():
        pytest.skip("no weights of matting are bundled")
    modules = {name: deployed(weights.load(NETWORKS.get(p.network), 1).module) for name, p in spec.parts.items()}
    ends = {name: shapes.contract(NETWORKS.get(p.network), 1) for name, p in spec.parts.items()}
    said = weights.load(NETWORKS.get("matcoarse"), 1).card["quality"]["bsds500_test_composites"]
    photos = sorted((shared / "data" / SETS["bsds500_test_composites"]).iterdir())[::4]
    parts = in_torch(modules, ends)
    scores = [score(spec.program(spec.size), parts, photo, number) for number, photo in enumerate(photos)]
    assert np.mean(scores, axis=0) == pytest.approx(list(said.values()), rel=0.02)


@pytest.mark.slow
def test_sinstep_finds_as_much_noise_as_its_card_says() -> None:
    spec = NETWORKS.get("sinstep")
    loaded = weights.load(spec, 1)
    photo = load_rgb(next(path for path in samples.calibration() if path.name == "galaxies.png"))
    pair = center(Pair("galaxies.png", photo, photo), 1, 256, 4)
    found = judged_in_training(loaded.module, spec, 1, [pair])
    said = loaded.card["quality"]["its_own_photo"]
    assert [found.rgb_db, found.y_db] == pytest.approx(list(said.values()), abs=0.02)
