"""Losses: known values, zero for perfect outputs, gradients, and parsing of sums."""

from __future__ import annotations

import math
from contextlib import suppress

import pytest
import torch
from torch.nn import functional as F

from clearport.errors import BadInput
from clearport.models.data.crops import Batch
from clearport.models.losses.table import LOSSES, Objective, Term, names, parse
from clearport.models.training.outputs import Restored

PEAK = 255.0


def picture(seed: int, height: int = 32, width: int = 32) -> torch.Tensor:
    return torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(seed)) * PEAK


def value(name: str, restored: Restored, batch: Batch, peak: float = PEAK) -> float:
    return float(LOSSES[name](restored, batch, peak))


CLASSES = {"augmented", "binary", "cross-entropy", "forged", "match", "zipf"}
"""Losses of classifiers, whose outputs are no pictures."""
OTHERS = {"inversion", "matting"}
"""Losses of networks with maps of their own, which have tests of their own."""
COMPARING = ("l1", "l2", "charbonnier", "ssim", "gradient", "mu-law")


@pytest.mark.parametrize("name", COMPARING)
def test_losses_are_lowest_where_nothing_is_wrong(name: str) -> None:
    high, noise = picture(0), torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    batch = Batch(high, high)
    exact, near, far = (value(name, Restored(high + error * noise), batch) for error in (0.0, 5.0, 40.0))
    assert exact == pytest.approx(1 / 510 if name == "charbonnier" else 0.0, abs=1e-6)
    assert exact < near < far < 1


@pytest.mark.parametrize("name", sorted(set(LOSSES) - {"smooth-curves", "transmission", "mask"} - OTHERS - CLASSES))
def test_the_value_range_does_not_change_a_loss(name: str) -> None:
    def at(low: float, high: float) -> float:
        def ranged(image: torch.Tensor) -> torch.Tensor:
            return image / PEAK * (high - low) + low

        made, rain = ranged(picture(1)), torch.rand(2, 1, 32, 32) * 0 + 0.1 * (high - low)
        truth = {"rain": rain * 2, "light": rain * 0 + low, "bits": torch.ones(2, 3, 1, 1)}
        batch = Batch(ranged(picture(2)), ranged(picture(3)), truth, black=low)
        maps = {"rain": rain, "light": ranged(picture(5).mean(dim=(2, 3), keepdim=True)), "bits": torch.ones(2, 3)}
        return value(name, Restored(made, (ranged(picture(4, 16, 16)),), maps), batch, high - low)

    assert at(0.0, 1.0) == pytest.approx(at(0.0, 255.0), rel=1e-4)
    assert at(-1.0, 1.0) == pytest.approx(at(0.0, 255.0), rel=1e-4)


def everything() -> tuple[Restored, Batch]:
    """An output with all maps, and a batch with all truths; what the network gave wants gradients."""
    image = picture(1).requires_grad_()
    unit = (image.mean(dim=1, keepdim=True) / PEAK).clamp(0.05, 0.95)
    maps = {"rain": 0.2 * image, "transmission": unit, "rain_mask": unit, "light": image.mean(dim=(2, 3), keepdim=True)}
    maps["curves"] = torch.cat([unit] * 6, dim=1)
    maps["bits"] = unit.mean(dim=(2, 3))
    truth = {name: torch.full_like(maps[name], 0.5) for name in ("rain", "transmission", "light")}
    truth["rain_mask"] = (unit > 0.5).float()
    truth["bits"] = torch.ones(2, 1, 1, 1)
    return Restored(image, (F.avg_pool2d(image, 2),), maps), Batch(picture(2), picture(3), truth)


@pytest.mark.parametrize("name", sorted(set(LOSSES) - CLASSES - OTHERS))
def test_gradients_flow(name: str) -> None:
    made, batch = everything()
    loss = LOSSES[name](made, batch, PEAK)
    assert float(loss.detach()) > 0
    (gradient,) = torch.autograd.grad(loss, made.image)
    assert torch.isfinite(gradient).all()
    assert float(gradient.abs().sum()) > 0


