"""What every low-light network promises, found by task; and what single ones promise beyond it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from clearport.base import Size
from clearport.export.deviations import TOLERANCE
from clearport.export.from_torch import deployed, export_graph
from clearport.model_spec import ModelSpec
from clearport.models import weights
from clearport.models.importers.checkpoint import opened
from clearport.models.layers import curves as layers_curves
from clearport.models.networks.low_light import iagc as net_iagc
from clearport.models.networks.low_light import iagcfull as net_iagcfull
from clearport.models.networks.low_light import iat as net_iat
from clearport.models.networks.low_light import sci as net_sci
from clearport.models.networks.low_light import zerodce as net_zerodce
from clearport.models.networks.low_light import zerodcepp as net_zerodcepp
from clearport.models.training.outputs import Restored
from clearport.pictures.images import load_rgb

if TYPE_CHECKING:
    from clearport.pictures.images import Image8

SPECS = {s.SPEC.name: s.SPEC for s in (net_iagc, net_iagcfull, net_iat, net_sci, net_zerodce, net_zerodcepp)}
PARAMETERS = {"iagc": 46_796, "iagcfull": 170_143, "iat": 91_154, "sci": 258, "zerodce": 79_416, "zerodcepp": 10_561}
MAPS = {
    "iagc": "gamma",
    "iagcfull": "gamma",
    "iat": "color",
    "sci": "illumination",
    "zerodce": "curves",
    "zerodcepp": "curves",
}

every = pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)


def as_tensor(pixels: Image8) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))[None].float() / 255


def alive(spec: ModelSpec) -> torch.nn.Module:
    """A network in which no layer is zero, so that nothing an export loses could go unnoticed."""
    torch.manual_seed(5)
    network: torch.nn.Module = spec.build(spec.default_scale)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
        for name, buffer in network.named_buffers():
            if name.endswith("running_var"):
                buffer.uniform_(0.5, 2.0)
            elif name.endswith("running_mean"):
                buffer.normal_(0.0, 0.1)
    return network


@every
def test_size(spec: ModelSpec) -> None:
    assert sum(p.numel() for p in spec.build(1).parameters()) == PARAMETERS[spec.name]
    assert spec.task == "low-light"
    assert spec.value_range == (0.0, 1.0)


@every
@pytest.mark.parametrize("size", [(8, 16), (40, 24)])
def test_the_picture_keeps_its_size_and_range(spec: ModelSpec, size: tuple[int, int]) -> None:
    image = torch.rand(2, 3, *size)
    restored = alive(spec)(image)
    assert restored.shape == image.shape
    assert restored.min() >= 0.0
    assert restored.max() <= 1.0
    assert spec.build(1)(torch.zeros(1, 3, *size)).max() < 0.2  # black stays about black before anything is learned


@every
def test_every_weight_learns_from_the_picture_or_the_maps(spec: ModelSpec) -> None:
    network = alive(spec).train()
    output = network(torch.rand(2, 3, 32, 40))
    assert isinstance(output, Restored)
    assert MAPS[spec.name] in output.maps
    # Both, because every network's maps shape its picture too.
    sum(t.square().sum() for t in (output.image, *output.auxiliary, *output.maps.values())).backward()
    assert not [n for n, p in network.named_parameters() if p.grad is None or not p.grad.abs().max() > 0]


@every
def test_a_picture_does_not_depend_on_those_beside_it(spec: ModelSpec) -> None:
    network, images = alive(spec).double(), torch.rand(2, 3, 16, 24, dtype=torch.float64)  # sums in any order are equal
    assert torch.allclose(network(images)[1:], network(images[1:]), rtol=0.0, atol=1e-9)


@pytest.mark.parametrize(
    "spec",
    [pytest.param(spec, marks=[pytest.mark.slow] * (name in {"iagcfull", "iat"})) for name, spec in SPECS.items()],
    ids=SPECS,
)
@pytest.mark.parametrize("size", [Size(64, 64), pytest.param(Size(96, 128), marks=pytest.mark.slow)], ids=str)
def test_it_exports(spec: ModelSpec, size: Size) -> None:
    graph = export_graph(alive(spec), spec, 1, size)  # raises unless ONNX Runtime gives what PyTorch gives
    assert graph.input.shape == (1, 3, size.height, size.width)


@every
def test_the_deployed_form_computes_the_same(spec: ModelSpec) -> None:
    network, image = alive(spec), torch.rand(1, 3, 48, 64)
    assert (deployed(network)(image) - network(image)).abs().max() < TOLERANCE


@pytest.mark.parametrize("spec", [net_sci.SPEC, net_zerodce.SPEC], ids=lambda spec: spec.name)
def test_the_halo_is_exactly_as_far_as_a_pixel_reaches(spec: ModelSpec) -> None:
    network = spec.build(1).double()
    for parameter in network.parameters():
        torch.nn.init.uniform_(parameter, 0.001, 0.01)
    middle = 2 * spec.halo
    image = torch.full((1, 3, 1, 2 * middle + 1), 0.2, dtype=torch.float64)
    before = network(image)
    image[..., middle] += 0.1
    touched = (network(image) != before).any(dim=1)[0, 0].nonzero().flatten()
    assert (int(touched.min()), int(touched.max())) == (middle - spec.halo, middle + spec.halo)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(-1, 1, width=32), min_size=1, max_size=8))
def test_curves_rise_from_black_to_white(strengths: list[float]) -> None:
    levels = torch.linspace(0, 1, 257, dtype=torch.float64)[None, None, None]
    curve = layers_curves.brighten(levels, [torch.tensor(a).double() for a in strengths])
    assert curve[..., 0] == 0
    assert curve[..., -1] == 1
    assert curve.diff().min() >= -1e-12  # rounding of float64
    if max(strengths) <= 0:
        assert (curve >= levels - 1e-12).all()


def test_zerodce_begins_near_the_identity() -> None:
    torch.manual_seed(0)
    image = torch.rand(1, 3, 32, 32)
    for spec in (net_zerodce.SPEC, net_zerodcepp.SPEC):
        # Eight curves of strength 0.02 bend a picture by at most 8 · 0.02 / 4.
        assert (spec.build(1)(image) - image).abs().max() < 0.04


PUBLISHED = (
    *[(net_sci.SPEC, f"sci/{name}.pt") for name in ("easy", "medium", "difficult")],
    *[(net_iat.SPEC, f"iat/iat_{name}.pth") for name in ("lol_v1", "exposure")],
)


@pytest.mark.parametrize(("spec", "file"), PUBLISHED, ids=lambda v: v if isinstance(v, str) else "")
def test_published_weights_bring_a_dark_photo_nearer_to_the_lit_one(shared: Path, spec: ModelSpec, file: str) -> None:
    loaded = weights.load(spec, 1, shared / "weights" / file)
    assert "published state dict" in loaded.source
    folder = shared / "data/lowlight/sice"
    pair = json.loads((folder / "pairs.json").read_text())[120]
    low, normal = (as_tensor(load_rgb(folder / "images" / pair[role])) for role in ("low", "normal"))
    with torch.inference_mode():
        restored = loaded.module(low)
    # 3 dB: half the squared error. A wrong layer order, or attention without its scale, is no nearer at all.
    assert (restored - normal).square().mean() < 0.5 * (low - normal).square().mean()


@pytest.mark.parametrize("spec", [net_iat.SPEC, net_sci.SPEC], ids=lambda spec: spec.name)
def test_other_files_are_left_to_other_importers(spec: ModelSpec, tmp_path: Path) -> None:
    torch.save({"some.weight": torch.zeros(3)}, tmp_path / "a.pth")
    (tmp_path / "b.txt").write_text("not weights")
    for importer in spec.importers:
        for name in ("a.pth", "b.txt"):
            assert {importer(source, 1) is None for source in opened(tmp_path / name).sources} == {True}
