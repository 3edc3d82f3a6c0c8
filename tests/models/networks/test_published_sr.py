"""Efficient super resolution with published weights: they load, score what was measured, and export."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from clearport.errors import BadInput
from clearport.model_spec import ModelSpec
from clearport.models import weights
from clearport.models.importers.checkpoint import opened
from clearport.models.metrics import psnr_db, to_levels
from clearport.models.networks.super_resolution.bsrn import SPEC as BSRN
from clearport.models.networks.super_resolution.espcn import SPEC as ESPCN
from clearport.models.networks.super_resolution.fmen import SPEC as FMEN
from clearport.models.networks.super_resolution.fsrcnn import SPEC as FSRCNN
from clearport.models.networks.super_resolution.imdn import SPEC as IMDN
from clearport.models.networks.super_resolution.rfdn import SPEC as RFDN
from clearport.models.networks.super_resolution.rlfn import SPEC as RLFN
from clearport.models.networks.super_resolution.safmn import SPEC as SAFMN
from clearport.models.networks.super_resolution.safmnpp import SPEC as SAFMNPP
from clearport.models.networks.super_resolution.span import SPEC as SPAN
from clearport.models.networks.super_resolution.spantiny import SPEC as SPANTINY


@dataclass(frozen=True)
class Published:
    """A published file, and how many parameters the network has that takes it."""

    spec: ModelSpec
    scale: int
    file: str
    params: int

    def __str__(self) -> str:
        return f"{self.spec.name}-x{self.scale}"


PUBLISHED = (
    Published(IMDN, 4, "imdn/imdn_x4.pth", 893_936),
    Published(RFDN, 4, "rfdn/rfdn_x4.pth", 433_448),
    Published(RLFN, 4, "rlfn/rlfn_ntire_x4.pth", 317_218),
    Published(RLFN, 2, "rlfn/rlfn_s_x2.pth", 454_620),
    Published(FMEN, 4, "fmen/fmen_x4.pth", 341_066),
    Published(BSRN, 4, "bsrn/bsrn_x4.pth", 155_616),
    Published(SPAN, 4, "span/span_ch28_x4.pth", 150_688),
    Published(SPANTINY, 4, "span/spantiny_x4.pth", 130_828),
    Published(SAFMN, 4, "safmn/safmn_x4.pth", 237_000),
    Published(SAFMNPP, 4, "safmn/light_safmnpp_x4.pth", 66_176),
    Published(FSRCNN, 3, "fsrcnn/fsrcnn_x3.pb", 8_785),
    Published(ESPCN, 3, "espcn/espcn_x3.pb", 22_729),
)
SPECS = {published.spec.name: published.spec for published in PUBLISHED}
CLIPPED = pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)


def module(shared: Path, published: Published) -> torch.nn.Module:
    return weights.load(published.spec, published.scale, shared / "weights" / published.file).module


def restored(network: torch.nn.Module, spec: ModelSpec, scale: int, low: np.ndarray) -> np.ndarray:
    """A uint8 picture enlarged; where sides must be multiples, it is mirrored outward to 16 and cut again."""
    height, width = low.shape[:2]
    white, step = spec.value_range[1], 16 if spec.size_multiple > 1 else 1
    image = torch.tensor(low).permute(2, 0, 1)[None] * (white / 255.0)
    image = F.pad(image, (0, -width % step, 0, -height % step), mode="reflect")
    with torch.inference_mode():
        large = network(image)[0, :, : height * scale, : width * scale] * (255.0 / white)
    return to_levels(large.permute(1, 2, 0).numpy())


@pytest.mark.parametrize("published", PUBLISHED, ids=str)
def test_published_weights_load_as_they_are(shared: Path, published: Published) -> None:
    network = module(shared, published)
    assert sum(p.numel() for p in network.parameters()) == published.params
    assert not network.training


@pytest.mark.slow  # five pictures through up to 0.9 M parameters each
@pytest.mark.parametrize("published", PUBLISHED, ids=str)
def test_published_weights_score_what_the_network_says_of_them(shared: Path, published: Published) -> None:
    network, scale, scores = module(shared, published), published.scale, []
    for path in sorted((shared / f"data/sr/set5/x{scale}").glob("*_LR.png")):
        low, high = (np.asarray(Image.open(p).convert("RGB")) for p in (path, str(path).replace("_LR", "_HR")))
        made = restored(network, published.spec, scale, low)
        scores.append((psnr_db(made, high, scale, "Y"), psnr_db(made, high, scale)))
    luma, color = np.mean(scores, axis=0)
    said = re.search(rf"x{scale} ([\d.]+)/[\d.]+ dB Y and ([\d.]+)/", published.spec.published)
    assert said is not None
    # Half a unit of the last digit that is said, and as much for pixels that processors round differently.
    assert (luma, color) == pytest.approx((float(said[1]), float(said[2])), abs=0.01)


@CLIPPED
def test_the_output_is_clipped_in_use_and_open_in_training(spec: ModelSpec) -> None:
    network, scale = spec.build(spec.default_scale), spec.default_scale
    torch.manual_seed(0)
    kernels = [p for p in network.parameters() if p.dim() == 4]
    kernels[-1].data *= 1e3  # so that the picture leaves the range at both ends
    image = torch.rand(1, 3, 32, 32) * spec.value_range[1]
    with torch.no_grad():
        shown, learning = network(image), network.train()(image)
    assert shown.shape == (1, 3, 32 * scale, 32 * scale)
    assert torch.equal(shown, learning.clamp(*spec.value_range))
    assert not torch.equal(shown, learning)


@CLIPPED
def test_other_scales_can_be_built(spec: ModelSpec) -> None:
    for scale in spec.scales:
        with torch.no_grad():
            assert spec.build(scale)(torch.zeros(1, 3, 16, 24)).shape == (1, 3, 16 * scale, 24 * scale)


@pytest.mark.parametrize("spec", [FSRCNN, ESPCN, SPAN], ids=lambda spec: spec.name)
def test_the_halo_is_exactly_as_far_as_a_pixel_depends(spec: ModelSpec) -> None:
    torch.manual_seed(0)
    network, middle = spec.build(3).double().train(), spec.halo + 4
    for parameter in network.parameters():
        torch.nn.init.uniform_(parameter, 0.01, 0.1)
    image = torch.full((1, 3, 1, 2 * middle + 1), 0.5, dtype=torch.float64, requires_grad=True)
    network(image)[..., 3 * middle : 3 * middle + 3].sum().backward()
    assert image.grad is not None
    reached = (image.grad != 0).any(dim=1)[0, 0].nonzero().flatten()
    assert (reached.min(), reached.max()) == (middle - spec.halo, middle + spec.halo)


def test_pooling_by_sixteen_is_the_authors_adaptive_pooling() -> None:
    """Where the sides are multiples of 16; else the last window is cut at the picture's edge."""
    part = torch.rand(1, 9, 48, 32)
    padded = F.max_pool2d(F.pad(F.max_pool2d(part, 8), (0, 1, 0, 1), mode="replicate"), 2)
    assert torch.equal(padded, F.adaptive_max_pool2d(part, (3, 2)))
    odd = F.max_pool2d(F.pad(F.max_pool2d(part[:, :, :40], 8), (0, 1, 0, 1), mode="replicate"), 2)
    assert torch.equal(odd[:, :, 2, :], F.adaptive_max_pool2d(part[:, :, 32:40], (1, 2))[:, :, 0])


