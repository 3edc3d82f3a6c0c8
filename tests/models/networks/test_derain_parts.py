"""What single deraining networks and their layers promise."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from clearport.models.layers.pyramid import SpatialPyramid
from clearport.models.layers.scattering import LightNet, scene, transmission
from clearport.models.layers.shuffle import ShuffleUnit, channel_shuffle
from clearport.models.networks.deraining.ddn import DDN
from clearport.models.networks.deraining.heavyrain import SPEC as HEAVY_RAIN
from clearport.models.networks.deraining.heavyrain import HeavyRain
from clearport.models.networks.deraining.prenet import PReNet
from clearport.models.networks.deraining.quasisparse import QuasiSparse
from clearport.models.training.discriminator import PatchDiscriminator


def test_the_channel_shuffle_deals_groups_out() -> None:
    features = torch.arange(6.0).reshape(1, 6, 1, 1).expand(2, 6, 3, 5)
    assert channel_shuffle(features, 3)[1, :, 2, 4].tolist() == [0, 2, 4, 1, 3, 5]
    assert torch.equal(channel_shuffle(features, 2), nn.ChannelShuffle(2)(features))


def test_a_shuffle_unit_lets_groups_exchange() -> None:
    unit = ShuffleUnit(36, 3)  # its 9 inner channels are enough for every group to hear of every other
    for parameter in unit.parameters():
        nn.init.constant_(parameter, 0.1)
    features = torch.ones(1, 36, 4, 4, requires_grad=True)
    unit(features)[:, :12].sum().backward()  # the first group's outputs
    assert features.grad is not None
    assert (features.grad.abs().sum(dim=(0, 2, 3)) > 0).all()


def test_the_pyramid_averages_over_its_windows() -> None:
    pyramid = SpatialPyramid(2, 3, windows=(2, 8))
    given = pyramid(torch.randn(1, 2, 16, 24))
    assert given.shape == (1, pyramid.channels, 16, 24)
    assert pyramid.channels == 2 + 2 * 3
    level = pyramid.levels[1]
    assert isinstance(level, nn.Conv2d)
    nn.init.dirac_(level.weight)
    nn.init.zeros_(level.bias)  # type: ignore[arg-type]
    image = torch.zeros(1, 2, 16, 16)
    image[:, 0, :8, :8] = torch.arange(64.0).reshape(8, 8)
    assert pyramid(image)[0, 5, 0, 0] == 31.5  # the corner is nearest to the first window's middle alone


@pytest.mark.parametrize("channels", [1, 3])
def test_the_scene_undoes_the_medium(channels: int) -> None:
    torch.manual_seed(0)
    clean, light = torch.rand(2, 3, 8, 8), torch.rand(2, 3, 1, 1)
    share = 0.1 + 0.9 * torch.rand(2, channels, 8, 8)
    seen = share * clean + (1 - share) * light
    torch.testing.assert_close(scene(seen, 1 / share - 1, light), clean, atol=1e-5, rtol=0)  # float32 steps, tenfold
    torch.testing.assert_close(transmission(1 / share - 1), share, atol=1e-6, rtol=0)


def test_a_medium_is_never_taken_for_more_opaque_than_can_be_undone() -> None:
    seen, light = torch.full((1, 3, 4, 4), 0.5), torch.full((1, 3, 1, 1), 0.6)
    wall = torch.full((1, 1, 4, 4), 1e6)
    assert transmission(wall).min() == pytest.approx(0.1)
    assert scene(seen, wall, light).min() == pytest.approx(0.5 - 9 * 0.1)
    clearer = torch.full((1, 1, 4, 4), -5.0)
    assert transmission(clearer).max() == 1.0
    assert scene(seen, clearer, light).max() == pytest.approx(0.5 + 0.2 * 0.1)


def test_the_light_is_one_color_of_the_whole_picture() -> None:
    torch.manual_seed(0)
    network, image = LightNet((4, 8)), torch.rand(2, 3, 33, 50)
    light = network(image)
    assert light.shape == (2, 3, 1, 1)
    assert 1.0 <= light.min() <= light.max() <= 1.5
    image[:, :, -1, -1] = 0.0
    assert (network(image) != light).all()


def test_the_first_stage_of_prenet_is_one_from_a_state_of_zeros() -> None:
    torch.manual_seed(0)
    network, features = PReNet(), torch.rand(1, 32, 6, 7)
    zeros = torch.zeros_like(features)
    wanted, given = network._next(features, zeros, zeros), network._first(features)
    for a, b in zip(given, wanted, strict=True):
        torch.testing.assert_close(a, b, atol=1e-6, rtol=0)  # sums of 288 float32 products in another order


def test_prenet_has_the_names_of_the_published_weights() -> None:
    names = set(PReNet().state_dict())
    assert {"conv0.0.weight", "res_conv1.0.weight", "res_conv5.2.bias", "conv_f.0.weight", "conv.0.bias"} <= names
    assert len(names) == 2 * (1 + 10 + 4 + 1)


def test_prenet_carries_state_between_stages() -> None:
    torch.manual_seed(0)
    network, image = PReNet().train(), torch.rand(1, 3, 8, 8)
    before = network(image).auxiliary
    nn.init.constant_(network.conv_f[0].bias, -20.0)  # type: ignore[arg-type]
    after = network(image).auxiliary
    assert torch.equal(before[0], after[0])  # the first stage has nothing to forget
    assert not torch.equal(before[1], after[1])


def test_the_low_pass_of_ddn_is_a_mean_up_to_the_border() -> None:
    network = DDN()
    flat = torch.full((1, 3, 20, 40), 0.7)
    torch.testing.assert_close(network.low_pass(flat), flat, atol=1e-6, rtol=0)  # float32 sums of 31
    image = torch.rand(1, 3, 64, 64)
    wanted = image[:, :, 5:36, 10:41].mean(dim=(2, 3))
    torch.testing.assert_close(network.low_pass(image)[:, :, 20, 25], wanted, atol=1e-6, rtol=0)


def hazy() -> HeavyRain:
    """A network that has found haze and streaks."""
    torch.manual_seed(0)
    network = HeavyRain().eval()
    nn.init.constant_(network.haze.opacity.bias, 0.6)  # type: ignore[arg-type]
    nn.init.constant_(network.streaks[-1].bias, 0.1)  # type: ignore[arg-type]
    return network


def test_the_knob_keeps_haze_and_removes_streaks() -> None:
    network, image = hazy(), 0.3 + 0.4 * torch.rand(1, 3, 16, 16)
    outputs = {}
    with torch.no_grad():
        for strength in (0.0, 0.5, 1.0):
            network.dehaze = strength
            outputs[strength] = network(image)
        mask, streaks = torch.sigmoid(network.localization(image)), network.streaks(image)
    # without dehazing, what is left of the model is the image without streaks, but for the untrained refinement
    assert (outputs[0.0] - (image - mask * streaks)).abs().max() < 0.01
    assert (outputs[1.0] - outputs[0.0]).abs().max() > 0.1
    assert (outputs[0.5] - outputs[0.0]).abs().mean() < (outputs[1.0] - outputs[0.0]).abs().mean()


def test_the_knob_is_the_one_that_the_spec_names() -> None:
    network = HEAVY_RAIN.build(1)
    for name, knob in HEAVY_RAIN.knobs.items():
        assert knob.low <= knob.default <= knob.high
        assert getattr(network, name) == knob.default


def test_auxiliary_decoders_do_not_run_in_use() -> None:
    network = QuasiSparse().eval()

    def refuse(*_: object) -> None:
        raise AssertionError("ran in eval mode")

    for decoder in network.auxiliary:
        decoder.register_forward_hook(refuse)
    network(torch.rand(1, 3, 8, 8))
    with pytest.raises(AssertionError, match="ran in eval mode"):
        network.train()(torch.rand(1, 3, 8, 8))


def test_the_rain_layer_is_what_was_taken_out() -> None:
    image = torch.rand(1, 3, 8, 8)
    given = QuasiSparse().train()(image)
    torch.testing.assert_close(given.maps["rain"], image - given.image, atol=1e-6, rtol=0)


def test_the_discriminator_judges_patches_and_is_not_steep() -> None:
    torch.manual_seed(0)
    judge = PatchDiscriminator().train()
    for _ in range(20):  # spectral normalization finds the norms by iteration
        judge(torch.rand(2, 3, 40, 64))
    judge.eval()
    pictures = torch.rand(2, 3, 40, 64, requires_grad=True)
    logits = judge(pictures)
    assert logits.shape == (2, 1, 5, 8)
    logits.sum().backward()
    assert pictures.grad is not None
    other = (pictures + 0.01 * torch.randn_like(pictures)).detach()
    # each layer's matrix has norm 1; a convolution's own norm is at most the square root of its taps times that:
    # stride 2 and 4x4 taps 2, then 3x3 taps 3, and the input is doubled
    most = 2 * 2**3 * 3**2
    assert (judge(other) - logits).norm() <= most * (other - pictures).norm()
    assert all(p.requires_grad for p in judge.parameters())