def test_known_values() -> None:
    ramp = torch.arange(32.0).expand(1, 3, 32, 32)  # one level a pixel to the right
    gray = torch.full((1, 3, 32, 32), 51.0)  # a fifth of the range
    assert value("l1", Restored(gray), Batch(gray, gray + 51)) == pytest.approx(0.2)
    assert value("l2", Restored(gray), Batch(gray, gray + 51)) == pytest.approx(0.04)
    assert value("gradient", Restored(gray), Batch(gray, gray + 51)) == pytest.approx(0.0)
    assert value("gradient", Restored(ramp), Batch(gray, gray)) == pytest.approx(0.5 / PEAK)  # along x only
    assert value("tv", Restored(ramp), Batch(gray, None)) == pytest.approx(1 / PEAK)
    assert value("exposure", Restored(gray), Batch(gray, None)) == pytest.approx(0.4**2, rel=1e-5)
    assert value("exposure", Restored(gray * 3), Batch(gray, None)) == pytest.approx(0.0, abs=1e-6)
    tinted = gray * torch.tensor([1.0, 1.0, 2.0]).view(1, 3, 1, 1)
    assert value("color", Restored(gray), Batch(gray, None)) == 0.0
    assert value("color", Restored(tinted), Batch(gray, None)) == pytest.approx(2 * 0.2**2)
    assert value("spatial", Restored(gray + 40), Batch(gray, None)) == pytest.approx(0.0, abs=1e-9)
    # 8x8 regions, 56 pairs of them across, counted from both sides, each 4 levels apart where there was no contrast
    assert value("spatial", Restored(ramp), Batch(gray, None)) == pytest.approx(2 * 56 / 64 * (4 / PEAK) ** 2, rel=1e-4)


def test_ssim_is_that_of_scikit_image() -> None:
    from skimage.metrics import structural_similarity

    a, b = picture(0, 40, 48)[:1], picture(1, 40, 48)[:1]
    b = 0.7 * a + 0.3 * b
    theirs = structural_similarity(
        a[0].numpy(),
        b[0].numpy(),
        channel_axis=0,
        data_range=PEAK,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        full=True,
    )[1][:, 5:-5, 5:-5].mean()
    assert value("ssim", Restored(a), Batch(a, b)) == pytest.approx(1 - float(theirs), abs=1e-4)  # float32 sums
    with pytest.raises(BadInput, match="11 pixels"):
        value("ssim", Restored(a[..., :10]), Batch(a, b[..., :10]))


def test_quasi_sparsity_asks_which_layer_an_edge_belongs_to() -> None:
    edge, flat = torch.zeros(1, 3, 8, 8), torch.zeros(1, 3, 8, 8)
    edge[..., 4:] = 100.0

    def both(image: torch.Tensor, rain: torch.Tensor) -> float:
        return value("quasi-sparsity", Restored(image, maps={"rain": rain}), Batch(image + rain, None))

    assert both(edge, flat) == both(flat, edge) == 0.0
    # a seventh of the places has an edge in both, in three of the four directions
    assert both(edge, edge) == pytest.approx((100 / PEAK) ** 2 / 7 * 3 / 4)
    # without a map, rain is what was taken away
    assert value("quasi-sparsity", Restored(edge), Batch(edge + edge, None)) == pytest.approx(both(edge, edge))


def test_rain_may_be_taken_where_it_is_and_nowhere_else() -> None:
    high, mask = torch.full((1, 3, 8, 8), 90.0), torch.zeros(1, 1, 8, 8)
    mask[..., :2] = 1.0
    low = high + 60 * mask
    assert value("low-rain", Restored(high), Batch(low, high, {"rain_mask": mask})) == 0.0
    assert value("low-rain", Restored(high), Batch(low, high)) == 0.0
    assert value("low-rain", Restored(high), Batch(low, None)) == pytest.approx(60 / 4 / PEAK)
    assert value("low-rain", Restored(high - 10), Batch(low, high)) == pytest.approx(10 * 6 / 8 / PEAK)


def test_auxiliary_pictures_are_compared_in_their_own_size() -> None:
    high = picture(0)
    halves = (F.avg_pool2d(high, 2), F.avg_pool2d(high, 4) + 51)
    assert value("auxiliary", Restored(high, halves), Batch(high, high)) == pytest.approx(0.1, rel=1e-4)
    with pytest.raises(BadInput, match="auxiliary heads"):
        value("auxiliary", Restored(high), Batch(high, high))


