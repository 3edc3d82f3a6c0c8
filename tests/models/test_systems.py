"""Systems of the registry: their programs are valid, and reproduce the reference in PyTorch."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from clearport.base import Size
from clearport.errors import BadInput
from clearport.models import weights
from clearport.models.networks.generation.sinstep import SinDiffusion
from clearport.models.system import SystemSpec
from clearport.pipeline.list import system
from clearport.pipeline.sources.request import ExportRequest
from clearport.pipeline.systems.export import export_system, whole_of
from clearport.pipeline.systems.parts import in_torch, loaded
from clearport.programs.check import contradictions
from clearport.registry import NETWORKS, SYSTEMS

SMALL = {
    "sindiffusion": Size(16, 16),
    "matting": Size(128, 128),
    "inversion": Size(128, 128),
    "childgan": Size(128, 128),
}


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Weights of each family whose last layers are not zero, so that every part changes something."""
    folder = tmp_path_factory.mktemp("fresh")
    parts = {part.network for each in SYSTEMS.names() for part in SYSTEMS.get(each).parts.values()}
    found = {name: folder / f"{NETWORKS.get(name).family}.safetensors" for name in parts}
    for path in set(found.values()):
        torch.manual_seed(1)
        module = NETWORKS.get(path.stem).build(1)
        with torch.no_grad():
            for parameter in module.parameters():
                if not parameter.any():
                    parameter.add_(0.02 * torch.randn_like(parameter))
        weights.save(path, module, path.stem, 1, {})
    return found


PARTLY = {"inversion"}
"""Systems whose steps are all in those of another one."""
NAMES = [pytest.param(name, marks=[pytest.mark.slow] * (name in PARTLY)) for name in SYSTEMS.names()]


@pytest.mark.parametrize("name", NAMES)
def test_the_program_matches_the_reference(name: str, fresh: dict[str, Path]) -> None:
    spec: SystemSpec = SYSTEMS.get(name)
    assert name not in NETWORKS.names()
    assert system(name).parts == {part: each.network for part, each in spec.parts.items()}
    short = replace(spec, examples=lambda size: spec.examples(size)[:2])
    given = {part: fresh[each.network] for part, each in spec.parts.items()}
    whole = whole_of(short, SMALL[name], given)  # raises CheckFailed where they differ
    ends = {part: (tuple(s.name for s in a), tuple(s.name for s in b)) for part, (a, b) in whole.ends.items()}
    assert list(contradictions(whole.program, ends)) == []
    assert set(whole.calls) == set(spec.parts)
    assert all(float(value.std()) > 0.0 for value in whole.wanted.values())


def test_the_published_form_of_sindiffusion_has_its_parameters() -> None:
    assert sum(parameter.numel() for parameter in SinDiffusion(64, 32).parameters()) == 6_992_899
    assert sum(parameter.numel() for parameter in SinDiffusion().parameters()) == 1_752_579


def test_matting_shares_its_weights_between_both_parts() -> None:
    sizes = [
        sum(parameter.numel() for parameter in NETWORKS.get(name).build(1).deploy().parameters())
        for name in ("matcoarse", "matrefine")
    ]
    assert sizes == [488_438, 21_937]


@pytest.mark.parametrize("size", [Size(13, 7), Size(18, 16)])
def test_a_size_that_a_part_does_not_take_is_refused(tmp_path: Path, size: Size) -> None:
    request = ExportRequest("sindiffusion", tmp_path / "out", size=size, targets=("tflite",), precisions=("fp32",))
    with pytest.raises(BadInput, match=rf"--size {size}: part step .sinstep. needs .* multiples of"):
        export_system(request)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("network", "name", "there", "why"),
    [
        ("sindiffusion", "lr=0.1.safetensors", True, r"lr=0.1.safetensors: .*safetensors"),
        ("sindiffusion", "lr=0.1.safetensors", False, r"expected PART=FILE, .* there is no file .*lr=0.1.safetensors"),
        ("matting", "fine=0.1.safetensors", True, r"fine=0.1.safetensors: .*safetensors"),
        ("matting", "", False, "expected PART=FILE, with a part of coarse, refine"),
    ],
)
def test_a_file_of_weights_may_have_an_equals_sign_in_its_name(
    tmp_path: Path, network: str, name: str, there: bool, why: str
) -> None:
    path = tmp_path / name if name else Path("refine=")
    if there:
        path.write_bytes(b"no weights")
    with pytest.raises(BadInput, match=why) as error:
        export_system(ExportRequest(network, tmp_path / "out", targets=("tflite",), weights=path))
    assert ("expected PART=FILE" in str(error.value)) != there
    assert not (tmp_path / "out").exists()


def test_a_part_takes_plain_pictures_whatever_its_network_takes() -> None:
    """As its files do: a network of BGR is given RGB."""
    picture = np.random.default_rng(0).uniform(0.0, 255.0, (1, 3, 224, 224)).astype(np.float32)
    module, ends = loaded("caddm", None)
    assert [spec.color for spec in ends[0]] == ["RGB"]
    found = in_torch({"judge": module}, {"judge": ends})("judge", {"image": picture})["logits"]
    own = weights.load(NETWORKS.get("caddm"), 1).module
    with torch.inference_mode():
        wanted, other = (
            own(torch.from_numpy(np.ascontiguousarray(one))).numpy() for one in (picture[:, ::-1], picture)
        )
    np.testing.assert_allclose(found, wanted, rtol=1e-5)
    assert not np.allclose(found, other, rtol=1e-3)
