"""A mark that a picture carries: both networks, and what happens to pictures on their way."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch

from clearport.errors import BadInput
from clearport.models import weights
from clearport.models.layers import attacks
from clearport.models.layers.watermark import BITS, PERIOD, STRENGTH, Watermark, folded, wrapped
from clearport.models.training.train import options_for, train
from clearport.pipeline.evaluation.tasks.watermarking import networks_of
from clearport.registry import NETWORKS


@pytest.fixture(scope="module")
def both() -> Watermark:
    found = weights.load(NETWORKS.get("wmembed"), 1).module
    assert isinstance(found, Watermark)
    return found


def picture(side: int = 128) -> torch.Tensor:
    """Smooth colors, an edge and some grain."""
    y, x = torch.meshgrid(torch.linspace(0, 3, side), torch.linspace(0, 3, side), indexing="ij")
    smooth = torch.stack([0.5 + 0.3 * torch.sin(x + c) * torch.cos(y) + 0.15 * (x + y > 3) for c in range(3)])
    return (smooth + 0.01 * torch.randn(3, side, side, generator=torch.Generator().manual_seed(0))).clamp(0, 1)[None]


def bits(seed: int = 0) -> torch.Tensor:
    return torch.randint(0, 2, (1, BITS), generator=torch.Generator().manual_seed(seed)).float()


def test_a_bundle_is_judged_with_the_weights_that_it_has_now(both: Watermark, tmp_path: Path) -> None:
    path, other = tmp_path / "weights.safetensors", copy.deepcopy(both)
    weights.save(path, both, "wmembed", 1, {})
    assert torch.equal(networks_of(path).reader.place.weight, both.reader.place.weight)
    torch.nn.init.zeros_(other.reader.place.weight)
    weights.save(path, other, "wmembed", 1, {})
    assert not networks_of(path).reader.place.weight.any()


@torch.inference_mode()
def test_what_is_embedded_is_read_and_hardly_seen(both: Watermark) -> None:
    marked = (255 * both.embedder(picture(), bits())).round() / 255
    assert float((marked - picture()).abs().max()) <= STRENGTH + 1 / 255
    assert torch.equal(both.reader(marked) > 0, bits() > 0)
    wrong = float(((both.reader(picture()) > 0) == (bits() > 0)).float().mean())
    assert 0.2 < wrong < 0.8, "a picture without a mark says nothing"


@torch.inference_mode()
@pytest.mark.parametrize(("down", "right"), [(5, 0), (0, 11), (7, 13)])
def test_a_mark_is_read_wherever_it_begins(both: Watermark, down: int, right: int) -> None:
    marked = both.embedder(picture(), bits())
    moved = torch.roll(marked, (down, right), dims=(2, 3))
    assert float(((both.reader(moved) > 0) == (bits() > 0)).float().mean()) >= 0.95


def test_folding_finds_what_repeats_and_wrapping_holds_every_shift() -> None:
    tile = torch.randn(2, 3, PERIOD, PERIOD, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(folded(tile.repeat(1, 1, 3, 2)), tile, atol=1e-6)
    around = wrapped(tile)
    for down, right in ((0, 0), (3, 9), (15, 15)):
        part = around[..., down : down + PERIOD, right : right + PERIOD]
        assert torch.equal(part, torch.roll(tile, (-down, -right), dims=(2, 3)))


def test_attacks_keep_the_size_and_let_gradients_through() -> None:
    for name, attack in attacks.ATTACKS.items():
        image = picture(48).requires_grad_()
        seen = attack(image)
        assert seen.shape == image.shape
        assert (name == "none") == torch.equal(seen, image)
        (gradient,) = torch.autograd.grad(seen.sum(), image)
        assert float(gradient.abs().sum()) > 0


def test_a_crop_moves_and_jpeg_is_jpeg() -> None:
    image = picture(64)
    seen = attacks.cropped(image, 0.0, 1.0, 0.0)
    assert torch.equal(seen[..., :32, :32], image[..., 32:, :32])
    assert float(seen[..., 32:, :].std()) == 0
    worse, better = (float((attacks.jpeg(image, q) - image).square().mean()) for q in (20, 90))
    assert worse > better > 0


def test_the_reader_is_not_trained_alone(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="wmread learns together with wmembed: clearport train wmembed"):
        train(options_for("wmread", data=(tmp_path,), out=tmp_path / "x.safetensors"))


def test_both_networks_share_a_file_and_a_stranger_s_is_refused(tmp_path: Path) -> None:
    embed, read = NETWORKS.get("wmembed"), NETWORKS.get("wmread")
    assert weights.bundled_path(embed, 1) == weights.bundled_path(read, 1)
    weights.save(tmp_path / "read.safetensors", weights.load(read, 1).module, "wmread", 1, {})
    weights.load(embed, 1, tmp_path / "read.safetensors")
    weights.save(tmp_path / "other.safetensors", NETWORKS.get("zerodce").build(1), "zerodce", 1, {})
    with pytest.raises(BadInput, match="weights of zerodce x1, expected those of wmread x1"):
        weights.load(read, 1, tmp_path / "other.safetensors")