@pytest.mark.parametrize(("loss", "name"), [("transmission", "transmission"), ("light", "light"), ("rain", "rain")])
def test_maps_are_supervised_where_their_truth_is_known(loss: str, name: str) -> None:
    image, guess = picture(0), torch.full((2, 1, 32, 32), 0.5)
    unit = 1.0 if loss == "transmission" else PEAK
    made = Restored(image, maps={name: guess * unit})
    assert value(loss, made, Batch(image, image, {name: guess * unit + 0.25 * unit})) == pytest.approx(0.25)
    assert value(loss, made, Batch(image, image)) == 0.0
    with pytest.raises(BadInput, match=f"map '{name}'; this one outputs: none"):
        value(loss, Restored(image), Batch(image, image))


def test_masks_are_probabilities() -> None:
    image, truth = picture(0), torch.zeros(2, 1, 32, 32)
    truth[..., :16] = 1.0
    batch = Batch(image, image, {"rain_mask": truth})
    unsure = Restored(image, maps={"rain_mask": torch.full_like(truth, 0.5)})
    assert value("mask", unsure, batch) == pytest.approx(math.log(2))
    assert value("mask", Restored(image, maps={"rain_mask": truth}), batch) < 1e-3


def test_smooth_curves() -> None:
    image, ramp = picture(0), (0.01 * torch.arange(32.0)).expand(2, 6, 32, 32)
    assert value("smooth-curves", Restored(image, maps={"curves": ramp * 0 + 0.7}), Batch(image, None)) == 0.0
    # two curves of three colors, each with a step of 0.01
    assert value("smooth-curves", Restored(image, maps={"curves": ramp}), Batch(image, None)) == pytest.approx(3e-4)
    with pytest.raises(BadInput, match="curves"):
        value("smooth-curves", Restored(image), Batch(image, None))


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("l1", [(1.0, "l1")]),
        ("l1 + 0.2*ssim + 0.05*gradient", [(1.0, "l1"), (0.2, "ssim"), (0.05, "gradient")]),
        ("1e-3*tv+exposure+2.5e+1*smooth-curves", [(1e-3, "tv"), (1.0, "exposure"), (25.0, "smooth-curves")]),
        (" l2*3 ", [(3.0, "l2")]),
        (".5 * quasi-sparsity", [(0.5, "quasi-sparsity")]),
    ],
)
def test_sums_are_read(text: str, terms: list[tuple[float, str]]) -> None:
    assert parse(text) == tuple(Term(weight, name) for weight, name in terms)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("l3", r"unknown loss 'l3' \(available: adversarial, augmented, auxiliary"),
        ("", "cannot read ''"),
        ("l1 +", "cannot read ''"),
        ("l1 - ssim", "cannot read 'l1 - ssim'"),
        ("2*l1*3", "cannot read"),
        ("-1*l1", "cannot read"),
        ("l1 + 0.1*l1", "duplicate loss"),
    ],
)
def test_bad_sums(text: str, complaint: str) -> None:
    with pytest.raises(BadInput, match=complaint):
        parse(text)


def test_a_sum_adds_up_and_says_what_it_is_made_of() -> None:
    made, batch = everything()
    total, parts = Objective("l1 + 0.2*ssim + 0.05*gradient")(made, batch, PEAK)
    assert set(parts) == {"l1", "ssim", "gradient"}
    expected = float(parts["l1"] + 0.2 * parts["ssim"] + 0.05 * parts["gradient"])
    assert float(total.detach()) == pytest.approx(expected)


def test_losses_that_compare_need_something_to_compare_with() -> None:
    image = picture(0)
    without = []
    for name in sorted(set(names()) - {"adversarial", "contrast", "distillation", "regional"}):
        with suppress(BadInput):
            Objective(name, targets=False)
            without.append(name)
            maps = {"rain": image, "transmission": image, "light": image, "rain_mask": image / PEAK, "curves": image}
            LOSSES[name](Restored(image, maps=maps), Batch(image, None), PEAK)
    with pytest.raises(BadInput, match="l1, ssim compares with targets"):
        Objective("l1 + ssim + tv", targets=False)
    assert {"exposure", "color", "spatial", "smooth-curves", "tv", "quasi-sparsity", "low-rain"} <= set(without)
    assert not set(COMPARING) & set(without)