def test_the_authors_bsrn_is_folded_without_a_difference(tmp_path: Path) -> None:
    """The image in four copies, and a weight per channel before the last 1x1 convolution of a block."""
    torch.manual_seed(0)
    first, last, weight = torch.rand(48, 12), torch.rand(48, 48), torch.rand(1, 48)
    state = {"fea_conv.pw.weight": first, "B1.conv_out.weight": last, "B1.cw": weight}
    path = tmp_path / "published.pth"
    torch.save({"params": {**state, "upsampler.upsampleOneStep.0.weight": torch.rand(48, 48, 3, 3)}}, path)
    found = BSRN.importers[0](opened(path).sources[0], 4)
    assert found is not None
    image, features = torch.rand(5, 3), torch.rand(5, 48)
    assert torch.allclose(image @ found["fea_conv.pw.weight"][:, :, 0, 0].T, torch.cat([image] * 4, 1) @ first.T)
    assert torch.allclose(features @ found["B1.conv_out.weight"][:, :, 0, 0].T, (features * weight) @ last.T)
    assert set(found) == {"fea_conv.pw.weight", "B1.conv_out.weight", "upsampler.0.weight"}


@pytest.mark.parametrize("spec", [IMDN, FMEN, BSRN, SPAN], ids=lambda spec: spec.name)
def test_an_importer_leaves_our_own_files_alone(spec: ModelSpec, tmp_path: Path) -> None:
    path = tmp_path / "own.pth"
    torch.save(spec.build(4).state_dict(), path)
    assert {spec.importers[0](source, 4) is None for source in opened(path).sources} == {True}
    path.write_bytes(b"something else")
    assert {spec.importers[0](source, 4) is None for source in opened(path).sources} == {True}


def test_published_weights_of_another_width_are_refused(shared: Path) -> None:
    with pytest.raises(BadInput, match="does not fit span x4"):
        weights.load(SPAN, 4, shared / "weights/span/spantiny_x4.pth")
