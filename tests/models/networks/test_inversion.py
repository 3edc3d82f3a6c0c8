"""Inversion: sizes as published, modulation with constant kernels, imported generators, and learning without faces."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from clearport.base import Size
from clearport.errors import BadInput
from clearport.models import samples, weights
from clearport.models.cost import cost
from clearport.models.data.crops import Batch
from clearport.models.data.pair import Pair
from clearport.models.importers import checkpoint
from clearport.models.importers.stylegan import imported, stylegan2_of_rosinality
from clearport.models.layers.inversion.irse import Encoder
from clearport.models.layers.inversion.stages import Inversion
from clearport.models.layers.inversion.stylegan import CODE, Generator, Mapping, Modulated, styles
from clearport.models.losses.inversion import inversion
from clearport.models.training.judge import judge
from clearport.models.training.outputs import Restored, taken
from clearport.pictures.images import load_rgb
from clearport.registry import NETWORKS

pytestmark = pytest.mark.usefixtures("one_thread")


def params(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_published_forms_have_their_parameters() -> None:
    with torch.device("meta"):
        encoder = Encoder(3, 64, (4, 5, 9), small=False).eval()
        generator, mapping = Generator(1024, 512, 1 << 15), Mapping()
    assert params(encoder) == 98_028_096
    assert params(generator) + params(mapping) == 30_370_060
    assert encoder(torch.zeros(1, 3, 256, 256, device="meta")).shape == (1, 18, CODE)


def test_small_forms_have_theirs() -> None:
    whole, found = NETWORKS.get("e2style").build(1), {}
    for name, part in (("e2style", "encoder"), ("e2refine", "refiner"), ("stylegen", "generator")):
        spec, whole.part = NETWORKS.get(name), part
        each = cost(whole.deploy().eval(), Size(128, 128), spec.inputs)
        found[name] = each.params, round(each.macs / 1e9, 3)
    assert found == {"e2style": (5_001_856, 1.793), "e2refine": (5_002_720, 1.807), "stylegen": (6_530_269, 2.852)}


@pytest.mark.parametrize("larger", [False, True])
def test_modulation_with_a_constant_kernel_is_that_of_a_computed_one(larger: bool) -> None:
    """The published form: a kernel for each picture, multiplied by its style and divided by its norm."""
    torch.manual_seed(3)
    layer = Modulated(6, 5, 3, demodulated=True, larger=larger)
    features, codes = torch.randn(2, 6, 7, 9), torch.randn(2, CODE)
    wanted = []
    for one, style in zip(features, layer.style(codes), strict=True):
        kernel = layer.weight * style[:, None, None]
        kernel = kernel * torch.rsqrt(kernel.square().sum(dim=(1, 2, 3), keepdim=True) + 1e-8)
        if larger:
            made = F.conv_transpose2d(one[None], kernel.transpose(0, 1), stride=2)
            made = F.conv2d(made, layer.blur, padding=1, groups=5)
        else:
            made = F.conv2d(one[None], kernel, padding=1)
        wanted.append(math.sqrt(2.0) * made)
    torch.testing.assert_close(layer(features, codes), torch.cat(wanted), rtol=1e-4, atol=1e-5)


def published(generator: Generator, mapping: Mapping) -> dict[str, torch.Tensor]:
    """A generator as github.com/rosinality/stylegan2-pytorch saves it."""
    found = {"input.input": generator.start}
    for number, layer in enumerate(mapping.layers):
        found[f"style.{number + 1}.weight"] = layer.weight * math.sqrt(CODE) / 0.01
        found[f"style.{number + 1}.bias"] = layer.bias / 0.01
    for number, layer in enumerate(generator.layers):
        name = f"convs.{number - 1}" if number else "conv1"
        found |= _modulated(f"{name}.conv", layer.conv)
        found |= {f"{name}.noise.weight": layer.strength, f"{name}.activate.bias": layer.bias}
        found |= {f"noises.noise_{number}": layer.noise, f"{name}.conv.blur.kernel": torch.ones(4, 4)}
    for number, layer in enumerate(generator.rgb):
        name = f"to_rgbs.{number - 1}" if number else "to_rgb1"
        found |= _modulated(f"{name}.conv", layer.conv)
        found[f"{name}.bias"] = layer.bias.reshape(1, 3, 1, 1)
    return {name: value.detach().clone() for name, value in found.items()}


def _modulated(name: str, layer: Modulated) -> dict[str, torch.Tensor]:
    return {
        f"{name}.weight": (layer.weight * math.sqrt(layer.weight[0].numel()))[None],
        f"{name}.modulation.weight": layer.style.weight * math.sqrt(CODE),
        f"{name}.modulation.bias": layer.style.bias,
    }


@pytest.fixture
def small() -> Inversion:
    torch.manual_seed(7)
    return Inversion("encoder", side=64, codes=(2, 3, 5), width=8, most=16, numbers=1024)


def test_a_published_generator_is_ours_once_it_is_imported(small: Inversion, tmp_path: Path) -> None:
    torch.manual_seed(5)
    theirs = Inversion("generator", side=64, codes=(2, 3, 5), width=8, most=16, numbers=1024).eval()
    theirs.generator.layers[3].strength.data.fill_(0.3)
    torch.save({"g_ema": published(theirs.generator, theirs.mapping)}, tmp_path / "stylegan.pt")
    source = checkpoint.opened(tmp_path / "stylegan.pt").sources[0]
    with pytest.raises(BadInput, match=r"another size than this generator's, 128x128 .* tensors differ, first gen"):
        stylegan2_of_rosinality(source, 1)
    assert source.tensors is not None
    wrong = small.load_state_dict(imported(source.tensors), strict=False)
    assert wrong.unexpected_keys == []
    assert {name.partition(".")[0] for name in wrong.missing_keys} == {"encoder", "refiner"}
    codes = theirs.mapping(torch.randn(10, CODE))[None]
    torch.testing.assert_close(small.eval().generator(codes), theirs.generator(codes), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(small.average, theirs.average, atol=0.3, rtol=0.0)


@pytest.mark.slow
def test_training_starts_from_a_published_generator(tmp_path: Path) -> None:
    spec = NETWORKS.get("e2style")
    torch.manual_seed(5)
    theirs, ours = spec.build(1), spec.build(1)
    torch.save({"g_ema": published(theirs.generator, theirs.mapping)}, tmp_path / "stylegan.pt")
    start = weights.start_from(ours, spec, 1, tmp_path / "stylegan.pt", partial=True)
    assert all(name.startswith(("encoder.", "refiner.")) for name in start.fresh)
    torch.testing.assert_close(ours.generator.layers[4].conv.weight, theirs.generator.layers[4].conv.weight)
    with pytest.raises(BadInput, match=r"encoder\..* is missing"):
        weights.load(spec, 1, tmp_path / "stylegan.pt")


def test_encoders_find_what_the_generator_draws_and_leave_it_as_it_is(small: Inversion) -> None:
    small.train()
    before = small.generator.start.clone()
    optimizer = torch.optim.Adam([each for each in small.parameters() if each.requires_grad], 2e-3)
    empty, found = Batch(torch.zeros(2, 3, 64, 64), None), []
    for _ in range(6):
        torch.manual_seed(0)  # the same pictures in each step
        loss = inversion(small(empty.low), empty, 2.0)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        found.append(loss.item())
    assert found[-1] < 0.7 * found[0]
    assert torch.equal(small.generator.start, before)


def test_the_loss_is_zero_where_pictures_and_codes_are_found(small: Inversion) -> None:
    small.eval()
    picture, codes = small.drawn(2)
    assert codes.shape == (2, styles(64), CODE)
    right = {"drawn": picture, "codes": codes, "made1": picture, "codes1": codes}
    batch = Batch(picture, None)
    assert inversion(Restored(picture, maps=right), batch, 2.0) == 0.0
    assert inversion(Restored(picture, maps={**right, "codes1": codes + 1.0}), batch, 2.0) == pytest.approx(0.05)
    assert inversion(Restored(picture, maps={**right, "made1": picture + 0.2}), batch, 2.0) == pytest.approx(0.01)
    with pytest.raises(BadInput, match="generates its own pictures, such as e2style"):
        inversion(Restored(picture), batch, 2.0)


def test_it_is_judged_by_the_same_drawn_pictures_each_time(small: Inversion) -> None:
    photo = load_rgb(samples.golden())[:64, :128]
    found = [judge(small, NETWORKS.get("e2style"), 1, [Pair("photo", photo, None)]) for _ in range(2)]
    assert found[0].rgb_db == found[1].rgb_db
    assert 3.0 < found[0].rgb_db < 40.0
    assert found[0].y_db != found[0].rgb_db
    assert found[0].images[0].shape == photo.shape


def test_a_generator_alone_is_not_trained() -> None:
    with pytest.raises(BadInput, match="needs the input 'codes', which these data lack"):
        taken(torch.zeros(1, 3, 8, 8), {}, NETWORKS.get("stylegen").inputs)
