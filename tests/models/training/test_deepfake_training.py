"""The training of deepfake detectors: attention that augments, centers of regions, kernels frozen by turns."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from clearport.errors import BadInput
from clearport.models.data.crops import Batch
from clearport.models.losses.classes import augmented, match
from clearport.models.networks.deepfake import altfreezing
from clearport.models.networks.deepfake.multiattentional import MAPS, blurred_by_attention
from clearport.models.training import checkpoint
from clearport.models.training.options import options_for
from clearport.models.training.outputs import Restored
from clearport.models.training.regions import APART, FOLLOW, INSIDE, Regions
from clearport.models.training.run import Run
from clearport.models.training.train import train
from clearport.pictures.images import save_png
from clearport.registry import NETWORKS

PICTURES = torch.zeros(2, 3, 8, 8)


def batch(*labels: int) -> Batch:
    return Batch(PICTURES, None, {"label": torch.tensor(labels).float().reshape(-1, 1, 1, 1)})


def regions(*angles: tuple[float, float]) -> Restored:
    """Pictures with two maps, whose features are at angles (in radians) on the unit circle."""
    points = torch.tensor(angles)
    return Restored(torch.zeros(len(angles), 2), maps={"regions": torch.stack((points.cos(), points.sin()), dim=2)})


def test_regions_of_one_place_far_from_those_of_the_other_cost_nothing() -> None:
    loss = Regions()
    assert float(loss(regions((0.0, 3.0), (0.0, 3.0)), batch(0, 1), 1.0)) == 0.0
    assert float(loss(regions((0.0, 0.0), (0.0, 0.0)), batch(0, 1), 1.0)) == pytest.approx(APART), "equal centers"


def test_fake_faces_may_differ_more_than_real_ones() -> None:
    found = regions((0.3, 3.0), (-0.3, 3.0))
    center = np.cos(0.3)  # of both, on the axis
    squared = (np.cos(0.3) - center) ** 2 + np.sin(0.3) ** 2
    wanted = {label: max(squared - INSIDE[label], 0.0) for label in (0, 1)}
    assert wanted[0] > 0 == wanted[1]
    for label, cost in wanted.items():
        assert float(Regions()(found, batch(label, label), 1.0)) == pytest.approx(cost, abs=1e-6)


def test_centers_follow_slowly_and_are_in_the_checkpoint() -> None:
    loss = Regions()
    loss(regions((0.0, 3.0), (0.0, 3.0)), batch(0, 1), 1.0)
    loss.learn(regions((0.0, 3.0)), batch(0), 1.0)
    again = Regions()
    again.restore(loss.state())
    again(regions((1.0, 3.0), (1.0, 3.0)), batch(0, 1), 1.0)
    assert again.centers is not None
    assert torch.equal(again.centers[0], torch.tensor([1.0, 0.0])), "they move after the network's step"
    again.learn(regions((1.0, 3.0)), batch(0), 1.0)
    wanted = [1 + FOLLOW * (np.cos(1.0) - 1), FOLLOW * np.sin(1.0)]
    assert again.centers[0].tolist() == pytest.approx(wanted)


@pytest.mark.parametrize("loss", [Regions(), augmented, match])
def test_losses_of_attention_name_the_network_that_they_need(loss: object) -> None:
    with pytest.raises(BadInput, match="attention maps, such as multiattentional"):
        loss(Restored(torch.zeros(2, 2)), batch(0, 1), 1.0)  # type: ignore[operator]


def test_a_picture_is_blurred_where_a_map_is_high_and_kept_elsewhere() -> None:
    torch.manual_seed(0)
    picture, maps = torch.rand(2, 3, 64, 64), torch.zeros(2, MAPS, 8, 8)
    maps[..., 2:4, 2:4] = 5.0
    made = blurred_by_attention(picture, maps)
    changed = (made != picture).any(dim=1)
    assert changed[:, 18:28, 18:28].all()
    assert not changed[:, 40:].any()
    assert not changed[..., 40:].any()
    assert made[:, :, 18:28, 18:28].std() < 0.5 * picture.std()


@pytest.mark.usefixtures("one_thread")
def test_multiattentional_outputs_what_its_losses_compare() -> None:
    torch.manual_seed(0)
    network = NETWORKS.get("multiattentional").build(1)
    picture = 2 * torch.rand(2, 3, 64, 64) - 1
    assert network(picture).shape == (2, 2)
    made = network.train()(picture)
    shapes = {name: tuple(value.shape) for name, value in made.maps.items()}
    assert shapes == {"regions": (2, MAPS, 16), "augmented": (2, 2), "augmented-regions": (2, MAPS, 16)}
    assert torch.allclose(made.maps["regions"].norm(dim=2), torch.ones(2, MAPS), atol=1e-4)
    torch.autograd.backward(augmented(made, batch(0, 1), 1.0) + match(made, batch(0, 1), 1.0))
    assert all(parameter.grad is not None for parameter in network.head.attention.parameters())


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for side in ("real", "fake"):
        for number in range(3):
            folder = tmp_path / "data" / side / str(number)
            folder.mkdir(parents=True)
            for frame in range(2):
                save_png(folder / f"{frame}.png", rng.integers(0, 256, (64, 64, 3), np.uint8))
    return tmp_path / "data"


@pytest.mark.usefixtures("one_thread")
def test_altfreezing_freezes_temporal_and_spatial_kernels_by_turns(
    videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(altfreezing, "TURN", 1)
    asked = {"patch": 64, "batch": 2, "steps": 2, "workers": 0, "validation_photos": 2}
    run = Run(options_for("altfreezing", data=(videos,), out=tmp_path / "o", **asked), NETWORKS.get("altfreezing"), 1)
    names = {id(parameter): name for name, parameter in run.trainee.named_parameters()}
    turns = [{names[id(parameter)] for parameter in run.trainee.frozen(step)} for step in range(2)]  # type: ignore[operator]
    assert [len(turn) for turn in turns] == [9, 16], "kernels (3,1,1), and one (1,3,3) in each of 16 bottlenecks"
    assert not turns[0] & turns[1]
    for turn in turns:
        before = {name: value.detach().clone() for name, value in run.trainee.named_parameters()}
        run.advance()
        changed = {name for name, value in run.trainee.named_parameters() if not torch.equal(value, before[name])}
        assert not changed & turn
        assert {"stem.weight", "classify.weight"} | {n for n in before if n.endswith("conv3.weight")} <= changed


@pytest.mark.usefixtures("one_thread")
def test_multiattentional_trains_with_the_losses_of_its_paper(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for side in ("real", "fake"):
        for number in range(3):
            (tmp_path / "data" / side).mkdir(parents=True, exist_ok=True)
            save_png(tmp_path / "data" / side / f"{number}.png", rng.integers(0, 256, (64, 64, 3), np.uint8))
    asked = {"patch": 64, "batch": 2, "steps": 2, "workers": 0, "validation_photos": 2, "validate_every": 1}
    options = options_for("multiattentional", data=(tmp_path / "data",), out=tmp_path / "out.safetensors", **asked)
    assert options.loss == "cross-entropy + 0.5*regional + augmented + 0.1*match"
    assert train(options).finished
    saved = checkpoint.load(options.checkpoint, {})
    assert saved["regional"]["centers"].shape == (MAPS, 16)
